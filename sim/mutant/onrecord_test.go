package mutant

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
)

// The hunt on record (make record) is one of the whole bank, and whatever it says was found was so in the core time of its tier.
func TestHuntOnRecordKeepsToTheTiers(t *testing.T) {
	text, err := os.ReadFile("../testdata/bank.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no hunt is on record")
	}
	var s Summary
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	most := map[string]float64{TierA: 60, TierB: 900, TierC: 28_800}
	for _, r := range s.Reports {
		if limit := most[r.Tier]; r.Error != "" || r.Found && limit > 0 && r.CoreSeconds > limit {
			t.Errorf("%s, of tier %s: found after %.1f core seconds; %s", r.ID, r.Tier, r.CoreSeconds, r.Error)
		}
	}
	again := Summarize(s.Reports)
	if again.Found != s.Found || again.Mutants != s.Mutants || len(again.Missed) != len(s.Missed) || s.Mutants < 30 {
		t.Errorf("%d of %d found and %v missed; the reports say %s and %v", s.Found, s.Mutants, s.Missed, again, again.Missed)
	}
}
