package mutant

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Who was interrupted goes on: what a process left half written does not count, nor does a hunt that failed.
func TestReportsGoOnWhereTheyEnded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bank.ndjson")
	h := Hunt{Budget: time.Minute, From: 1, Seeds: 100, Shrink: true, Clean: "a program"}
	f, err := OpenReports(name, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Report{{ID: "M01", Found: true, Seed: 7}, {ID: "M02", Error: "no compiler"}} {
		if err := f.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(text, `{"build":`...), 0o644); err != nil {
		t.Fatal(err)
	}
	h.Clean = "another one"
	if f, err = OpenReports(name, h); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r := f.Find("M01"); r == nil || !r.Found || r.Seed != 7 {
		t.Errorf("M01: %+v", r)
	}
	if f.Find("M02") != nil || f.Find("M03") != nil {
		t.Error("there is a report of a hunt that failed, or that never was")
	}
	if cut, _ := os.ReadFile(name); string(cut) != string(text) {
		t.Errorf("the file has %q", cut)
	}
}

func TestReportsOfOtherHuntsAreRefusedAndLeftAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bank.ndjson")
	h := Hunt{Budget: time.Minute, From: 1, Seeds: 100}
	f, err := OpenReports(name, h)
	if err == nil {
		err = errors.Join(f.Append(&Report{ID: "M01"}), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(name)
	longer := h
	longer.Budget = time.Hour
	if _, err := OpenReports(name, longer); !errors.Is(err, ErrOtherHunt) || !strings.Contains(err.Error(), "line 1: reports of other hunts: M01 of build lockstep-1") || !strings.Contains(err.Error(), "--budget 1h0m0s") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(name, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReports(name, h); err == nil {
		t.Error("what is no report was taken for one")
	}
	if err := os.WriteFile(name, []byte(strings.Replace(string(text), `"build":"`, `"build":"another `, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReports(name, h); !errors.Is(err, ErrOtherHunt) {
		t.Errorf("%v", err)
	}
}
