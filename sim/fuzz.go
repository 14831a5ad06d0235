package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
)

// FuzzOptions is which schedules to run, and how.
type FuzzOptions struct {
	From, Seeds uint64
	Shard       Shard // which of them; the zero value is all
	Variant     Variant
	Limit       time.Duration // no seed is begun after this much real time; 0: none
	Workers     int
	Twice       bool // run each seed a second time and compare the digests
	FailFast    bool // begin no seed above one that failed
	Interrupted func() bool
	Known       func(seed uint64) *Record // what is known of a seed, which is then not run; may be nil
	// Record is told of each run's outcome, one call at a time; an error ends the fuzz. May be nil.
	Record func(r *Record) error
	// Progress is told of each run when it ends, one call at a time; may be nil.
	Progress func(done *Fuzz, r *Result)
}

// Fuzz is the sum of many runs.
type Fuzz struct {
	Options  FuzzOptions
	Build    string // of the program that ran the seeds
	Runs     uint64
	First    uint64 // the lowest seed
	Last     uint64 // and the highest
	Missing  uint64 // seeds of a campaign that others have still to run
	Verdicts [Interrupted + 1]uint64
	Stats    Stats
	Broken   map[string]uint64 // violations by promise
	Failures []Record          // by seed
	Digest   uint64            // of all runs; their order does not matter
	Wall     time.Duration
	ran      Stats // Simulated and Events of the runs that took Wall
	Coverage Coverage
	Err      error // of FuzzOptions.Record
	began    time.Time
}

func newFuzz(o FuzzOptions) *Fuzz {
	return &Fuzz{Options: o, Build: Build(), First: math.MaxUint64, Broken: map[string]uint64{}, began: time.Now()}
}

// RunFuzz runs the seeds on several workers, each with a world of its own. What a run does depends
// on its seed alone, so the number of workers changes nothing but the time it takes.
func RunFuzz(o FuzzOptions) *Fuzz {
	q := fuzzing{sum: newFuzz(o)}
	q.failed.Store(o.From + o.Seeds)
	var workers sync.WaitGroup
	for range max(o.Workers, 1) {
		workers.Go(q.work)
	}
	workers.Wait()
	q.sum.sort()
	return q.sum
}

// fuzzing is a fuzz under way.
type fuzzing struct {
	next   atomic.Uint64
	failed atomic.Uint64 // the lowest seed that failed, above all others while none has
	lock   sync.Mutex
	sum    *Fuzz
}

// work runs seed after seed until none is left.
func (q *fuzzing) work() {
	world := virtual.New(0)
	o := &q.sum.Options
	for !q.isOver() {
		i := q.next.Add(1) - 1
		seed := o.From + i
		if i >= o.Seeds || o.FailFast && seed > q.failed.Load() {
			return
		}
		if !o.Shard.has(i) {
			continue
		}
		q.one(seed, world)
	}
}

func (q *fuzzing) isOver() bool {
	o := &q.sum.Options
	q.lock.Lock()
	defer q.lock.Unlock()
	return o.isInterrupted() || q.sum.Err != nil || o.Limit > 0 && time.Since(q.sum.began) >= o.Limit
}

// one adds a seed's outcome: what is known of it, or what a run shows.
func (q *fuzzing) one(seed uint64, world *virtual.World) {
	o := &q.sum.Options
	if o.Known != nil {
		if known := o.Known(seed); known != nil {
			q.lock.Lock()
			defer q.lock.Unlock()
			q.add(known)
			return
		}
	}
	r := o.run(seed, world)
	q.lock.Lock()
	defer q.lock.Unlock()
	q.ran(r)
}

// add adds a record to the sum; nothing above a failure is begun with FailFast, also above one that was known.
func (q *fuzzing) add(r *Record) {
	q.sum.add(r)
	if r.failed() {
		q.failed.Store(min(q.failed.Load(), r.Seed))
	}
}

func (q *fuzzing) ran(r *Result) {
	v, f := r.Verdict(), q.sum
	f.Wall = time.Since(f.began)
	if v == Interrupted {
		return
	}
	record := NewRecord(r, f.Options.Variant)
	q.add(record)
	f.ran.Simulated += r.Stats.Simulated
	f.ran.Events += r.Stats.Events
	if f.Options.Record != nil && f.Err == nil {
		f.Err = f.Options.Record(record)
	}
	if f.Options.Progress != nil {
		f.Options.Progress(f, r)
	}
}

// run runs one seed, in a world that others used before it.
func (o *FuzzOptions) run(seed uint64, world *virtual.World) *Result {
	r := Run(o.Variant.Draw(seed), RunOptions{World: world, Interrupted: o.Interrupted})
	if !o.Twice || r.Interrupted {
		return r
	}
	again := Run(o.Variant.Draw(seed), RunOptions{World: world, Interrupted: o.Interrupted})
	if !again.Interrupted && again.Digest != r.Digest {
		r.Bug = fmt.Sprintf("nondeterminism: digest %016x, then %016x", r.Digest, again.Digest)
	}
	return r
}

func (o *FuzzOptions) isInterrupted() bool { return o.Interrupted != nil && o.Interrupted() }

// add sums up one more run; their order does not matter.
func (f *Fuzz) add(r *Record) {
	f.Runs++
	f.First, f.Last = min(f.First, r.Seed), max(f.Last, r.Seed)
	f.Verdicts[r.Verdict]++
	f.Coverage.Add(&r.Stats)
	f.Digest += virtual.Rand(uint64(r.Digest), fmt.Sprint(r.Seed)).Uint64()
	f.Stats.Add(&r.Stats)
	if r.Promise != "" {
		f.Broken[r.Promise]++
	}
	if r.failed() {
		f.Failures = append(f.Failures, *r)
	}
}

// sort puts the failures in the order of their seeds. A fuzz that ends with the first failure has no other, whoever
// found one at the same time.
func (f *Fuzz) sort() {
	slices.SortFunc(f.Failures, func(a, b Record) int { return cmp.Compare(a.Seed, b.Seed) })
	if f.Options.FailFast && len(f.Failures) > 1 {
		f.Failures = f.Failures[:1]
	}
}

// Verdict is the worst of all runs: a bug of the harness before a violation. A few inconclusive runs
// are no failure; nothing but those is, and neither has a campaign passed that is under way.
func (f *Fuzz) Verdict() Verdict {
	switch {
	case f.Verdicts[Broken] > 0:
		return Broken
	case f.Verdicts[Violated] > 0:
		return Violated
	case f.Options.isInterrupted():
		return Interrupted
	case f.Verdicts[Passed] == 0 || f.Missing > 0:
		return Inconclusive
	}
	return Passed
}
