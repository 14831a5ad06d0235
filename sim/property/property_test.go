package property

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/sim"
	"pgregory.net/rapid"
)

func TestNoScheduleBreaksAPromise(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a hundred clusters")
	}
	Check(t, 3*time.Second)
}

func TestScheduleSurvivesItsFailFile(t *testing.T) {
	for seed := range uint64(20) {
		s := sim.Draw(seed)
		var b strings.Builder
		if err := WriteFailFile(&b, s); err != nil {
			t.Fatal(err)
		}
		again, err := ReadFailFile(b.String())
		if err != nil || !IsFailFile(b.String()) || again.String() != s.String() {
			t.Fatalf("seed %d: %v\n%s", seed, err, b.String())
		}
	}
}

// TestHelperProperty is run by TestFailFilesAndSchedulesAreInterchangeable, in a process of its own.
func TestHelperProperty(t *testing.T) {
	if os.Getenv("LOCKSTEP_HELPER") == "" {
		t.Skip("part of another test")
	}
	rapid.Check(t, func(t *rapid.T) {
		if s := Schedule(3*time.Second).Draw(t, "schedule"); len(s.Faults) > 0 && s.Options.Cluster.Brokers == 5 {
			t.Fatal("as the test wants it")
		}
	})
}

func TestFailFilesAndSchedulesAreInterchangeable(t *testing.T) {
	dir := t.TempDir()
	helper := func(args ...string) string {
		c := exec.Command(os.Args[0], append([]string{"-test.run=^TestHelperProperty$"}, args...)...)
		c.Dir, c.Env = dir, append(os.Environ(), "LOCKSTEP_HELPER=1")
		out, _ := c.CombinedOutput()
		return string(out)
	}
	helper()
	names, _ := filepath.Glob(filepath.Join(dir, "testdata", "rapid", "*", "*.fail"))
	if len(names) != 1 {
		t.Fatalf("fail files: %v", names)
	}
	text, _ := os.ReadFile(names[0])
	found, err := ReadFailFile(string(text))
	if err != nil || len(found.Faults) != 1 || found.Options.Cluster.Brokers != 5 {
		t.Fatalf("rapid's fail file says %v: %v", found, err)
	}
	ours := filepath.Join(dir, "ours.fail")
	var b strings.Builder
	if err := WriteFailFile(&b, found); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ours, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	if out := helper("-rapid.failfile=" + ours); !strings.Contains(out, "as the test wants it") || !strings.Contains(out, "failed after 0 tests") {
		t.Errorf("rapid does not reproduce it from our file:\n%s", out)
	}
}

// A schedule that a property drew is read again from its fail file: nothing is drawn that a schedule may not say.
func TestWhatAPropertyDrawsCanBeRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule(3*time.Second).Draw(t, "schedule")
		if again, err := sim.ParseSchedule(s.String()); err != nil || again.String() != s.String() {
			t.Fatalf("%v", err)
		}
	})
}
