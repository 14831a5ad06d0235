package replica

import (
	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
)

// delayedFetch is a fetch request until it is answered: parked while there is nothing to say, then waiting for reads.
type delayedFetch struct {
	m      *Manager
	params FetchParams
	done   func([]wire.FetchPartition, func())

	parts   []wire.FetchPartition // the answers, in request order
	slices  []storage.Slice       // what the answers' chunks hold on to
	bytes   int                   // read so far, and an estimate of what is being read
	reading int                   // reads under way
	stale   bool                  // see isStale
	urgent  bool                  // an answer is an error or a divergence: do not wait

	expiry expiry
	waits  []fetchWait // one per partition, while parked
	parked bool
	woken  bool

	onRelease func() // made once
	lent      bool   // the answer was given and not yet released
}

func (m *Manager) newFetch(params FetchParams, done func([]wire.FetchPartition, func())) *delayedFetch {
	var op *delayedFetch
	if last := len(m.fetches) - 1; last >= 0 {
		op, m.fetches = m.fetches[last], m.fetches[:last]
	} else {
		op = &delayedFetch{m: m}
		op.expiry = expiry{pos: notWaiting, onExpire: op.expire}
		op.onRelease = op.release
	}
	op.params, op.done, op.urgent = params, done, false
	return op
}

// fetchWait is a parked fetch's place in one partition's list.
type fetchWait struct {
	op         *delayedFetch
	list       *fetchList
	p          *Partition
	offset     int64
	moved      bool // there is something to read
	prev, next *fetchWait
}

// fetchList is a partition's parked fetches, in order of arrival.
type fetchList struct{ first, last *fetchWait }

func (l *fetchList) add(w *fetchWait) {
	w.list, w.prev, w.next = l, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

func (w *fetchWait) remove() {
	l := w.list
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.list, w.prev, w.next = nil, nil, nil
}

// wake has the fetches looked at that can now read something: end is the new end of what they may read, stable that of those which
// read what is decided.
func (l *fetchList) wake(end, stable int64) {
	for w := l.first; w != nil; w = w.next {
		if w.offset < stable || w.offset < end && !w.op.params.ReadCommitted {
			w.moved = true
			w.op.wake(false)
		}
	}
}

// wakeAll has all of them answered: the partition is not what it was when they came.
func (l *fetchList) wakeAll() {
	for w := l.first; w != nil; w = w.next {
		w.op.wake(true)
	}
}

// wake has op looked at when the turn ends: then all partitions that moved in this turn go into one answer, and nobody's
// callback runs in the middle of a change of state.
func (op *delayedFetch) wake(urgent bool) {
	op.urgent = op.urgent || urgent
	if op.woken {
		return
	}
	op.woken = true
	if len(op.m.woken) == 0 {
		op.m.loop.Defer(op.m.onWoken)
	}
	op.m.woken = append(op.m.woken, op)
}

func (m *Manager) flushWoken() {
	for i := 0; i < len(m.woken); i++ { // may grow
		op := m.woken[i]
		op.woken = false
		if op.parked {
			op.retry()
		}
	}
	clear(m.woken)
	m.woken = m.woken[:0]
}

// park waits for one of the partitions to move, at most the request's longest wait.
//
// A follower's parked fetch is not answered because the high watermark moved on: its own stays behind until its
// next answer, at most replica.fetch.wait.max.ms. Kafka does the same (it once answered early, KIP-392, for the sake of
// consumers that fetch from followers). An early answer would cost two more messages per follower and produce,
// and buys nothing here: a produce with acks=all and consumers wait for the leader's high watermark, and a new leader
// finds out what is committed from its followers' next fetches in any case (KIP-207 covers the meantime).
func (op *delayedFetch) park() {
	op.parked, op.urgent = true, false
	if cap(op.waits) < len(op.params.Entries) {
		op.waits = make([]fetchWait, len(op.params.Entries))
	}
	op.waits = op.waits[:len(op.params.Entries)]
	for i := range op.params.Entries {
		e := &op.params.Entries[i]
		p := op.m.byID.get(e.Partition)
		op.waits[i] = fetchWait{op: op, p: p, offset: e.Offset}
		if op.params.isFollower() {
			p.followerFetches.add(&op.waits[i])
		} else {
			p.consumerFetches.add(&op.waits[i])
		}
	}
	wait := op.params.MaxWait
	if x := op.m.env.Buggify; x.Fires(buggify.EarlyEmpty) {
		wait = x.Delay(buggify.EarlyEmpty, wait)
	}
	op.m.purgatory.add(&op.expiry, wait)
}

func (op *delayedFetch) unpark() {
	op.parked = false
	op.m.purgatory.remove(&op.expiry)
	for i := range op.waits {
		op.waits[i].remove()
	}
}

// retry answers, unless more bytes were asked for than there are and nothing presses.
func (op *delayedFetch) retry() {
	if op.params.MinBytes > 1 && !op.urgent {
		op.read(false)
		if !op.isSatisfied() {
			op.drop()
			return
		}
		op.unpark()
		op.maybeAnswer()
		return
	}
	op.unpark()
	if !op.urgent {
		op.readMoved()
		op.maybeAnswer()
		return
	}
	op.answer()
}

func (op *delayedFetch) expire() {
	op.unpark()
	op.answer()
}

// answer reads whatever is there and sends it.
func (op *delayedFetch) answer() {
	op.read(false)
	op.maybeAnswer()
}

// drop forgets what was read.
func (op *delayedFetch) drop() {
	for i := range op.slices {
		op.slices[i].Release()
	}
	op.slices = op.slices[:0]
}

// maybeAnswer calls done when no read is under way.
func (op *delayedFetch) maybeAnswer() {
	if op.reading > 0 || op.done == nil {
		return
	}
	done := op.done
	op.done, op.lent = nil, true
	done(op.parts, op.onRelease)
}

// release ends the answer; op may then serve another request.
func (op *delayedFetch) release() {
	invariant.Check(op.lent, "replica: a fetch was released twice")
	op.lent = false
	op.drop()
	clear(op.parts) // they hold on to chunks
	op.params.Entries = nil
	op.m.fetches = append(op.m.fetches, op)
}
