package virtual

import (
	"math/bits"

	"github.com/lockstep/lockstep/scheduler"
)

// queue is a 4-ary heap of small entries over a slab of slots.
//
// Stopping and re-arming touch the slot only; the heap learns of it when the entry reaches the top
// (settle) or when too many entries are dead (compact). A slot is reused only after its entry left
// the heap. The order of events is total, (at, seq), so it does not depend on the heap's shape.
type queue struct {
	heap   []entry
	slots  []slot
	unused []uint32
	dead   int // stopped slots whose entry is still queued, about
}

type entry struct {
	at   scheduler.Instant
	seq  uint64
	slot uint32
}

// before compares (at, seq) as one number of 128 bits, without a branch that nobody could predict. No instant is negative.
func (e *entry) before(f *entry) bool {
	_, borrow := bits.Sub64(e.seq, f.seq, 0)
	_, borrow = bits.Sub64(uint64(e.at), uint64(f.at), borrow)
	return borrow != 0
}

// slot is an event. Its seq, unique for each arming, is also what a Timer knows it by.
type slot struct {
	at       scheduler.Instant // when it is due. Invariant: at >= queuedAt
	queuedAt scheduler.Instant // at of its entry in the heap (or among its node's parked)
	seq      uint64            // 0 while unused
	parent   uint64
	node     *Node
	runner   Runner
	arg      int64

	incarnation uint32 // of the node
	stopped     bool
	timer       bool // of the node's AfterFunc
}

func (s *slot) isDead() bool { return s.stopped || s.incarnation != s.node.incarnation }

func (q *queue) reset() {
	clear(q.slots)
	q.heap, q.slots, q.unused, q.dead = q.heap[:0], q.slots[:0], q.unused[:0], 0
}

// push queues an event at an instant and returns its slot, whose other fields are the caller's to set.
func (q *queue) push(at scheduler.Instant, seq uint64) (uint32, *slot) {
	var i uint32
	if last := len(q.unused) - 1; last >= 0 {
		i = q.unused[last]
		q.unused = q.unused[:last]
	} else {
		i = uint32(len(q.slots))
		q.slots = append(q.slots, slot{})
	}
	q.add(entry{at, seq, i})
	s := &q.slots[i]
	s.at, s.queuedAt, s.seq = at, at, seq
	return i, s
}

// free gives back a slot whose entry is no longer queued.
func (q *queue) free(i uint32) {
	s := &q.slots[i]
	s.seq, s.runner, s.stopped, s.timer = 0, nil, false, false
	q.unused = append(q.unused, i)
}

// settle brings an event that may run now to the top; it reports false when there is none.
func (q *queue) settle() bool {
	for len(q.heap) > 0 {
		top := q.heap[0]
		s := &q.slots[top.slot]
		switch {
		case s.isDead():
			q.pop()
			q.free(top.slot)
			q.dead = max(q.dead-1, 0)
		case s.seq != top.seq: // was armed anew for later
			s.queuedAt = s.at
			q.siftDown(0, entry{s.at, s.seq, top.slot})
		case s.node.paused:
			s.node.parked = append(s.node.parked, q.pop())
		default:
			return true
		}
	}
	return false
}

// stop kills an event that is armed.
func (q *queue) stop(i uint32) {
	s := &q.slots[i]
	s.stopped, s.runner = true, nil
	q.dead++
	if q.dead > 256 && q.dead > len(q.heap)/2 {
		q.compact()
	}
}

// compact drops all dead entries: in time linear to the queue, so at most a constant per stop.
func (q *queue) compact() {
	live := q.heap[:0]
	for _, e := range q.heap {
		if q.slots[e.slot].isDead() {
			q.free(e.slot)
		} else {
			live = append(live, e)
		}
	}
	q.heap, q.dead = live, 0
	for i := (len(live) - 2) / 4; i >= 0 && len(live) > 1; i-- {
		q.siftDown(i, live[i])
	}
}

// add queues an entry.
func (q *queue) add(e entry) {
	q.heap = append(q.heap, e)
	h := q.heap
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// pop removes the top entry; its slot stays in use.
func (q *queue) pop() entry {
	top, last := q.heap[0], len(q.heap)-1
	e := q.heap[last]
	q.heap = q.heap[:last]
	if last > 0 {
		q.siftDown(0, e)
	}
	return top
}

// siftDown puts e at i, where the entry is missing, or below.
func (q *queue) siftDown(i int, e entry) {
	h := q.heap
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}
