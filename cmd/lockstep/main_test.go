package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/sim/mutant"
)

func call(args ...string) (code int, out, err string) {
	return callIn(context.Background(), args...)
}

func callIn(ctx context.Context, args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	p := &program{out: &stdout, err: &stderr, ctx: ctx}
	code = p.main(args)
	return code, stdout.String(), stderr.String()
}

func TestUsageErrorsExitWithTwo(t *testing.T) {
	for _, args := range [][]string{{}, {"fzz"}, {"fuzz", "--sedes", "3"}, {"fuzz", "7"}, {"replay"}, {"replay", "/no/such/file"}, {"experiment"}, {"experiment", "none"},
		{"fuzz", "--workers", "0"}, {"fuzz", "--seeds", "5..3"}, {"fuzz", "--seeds", "5..9", "--seed-from", "3"}, {"fuzz", "--for", "-1s"}, {"fuzz", "--shard", "3/3"},
		{"replay", "--seed", "1", "--length", "-1s"}, {"replay", "a", "b"}, {"diff", "1"}, {"merge"}, {"merge", "/no/such"}, {"convert"}, {"shrink"}, {"explain"}, {"campaign"}, {"version", "--jsn"},
	} {
		if code, _, _ := call(args...); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestHelpAndVersionExitWithZero(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"version"}, {"--version"}, {"promises"}, {"fuzz", "--help"}} {
		if code, _, _ := call(args...); code != exitOK {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestReproCommandIsFirstAndLast(t *testing.T) {
	const repro = "lockstep replay --seed 5 --length 2s"
	code, out, _ := call("replay", "--seed", "5", "--length", "2s", "--twice")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || lines[0] != repro || lines[len(lines)-1] != repro {
		t.Errorf("exit code %d, first %q, last %q", code, lines[0], lines[len(lines)-1])
	}
}

func TestScheduleFileReplaysAsItsSeed(t *testing.T) {
	_, text, _ := call("replay", "--seed", "5", "--length", "2s", "--schedule")
	file := filepath.Join(t.TempDir(), "schedule.txt")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := lastObject(t, "replay", "--seed", "5", "--length", "2s", "--json"), lastObject(t, "replay", file, "--json")
	if a["digest"] == nil || a["digest"] != b["digest"] {
		t.Errorf("digests %v and %v", a["digest"], b["digest"])
	}
}

func lastObject(t *testing.T, args ...string) (o map[string]any) {
	t.Helper()
	code, out, stderr := call(args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil || code != exitOK {
		t.Fatalf("%v: exit code %d, %v, %s", args, code, err, stderr)
	}
	return o
}

func TestFuzzPrintsOneJSONObject(t *testing.T) {
	code, out, _ := call("fuzz", "--seeds", "2", "--seed-from", "5", "--length", "2s", "--json")
	var summary map[string]any
	if err := json.Unmarshal([]byte(out), &summary); err != nil || code != exitOK || summary["seeds"] != 2.0 || summary["what"] != "lockstep fuzz --seeds 5..6 --length 2s" || summary["build"] == "" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

// Whatever is interrupted says what it has, and then that it was.
func TestInterruptedWorkExitsWith130(t *testing.T) {
	interrupted, interrupt := context.WithCancel(context.Background())
	interrupt()
	broken := brokenFile(t)
	for want, args := range map[string][]string{ // order: each alone
		"interrupted: lockstep fuzz": {"fuzz", "--seeds", "5", "--no-canary"},
		"\ninterrupted":              {"replay", broken},
		"lockstep replay":            {"shrink", broken},
		"interrupted: nothing":       {"explain", broken},
		"":                           {"diff", "3", "4"},
	} {
		if code, out, _ := callIn(interrupted, args...); code != exitInterrupted || !strings.Contains(out, want) || want == "" && out != "" {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
}

// A schedule's file says all of it.
func TestFileTakesNoVariant(t *testing.T) {
	file := brokenFile(t)
	for _, verb := range []string{"replay", "shrink", "explain"} {
		for _, variant := range [][]string{{"--unbounded"}, {"--voters"}, {"--log-dirs"}, {"--length", "3s"}} {
			code, out, err := call(append([]string{verb, file}, variant...)...)
			if code != exitUsage || out != "" || !strings.Contains(err, strings.Join(variant, " ")) {
				t.Errorf("%s %v: exit code %d: %s%s", verb, variant, code, out, err)
			}
		}
	}
}

// asked counts how often a run looked whether it was interrupted.
type asked struct {
	context.Context
	times *int
}

func (a asked) Err() error {
	*a.times++
	return nil
}

func TestExportThatIsPrintedRunsTwiceAsWell(t *testing.T) {
	var once, twice int
	args := []string{"replay", brokenFile(t), "--export", "jsonl"}
	_, out, _ := callIn(asked{context.Background(), &once}, args...)
	_, again, _ := callIn(asked{context.Background(), &twice}, append(args, "--twice")...)
	if out != again || twice < 2*once {
		t.Errorf("asked %d times in one run and %d in two; the same is printed: %v", once, twice, out == again)
	}
}

func TestMutantsThatWereCheckedOrBuiltAreToldInJSON(t *testing.T) {
	var out, stderr bytes.Buffer
	p := &program{out: &out, err: &stderr, ctx: context.Background()}
	bank := []*mutant.Mutant{{ID: "M01", Title: "a bug"}}
	if code := p.printChecked(newChecked(bank, nil), true); code != exitOK || !json.Valid(out.Bytes()) {
		t.Errorf("exit code %d: %s", code, &out)
	}
	out.Reset()
	if code := p.printChecked(newChecked(bank, []error{errors.New("M01: no")}), true); code != 1 || !json.Valid(out.Bytes()) || !strings.Contains(out.String(), "M01: no") {
		t.Errorf("exit code %d: %s", code, &out)
	}
	out.Reset()
	if p.printBuilt(&built{"file", "M01", "a bug"}, true); !json.Valid(out.Bytes()) {
		t.Error(&out)
	}
}

// Every command has --json, and what it prints then is JSON.
func TestEveryCommandSpeaksJSON(t *testing.T) {
	for _, v := range verbs() {
		if v.name == "experiment" { // its names have flags of their own
			continue
		}
		if _, _, usage := call(v.name, "--help"); !strings.Contains(usage, "--json") {
			t.Errorf("%s has no --json", v.name)
		}
	}
	schedule := filepath.Join(t.TempDir(), "schedule.txt")
	_, text, _ := call("replay", "--seed", "5", "--schedule")
	if err := os.WriteFile(schedule, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"help"}, {"version"}, {"promises"}, {"convert", schedule}} {
		if code, out, _ := call(append(args, "--json")...); code != exitOK || !json.Valid([]byte(out)) {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
	}
}

func TestConvertedTwiceIsTheSchedule(t *testing.T) {
	dir := t.TempDir()
	schedule, fail := filepath.Join(dir, "schedule.txt"), filepath.Join(dir, "schedule.fail")
	_, text, _ := call("replay", "--seed", "5", "--schedule")
	if err := os.WriteFile(schedule, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, err := call("convert", schedule, "--out", fail); code != exitOK || out != "" {
		t.Fatalf("exit code %d: %s%s", code, out, err)
	}
	if code, out, _ := call("convert", fail); code != exitOK || out != text {
		t.Errorf("exit code %d: %s", code, out)
	}
}
