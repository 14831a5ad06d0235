package sim

import "time"

// clockJumps is how often a jumping clock jumps in the time that the fault lasts.
const clockJumps = 4

// applyToClock leads a node's wall clock astray. It counts as soon as somebody has looked at it.
func (c *chaos) applyToClock(s *strike, n *Node) {
	if !c.claim(s, "clock "+n.name) {
		return
	}
	f := s.fault
	size := time.Duration(f.Size)
	switch f.Kind {
	case ClockOffset:
		n.loop.SetWallClock(size * time.Millisecond)
	case ClockDrift:
		n.loop.DriftWallClock(f.Size)
	case ClockFreeze:
		n.loop.DriftWallClock(-1_000_000)
	case ClockJump:
		jump := size * time.Millisecond
		c.repeat(s, f.For/clockJumps, func() {
			n.loop.SetWallClock(jump)
			jump = size*time.Millisecond - jump // there and back
		})
	}
	before := n.loop.WallReads()
	s.did = func() bool { return n.loop.WallReads() > before && (f.Size != 0 || f.Kind == ClockFreeze) }
	s.undo = func() { n.loop.SetWallClock(0) }
}

// isOfClock reports whether a kind of fault leads a wall clock astray.
func isOfClock(k Kind) bool { return k >= ClockOffset && k <= ClockFreeze }
