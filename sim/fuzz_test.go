package sim

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestWorkersChangeNothing(t *testing.T) {
	o := FuzzOptions{From: 3, Seeds: 8, Variant: Variant{Length: 3 * time.Second}, Workers: 1}
	one := RunFuzz(o)
	o.Workers = 3
	three := RunFuzz(o)
	a, b := one.Stats, three.Stats
	if one.Runs != 8 || a.Events != b.Events || a.Acked != b.Acked || a.Simulated != b.Simulated || a.Effective != b.Effective || one.Verdicts != three.Verdicts {
		t.Errorf("one worker: %+v\nthree: %+v", a, b)
	}
}

func TestSummaryTellsOfEverythingThatHappened(t *testing.T) {
	f := RunFuzz(FuzzOptions{From: 3, Seeds: 3, Variant: Variant{Length: 3 * time.Second}, Workers: 1})
	var out bytes.Buffer
	f.Summary().Print(&out)
	for _, want := range []string{"3: ", "hours", "events", "fault ", "with an effect", "of partition leaders", "ISR changes", "acknowledged", "violations", "events/s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestFuzzStopsWhenInterrupted(t *testing.T) {
	runs := 0
	o := FuzzOptions{From: 1, Seeds: 1000, Variant: Variant{Length: 2 * time.Second}, Workers: 1}
	o.Progress = func(*Fuzz, *Result) { runs++ }
	o.Interrupted = func() bool { return runs >= 2 }
	if f := RunFuzz(o); f.Verdict() != Interrupted || f.Runs != 2 {
		t.Errorf("%s after %d runs", f.Verdict(), f.Runs)
	}
}

func TestFailFastEndsWithAFailureThatWasKnown(t *testing.T) {
	o := FuzzOptions{From: 1, Seeds: 4, FailFast: true, Workers: 1}
	o.Known = func(seed uint64) *Record {
		if seed == 2 {
			return &Record{Seed: 2, Verdict: Violated, Promise: "P1"}
		}
		return &Record{Seed: seed, Verdict: Passed}
	}
	if f := RunFuzz(o); f.Verdict() != Violated || f.Last != 2 {
		t.Errorf("%s, the last seed %d", f.Verdict(), f.Last)
	}
}

// A run that only harness bugs or violations stain is not passed off as something better.
func TestVerdictOfManyIsTheWorst(t *testing.T) {
	for _, c := range []struct {
		verdicts []Verdict
		want     Verdict
	}{
		{[]Verdict{Passed, Inconclusive}, Passed},
		{[]Verdict{Inconclusive}, Inconclusive},
		{[]Verdict{Passed, Violated, Inconclusive}, Violated},
		{[]Verdict{Violated, Broken}, Broken},
	} {
		var f Fuzz
		for _, v := range c.verdicts {
			f.Verdicts[v]++
		}
		if got := f.Verdict(); got != c.want {
			t.Errorf("%v: %s, want %s", c.verdicts, got, c.want)
		}
	}
}
