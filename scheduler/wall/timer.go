package wall

import (
	"container/heap"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/lockstep/lockstep/scheduler"
)

// timer implements scheduler.Timer.
type timer struct {
	loop  *Loop
	f     func()
	at    scheduler.Instant
	seq   uint64 // of the arming: timers due at the same instant fire in this order
	index int    // in the heap; -1 unless armed
}

// AfterFunc implements scheduler.Clock.
func (l *Loop) AfterFunc(d time.Duration, f func()) scheduler.Timer {
	t := &timer{loop: l, f: f, index: -1}
	t.Reset(d)
	return t
}

// Stop implements scheduler.Timer.
func (t *timer) Stop() bool {
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.loop.timers, t.index)
	return true
}

// Reset implements scheduler.Timer.
func (t *timer) Reset(d time.Duration) {
	l := t.loop
	l.timerSeq++
	t.at, t.seq = l.now.Add(max(d, 0)), l.timerSeq
	if t.index < 0 {
		heap.Push(&l.timers, t)
	} else {
		heap.Fix(&l.timers, t.index)
	}
}

// fireDue gives each timer that is due its turn and reports whether there was one. Timers armed by
// those turns wait for the next call, so that none of them can starve what was posted.
func (l *Loop) fireDue() bool {
	last, fired := l.timerSeq, false
	for len(l.timers) > 0 && !l.stopped.Load() {
		t := l.timers[0]
		if t.at > l.now || t.seq > last {
			break
		}
		heap.Pop(&l.timers)
		l.turn(t.f)
		fired = true
	}
	return fired
}

// timerHeap implements heap.Interface.
type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}

// alarm wakes the loop at the next timer's time, or a little earlier for a timer stopped since. It
// is the only timer of the clock. It calls back instead of sending on its channel: so the loop
// sleeps on one channel, and nothing has to be drained before the mock clock's Reset.
type alarm struct {
	timer *clock.Timer
	at    scheduler.Instant // what it is set to, if it is
	isSet bool
	rang  atomic.Bool
	ring  func()
}

// set makes the alarm ring at an instant that is d from now, or before.
func (a *alarm) set(clk clock.Clock, at scheduler.Instant, d time.Duration) {
	if a.rang.Swap(false) {
		a.isSet = false
	}
	if a.isSet && a.at <= at {
		return // rings early enough; the loop then sets it anew
	}
	a.isSet, a.at = true, at
	if a.timer != nil {
		a.timer.Reset(d)
		return
	}
	a.timer = clk.AfterFunc(d, func() {
		a.rang.Store(true)
		a.ring()
	})
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
