package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/interop/differential"
)

func TestWhatFailedOrIsNotExplainedIsWrittenDown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	results := []result{
		{Client: "a", Version: "1", Feature: "f", Nodes: 1, Outcome: pass},
		{Client: "a", Version: "1", Feature: "f", Nodes: 3, Outcome: fail, Detail: "broke | down\nat once"},
		{Client: "b", Feature: "all", Nodes: 1, Outcome: skip, Detail: "no Java"},
	}
	found := []differential.Difference{
		{API: "Fetch", Story: "s", Path: "x", Kafka: "1", Lockstep: "2", Reason: "why"},
		{API: "Fetch", Story: "controller, s", Path: "x", Kafka: "1", Lockstep: "2", Reason: "why"},
		{API: "Produce", Versions: []int16{3}, Story: "s", Path: "y", Kafka: "3", Lockstep: "4"},
	}
	if err := document(file, results, found, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`| a | 1 | f | yes | **no**: broke \| down |`,
		"| b |  | all | not tried: no Java |  |",
		"| why | Fetch, Fetch (controller's listener) |",
		"- not explained: Produce v3 [s] y: Kafka 3, lockstepd 4",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
