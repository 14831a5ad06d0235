package sim

import (
	"slices"
	"testing"
)

func TestCanariesAreFoundAndOnlyTheyAre(t *testing.T) {
	if r := Run(canarySchedule(), RunOptions{}); r.Verdict() != Passed {
		t.Errorf("without a lie: %s: %s", r.Verdict(), r.Reason())
	}
	if missed := MissedCanaries(RunOptions{}); len(missed) > 0 {
		t.Errorf("not found: %q", missed)
	}
}

// Each canary is for another sense: no two are found by the same checker.
func TestEachCanaryIsFoundByACheckerOfItsOwn(t *testing.T) {
	seen := map[string]string{}
	for _, c := range canaries {
		r := Run(canarySchedule(), RunOptions{lie: c.lie})
		if len(r.Violations) == 0 {
			t.Errorf("%s is not found", c.name)
			continue
		}
		v := r.Violations[0]
		t.Logf("%s: %s (%s)", c.name, v.Text, v.Checker)
		if other := seen[v.Checker]; other != "" {
			t.Errorf("%s and %s are both found by %s", c.name, other, v.Checker)
		}
		seen[v.Checker] = c.name
	}
}

func TestBlindCheckersAreNoticed(t *testing.T) {
	missed := MissedCanaries(RunOptions{Unchecked: true})
	if want := []string{"lying-sync", "changed-record", "forged-acknowledgement"}; !slices.Equal(missed, want) {
		t.Errorf("of runs without checkers these canaries are missed: %q", missed)
	}
}
