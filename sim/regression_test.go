package sim

import (
	"os"
	"path/filepath"
	"testing"
)

// Each file of testdata/schedules is a schedule in which a bug was found; FOUND.md says which. They stay
// passed.
func TestSchedulesInWhichBugsWereFoundPass(t *testing.T) {
	files, err := filepath.Glob("testdata/schedules/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no schedules: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, err := ParseSchedule(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if r := Run(s, RunOptions{}); r.Verdict() != Passed {
				t.Errorf("%s: %s\n%s", r.Verdict(), r.Reason(), r.Stack)
			}
		})
	}
}
