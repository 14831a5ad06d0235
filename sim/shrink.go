package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// ShrinkOptions is how long to shrink, and who watches.
type ShrinkOptions struct {
	Budget      time.Duration        // of Used; 0: until nothing gives
	Used        func() time.Duration // time spent so far, on whatever clock counts; nil: the wall's
	Interrupted func() bool          // may be nil
	Progress    func(s *Shrunk)      // is told of each run; may be nil
}

// Shrunk is a schedule that fails as another one does, with less.
type Shrunk struct {
	Schedule *Schedule
	Result   *Result // of Schedule
	Runs     int
	Used     time.Duration
	Finished bool   // nothing more gives; else the budget is spent
	Pass     string // what is being tried, or was at the end
}

// Operations is how many batches producers made until the failure.
func (s *Shrunk) Operations() (n int) {
	for _, ticks := range s.Result.Made {
		n += len(ticks)
	}
	return n
}

// Shrink looks for the smallest schedule that fails in the same way (signature): the shortest time, the fewest faults,
// the plainest options and the smallest cluster, the fewest operations, the roundest numbers, again until nothing gives.
// Each candidate is a whole run. Which ones are tried depends on the schedule alone, so a search that its budget does
// not end always ends the same. A schedule that does not fail is returned as it is.
func Shrink(s *Schedule, o ShrinkOptions) *Shrunk {
	k := newShrinker(s, o)
	r := k.run(s, s.Options.Settle)
	k.out.Schedule, k.out.Result = s, r
	k.target = r.signature()
	if k.target == (signature{}) || r.Interrupted {
		k.out.Finished = true
		return k.out
	}
	k.aim(r)
	k.reduce()
	k.conclude()
	return k.out
}

// shrinker is one search.
type shrinker struct {
	options    ShrinkOptions
	began      time.Time
	world      *virtual.World
	target     signature
	settle     time.Duration // of the schedule that was given
	trial      time.Duration // of candidates
	confirm    bool          // a candidate that fails with the trial's settle must do so with the given one
	luck       int           // how many other seeds a candidate is tried with
	most       uint64        // events of a run; 0: no limit
	started    scheduler.Instant
	best       *Schedule
	sure       *Schedule // the last best one that was confirmed
	sureResult *Result
	made       [][]int       // by best
	failed     time.Duration // when best failed, after its main phase began; negative if that was not within it
	tried      map[string]bool
	out        *Shrunk
}

func newShrinker(s *Schedule, o ShrinkOptions) *shrinker {
	k := &shrinker{options: o, began: time.Now(), world: virtual.New(s.Seed), settle: s.Options.Settle, best: s, tried: map[string]bool{}, out: &Shrunk{}}
	if k.options.Used == nil {
		k.options.Used = func() time.Duration { return time.Since(k.began) }
	}
	return k
}

// aim decides how long a candidate may take, by when the failure came. One that came in the main phase needs no
// time to settle; whoever does not fail by then fails otherwise, or not at all.
func (k *shrinker) aim(r *Result) {
	k.most = 2*r.Stats.Events + 100_000
	k.trial = k.settle
	k.accept(k.best, r)
	k.sure, k.sureResult = k.best, r
	switch {
	case k.failed >= 0:
		k.trial = 0
	case k.target.promise == "P9":
		k.trial = min(k.settle, slowest(&k.best.Options.Cluster))
		k.confirm = k.trial < k.settle
	}
}

// slowest is how long whatever is only slow may take to become well: the longest timeouts, one after the other.
func slowest(c *ClusterOptions) time.Duration {
	return c.Session + c.ReplicaLag + c.RequestTimeout + c.DialTimeout + 12*time.Second
}

// over says that the search has to end.
func (k *shrinker) over() bool {
	return k.options.Interrupted != nil && k.options.Interrupted() || k.options.Budget > 0 && k.options.Used() >= k.options.Budget
}

// run plays a candidate with a time to settle.
func (k *shrinker) run(s *Schedule, settle time.Duration) *Result {
	c := s.clone()
	c.Options.Settle = settle
	k.started = 0
	r := Run(c, RunOptions{World: k.world, Watch: startWatch{began: &k.started}, Interrupted: func() bool {
		return k.most > 0 && k.world.Stats() > k.most
	}})
	k.out.Runs++
	k.out.Used = k.options.Used()
	if k.options.Progress != nil && k.out.Result != nil {
		k.options.Progress(k.out)
	}
	return r
}

// startWatch learns when the main phase began.
type startWatch struct {
	nobody
	began *scheduler.Instant
}

func (w startWatch) Began(t scheduler.Instant) { *w.began = t }

// try runs a candidate and makes it the best if it fails as it should.
func (k *shrinker) try(c *Schedule) bool {
	if k.over() || c.check() != nil {
		return false
	}
	text := c.String()
	if k.tried[text] {
		return false
	}
	k.tried[text] = true
	r := k.run(c, k.trial)
	if r.signature() != k.target {
		return false
	}
	k.accept(c, r)
	return true
}

// accept makes a schedule that failed the best one, without most of the time after its failure.
func (k *shrinker) accept(c *Schedule, r *Result) {
	k.best, k.made = c, r.Made
	k.failed = -1
	at := k.world.Now()
	if len(r.Violations) > 0 {
		at = r.Violations[0].T
	}
	if since := at.Sub(k.started); k.started > 0 && since < c.Options.For {
		k.failed = since
		k.best = c.clone()
		k.best.Options.For = min(since+since/4+2*time.Second, c.Options.For) // others may take a little longer
		k.tried[k.best.String()] = true
	}
	k.out.Schedule, k.out.Result = k.best, r
}

// lucks are the numbers of other seeds that candidates are tried with, one round after the other: what hangs on the moment at
// which a message arrives, and would need hundreds of operations to hit it in this seed, may need one in another.
var lucks = []int{0, 3, 10}

// reduce runs all passes until none of them gives, with ever more luck.
func (k *shrinker) reduce() {
	for _, k.luck = range lucks {
		k.exhaust()
	}
	k.out.Finished = !k.over()
}

// exhaust runs all passes until none of them gives.
func (k *shrinker) exhaust() {
	passes := []struct {
		name string
		run  func() bool
	}{
		{"time", k.cutTime}, {"clients", k.thin}, {"faults", k.dropFaults}, {"kinds", k.plainFaults}, {"options", k.simplifyOptions}, {"time", k.shift}, {"operations", k.dropOperations}, {"numbers", k.roundNumbers},
	}
	for gave := true; gave && !k.over(); {
		gave = false
		for _, p := range passes {
			k.out.Pass = p.name
			gave = p.run() && k.confirmed() || gave
		}
	}
}

// confirmed reports whether the best schedule fails also with the whole time to settle. If not, it was only slow: the search
// goes back to the last one that did, and on with the whole time.
func (k *shrinker) confirmed() bool {
	if !k.confirm || k.run(k.best, k.settle).signature() == k.target {
		k.sure, k.sureResult = k.best, k.out.Result
		return true
	}
	k.trial, k.confirm = k.settle, false
	k.best, k.made = k.sure, k.sureResult.Made
	k.out.Schedule, k.out.Result = k.sure, k.sureResult
	return false
}

// conclude gives the best schedule a round duration and its time to settle again, so that it can pass where the bug is
// mended.
func (k *shrinker) conclude() {
	k.most = 0
	c := k.best.clone()
	if k.failed >= 0 {
		c.Options.For = (k.failed + time.Second).Truncate(time.Second)
	}
	c.Build, c.Scenario = Build(), "shrunk"
	k.out.Pass = "done"
	r := k.run(c, k.settle)
	if r.signature() == k.target {
		k.out.Schedule, k.out.Result = c, r
		k.out.Schedule.Options.Settle = k.settle
	}
}

// clone copies a schedule: what is changed in the copy is not changed in s.
func (s *Schedule) clone() *Schedule {
	c := *s
	c.Options.Topics = append([]TopicOptions(nil), s.Options.Topics...)
	c.Options.Producers = append([]ProducerOptions(nil), s.Options.Producers...)
	c.Options.Consumers = append([]ConsumerOptions(nil), s.Options.Consumers...)
	c.Options.Groups = append([]GroupOptions(nil), s.Options.Groups...)
	c.Options.Txns = append([]TxnOptions(nil), s.Options.Txns...)
	c.Faults = append([]Fault(nil), s.Faults...)
	return &c
}

// Text is the schedule with what it shows on top, as comments; repro is where it comes from.
func (s *Shrunk) Text(repro string) string {
	var b strings.Builder
	if reason := s.Result.Reason(); reason != "" {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(reason, "\n", " "))
	}
	fmt.Fprintf(&b, "# shrunk from: %s\n# %s\n%s", repro, s.size(), s.Schedule)
	return b.String()
}

func (s *Shrunk) size() string {
	return Count(len(s.Schedule.Faults), "fault") + ", " + Count(s.Operations(), "operation") + ", " + Count(s.Schedule.Options.Cluster.Brokers, "broker")
}

// Summary is the outcome in a sentence.
func (s *Shrunk) Summary() string {
	return fmt.Sprintf("%s after %s in %.1f s", s.size(), Count(s.Runs, "run"), s.Used.Seconds())
}
