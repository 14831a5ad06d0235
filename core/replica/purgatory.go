package replica

import (
	"time"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/scheduler"
)

// purgatory times out what waits. All waits share one timer: most end long before they are due, so
// the timer is armed for the earliest deadline seen and, when it fires early, simply armed again.
type purgatory struct {
	loop  scheduler.Loop
	heap  []*expiry // by (at, seq)
	seq   uint64
	timer scheduler.Timer
	armed scheduler.Instant // when the timer fires; noAlarm if it is not armed
}

const (
	noAlarm    = scheduler.Instant(1<<63 - 1)
	notWaiting = -1
)

// expiry is embedded in what waits.
type expiry struct {
	at       scheduler.Instant
	seq      uint64
	pos      int // in the heap; notWaiting if not in it
	onExpire func()
}

func newPurgatory(loop scheduler.Loop) *purgatory { return &purgatory{loop: loop, armed: noAlarm} }

// add has e.onExpire run d from now unless removed before.
func (g *purgatory) add(e *expiry, d time.Duration) {
	invariant.Check(e.pos == notWaiting, "replica: a wait was added twice")
	g.seq++
	e.at, e.seq, e.pos = g.loop.Now().Add(d), g.seq, len(g.heap)
	g.heap = append(g.heap, e)
	g.up(e.pos)
	g.arm()
}

// remove is idempotent.
func (g *purgatory) remove(e *expiry) {
	if e.pos == notWaiting {
		return
	}
	pos, last := e.pos, len(g.heap)-1
	g.swap(pos, last)
	g.heap[last] = nil
	g.heap = g.heap[:last]
	if pos < last {
		g.up(pos)
		g.down(pos)
	}
	e.pos = notWaiting
}

// stop forgets all that waits: nothing of it expires any more.
func (g *purgatory) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
	for _, e := range g.heap {
		e.pos = notWaiting // who is answered later removes it
	}
	g.heap, g.armed = nil, noAlarm
}

func (g *purgatory) arm() {
	if len(g.heap) == 0 || g.heap[0].at >= g.armed {
		return
	}
	g.armed = g.heap[0].at
	d := g.armed.Sub(g.loop.Now())
	if g.timer == nil {
		g.timer = g.loop.AfterFunc(d, g.fire)
		return
	}
	g.timer.Reset(d)
}

func (g *purgatory) fire() {
	now := g.loop.Now()
	g.armed = noAlarm
	for len(g.heap) > 0 && g.heap[0].at <= now {
		e := g.heap[0]
		g.remove(e)
		e.onExpire()
	}
	g.arm()
}

func (g *purgatory) less(i, j int) bool {
	a, b := g.heap[i], g.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (g *purgatory) swap(i, j int) {
	g.heap[i], g.heap[j] = g.heap[j], g.heap[i]
	g.heap[i].pos, g.heap[j].pos = i, j
}

func (g *purgatory) up(i int) {
	for i > 0 && g.less(i, (i-1)/2) {
		g.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (g *purgatory) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(g.heap) {
			return
		}
		if child+1 < len(g.heap) && g.less(child+1, child) {
			child++
		}
		if !g.less(child, i) {
			return
		}
		g.swap(i, child)
		i = child
	}
}
