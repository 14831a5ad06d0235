package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

var (
	namesOfSchedules = regexp.MustCompile("`([a-z0-9-]+\\.txt)`")
	namesOfMutants   = regexp.MustCompile(`\bmutant ([A-Z]\d+)`)
)

// Entries are numbered in order and say all that is asked of them; what they name is there.
func TestFoundBugsAreOnRecordInFull(t *testing.T) {
	text, err := os.ReadFile("FOUND.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, entry := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(entry, "\n")
		if !strings.Contains(body, "\n- Shown: ") {
			break // the last sections are no entries
		}
		if !strings.HasPrefix(title, fmt.Sprintf("%d. ", i+1)) {
			t.Errorf("%q is entry %d", title, i+1)
		}
		for _, part := range []string{"\n- Cause: ", "\n- Since: ", "\n- Fixed by ", "\n- (Schedule|Tests?): "} {
			if !regexp.MustCompile(part).MatchString(body) {
				t.Errorf("entry %d has no %q", i+1, part)
			}
		}
	}
	for _, m := range namesOfMutants.FindAllStringSubmatch(string(text), -1) {
		if found, _ := filepath.Glob("mutant/" + m[1] + "-*.patch"); len(found) != 1 {
			t.Errorf("no mutant %s", m[1])
		}
	}
	for _, m := range namesOfSchedules.FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat("testdata/schedules/" + m[1]); err != nil {
			t.Error(err)
		}
	}
}
