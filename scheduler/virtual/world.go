// Package virtual is the simulator's world of time: many loops, one queue of events, no waiting.
//
// Time jumps to the next event. Events due at the same instant run in the order in which they were
// scheduled. Nothing here depends on anything but the seed and the calls made, so the same seed
// and the same program give the same Digest on every machine. A World is used by one goroutine.
package virtual

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// Runner is an event without a closure: arg tells apart what one value waits for.
type Runner interface{ Run(arg int64) }

// call makes a function a Runner without an allocation.
type call func()

func (c call) Run(int64) { c() }

// World is the queue that drives all nodes, and the world's own events.
type World struct {
	queue queue
	seed  uint64
	now   scheduler.Instant

	seq    uint64 // of the latest event scheduled
	cause  uint64 // seq of the running event
	parent uint64 // seq of the event that scheduled it
	events uint64 // run so far
	digest uint64

	salt    uint64 // of streams, since Reseed
	streams []stream

	root     Node // owns the events of the world itself
	nodes    map[int32]*Node
	running  *Node // nil between turns
	deferred []deferred
	onTurn   []func(node int32)
}

type deferred struct {
	node        *Node
	incarnation uint32
	f           func()
}

// New returns a world in which nothing has happened.
func New(seed uint64) *World {
	w := &World{nodes: map[int32]*Node{}}
	w.root = Node{world: w, id: -1}
	w.Reset(seed)
	return w
}

// Reset makes the world as New(seed) would, reusing its memory. Nodes stay valid as pointers;
// timers of the earlier run are dead; functions given to OnTurn are forgotten.
func (w *World) Reset(seed uint64) {
	w.queue.reset()
	w.seed, w.now = seed, 0
	w.seq, w.cause, w.parent, w.events, w.digest = 0, 0, 0, 0, mix(digestSeed, seed)
	w.running = nil
	w.salt, w.streams = 0, w.streams[:0]
	w.clearDeferred()
	w.onTurn = nil
	w.root.reset()
	for _, n := range w.nodes { // order: each is reset alone
		n.reset()
	}
}

// Seed is what the world was made from.
func (w *World) Seed() uint64 { return w.seed }

// Now is the instant of the running event, or what RunUntil reached.
func (w *World) Now() scheduler.Instant { return w.now }

// Stats returns the number of events run.
func (w *World) Stats() (events uint64) { return w.events }

// Cause is the seq of the event that is being run; between events, of the last one; 0 before the first.
func (w *World) Cause() uint64 { return w.cause }

// Parent is the seq of the event that scheduled the one being run; 0 if none did.
func (w *World) Parent() uint64 { return w.parent }

// Seq is the seq of the latest event scheduled.
func (w *World) Seq() uint64 { return w.seq }

// Mix folds x into the running digest.
func (w *World) Mix(x uint64) { w.digest = mix(w.digest, x) }

// Digest is the hash of every event run so far (its seq, instant and node) and of all that was mixed in.
func (w *World) Digest() uint64 { return w.digest }

// Node returns the node's loop, the same one at every call. id is at least 0.
func (w *World) Node(id int32) *Node {
	if n := w.nodes[id]; n != nil {
		return n
	}
	if id < 0 {
		panic("virtual: node ids are not negative")
	}
	n := &Node{world: w, id: id}
	n.reset()
	w.nodes[id] = n
	return n
}

// After runs f d from now as an event of the world itself, which no node's death takes away.
func (w *World) After(d time.Duration, f func()) { w.schedule(&w.root, d, call(f), 0) }

// OnTurn has f called at the end of every turn with the turn's node, -1 for the world's own events.
// A turn of the world may have touched any node.
func (w *World) OnTurn(f func(node int32)) { w.onTurn = append(w.onTurn, f) }

// Step runs the next event and what it deferred; it reports false when none is left that may run. A
// panic of the event passes through; the world is then between turns, and what the turn had still
// deferred is dropped.
func (w *World) Step() bool {
	if !w.queue.settle() {
		return false
	}
	defer w.endTurn() // also of one that panics
	w.runTop()
	return true
}

// RunUntil runs all that is due up to and including t. Then Now is t.
func (w *World) RunUntil(t scheduler.Instant) {
	defer w.endTurn() // also of one that panics
	for w.queue.settle() && w.queue.heap[0].at <= t {
		w.runTop()
	}
	w.now = max(w.now, t)
}

// runTop runs the event at the top of the queue, which is one that may run.
func (w *World) runTop() {
	e := w.queue.pop()
	s := &w.queue.slots[e.slot]
	node, runner, arg := s.node, s.runner, s.arg
	w.cause, w.parent = s.seq, s.parent
	w.queue.free(e.slot)
	w.now = max(w.now, e.at) // an event that a pause held back lies in the past
	w.events++
	w.digest = mix(mix(mix(w.digest, e.seq), uint64(w.now)), uint64(node.id))
	w.turn(node, runner, arg)
}

func (w *World) turn(node *Node, runner Runner, arg int64) {
	w.running = node
	runner.Run(arg)
	if len(w.deferred) > 0 {
		w.runDeferred()
	}
	for _, f := range w.onTurn {
		f(node.id)
	}
	w.endTurn()
}

func (w *World) runDeferred() {
	for i := 0; i < len(w.deferred); i++ { // grows while it runs
		if d := &w.deferred[i]; d.incarnation == d.node.incarnation {
			w.running = d.node
			d.f()
		}
	}
}

func (w *World) endTurn() {
	w.running = nil
	if len(w.deferred) > 0 {
		w.clearDeferred()
	}
}

func (w *World) clearDeferred() {
	clear(w.deferred)
	w.deferred = w.deferred[:0]
}

// schedule queues an event of the node, d from now, and returns its slot.
func (w *World) schedule(n *Node, d time.Duration, r Runner, arg int64) uint32 {
	w.seq++
	i, s := w.queue.push(w.now.Add(max(d, 0)), w.seq)
	s.parent, s.node, s.incarnation, s.runner, s.arg = w.cause, n, n.incarnation, r, arg
	return i
}
