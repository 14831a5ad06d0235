package sim

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// The campaign on record (make record) is one of a clean build, of all seeds from the first to the last, without a violation.
func TestCampaignOnRecordIsClean(t *testing.T) {
	text, err := os.ReadFile("testdata/campaign.json")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("no campaign is on record")
	}
	var s Summary
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Build, version+"+") || strings.HasSuffix(s.Build, "-modified") {
		t.Errorf("build %s is not a commit", s.Build)
	}
	if s.Verdict != Passed.String() || s.Violated+s.Broken+uint64(len(s.Failures)) > 0 || s.Seeds != s.Last-s.First+1 || s.Seeds != s.Passed+s.Inconclusive {
		t.Errorf("%s: %d of the seeds %d to %d, %d passed, %d inconclusive, %d violated, %d broken", s.Verdict, s.Seeds, s.First, s.Last, s.Passed, s.Inconclusive, s.Violated, s.Broken)
	}
	if s.Events == 0 || s.SimulatedHours == 0 || s.RarePaths.sum() == 0 || len(s.Faults) == 0 || s.Coverage == nil || s.Coverage.Holes == nil && len(s.Coverage.Together) == 0 {
		t.Error("it does not say what was run")
	}
}
