package virtual

import (
	"testing"
	"time"
)

func TestWallClockDriftsStandsStillAndIsSetRight(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	run := func(d time.Duration) int64 {
		w.RunUntil(w.Now().Add(d))
		return n.UnixMilli() - wallBase
	}
	if at := run(time.Second); at != 1000 {
		t.Fatalf("%d ms after a second", at)
	}
	n.DriftWallClock(100_000)
	if at := run(10 * time.Second); at != 12_000 {
		t.Errorf("a fast clock shows %d", at)
	}
	n.DriftWallClock(-1_000_000)
	if at := run(time.Hour); at != 12_000 {
		t.Errorf("a clock that stands still shows %d", at)
	}
	n.SetWallClock(-time.Second)
	if at, want := run(0), time.Duration(w.Now()).Milliseconds()-1000; at != want {
		t.Errorf("a clock that was set shows %d, want %d", at, want)
	}
	if n.WallReads() < 4 {
		t.Errorf("%d reads", n.WallReads())
	}
}

func TestTimersOfASlowClockAreLate(t *testing.T) {
	w := New(1)
	slow, fast := w.Node(1), w.Node(2)
	slow.DriftWallClock(-100_000)
	fast.DriftWallClock(100_000)
	fired := map[string]time.Duration{}
	for name, n := range map[string]*Node{"slow": slow, "fast": fast} { // order: each has its own timer
		n.AfterFunc(10*time.Second, func() { fired[name] = time.Duration(w.Now()) })
	}
	w.RunUntil(w.Now().Add(20 * time.Second))
	if fired["slow"] != 11*time.Second || fired["fast"] != 10*time.Second {
		t.Errorf("fired at %v", fired)
	}
}
