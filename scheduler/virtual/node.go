package virtual

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// wallBase is the wall clock, in milliseconds, when a world starts: 2026-01-01T00:00:00Z.
const wallBase = 1_767_225_600_000

// Node is the loop of one broker or client, through all its incarnations.
type Node struct {
	world       *World
	id          int32
	incarnation uint32 // events of another incarnation are dead
	paused      bool
	killedIn    uint64 // number of the node's own turn in which it was last killed, 0 if none
	parked      []entry
	wall        wallClock
	offloads    *rand.Rand // made at the first Offload
}

var (
	_ scheduler.Loop   = (*Node)(nil)
	_ scheduler.Poster = (*Node)(nil)
)

// reset makes the node as new for another run of its world. The incarnation goes on counting, so
// that no timer of an earlier run can touch this one.
func (n *Node) reset() {
	*n = Node{world: n.world, id: n.id, incarnation: n.incarnation + 1, parked: n.parked[:0]}
}

// ID is what World.Node was given.
func (n *Node) ID() int32 { return n.id }

// World is the node's world.
func (n *Node) World() *World { return n.world }

// Now implements scheduler.Clock.
func (n *Node) Now() scheduler.Instant { return n.world.now }

// UnixMilli implements scheduler.Clock.
func (n *Node) UnixMilli() int64 {
	n.wall.reads++
	return n.PeekUnixMilli()
}

// PeekUnixMilli is the same for somebody who is not of the world: WallReads does not count it.
func (n *Node) PeekUnixMilli() int64 {
	return wallBase + n.wall.read(n.world.now).Milliseconds()
}

// AfterFunc implements scheduler.Clock.
func (n *Node) AfterFunc(d time.Duration, f func()) scheduler.Timer {
	t := &timer{node: n, incarnation: n.incarnation, runner: call(f)}
	t.Reset(d)
	return t
}

// After runs f on the node, d from now, never within this call.
func (n *Node) After(d time.Duration, f func()) { n.AfterEvent(d, call(f), 0) }

// AfterEvent runs r on the node, d from now, never within this call. It allocates nothing.
func (n *Node) AfterEvent(d time.Duration, r Runner, arg int64) {
	if !n.isDying() {
		n.world.schedule(n, d, r, arg)
	}
}

// Post implements scheduler.Poster.
func (n *Node) Post(f func()) { n.AfterEvent(0, call(f), 0) }

// Defer implements scheduler.Loop. Between turns there is no end of a turn to wait for: f then gets
// a turn of its own.
func (n *Node) Defer(f func()) {
	switch {
	case n.isDying():
	case n.world.running == nil:
		n.Post(f)
	default:
		n.world.deferred = append(n.world.deferred, deferred{n, n.incarnation, f})
	}
}

// Kill ends the incarnation: its events, timers, offloads and whatever its turn has deferred vanish,
// and so does what the rest of its turn asks for if it is killed within one. The node then is the
// loop of the next incarnation, and is not paused.
func (n *Node) Kill() {
	w := n.world
	if w.running == n {
		n.killedIn = w.events
	}
	n.incarnation++
	n.paused = false
	for _, e := range n.parked {
		w.queue.free(e.slot)
	}
	n.parked = n.parked[:0]
	w.queue.compact()
}

// isDying reports whether code of a killed incarnation is still running: the rest of the turn that killed it.
func (n *Node) isDying() bool {
	return n.world.running == n && n.killedIn == n.world.events
}

// Pause stops the node's turns, as a stopped process or a long collection would; the running turn ends normally.
func (n *Node) Pause() { n.paused = true }

// Paused reports whether the node is paused.
func (n *Node) Paused() bool { return n.paused }

// Resume lets the node run again: all that became due meanwhile runs at once, in order.
func (n *Node) Resume() {
	n.paused = false
	for _, e := range n.parked {
		n.world.queue.add(e)
	}
	n.parked = n.parked[:0]
}

// ResumeTimersFirst is Resume as a daemon's loop does it: all timers that are due run before it looks at what has come.
func (n *Node) ResumeTimersFirst() {
	slices.SortFunc(n.parked, func(a, b entry) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
	at := n.world.now
	for i := range n.parked {
		e := &n.parked[i]
		if e.at > n.world.now { // RunUntil parks what is at the top before it looks whether it is due
			break
		}
		if s := &n.world.queue.slots[e.slot]; !s.timer {
			at++
			e.at, s.at, s.queuedAt = at, at, at
		}
	}
	n.Resume()
}

// Offload implements scheduler.Loop.
func (n *Node) Offload(work, done func()) {
	if n.offloads == nil {
		n.offloads = n.world.Stream(n.world.seed, "virtual/offload/"+strconv.Itoa(int(n.id)))
	}
	draw := n.offloads.Uint64()
	o := &offload{work: work, done: done, node: n, delay: offloadDelay(draw >> 8)}
	if draw%8 == 0 {
		n.AfterEvent(0, o, workEarly)
	} else {
		n.AfterEvent(o.delay, o, workLate)
	}
}

// offload is work under way. Whoever changes bytes that it lent to work is caught by either moment:
// work runs at once in some, just before done in most.
type offload struct {
	work, done func()
	node       *Node
	delay      time.Duration
}

const (
	workLate  = iota // work and done in one event, after the delay
	workEarly        // work now, done after the delay
	workDone
)

func (o *offload) Run(step int64) {
	if step != workDone {
		o.work()
	}
	if step == workEarly {
		o.node.AfterEvent(o.delay, o, workDone)
	} else {
		o.done()
	}
}

// offloadDelay is up to 50 µs, for one in 32 up to 2 ms more: enough to overtake and be overtaken.
func offloadDelay(draw uint64) time.Duration {
	d := time.Microsecond + time.Duration(draw>>5%50_000)
	if draw%32 == 0 {
		d += time.Duration(draw >> 24 % 2_000_000)
	}
	return d
}
