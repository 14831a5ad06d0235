package storage

import (
	"testing"

	"github.com/lockstep/lockstep/core/event"
)

// TestALowerHighWatermarkIsOnTheDiskFirst takes the high watermark back in each way that there is, writes on beyond the old one, and crashes:
// nobody may find that then.
func TestALowerHighWatermarkIsOnTheDiskFirst(t *testing.T) {
	p := event.Partition{Topic: "x", Index: 0}
	for name, lower := range map[string]func(n *node, m *Manager) (*Manager, int64){ // order: cases are independent
		"truncate": func(n *node, m *Manager) (*Manager, int64) {
			n.must("truncate", func(done func(error)) { m.Get(p).TruncateTo(2, done) })
			return m, 2
		},
		"truncate fully": func(n *node, m *Manager) (*Manager, int64) {
			n.must("truncate", func(done func(error)) { m.Get(p).TruncateFullyAndStartAt(1, done) })
			return m, 1
		},
		"create anew": func(n *node, m *Manager) (*Manager, int64) {
			n.must("delete", func(done func(error)) { m.Delete(p, done) })
			n.create(m, p, 2)
			return m, 0
		},
		"lose": func(n *node, m *Manager) (*Manager, int64) {
			n.loop.Kill()
			n.disk.WorstPowerLoss()
			return n.openManager(), 0
		},
	} {
		n := newNode(t, 1)
		m := n.openManager()
		l := n.create(m, p, 1)
		for range 5 {
			n.append(l, batch(0, 0, 1, 10, 1), 0)
		}
		l.SetHighWatermark(5)
		n.must("checkpoint", m.Checkpoint)
		m, most := lower(n, m)
		for range 9 {
			n.append(m.Get(p), batch(0, 0, 1, 10, 2), 0)
		}
		n.loop.Kill()
		n.disk.Kill()
		if at := n.openManager().Get(p).HighWatermark(); at > most {
			t.Errorf("%s: the high watermark is %d, and was %d", name, at, most)
		}
	}
}
