package virtual

import "time"

// timer implements scheduler.Timer. It knows its event by slot and seq, so a slot that was reused
// is out of its reach.
type timer struct {
	node        *Node
	incarnation uint32
	slot        uint32
	seq         uint64
	runner      Runner
}

// queued returns the timer's slot while it is queued, armed or stopped; else nil.
func (t *timer) queued() *slot {
	q := &t.node.world.queue
	if t.incarnation != t.node.incarnation || t.seq == 0 || q.slots[t.slot].seq != t.seq {
		return nil
	}
	return &q.slots[t.slot]
}

// Stop implements scheduler.Timer.
func (t *timer) Stop() bool {
	s := t.queued()
	if s == nil || s.stopped {
		return false
	}
	t.node.world.queue.stop(t.slot)
	return true
}

// Reset implements scheduler.Timer. A timer of a dead incarnation stays dead.
func (t *timer) Reset(d time.Duration) {
	n, w := t.node, t.node.world
	if t.incarnation != n.incarnation || n.isDying() {
		return
	}
	if n.wall.rate != 0 {
		d += n.wall.late(d)
	}
	if s := t.queued(); s != nil && w.now.Add(max(d, 0)) >= s.queuedAt {
		t.postpone(s, d)
		return
	}
	t.Stop()
	t.slot = w.schedule(n, d, t.runner, 0)
	w.queue.slots[t.slot].timer = true
	t.seq = w.seq
}

// postpone arms the timer anew where it is queued: an election timeout that is pushed back at every
// fetch costs no heap operation.
func (t *timer) postpone(s *slot, d time.Duration) {
	w := t.node.world
	if s.stopped {
		s.stopped, s.runner = false, t.runner
		w.queue.dead = max(w.queue.dead-1, 0)
	}
	w.seq++
	s.at, s.seq, s.parent = w.now.Add(max(d, 0)), w.seq, w.cause
	t.seq = s.seq
}
