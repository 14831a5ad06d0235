package replica

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
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
			m.logs.DeleteRivals(p.id)
			p.onLogOpen(l)
			return
		}
		m.deleteStray(l) // another topic of this name, deleted while we were down
		return
	}
	dir := m.dirFor(p)
	if dir == nil {
		p.onOffline()
		return
	}
	m.busy[p.id] = true
	m.logs.Create(dir, p.id, p.topicID, m.cfg.LogConfig(p.id), func(_ *storage.Log, err error) { m.onDirDone(p.id, dir, err) })
}

// dirFor is the log directory to make p's log in: the one that an administrator asked for, or that the controller has for it, else the one with the fewest logs. Nil: p may
// have a log already, in a directory that is offline, and there must not be another.
//
// Counter-example: B, which has the only replica, restarts while the disk with it is away. With an empty log in another directory
// it would lead, and all records would be gone, though they are all there when the disk is back.
func (m *Manager) dirFor(p *Partition) *storage.LogDir {
	if m.logs.HasLost(p.id, p.topicID) || !p.isNew && m.logs.AnyOffline() {
		return nil
	}
	if d := m.preferred[p.id]; d != nil {
		delete(m.preferred, p.id)
		if d.IsOnline() {
			return d
		}
	}
	if reg := m.image.Partition(p.id); reg != nil && reg.HasReplica(m.cfg.NodeID) {
		if d := m.logs.Dir(reg.Dir(m.cfg.NodeID)); d != nil {
			return d
		}
	}
	return m.logs.Emptiest()
}

// deleteLog removes the log of a partition that is not hosted any more, or not under this topic id.
func (m *Manager) deleteLog(id event.Partition) {
	l := m.logs.Get(id)
	if m.busy[id] || l == nil || m.failed != nil {
		return // onDirDone looks again
	}
	m.busy[id] = true
	m.logs.Delete(id, func(err error) { m.onDirDone(id, l.LogDir(), err) })
}

func (m *Manager) onDirDone(id event.Partition, dir *storage.LogDir, err error) {
	delete(m.busy, id)
	if err != nil {
		m.onFailure(dir, err)
	}
	if m.stopped || m.failed != nil {
		return
	}
	if p := m.byID.get(id); p != nil {
		m.openLog(p)
		return
	}
	m.deleteLog(id)
}

// onFailure takes a log directory offline: what its files hold is unknown from here. Without the last one, or the one with the metadata
// log, the broker cannot go on.
func (m *Manager) onFailure(dir *storage.LogDir, err error) {
	if m.failed != nil || !dir.IsOnline() {
		return
	}
	if m.logs.CanLose(dir) {
		m.onDirOffline(dir, err)
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

// onDirOffline goes on without a directory: the partitions in it are offline until the broker starts again (KIP-112).
func (m *Manager) onDirOffline(dir *storage.LogDir, err error) {
	m.env.Event.Emit(&event.Event{Kind: event.LogDirOffline, Peer: -1, Epoch: -1, Offset: -1, Note: dir.Path + ": " + err.Error()})
	m.logs.Fail(dir, err)
	for _, p := range m.partitions {
		if p.log != nil && p.log.LogDir() == dir {
			p.onOffline()
		} else if p.move != nil && p.move.to == dir {
			p.move.end()
			m.assign.submit(p)
		}
	}
	if m.onLogDirOffline != nil {
		m.onLogDirOffline(err)
	}
}

// untoldDir is where the controller is to know this replica; false if it knows that, or need not know.
func (p *Partition) untoldDir() (dir [16]byte, untold bool) {
	if p.reg == nil || !p.reg.HasReplica(p.m.cfg.NodeID) || p.m.failed != nil {
		return dir, false
	}
	known := p.reg.Dir(p.m.cfg.NodeID)
	switch {
	case p.offline:
		return metadata.DirLost, p.m.seemsOnline(known)
	case p.isOnline():
		if dir = p.log.LogDir().ID; p.move != nil && p.move.near {
			dir = p.move.to.ID
		}
		return dir, dir != known
	}
	return dir, false
}

// seemsOnline reports whether the controller takes a replica that it knows to be in a directory for one that can lead. What failed it
// learns from heartbeats.
func (m *Manager) seemsOnline(dir [16]byte) bool {
	return dir == metadata.DirUnassigned || dir == metadata.DirMigrating || m.logs.Dir(dir) != nil
}
