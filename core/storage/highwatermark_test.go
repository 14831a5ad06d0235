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

// TestALowerHighWatermarkIsSavedWhenAllLogsAreKnown loses the end of a log, which the next start finds first. It is killed before another checkpoint: of the
// other logs, in this directory and in the other one, the checkpoints still know where they start.
func TestALowerHighWatermarkIsSavedWhenAllLogsAreKnown(t *testing.T) {
	n := newTwoDirs(t)
	n.mustOpen()
	lowered := n.fiveWritten(n.dirs[0], "a")
	kept := []*Log{n.fiveWritten(n.dirs[0], "z"), n.fiveWritten(n.dirs[1], "u")}
	for _, l := range kept {
		n.must("flush", l.Flush)
		l.AdvanceLogStart(3)
	}
	n.must("checkpoint", n.m.Checkpoint)
	n.loop.Kill()
	for _, d := range n.disks {
		d.WorstPowerLoss()
	}
	for start := range 2 {
		n.mustOpen()
		for _, l := range kept {
			if l = n.m.Get(l.partition); l.LogStartOffset() != 3 || l.HighWatermark() != 5 {
				t.Errorf("start %d: %s begins at %d, and has the high watermark %d", start, l.Dir(), l.LogStartOffset(), l.HighWatermark())
			}
		}
		if l := n.m.Get(lowered.partition); l.HighWatermark() != 0 {
			t.Errorf("start %d: the high watermark is %d of what was lost", start, l.HighWatermark())
		}
		n.append(n.m.Get(lowered.partition), batch(0, 0, 1, 10, 2), 0)
		n.loop.Kill()
		for _, d := range n.disks {
			d.Kill()
		}
	}
}

// fiveWritten makes a log of five records that are committed.
func (n *twoDirs) fiveWritten(d *LogDir, topic string) *Log {
	n.t.Helper()
	l := n.create(d, event.Partition{Topic: topic, Index: 0}, topic[0])
	for range 5 {
		n.append(l, batch(0, 0, 1, 10, 1), 0)
	}
	l.SetHighWatermark(5)
	return l
}
