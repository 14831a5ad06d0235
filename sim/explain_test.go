package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

func TestExplanationEndsWithTheViolationAndNamesTheFault(t *testing.T) {
	x := Explain(brokenSchedule(), nil)
	var printed strings.Builder
	x.Print(&printed)
	if n := strings.Count(printed.String(), "\n"); x.Left == 0 || n != explainLines {
		t.Fatalf("%d lines, and %d causes left out", n, x.Left)
	}
	last := x.Causes[len(x.Causes)-1]
	if !strings.HasPrefix(last.What, "violation") || !strings.HasPrefix(x.Verdict(), "P9 broken: ") {
		t.Errorf("%+v; %s", last, x.Verdict())
	}
	if !slices.ContainsFunc(x.Causes, func(c Cause) bool { return strings.HasPrefix(c.What, "fault kill/0 (begins") }) {
		t.Error("nothing of the fault")
	}
	if !slices.IsSortedFunc(x.Causes, func(a, b Cause) int { return int(a.T - b.T) }) {
		t.Error("not in the order of time")
	}
}

func TestRunThatPassesHasNothingToExplain(t *testing.T) {
	s := DrawFor(5, time.Second)
	s.Faults = nil
	if x := Explain(s, nil); len(x.Causes) != 0 || !strings.HasPrefix(x.Verdict(), "passed") {
		t.Errorf("%d causes: %s", len(x.Causes), x.Verdict())
	}
	if row := Blame(s, BlameOptions{Points: 3, Runs: 1}); row != nil {
		t.Errorf("%v", row)
	}
}

func TestOddsJumpWhenTheFaultHasBegun(t *testing.T) {
	s := brokenSchedule()
	s.Faults = s.Faults[:1]
	s.Faults[0].For = 2800 * time.Millisecond // drawn later or shorter, it heals in time for the end
	row := Blame(s, BlameOptions{Points: 5, Runs: 6})
	if again := Blame(s, BlameOptions{Points: 5, Runs: 6}); !slices.Equal(row, again) {
		t.Errorf("%v, then %v", row, again)
	}
	if len(row) != 5 || row[4].Violated != 6 {
		t.Errorf("%v", row)
	}
}

func TestRunIsTheSameUpToTheMomentFromWhichItIsDrawnAnew(t *testing.T) {
	s := DrawFor(5, 2*time.Second)
	s.Faults = nil
	const at = time.Second
	began := scheduler.Instant(0)
	Run(s, RunOptions{Watch: startWatch{began: &began}})
	one := Traced(s, nil)
	other := func(tr Tracer) error {
		Run(s, RunOptions{Trace: tr, reseed: &reseeding{at, 77}})
		return nil
	}
	partings, err := DiffTraces(one, other, 3)
	if err != nil || len(partings) == 0 {
		t.Fatalf("%v: the runs are equal", err)
	}
	if p := partings[0]; p.A[0].T < began.Add(at) || p.A[0].T > began.Add(at+200*time.Millisecond) {
		t.Errorf("part at %s, drawn anew from %s", formatTime(p.A[0].T), formatTime(began.Add(at)))
	}
}
