package replica

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
)

// openLog finds or makes p's log. One thing happens to a directory at a time: while an earlier
// incarnation of the partition is being made or removed, p waits for that to end.
func (m *Manager) openLog(p *Partition) {
	if m.busy[p.id] || m.failed != nil {
		return
	}
	if l := m.logs.Get(p.id); l != nil {
		if l.TopicID() == p.topicID {
			p.onLogOpen(l)
			return
		}
		m.deleteStray(l) // another topic of this name, deleted while we were down
		return
	}
	m.busy[p.id] = true
	m.logs.Create(p.id, p.topicID, m.cfg.LogConfig(p.id), func(_ *storage.Log, err error) { m.onDirDone(p.id, err) })
}

// deleteLog removes the log of a partition that is not hosted any more, or not under this topic id.
func (m *Manager) deleteLog(id event.Partition) {
	if m.busy[id] || m.logs.Get(id) == nil || m.failed != nil {
		return // onDirDone looks again
	}
	m.busy[id] = true
	m.logs.Delete(id, func(err error) { m.onDirDone(id, err) })
}

func (m *Manager) onDirDone(id event.Partition, err error) {
	delete(m.busy, id)
	if err != nil {
		m.onFailure(err)
		return
	}
	if m.stopped {
		return
	}
	if p := m.byID.get(id); p != nil {
		m.openLog(p)
		return
	}
	m.deleteLog(id)
}

// onFailure takes the broker's one log directory offline: what its files hold is unknown from here.
func (m *Manager) onFailure(err error) {
	if m.failed != nil {
		return
	}
	m.failed = err
	m.env.Event.Emit(&event.Event{Kind: event.LogDirFailed, Peer: -1, Epoch: -1, Offset: -1, Note: err.Error()})
	for _, p := range m.partitions {
		p.onOffline()
	}
	if m.onLogDirFailure != nil {
		m.onLogDirFailure(err)
	}
}

func (m *Manager) onCheckpoint(err error) {
	if err != nil {
		m.onFailure(err)
	}
}
