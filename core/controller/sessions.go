package controller

import (
	"time"

	"github.com/google/btree"

	"github.com/lockstep/lockstep/scheduler"
)

// session is what the controller knows of a living broker beside the metadata. It starts anew with
// each controller.
type session struct {
	id      int32
	epoch   int64
	expires scheduler.Instant
	// metadataOffset is the highest offset the broker has applied, as of its last heartbeat; -1
	// before the first.
	metadataOffset int64
	// shutdownOffset is the end of the batch that began the broker's controlled shutdown; -1 if none.
	shutdownOffset int64
}

// sessions tracks who was heard of when, with one timer for the first to expire.
type sessions struct {
	loop     scheduler.Loop
	timeout  time.Duration
	onExpiry func(id int32, epoch int64)

	byID     map[int32]*session // looked up only
	byExpiry *btree.BTreeG[*session]
	timer    scheduler.Timer
	armed    bool
	due      scheduler.Instant // when the timer should run, while armed
}

func newSessions(loop scheduler.Loop, timeout time.Duration, onExpiry func(int32, int64)) *sessions {
	return &sessions{
		loop: loop, timeout: timeout, onExpiry: onExpiry, byID: make(map[int32]*session),
		byExpiry: btree.NewG(8, func(a, b *session) bool {
			return a.expires < b.expires || a.expires == b.expires && a.id < b.id
		}),
	}
}

// touch says that an incarnation of a broker was just heard of.
func (s *sessions) touch(id int32, epoch int64) *session {
	e := s.byID[id]
	if e != nil && e.epoch != epoch {
		s.remove(id)
		e = nil
	}
	if e == nil {
		e = &session{id: id, epoch: epoch, metadataOffset: -1, shutdownOffset: -1}
		s.byID[id] = e
	} else {
		s.byExpiry.Delete(e)
	}
	e.expires = s.loop.Now().Add(s.timeout)
	s.byExpiry.ReplaceOrInsert(e)
	s.arm()
	return e
}

// alive reports whether an incarnation was heard of within the timeout.
func (s *sessions) alive(id int32, epoch int64) bool {
	e := s.byID[id]
	return e != nil && e.epoch == epoch && e.expires > s.loop.Now()
}

func (s *sessions) remove(id int32) {
	if e := s.byID[id]; e != nil {
		delete(s.byID, id)
		s.byExpiry.Delete(e)
	}
}

func (s *sessions) clear() {
	clear(s.byID)
	s.byExpiry.Clear(false)
	if s.armed {
		s.timer.Stop()
		s.armed = false
	}
}

// each calls f for every session, the one that expires first first.
func (s *sessions) each(f func(*session)) {
	s.byExpiry.Ascend(func(e *session) bool { f(e); return true })
}

// arm makes the timer run when the first session expires, or earlier: a heartbeat does not move it,
// onTimer looks again.
func (s *sessions) arm() {
	first, ok := s.byExpiry.Min()
	if !ok || s.armed {
		return
	}
	s.armed, s.due = true, first.expires
	d := first.expires.Sub(s.loop.Now())
	if s.timer == nil {
		s.timer = s.loop.AfterFunc(d, s.onTimer)
		return
	}
	s.timer.Reset(d)
}

// onTimer expires the sessions that are due, one after the other, so that each sees what became of
// the one before.
//
// A timer that runs late says that it is this node that stood still: the heartbeats of the time may
// wait in our own sockets, so everyone gets a fresh session instead (KAFKA-15019).
func (s *sessions) onTimer() {
	s.armed = false
	now := s.loop.Now()
	if now.Sub(s.due) > s.timeout/8 {
		s.refresh(now)
	}
	for {
		first, ok := s.byExpiry.Min()
		if !ok || first.expires > now {
			break
		}
		s.remove(first.id)
		s.onExpiry(first.id, first.epoch)
	}
	s.arm()
}

func (s *sessions) refresh(now scheduler.Instant) {
	all := make([]*session, 0, s.byExpiry.Len())
	s.each(func(e *session) { all = append(all, e) })
	s.byExpiry.Clear(false)
	for _, e := range all {
		e.expires = now.Add(s.timeout)
		s.byExpiry.ReplaceOrInsert(e)
	}
}
