// Package wall is the daemon's loop: it runs a broker's turns, one at a time, by a real clock.
//
// Turns run on Run's goroutine or, while that sleeps, on one that brings a single piece of work by
// PostAndRun: a request on an otherwise idle broker is then answered without a switch of goroutines,
// which is most of what it would cost. Who runs turns has taken the loop; nobody else touches it meanwhile.
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

// Loop implements scheduler.Loop and scheduler.Poster. Post, PostAndRun, Do, Stop and Busy may be called
// from anywhere; all else on the loop, or before Run.
type Loop struct {
	clk   clock.Clock
	start time.Time
	busy  atomic.Int64 // nanoseconds

	// Owned by who has taken the loop.
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
	spare    []func() // memory of the batch before
	held     holder
	again    bool            // the alarm rang while another goroutine ran turns: it must look once more
	barriers []chan struct{} // closed when the loop has nothing left to do
}

// holder says who runs turns.
type holder uint8

const (
	forRun holder = iota // nobody yet: Run's goroutine is about to, or woken for it
	taken                // a goroutine
	nobody               // there is nothing to do: who posts must see to it that somebody does
)

// A goroutine that lends itself runs at most so many batches of turns: it has work of its own. A produce takes
// three, for the append, its completion and the answer.
const lentBatches = 8

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
		if l.take() {
			l.runTurns(false)
		}
		<-l.wake
	}
	for !l.take() { // who has it stops after the running turn
		<-l.wake
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

// PostAndRun is Post by a goroutine that lends itself to the loop: if the loop sleeps, f and what follows
// from it run within this call. The caller holds no lock that a turn may want.
func (l *Loop) PostAndRun(f func()) {
	if l.stopped.Load() {
		return
	}
	l.mu.Lock()
	l.posted = append(l.posted, f)
	idle := l.held == nobody
	if idle {
		l.held = taken
	}
	l.mu.Unlock()
	if idle {
		l.runTurns(true)
	}
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
	idle := l.held == nobody
	if idle {
		l.held = forRun
	}
	l.mu.Unlock()
	if idle {
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

// take is how Run's goroutine comes to run turns; false while another one does.
func (l *Loop) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = l.held == taken
	if l.again {
		return false
	}
	l.held = taken
	return true
}

// runTurns runs turns until there is nothing to do; on a goroutine that was lent, for a while. The caller has taken
// the loop and has it no more when this returns.
func (l *Loop) runTurns(lent bool) {
	for n := 0; !l.stopped.Load(); n++ {
		if lent && n == lentBatches {
			break
		}
		if l.runBatch() {
			continue
		}
		l.beforeSleep(lent)
		if l.leave() {
			return
		}
	}
	l.handOver()
}

// runBatch runs what is due and what was posted and reports whether there was anything.
func (l *Loop) runBatch() bool {
	l.readClock()
	fired := l.fireDue()
	l.ran = l.runPosted() || fired
	return l.ran
}

// leave ends the taking of the loop, unless there is work again.
func (l *Loop) leave() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.posted) > 0 || l.again {
		l.again = false
		return false
	}
	l.held = nobody
	return true
}

// handOver leaves the loop to Run's goroutine with whatever there is to do.
func (l *Loop) handOver() {
	l.readClock()
	l.ran = false // what passes until the other goroutine runs is not busy time
	l.mu.Lock()
	l.held = forRun
	l.mu.Unlock()
	l.signal()
}

// readClock ends a batch of turns and begins the next.
func (l *Loop) readClock() {
	t := l.clk.Now()
	if l.ran {
		l.busy.Add(int64(t.Sub(l.turnTime)))
	}
	l.turnTime, l.now = t, max(l.now, scheduler.Instant(t.Sub(l.start)))
}

// runPosted runs the functions posted so far and reports whether there were any.
func (l *Loop) runPosted() bool {
	l.mu.Lock()
	batch := l.posted
	l.posted, l.spare = l.spare[:0], nil
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

// beforeSleep sets the alarm for the next timer and lets those go on who waited for the loop to be idle.
//
// While work is offloaded Run's goroutine first yields once: a completion is likely to come within
// microseconds, which made bursts of short offloads 40 % cheaper.
func (l *Loop) beforeSleep(lent bool) {
	if len(l.timers) > 0 {
		at := l.timers[0].at
		l.alarm.set(l.clk, at, at.Sub(l.now))
	}
	if l.offloads == 0 {
		l.releaseBarriers()
	} else if !lent {
		runtime.Gosched()
	}
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
