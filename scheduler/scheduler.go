// Package scheduler is the seam of time and turns: what a broker may know of clocks, timers and
// work elsewhere.
//
// One loop owns one broker. Every callback of every seam runs on that loop, one at a time; a turn
// is one such callback plus what it deferred. No callback runs inside the call that took it.
//
// scheduler/virtual drives many loops from one seeded queue; scheduler/wall drives one loop from
// the real clock.
package scheduler

import "time"

// Instant is nanoseconds since the loop started; monotonic.
type Instant int64

// Add returns the instant d after t.
func (t Instant) Add(d time.Duration) Instant { return t + Instant(d) }

// Sub returns the duration from u to t.
func (t Instant) Sub(u Instant) time.Duration { return time.Duration(t - u) }

// Timer runs its function once, on the loop, unless stopped.
type Timer interface {
	// Stop reports whether the timer was still armed. After Stop returns the function does not
	// run, even if it was due.
	Stop() bool
	// Reset arms the timer anew, d from now, whether it had fired, was stopped or is armed.
	Reset(d time.Duration)
}

// Clock tells the time of the current turn.
type Clock interface {
	// Now is when the current turn began; it stands still within a turn.
	Now() Instant
	// UnixMilli is the wall clock in milliseconds. It may jump either way: for record timestamps
	// and retention only, never for timeouts.
	UnixMilli() int64
	// AfterFunc runs f on the loop, d from now or later, never within this call.
	AfterFunc(d time.Duration, f func()) Timer
}

// Loop is what a broker sees of its scheduler.
type Loop interface {
	Clock
	// Defer runs f at the end of this turn, before the next event: the place for group commit.
	// A deferred f may defer again; those run in the same turn, after it.
	Defer(f func())
	// Offload runs work off the loop and then done on it. Offloads complete in any order. work
	// must not touch broker state: it gets bytes and leaves values for done.
	Offload(work, done func())
}

// Poster hands a function to a loop from anywhere. It never blocks. It is for disk and network
// implementations; the core never sees it.
type Poster interface {
	Post(f func())
}
