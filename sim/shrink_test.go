package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"pgregory.net/rapid"
)

func TestOperationsAreTheSameAsTextAndAsSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ticks := rapid.SliceOfDistinct(rapid.IntRange(1, 60), func(n int) int { return n }).Draw(t, "ticks")
		slices.Sort(ticks)
		read, err := parseOperations(operationsOf(ticks).String())
		if err != nil {
			t.Fatal(err)
		}
		for tick := 1; tick <= 60; tick++ {
			if got, want := read.pass(tick), slices.Contains(ticks, tick); got != want {
				t.Fatalf("tick %d of %v: %t", tick, ticks, got)
			}
		}
	})
}

func TestOperationsThatMeanNothingAreRefused(t *testing.T) {
	for _, text := range []string{"x", "3-", "9-7", "3,3", "3,2", "-1"} {
		if _, err := parseOperations(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestTickThatIsLeftOutDoesNotMoveTheOthers(t *testing.T) {
	s := DrawFor(5, 2*time.Second)
	s.Faults = nil
	all := Run(s, RunOptions{})
	less := s.clone()
	less.Options.Producers[0].Keep = operationsOf(all.Made[0][1:]).String()
	got := Run(less, RunOptions{})
	if got.Verdict() != Passed || !slices.Equal(got.Made[0], all.Made[0][1:]) {
		t.Errorf("%s: %s; made %v, want %v", got.Verdict(), got.Reason(), got.Made[0], all.Made[0][1:])
	}
}

func TestDdminFindsWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 200).Draw(t, "n")
		var needed []int
		if n > 0 {
			needed = rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, min(n, 6), func(i int) int { return i }).Draw(t, "needed")
		}
		var best []int
		runs := 0
		ddmin(n, func(left []int) bool {
			runs++
			for _, i := range needed {
				if !slices.Contains(left, i) {
					return false
				}
			}
			best = left
			return true
		})
		slices.Sort(needed)
		if n > len(needed) && !slices.Equal(best, needed) {
			t.Fatalf("of %d %v were needed; found %v", n, needed, best)
		}
		if runs > 40+40*len(needed) {
			t.Fatalf("%d runs for %d of %d", runs, len(needed), n)
		}
	})
}

func TestSameKindOfCauseWhateverItsNumbers(t *testing.T) {
	same := [][2]string{
		{"broker 1 truncated to 17 at 12.611 s", "broker 2 truncated to 4 at 2.001 s"},
		{"P9 broken: after the heal, 1m30s passed and the ISR of t0-1 is [1 2] of [1 2 3]", "P9 broken: after the heal, 20s passed and the ISR of t1-0 is [3] of [3 2 1]"},
		{"record t0-0@3 (acknowledged to producer 3 at 12.402 s) is gone", "record t1-2@7 (committed in epoch 3) is gone"},
	}
	for _, pair := range same {
		if kindOf(pair[0]) != kindOf(pair[1]) {
			t.Errorf("%q and %q", kindOf(pair[0]), kindOf(pair[1]))
		}
	}
	if kindOf("broker 1 truncated to 17") == kindOf("broker 1 truncated to its high watermark") {
		t.Error("two kinds of cause are one")
	}
}

func TestFaultsKeepAHostWhenTheClusterShrinks(t *testing.T) {
	s := Draw(1)
	s.Options.Cluster = defaultCluster()
	s.Options.Cluster.Brokers, s.Options.Cluster.Combined, s.Options.Cluster.Voters = 5, false, 3
	s.Options.Topics = []TopicOptions{{Name: "t0", Partitions: 1, RF: 3, MinISR: 2}, {Name: "t1", Partitions: 4, RF: 3, MinISR: 2}}
	s.Options.Consumers = nil
	s.Faults = []Fault{
		{Label: "a", Kind: Kill, Target: "n5"}, {Label: "b", Kind: Kill, Target: "leader:t2/3"}, {Label: "c", Kind: Kill, Target: "controller"},
		{Label: "d", Kind: PartitionTwo, Target: "n1", Peer: "c0"}, {Label: "e", Kind: Kill, Target: "n103"},
	}
	s.Options.Cluster.Combined = true
	s.fewerBrokers(3)
	if err := s.check(); err != nil {
		t.Error(err)
	}
	var labels []string
	for _, f := range s.Faults {
		labels = append(labels, f.Label)
	}
	if got := strings.Join(labels, ""); got != "abce" {
		t.Errorf("left: %s", got)
	}
}

// brokenSchedule breaks P9 in a clean build: nothing can settle in no time.
func brokenSchedule() *Schedule {
	s := DrawFor(4, 4*time.Second)
	s.Options.Settle, s.Options.Buggify = 0, nil
	s.Options.Groups, s.Options.Offsets = nil, TopicOptions{}
	s.Faults = []Fault{
		{Label: "kill/0", Kind: Kill, At: 1100 * time.Millisecond, For: 10 * time.Second, Target: "n2"},
		{Label: "pause/0", Kind: Pause, At: 200 * time.Millisecond, For: 100 * time.Millisecond, Target: "n1"},
		{Label: "delay/0", Kind: Delay, At: 300 * time.Millisecond, For: time.Second, Target: "n3", Size: 5000},
	}
	return s
}

// countedRuns ends a search after about as many runs.
func countedRuns(n int) ShrinkOptions {
	asked := 0
	return ShrinkOptions{Budget: time.Duration(n), Used: func() time.Duration {
		asked++
		return time.Duration(asked / 2)
	}}
}

func TestShrinkKeepsTheFailureAndFindsTheSameTwice(t *testing.T) {
	a, b := Shrink(brokenSchedule(), countedRuns(400)), Shrink(brokenSchedule(), countedRuns(400))
	if a.Schedule.String() != b.Schedule.String() || a.Runs != b.Runs {
		t.Errorf("two searches differ:\n%s\n%s", a.Schedule, b.Schedule)
	}
	if a.Result.signature() != Run(brokenSchedule(), RunOptions{}).signature() {
		t.Errorf("fails otherwise: %s", a.Result.Reason())
	}
	if len(a.Schedule.Faults) > 1 || a.Operations() > 1 {
		t.Errorf("%s:\n%s", a.Summary(), a.Schedule)
	}
	if again := Run(a.Schedule, RunOptions{}); again.signature() != a.Result.signature() || again.Digest != a.Result.Digest {
		t.Errorf("the schedule says %q, its run %q", a.Result.Reason(), again.Reason())
	}
}

func TestShrinkLeavesWhatPasses(t *testing.T) {
	s := DrawFor(5, time.Second)
	s.Faults = nil
	if out := Shrink(s, ShrinkOptions{}); out.Schedule != s || out.Runs != 1 || out.Result.Verdict() != Passed {
		t.Errorf("%s: %s", out.Result.Verdict(), out.Summary())
	}
}

func TestCopyOfAScheduleSharesNothing(t *testing.T) {
	s := Draw(3)
	s.Options.Buggify = []buggify.Armed{{OneIn: 3}}
	text := s.String()
	c := s.clone()
	c.Options.Topics[0].Name = "other"
	c.Options.Producers[0].Acks = 17
	if len(c.Faults) > 0 {
		c.Faults[0].Label = "other"
	}
	c.Options.Buggify = nil
	if s.String() != text {
		t.Error("a change of the copy changed the schedule")
	}
}

func TestWhatFailsInTheMainPhaseIsCutSoonAfter(t *testing.T) {
	k := newShrinker(Draw(1), ShrinkOptions{})
	k.started = 1e9
	r := &Result{Schedule: k.best, Violations: []Violation{{Promise: "P1", T: 5e9}}}
	k.best.Options.For = 30 * time.Second
	k.accept(k.best, r)
	if k.failed != 4*time.Second || k.best.Options.For != 7*time.Second {
		t.Errorf("failed after %s, for %s", k.failed, k.best.Options.For)
	}
}

func ExampleShrunk_Summary() {
	s := &Shrunk{Schedule: &Schedule{Options: Canonical()}, Result: &Result{Made: [][]int{{1, 5}}}, Runs: 12, Used: 1500 * time.Millisecond}
	fmt.Println(s.Summary())
	// Output: 0 faults, 2 operations, 3 brokers after 12 runs in 1.5 s
}

func TestCountedWordsAreSingularForOne(t *testing.T) {
	for want, got := range map[string]string{ // order: each alone
		"0 faults": Count(0, "fault"), "1 fault": Count(uint64(1), "fault"), "2 faults": Count(int64(2), "fault"),
		"1 batch": Count(1, "batch"), "3 batches": Count(3, "batch"), "1 entry": Count(1, "entry"), "2 entries": Count(2, "entry"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
