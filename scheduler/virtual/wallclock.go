package virtual

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// wallClock is what a node takes for the time of day: the world's time, unless it was led astray.
type wallClock struct {
	offset time.Duration
	since  scheduler.Instant // it drifts from here on
	rate   int64             // what it gains, in millionths; -1_000_000: it stands still
	reads  uint64
}

// read is the time since the world began, as the clock has it.
func (c *wallClock) read(now scheduler.Instant) time.Duration {
	t := time.Duration(now) + c.offset
	if c.rate != 0 {
		t += now.Sub(c.since) / time.Microsecond * time.Duration(c.rate) / 1000
	}
	return t
}

// SetWallClock moves the node's wall clock to offset from the world's, and has it go right from there.
func (n *Node) SetWallClock(offset time.Duration) {
	n.wall.offset, n.wall.rate = offset, 0
}

// DriftWallClock has the node's wall clock gain some millionths of the time from now on; at -1,000,000 it stands still. The
// timers of a node whose clock loses up to a tenth are late by as much.
func (n *Node) DriftWallClock(millionths int64) {
	now := n.world.now
	n.wall.offset = n.wall.read(now) - time.Duration(now)
	n.wall.since, n.wall.rate = now, millionths
}

// WallReads is how often the wall clock was looked at in this world.
func (n *Node) WallReads() uint64 { return n.wall.reads }

// late is how much longer a timer of the node takes.
func (c *wallClock) late(d time.Duration) time.Duration {
	if c.rate >= 0 || c.rate < -100_000 {
		return 0
	}
	return d / time.Microsecond * time.Duration(-c.rate) / 1000
}
