package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/sim/check"
)

// Verdict is what became of a run.
type Verdict int

// The verdicts.
const (
	Passed Verdict = iota
	Violated
	Inconclusive // no fault had an effect, or the clients did nothing
	Broken       // nondeterminism, or a bug of the harness
	Interrupted
)

var verdictNames = []string{"passed", "violation", "inconclusive", "broken", "interrupted"}

func (v Verdict) String() string { return verdictNames[v] }

// ExitCode is the process's exit code for the verdict.
func (v Verdict) ExitCode() int { return [...]int{0, 1, 3, 4, 130}[v] }

// Result is what a run has shown.
type Result struct {
	Schedule    *Schedule
	Violations  []Violation
	Bug         string // why the run itself broke
	Stack       string
	Interrupted bool
	Digest      uint64
	Made        [][]int // by producer, its ticks that made a batch: the run's operations
	Lost        []int64 // acknowledged records that are gone in the end, by producer; 0 where the run did not come that far
	Stats       Stats
}

// Stats are a run's numbers, or the sum of several runs'.
type Stats struct {
	Simulated       time.Duration `json:"simulated"` // in ns
	Wall            time.Duration `json:"-"`
	Events          uint64        `json:"events"`
	Drawn           KindCounts    `json:"drawn"`     // faults by kind
	Effective       KindCounts    `json:"effective"` // of those, the ones that changed something
	Features        FeatureCounts `json:"features"`
	Buggify         SiteCounts    `json:"buggify"`   // rare paths taken, by site
	Elections       int           `json:"elections"` // of partition leaders
	QuorumElections int           `json:"quorumElections"`
	ISRChanges      int           `json:"isrChanges"`
	Truncations     int           `json:"truncations"`
	Attempted       int64         `json:"attempted"` // records
	Acked           int64         `json:"acked"`
	Read            int64         `json:"read"`
	Unknown         int64         `json:"unknown"` // records whose producer gave up on knowing
	Transactions    TxnCounts     `json:"transactions,omitzero"`
	Losses          []Loss        `json:"losses"`
}

// Loss is how many records were lost as the configuration allows, and why.
type Loss = check.Loss

func (s *Stats) count(e *event.Event) {
	switch e.Kind {
	case event.BecameLeader:
		s.Elections++
	case event.RaftBecame:
		if e.Note == "leader" {
			s.QuorumElections++
		}
	case event.IsrCommitted:
		s.ISRChanges++
	case event.Truncated, event.RaftTruncated:
		s.Truncations++
	}
}

// Add sums another run's numbers into s.
func (s *Stats) Add(o *Stats) {
	s.Simulated += o.Simulated
	s.Wall += o.Wall
	s.Events += o.Events
	for k := range s.Drawn {
		s.Drawn[k] += o.Drawn[k]
		s.Effective[k] += o.Effective[k]
	}
	s.Buggify.add(&o.Buggify)
	for f := range s.Features {
		s.Features[f] += o.Features[f]
	}
	s.Elections += o.Elections
	s.QuorumElections += o.QuorumElections
	s.ISRChanges += o.ISRChanges
	s.Truncations += o.Truncations
	s.Attempted += o.Attempted
	s.Acked += o.Acked
	s.Read += o.Read
	s.Unknown += o.Unknown
	s.Transactions.add(&o.Transactions)
	for _, l := range o.Losses {
		s.addLoss(l)
	}
}

func (s *Stats) addLoss(l Loss) {
	i := slices.IndexFunc(s.Losses, func(x Loss) bool { return x.Reason == l.Reason })
	if i < 0 {
		s.Losses = append(s.Losses, l)
		return
	}
	s.Losses[i].Records += l.Records
}

// Verdict judges the run.
func (r *Result) Verdict() Verdict {
	switch {
	case r.Bug != "":
		return Broken
	case len(r.Violations) > 0:
		return Violated
	case r.Interrupted:
		return Interrupted
	case r.isVacuous():
		return Inconclusive
	}
	return Passed
}

// isVacuous says that the run proves nothing: it had faults and none of them had an effect, or
// nothing was acknowledged.
func (r *Result) isVacuous() bool {
	effects := 0
	for _, n := range r.Stats.Effective {
		effects += n
	}
	return len(r.Schedule.Faults) > 0 && effects == 0 || len(r.Schedule.Options.Producers) > 0 && r.Stats.Acked == 0
}

// Reason is the verdict in a sentence.
func (r *Result) Reason() string {
	switch r.Verdict() {
	case Violated:
		return r.Violations[0].Error()
	case Broken:
		return r.Bug
	case Inconclusive:
		return r.vacuity()
	}
	return ""
}

// vacuity says why the run proves nothing, and which faults it had.
func (r *Result) vacuity() string {
	if len(r.Schedule.Options.Producers) > 0 && r.Stats.Acked == 0 {
		return "nothing was acknowledged"
	}
	var kinds []string
	for k, n := range r.Stats.Drawn {
		if n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d× %s", n, Kind(k)))
		}
	}
	return "no fault changed anything: " + strings.Join(kinds, ", ")
}

// Repro is the command that runs the schedule again.
func (r *Result) Repro() string {
	return fmt.Sprintf("lockstep replay --seed %d%s", r.Schedule.Seed, r.Schedule.variant().Flags())
}
