package sim

import (
	"math/rand/v2"
	"time"
)

// The troubles of a transactional producer, which come by themselves while the schedule's faults strike:
//
// its process ends, and another one takes its transactional id after a while, or
//
// its process stands still: a zombie that goes on where it was when it wakes, whoever has its transactional id by then.

// churner makes the troubles of one.
type churner struct {
	t      *transactor
	rand   *rand.Rand
	active bool // troubles happen
}

func newChurner(t *transactor, r *rand.Rand) *churner { return &churner{t: t, rand: r} }

// start begins the life of the transactor, with troubles.
func (c *churner) start() {
	c.active = true
	c.t.start()
	c.later()
}

func (c *churner) later() {
	if d := c.t.o.Churn; d > 0 {
		c.t.run.world.After(1+time.Duration(c.rand.Int64N(2*int64(d))), c.trouble)
	}
}

// trouble is the next trouble. It draws the same whatever the producer is about.
func (c *churner) trouble() {
	stands, d := c.rand.IntN(2) == 0, time.Duration(c.rand.Int64N(3*int64(c.t.o.Timeout)/2))
	c.later()
	t := c.t
	switch {
	case !c.active || t.down || t.loop.Paused():
	case stands:
		t.run.note(t.loop.ID(), "txn-stands-still", t.id)
		t.loop.Pause()
		t.run.world.After(d, func() { t.loop.Resume() })
	default:
		t.run.note(t.loop.ID(), "txn-crashes", t.id)
		t.loop.After(0, func() {
			if !t.down {
				t.fall()
				c.comeBack()
			}
		})
	}
}

// comeBack has another process take the transactional id after a while, unless all is to come to rest.
func (c *churner) comeBack() {
	t := c.t
	d := retryBackoff + time.Duration(c.rand.Int64N(int64(t.o.Timeout)))
	t.loop.After(d, func() {
		if t.down && (c.active || t.mustGoOn) {
			t.start()
		}
	})
}
