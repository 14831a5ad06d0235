// Package wall is the daemon's loop: one goroutine that runs a broker's turns by a real clock.
//
// The clock is benbjohnson's, so that the loop's own tests can hold it still; they move it and then
// call Do.
package wall

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/lockstep/lockstep/scheduler"
)

// Options of a Loop.
type Options struct {
	// Workers is how many goroutines at most run offloaded work; 0 means GOMAXPROCS.
	Workers int
}

// Loop implements scheduler.Loop and scheduler.Poster. Post, Do, Stop and Busy may be called from
// anywhere; all else on the loop, or before Run.
type Loop struct {
	clk   clock.Clock
	start time.Time
	busy  atomic.Int64 // nanoseconds

	// Owned by the loop.
	turnTime time.Time
	now      scheduler.Instant // of turnTime
	timers   timerHeap
	timerSeq uint64
	deferred []func()
	inTurn   bool
	ran      bool // the latest batch had a turn
	alarm    alarm
	offloads int // work under way

	workers workers
	stopped atomic.Bool
	wake    chan struct{} // of one: a token means look again

	mu       sync.Mutex
	posted   []func()
	spare    []func()        // memory of the batch before
	asleep   bool            // or about to be: who posts must wake the loop
	barriers []chan struct{} // closed when the loop has nothing left to do
}

var (
	_ scheduler.Loop   = (*Loop)(nil)
	_ scheduler.Poster = (*Loop)(nil)
)

// New returns a loop whose time starts now. Nothing runs before Run.
func New(clk clock.Clock, o Options) *Loop {
	l := &Loop{clk: clk, start: clk.Now(), wake: make(chan struct{}, 1)}
	l.turnTime = l.start
	l.alarm.ring = l.signal
	l.workers.init(o.Workers, l.Post)
	return l
}

// Run runs turns until Stop is called or ctx is done. It returns after the running turn and after
// offloaded work under way; what was still queued is dropped. It is called once.
func (l *Loop) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, l.Stop)()
	defer l.workers.stop()
	defer l.alarm.stop()
	for !l.stopped.Load() {
		l.readClock()
		fired := l.fireDue()
		l.ran = l.runPosted(fired) || fired
		if !l.ran {
			l.sleep()
		}
	}
	l.releaseBarriers()
}

// Stop ends Run after the running turn. Whatever is posted from then on is dropped.
func (l *Loop) Stop() {
	l.stopped.Store(true)
	l.signal()
}

// Busy is the total time spent running turns.
func (l *Loop) Busy() time.Duration { return time.Duration(l.busy.Load()) }

// Now implements scheduler.Clock. It is read once per batch of turns.
func (l *Loop) Now() scheduler.Instant { return l.now }

// UnixMilli implements scheduler.Clock.
func (l *Loop) UnixMilli() int64 { return l.turnTime.UnixMilli() }

// Defer implements scheduler.Loop. Before Run there is no end of a turn to wait for: f then gets a
// turn of its own.
func (l *Loop) Defer(f func()) {
	if !l.inTurn {
		l.Post(f)
		return
	}
	l.deferred = append(l.deferred, f)
}

// Offload implements scheduler.Loop.
func (l *Loop) Offload(work, done func()) {
	l.offloads++
	l.workers.add(job{work, func() {
		l.offloads--
		done()
	}})
}

// Post implements scheduler.Poster: a burst of posts wakes the loop once and is taken at once.
func (l *Loop) Post(f func()) {
	if l.stopped.Load() {
		return
	}
	l.mu.Lock()
	l.posted = append(l.posted, f)
	l.unlockAndWake()
}

// Do is the barrier of tests: it runs f on the loop, after all that is due, and returns when the
// loop has nothing more to do at the clock's present time and no work is offloaded. It returns
// without f having run if the loop stops.
func (l *Loop) Do(f func()) {
	idle := make(chan struct{})
	l.mu.Lock()
	// Posted twice: the batch that is being taken may have read the clock before this call, the
	// next one has not.
	l.posted = append(l.posted, func() { l.Post(f) })
	l.barriers = append(l.barriers, idle)
	l.unlockAndWake()
	if l.stopped.Load() {
		l.releaseBarriers()
	}
	<-idle
}

// unlockAndWake ends a change of what mu guards.
func (l *Loop) unlockAndWake() {
	asleep := l.asleep
	l.asleep = false
	l.mu.Unlock()
	if asleep {
		l.signal()
	}
}

// signal makes a sleeping loop look again, and one that is about to sleep, too.
func (l *Loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // a token is there already
	}
}

// readClock ends a batch of turns and begins the next.
func (l *Loop) readClock() {
	t := l.clk.Now()
	if l.ran {
		l.busy.Add(int64(t.Sub(l.turnTime)))
	}
	l.turnTime, l.now = t, max(l.now, scheduler.Instant(t.Sub(l.start)))
}

// runPosted runs the functions posted so far and reports whether there were any. If there were
// none and no timer fired either, the next Post will wake the loop.
func (l *Loop) runPosted(fired bool) bool {
	l.mu.Lock()
	batch := l.posted
	l.posted, l.spare = l.spare[:0], nil
	l.asleep = len(batch) == 0 && !fired
	l.mu.Unlock()
	for _, f := range batch {
		l.turn(f)
	}
	clear(batch)
	l.spare = batch
	return len(batch) > 0
}

// turn runs one event and what it deferred.
func (l *Loop) turn(f func()) {
	if l.stopped.Load() {
		return
	}
	l.inTurn = true
	f()
	for i := 0; i < len(l.deferred); i++ { // grows while it runs
		l.deferred[i]()
	}
	clear(l.deferred)
	l.deferred = l.deferred[:0]
	l.inTurn = false
}

// sleep waits until something may be due.
func (l *Loop) sleep() {
	if len(l.timers) > 0 {
		at := l.timers[0].at
		l.alarm.set(l.clk, at, at.Sub(l.now))
	}
	if l.offloads == 0 {
		l.releaseBarriers()
	}
	l.wait()
}

// releaseBarriers lets the callers of Do return, unless one has just come with work.
func (l *Loop) releaseBarriers() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.posted) > 0 && !l.stopped.Load() {
		return
	}
	for _, idle := range l.barriers {
		close(idle)
	}
	l.barriers = nil
}

// wait sleeps until the wake token. While work is offloaded it first yields once: a completion is
// likely to come within microseconds, which made bursts of short offloads 40 % cheaper.
func (l *Loop) wait() {
	if l.offloads > 0 {
		runtime.Gosched()
	}
	<-l.wake
}
