package sim

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
)

// FuzzOptions is which schedules to run, and how.
type FuzzOptions struct {
	From, Seeds uint64
	For         time.Duration // of a run's main phase; 0: as drawn
	Workers     int
	Twice       bool // run each seed a second time and compare the digests
	Interrupted func() bool
	// Progress is told of each run when it ends, one call at a time; may be nil.
	Progress func(done *Fuzz, r *Result)
}

// Failure is a run that did not pass.
type Failure struct {
	Seed    uint64
	Verdict Verdict
	Promise string
	Reason  string
	Repro   string
}

// Fuzz is the sum of many runs.
type Fuzz struct {
	Options  FuzzOptions
	Runs     uint64
	Verdicts [Interrupted + 1]uint64
	Stats    Stats
	Broken   map[string]uint64 // violations by promise
	Failures []Failure         // by seed
	Digest   uint64            // of all runs; their order does not matter
	Wall     time.Duration
	began    time.Time
}

// RunFuzz runs the seeds on several workers, each with a world of its own. What a run does depends
// on its seed alone, so the number of workers changes nothing but the time it takes.
func RunFuzz(o FuzzOptions) *Fuzz {
	f := &Fuzz{Options: o, Broken: map[string]uint64{}, began: time.Now()}
	var next atomic.Uint64
	var lock sync.Mutex
	var workers sync.WaitGroup
	for range max(o.Workers, 1) {
		workers.Go(func() {
			world := virtual.New(0)
			for i := next.Add(1) - 1; i < o.Seeds && !o.isInterrupted(); i = next.Add(1) - 1 {
				r := o.run(o.From+i, world)
				lock.Lock()
				f.add(r)
				lock.Unlock()
			}
		})
	}
	workers.Wait()
	slices.SortFunc(f.Failures, func(a, b Failure) int { return int(int64(a.Seed) - int64(b.Seed)) })
	return f
}

// run runs one seed, in a world that others used before it.
func (o *FuzzOptions) run(seed uint64, world *virtual.World) *Result {
	r := Run(DrawFor(seed, o.For), RunOptions{World: world, Interrupted: o.Interrupted})
	if !o.Twice || r.Interrupted {
		return r
	}
	again := Run(DrawFor(seed, o.For), RunOptions{World: world, Interrupted: o.Interrupted})
	if !again.Interrupted && again.Digest != r.Digest {
		r.Bug = fmt.Sprintf("nondeterminism: digest %016x, then %016x", r.Digest, again.Digest)
	}
	return r
}

func (o *FuzzOptions) isInterrupted() bool { return o.Interrupted != nil && o.Interrupted() }

func (f *Fuzz) add(r *Result) {
	v := r.Verdict()
	f.Wall = time.Since(f.began)
	if v == Interrupted {
		return
	}
	f.Runs++
	f.Verdicts[v]++
	f.Digest += virtual.Rand(r.Digest, fmt.Sprint(r.Schedule.Seed)).Uint64()
	f.Stats.Add(&r.Stats)
	for i := range r.Violations {
		f.Broken[r.Violations[i].Promise]++
	}
	if v == Violated || v == Broken {
		f.Failures = append(f.Failures, newFailure(r, v))
	}
	if f.Options.Progress != nil {
		f.Options.Progress(f, r)
	}
}

func newFailure(r *Result, v Verdict) Failure {
	failure := Failure{Seed: r.Schedule.Seed, Verdict: v, Reason: r.Reason(), Repro: r.Repro()}
	if v == Violated {
		failure.Promise = r.Violations[0].Promise
	}
	return failure
}

// Verdict is the worst of all runs: a bug of the harness before a violation. A few inconclusive runs
// are no failure; nothing but those is.
func (f *Fuzz) Verdict() Verdict {
	switch {
	case f.Verdicts[Broken] > 0:
		return Broken
	case f.Verdicts[Violated] > 0:
		return Violated
	case f.Options.isInterrupted():
		return Interrupted
	case f.Verdicts[Passed] == 0:
		return Inconclusive
	}
	return Passed
}
