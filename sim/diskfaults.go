package sim

import (
	"fmt"
	"strings"

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
	case FullDisk:
		if n.Up() && c.claim(s, "disk "+n.name) {
			c.fillDisk(s, n)
		}
	case FailingDisk:
		if n.Up() && c.claim(s, "process "+n.name) && c.claim(s, "disk "+n.name) {
			c.breakDisk(s, n)
		}
	}
}

func (c *chaos) applyToSpeed(s *strike, n *Node) {
	before, d := n.written, c.diskOf(s, n)
	if s.fault.Kind == FrozenDisk {
		stuck := d.Stuck()
		s.did = func() bool { return d.Stuck() > stuck }
		d.Freeze()
		s.undo = d.Thaw
		return
	}
	s.did = func() bool { return n.written > before && s.fault.Size > 1 }
	d.SetSlow(s.fault.Size)
	s.undo = func() { d.SetSlow(1) }
}

// The sizes of a FailingDisk: what fails.
const (
	failedWrites int64 = iota
	failedSyncs
	failedWrite
	failedSync
	forgottenSync // as of fsyncgate
	failedAside   // and more: one write of a file of asideFiles, by its place
)

// asideFiles are the kinds of files beside the records, by a part of their names. Some are written a thousand times as often as others, so
// that what fails next of all of them is hardly ever one of those.
var asideFiles = []string{".index", ".timeindex", txnIndexFile: ".txnindex", producersFile: ".snapshot", "-checkpoint", ".checkpoint", "quorum-state"}

const txnIndexFile, producersFile = 2, 3

// allFiles are the places of all asideFiles.
func allFiles() (places []int64) {
	for i := range asideFiles {
		places = append(places, int64(i))
	}
	return places
}

// breakDisk fails operations of a disk. If the node noticed it is started again, with the disk repaired.
func (c *chaos) breakDisk(s *strike, n *Node) {
	if s.fault.Size == forgottenSync {
		c.forgetSync(s, n)
		return
	}
	d := c.diskOf(s, n)
	switch size := s.fault.Size; {
	case size == failedSyncs:
		d.FailSyncs(disk.ErrIO)
	case size == failedWrite:
		d.FailNext(simdisk.OpWrite, disk.ErrIO)
	case size == failedSync:
		d.FailNext(simdisk.OpSync, disk.ErrIO)
	case size >= failedAside:
		part := asideFiles[(size-failedAside)%int64(len(asideFiles))]
		d.FailNextOf(func(name string) bool { return strings.Contains(name, part) }, simdisk.OpWrite, disk.ErrIO)
	default:
		d.FailWrites(disk.ErrIO)
	}
	s.did = n.isOffline
	s.undo = func() {
		n.repair()
		if n.isOffline() {
			n.restart()
		}
	}
}

// fillDisk leaves a disk no space. The node is not started again: it is to go on by itself when there is some.
func (c *chaos) fillDisk(s *strike, n *Node) {
	before, d := n.filled, c.diskOf(s, n)
	d.SetCapacity(max(d.Used(), 1))
	s.did = func() bool { return n.filled > before }
	s.undo = func() { d.SetCapacity(0) }
}

// forgetSync fails a sync as systems do (fsyncgate): what it was to make durable never will be, though reads see it and the next sync
// succeeds. So a failed sync is final (P8): whoever goes on, or tries again, takes for safe what is gone. In the end the machine starts
// anew and has what its device has, which the budget counts as a loss of power from the beginning.
func (c *chaos) forgetSync(s *strike, n *Node) {
	if !c.allows(s, n) {
		return
	}
	d := c.diskOf(s, n)
	d.ForgetFailedSyncs(true)
	d.FailNext(simdisk.OpSync, disk.ErrIO)
	n.forgetful, n.lost = true, max(n.lost, lostPower)
	s.did = func() bool { return n.isOffline() || n.hasForgotten() }
	s.undo = func() {
		c.checkOffline(n)
		n.repair()
		if n.isOffline() || n.hasForgotten() {
			n.restart()
		}
	}
}

// checkOffline judges that a broker has stopped using a disk that failed a sync. One that stands still has not heard of it.
func (c *chaos) checkOffline(n *Node) {
	if n.hasForgotten() && n.Up() && !n.loop.Paused() && !n.stopping && !n.isOffline() {
		c.run.violate("P8", "I13", fmt.Sprintf("P8 broken: broker %d goes on with a disk that failed a sync", n.id), fmt.Sprintf("a sync of broker %d failed", n.id))
	}
}
