package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// All disks are full at once for a while: nobody gives up, nothing that was acknowledged is lost (P1), and in the end all is well (P9).
func TestFullDisksAreWaitedFor(t *testing.T) {
	var faults []Fault
	for i, n := range []string{"n1", "n2", "n3"} {
		faults = append(faults, Fault{Label: "full-disk/" + n, Kind: FullDisk, At: time.Second + time.Duration(i)*100*time.Millisecond, For: 2 * time.Second, Target: n})
	}
	var offline, full, room int
	r := Run(calm(faults...), RunOptions{Trace: TracerFunc(func(e *Entry) {
		switch e.Kind {
		case "log-dir-failed":
			offline++
		case "disk-full":
			full++
		case "disk-has-room":
			room++
		}
	})})
	if r.Verdict() != Passed || r.Stats.Effective[FullDisk] != 3 || offline != 0 || full < 3 || room != full {
		t.Errorf("%s: %s, effects %v, %d offline, full %d times, room %d times", r.Verdict(), r.Reason(), r.Stats.Effective, offline, full, room)
	}
}

// Disks fill and processes die, in any order: a broker that starts on a full disk waits too.
func TestFullDisksAndDeadProcesses(t *testing.T) {
	full := 0
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		var faults []Fault
		for i := range 8 {
			f := Fault{Kind: FullDisk, At: time.Duration(500+random.IntN(3500)) * time.Millisecond, For: time.Duration(100+random.IntN(2500)) * time.Millisecond,
				Target: fmt.Sprint("n", 1+random.IntN(3))}
			switch random.IntN(4) {
			case 0:
				f.Kind, f.For = Kill, f.For/2
			case 1:
				f.Kind = CleanRestart
			}
			f.Label = fmt.Sprint(f.Kind, "/", i)
			faults = append(faults, f)
		}
		s := calm(faults...)
		s.Seed, s.Options.For = seed, 6*time.Second
		s.Options.Topics[0].SegmentBytes = 4096
		if seed%3 == 0 {
			s.Options.Topics[0].FlushMessages = 1
		}
		if r := Run(s, RunOptions{}); r.Verdict() != Passed {
			t.Errorf("seed %d: %s: %s, effects %v\n%s", seed, r.Verdict(), r.Reason(), r.Stats.Effective, r.Stack)
		} else {
			full += r.Stats.Effective[FullDisk]
		}
	}
	if full < 100 {
		t.Errorf("a disk was full %d times only", full)
	}
}
