package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brokenFile is a schedule that breaks P9 in a clean build: its cluster gets no time to become well.
func brokenFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "broken.txt")
	text := "seed 4\nfor 2s\nsettle 0s\ncluster brokers=3\ntopic name=t0 partitions=2 rf=3 min.isr=2 segment.bytes=1048576\n" +
		"producer acks=-1 idempotent=true interval=50ms records=1 size=20 version=9\n" +
		"fault label=kill/0 kind=kill at=500ms for=10s target=n2\nfault label=delay/0 kind=delay at=100ms for=1s target=n3 size=5000\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestShrunkFileFailsAsItsOrigin(t *testing.T) {
	file := brokenFile(t)
	small := filepath.Join(t.TempDir(), "small.txt")
	code, out, stderr := call("shrink", file, "--out", small, "--json")
	var s shrunk
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	if s.Promise != "P9" || s.Faults != 1 || s.Operations > 1 || s.Brokers != 3 || s.Runs < 3 || s.Schedule == "" {
		t.Errorf("%+v", s)
	}
	code, out, _ = call("replay", small, "--quiet")
	if code != 1 || !strings.Contains(out, s.Reason) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestShrinkSaysThatNothingFails(t *testing.T) {
	code, out, _ := call("shrink", "--seed", "5", "--length", "1s")
	if code == 1 || !strings.Contains(out, "nothing to shrink") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestDiffOfASeedWithItselfIsEmpty(t *testing.T) {
	file := brokenFile(t)
	if code, out, _ := call("diff", file, file); code != exitOK || !strings.Contains(out, "equal") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestDiffOfTwoTracesNamesTheFirstDifference(t *testing.T) {
	file, dir := brokenFile(t), t.TempDir()
	a, b := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "b.jsonl")
	if code, _, err := call("replay", file, "--quiet", "--export", a); code != 1 {
		t.Fatalf("exit code %d: %s", code, err)
	}
	text, _ := os.ReadFile(a)
	lines := strings.SplitAfter(string(text), "\n")
	lines[100] = strings.Replace(lines[100], `"kind":"`, `"kind":"un`, 1)
	if err := os.WriteFile(b, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, _ := call("diff", "--trace", a, b, "--json")
	var d difference
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 1 || d.Equal || d.Partings[0].Common != 100 {
		t.Errorf("exit code %d, %v: %.300s", code, err, out)
	}
}

func TestExplainPrintsAtMostFortyLinesAndTheVerdict(t *testing.T) {
	code, out, _ := call("explain", brokenFile(t), "--points", "3", "--runs", "2", "--json")
	var x explained
	if err := json.Unmarshal([]byte(out), &x); err != nil || code != 1 || len(x.Causes) == 0 || len(x.Causes) > 40 || len(x.Odds) != 3 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if code, out, _ := call("explain", brokenFile(t), "--points", "0"); code != 1 || !strings.Contains(out, "\nP9 broken: ") || strings.Count(out, "\n") > 40 {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestExportKnowsItsFormatByTheFilesEnding(t *testing.T) {
	dir, file := t.TempDir(), brokenFile(t)
	for name, begin := range map[string]string{"a.jsonl": "{", "a.json": "{\"displayTimeUnit\"", "a.shiviz": "(?<host>", "a.mmd": "sequenceDiagram"} { // order: each alone
		path := filepath.Join(dir, name)
		call("replay", file, "--quiet", "--export", path)
		if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), begin) {
			t.Errorf("%s: %v, %.40s", name, err, text)
		}
	}
	if code, out, _ := call("replay", file, "--export", "mermaid"); code != 1 || !strings.HasPrefix(out, "sequenceDiagram") {
		t.Errorf("exit code %d: %.40s", code, out)
	}
	if code, _, _ := call("replay", file, "--export", filepath.Join(dir, "a.csv")); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
