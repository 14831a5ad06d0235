package sim

import (
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
)

// applyToDisk makes a running node's disk slow, stuck or broken.
func (c *chaos) applyToDisk(s *strike, n *Node) {
	switch s.fault.Kind {
	case SlowDisk, FrozenDisk:
		if c.claim(s, "disk "+n.name) {
			c.applyToSpeed(s, n)
		}
	case FailingDisk, FullDisk:
		if n.Up() && c.claim(s, "process "+n.name) && c.claim(s, "disk "+n.name) {
			c.breakDisk(s, n)
		}
	}
}

func (c *chaos) applyToSpeed(s *strike, n *Node) {
	before := n.written
	if s.fault.Kind == FrozenDisk {
		s.did = func() bool { return n.written > before || n.Up() }
		n.disk.Freeze()
		s.undo = n.disk.Thaw
		return
	}
	s.did = func() bool { return n.written > before && s.fault.Size > 1 }
	n.disk.SetSlow(s.fault.Size)
	s.undo = func() { n.disk.SetSlow(1) }
}

// breakDisk fails operations of a disk. If the node noticed it is started again, with the disk repaired.
func (c *chaos) breakDisk(s *strike, n *Node) {
	switch {
	case s.fault.Kind == FullDisk:
		n.disk.SetCapacity(max(n.disk.Used(), 1))
	case s.fault.Size == 1:
		n.disk.FailSyncs(disk.ErrIO)
	case s.fault.Size == 2:
		n.disk.FailNext(simdisk.OpWrite, disk.ErrIO)
	case s.fault.Size == 3:
		n.disk.FailNext(simdisk.OpSync, disk.ErrIO)
	default:
		n.disk.FailWrites(disk.ErrIO)
	}
	s.did = func() bool { return n.logDirLost || n.failed != nil }
	s.undo = func() {
		n.repair()
		if n.logDirLost || n.failed != nil {
			n.restart()
		}
	}
}
