package sim

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

func export(t *testing.T, format string) string {
	t.Helper()
	s := DrawFor(5, time.Second)
	s.Faults = []Fault{{Label: "kill/0", Kind: Kill, At: 300 * time.Millisecond, For: 200 * time.Millisecond, Target: "n1"}}
	var b bytes.Buffer
	x, err := NewExporter(format, &b, s)
	if err != nil {
		t.Fatal(err)
	}
	Run(s, RunOptions{Trace: x, Messages: true})
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMessagesAreTracedOnlyWhenAskedForAndChangeNothing(t *testing.T) {
	s := DrawFor(5, time.Second)
	messages := map[string]int{}
	count := TracerFunc(func(e *Entry) {
		if IsMessage(e) {
			messages[e.Kind]++
		}
	})
	quiet := Run(s, RunOptions{Trace: count})
	if len(messages) != 0 {
		t.Errorf("%v without being asked for", messages)
	}
	told := Run(s, RunOptions{Trace: count, Messages: true})
	if messages[kindSent] == 0 || messages[kindMessage] == 0 || messages[kindMessage] > messages[kindSent] {
		t.Errorf("%v", messages)
	}
	if quiet.Digest != told.Digest {
		t.Error("to trace messages changed the run")
	}
}

func TestEveryMessageIsNamed(t *testing.T) {
	note := regexp.MustCompile(`^[A-Z][A-Za-z]+ v\d+ (request|response) #\d+$`)
	Run(DrawFor(5, time.Second), RunOptions{Messages: true, Trace: TracerFunc(func(e *Entry) {
		if IsMessage(e) && !note.MatchString(e.Note) {
			t.Errorf("%s", e)
		}
	})})
}

func TestJSONLinesAreTheTraceSchema(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(export(t, "jsonl")), "\n")
	for _, line := range lines {
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		var e Entry
		if err := d.Decode(&e); err != nil || e.Kind == "" {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func TestChromeTraceHasWhatPerfettoAsksFor(t *testing.T) {
	var trace struct {
		TraceEvents []struct {
			Name, Ph, ID string
			TS           *float64
			PID, TID     *int
		}
	}
	if err := json.Unmarshal([]byte(export(t, "chrome")), &trace); err != nil {
		t.Fatal(err)
	}
	open := map[string]int{}
	started := map[string]float64{}
	for _, e := range trace.TraceEvents {
		if e.Name == "" || !strings.Contains("XsfbeiM", e.Ph) || e.TS == nil || e.PID == nil || e.TID == nil {
			t.Fatalf("%+v", e)
		}
		switch e.Ph {
		case "s", "b":
			open[e.ID]++
			started[e.ID] = *e.TS
		case "f", "e":
			open[e.ID]--
			if *e.TS < started[e.ID] {
				t.Errorf("%s ends before it starts", e.ID)
			}
		}
	}
	if len(open) < 10 || started["kill/0"] == 0 {
		t.Errorf("%d flows and faults; the fault starts at %v", len(open), started["kill/0"])
	}
	for id, n := range open { // order: each alone
		if n != 0 {
			t.Errorf("%s is %d times open", id, n)
		}
	}
}

func TestShiVizClocksOnlyGrowAndKnowTheSender(t *testing.T) {
	first, log, _ := strings.Cut(export(t, "shiviz"), "\n\n")
	parser, err := regexp.Compile(strings.ReplaceAll(first, "(?<", "(?P<"))
	if err != nil {
		t.Fatal(err)
	}
	clocks := map[string]map[string]int{}
	events := parser.FindAllStringSubmatch(log, -1)
	for _, m := range events {
		host, clock := m[1], map[string]int{}
		if err := json.Unmarshal([]byte(m[2]), &clock); err != nil {
			t.Fatal(err)
		}
		before := clocks[host]
		if clock[host] != before[host]+1 {
			t.Fatalf("%s counts %d after %d", host, clock[host], before[host])
		}
		for other, n := range before { // order: each alone
			if clock[other] < n {
				t.Fatalf("%s forgets of %s", host, other)
			}
			if other != host && clock[other] > clocks[other][other] {
				t.Fatalf("%s knows %d of %s, which has come to %d", host, clock[other], other, clocks[other][other])
			}
		}
		clocks[host] = clock
	}
	if len(events)*2 != strings.Count(log, "\n") {
		t.Errorf("%d events in %d lines", len(events), strings.Count(log, "\n"))
	}
}

func TestMermaidShowsTheLastMessages(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(export(t, "mermaid")), "\n")
	line := regexp.MustCompile(`^    (participant \w+|\w+--?>>\w+: [^:;#]+|Note over \w+(,\w+)?: [^:;#]+)$`)
	messages := 0
	for _, l := range lines[1:] {
		if !line.MatchString(l) {
			t.Errorf("%q", l)
		}
		if strings.Contains(l, ">>") {
			messages++
		}
	}
	if lines[0] != "sequenceDiagram" || messages != mermaidMessages {
		t.Errorf("%q, %d messages", lines[0], messages)
	}
}
