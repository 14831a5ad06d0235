package virtual

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lockstep/lockstep/scheduler"
)

func TestKillMakesAllThatIsPendingVanish(t *testing.T) {
	w := New(1)
	n, other := w.Node(1), w.Node(2)
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	timer := n.AfterFunc(time.Second, say("timer"))
	n.After(time.Second, say("event"))
	n.Offload(func() { got = append(got, "work") }, say("done"))
	n.Post(say("post"))
	other.After(time.Second, say("other"))
	w.After(time.Second, say("world"))
	n.Kill()
	if timer.Stop() {
		t.Error("a dead timer was armed")
	}
	timer.Reset(time.Second)
	n.After(time.Second, say("next incarnation"))
	w.RunUntil(5e9)
	if want := []string{"other", "world", "next incarnation"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestKillWithinATurnSilencesItsRest(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	timer := n.AfterFunc(time.Hour, say("timer"))
	n.Post(func() {
		n.Defer(say("deferred before"))
		n.Kill()
		n.Defer(say("deferred after"))
		n.Post(say("post"))
		n.AfterFunc(0, say("new timer"))
		timer.Reset(0)
		n.Offload(say("work"), say("done"))
	})
	w.RunUntil(1e9)
	n.Post(say("next incarnation"))
	w.RunUntil(2e9)
	if want := []string{"next incarnation"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestPausedNodeRunsWhatIsDueInOrderAtResume(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	var got []string
	say := func(s string) func() {
		return func() { got = append(got, fmt.Sprint(s, " at ", time.Duration(n.Now()))) }
	}
	n.After(2*time.Second, say("b"))
	n.After(1*time.Second, say("a"))
	stopped := n.AfterFunc(time.Second, say("stopped"))
	later := n.AfterFunc(time.Second, say("later"))
	n.After(20*time.Second, say("c"))
	n.Pause()
	w.RunUntil(10e9)
	if len(got) != 0 || !n.Paused() {
		t.Fatalf("a paused node ran %q", got)
	}
	stopped.Stop()
	later.Reset(5 * time.Second)
	n.Resume()
	w.RunUntil(30e9)
	if want := []string{"a at 10s", "b at 10s", "later at 15s", "c at 20s"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestResumeTimersFirstRunsThemBeforeWhatHasCome(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	n.After(1*time.Second, say("frame"))
	n.After(2*time.Second, say("completion"))
	n.AfterFunc(4*time.Second, say("late timer"))
	n.AfterFunc(3*time.Second, func() {
		say("timer")()
		n.AfterFunc(0, say("armed by it"))
	})
	n.Pause()
	w.RunUntil(10e9)
	n.ResumeTimersFirst()
	w.RunUntil(11e9)
	if want := []string{"timer", "late timer", "armed by it", "frame", "completion"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestResumeTimersFirstLeavesWhatIsNotDueYet(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	var got []string
	say := func(s string) func() {
		return func() { got = append(got, fmt.Sprint(s, " at ", time.Duration(n.Now()))) }
	}
	n.After(9*time.Second, say("frame"))
	n.After(12*time.Second, say("frame under way"))
	n.Pause()
	w.RunUntil(10e9) // which meets the second and leaves it to be run after the pause
	n.ResumeTimersFirst()
	w.RunUntil(20e9)
	if want := []string{"frame at 10.000000001s", "frame under way at 12s"}; !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

func TestStepPassesOverAPausedNode(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	n.Post(func() {})
	n.Pause()
	if w.Step() {
		t.Error("an event of a paused node ran")
	}
	n.Resume()
	if !w.Step() || w.Step() {
		t.Error("the event did not run once after Resume")
	}
}

func TestKillEndsAPause(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	n.Post(func() { t.Error("an event of a killed incarnation ran") })
	n.Pause()
	w.RunUntil(1e9)
	n.Kill()
	ran := false
	n.Post(func() { ran = true })
	w.RunUntil(2e9)
	if !ran {
		t.Error("the next incarnation is paused")
	}
}

func TestPanicPassesThroughAndLeavesTheWorldBetweenTurns(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	n.Post(func() {
		n.Defer(func() { t.Error("deferred function of a broken turn ran") })
		panic("broken")
	})
	func() {
		defer func() {
			if recover() != "broken" {
				t.Error("the panic did not pass through")
			}
		}()
		w.Step()
	}()
	n.Kill()
	ran := false
	n.Defer(func() { ran = true })
	if w.RunUntil(1); !ran {
		t.Error("the next incarnation does not run")
	}
}

func TestOnTurnSeesTheNodeAfterItsDeferred(t *testing.T) {
	w := New(1)
	var got []string
	w.OnTurn(func(node int32) { got = append(got, fmt.Sprint("turn of ", node)) })
	w.After(0, func() { got = append(got, "world") })
	w.Node(3).Post(func() { w.Node(3).Defer(func() { got = append(got, "deferred") }) })
	w.RunUntil(0)
	if want := []string{"world", "turn of -1", "deferred", "turn of 3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCauseIsTheEventThatScheduledThisOne(t *testing.T) {
	w := New(1)
	n := w.Node(1)
	n.Post(func() {
		cause := w.Cause()
		n.Post(func() {
			if w.Parent() != cause || w.Cause() <= cause {
				t.Errorf("event %d says it was caused by %d, want %d", w.Cause(), w.Parent(), cause)
			}
		})
	})
	w.RunUntil(0)
}

func TestWallClockOfANodeIsItsOwn(t *testing.T) {
	w := New(1)
	w.Node(1).SetWallClock(-time.Hour)
	w.RunUntil(2e9)
	if got := w.Node(2).UnixMilli() - w.Node(1).UnixMilli(); got != time.Hour.Milliseconds() {
		t.Errorf("the clocks differ by %d ms", got)
	}
	if want := time.Date(2026, 1, 1, 0, 0, 2, 0, time.UTC).UnixMilli(); w.Node(2).UnixMilli() != want {
		t.Errorf("after two seconds it is %d, want %d", w.Node(2).UnixMilli(), want)
	}
}

// traffic runs three nodes that keep offloading, arming and stopping, and returns the digest and the
// order in which the first node's offloads came back.
func traffic(w *World) (digest uint64, order string) {
	for id := range int32(3) {
		n := w.Node(id)
		r := Rand(w.Seed(), fmt.Sprint("traffic/", id))
		timer := n.AfterFunc(time.Hour, func() {})
		for i := range 20 {
			n.After(time.Duration(r.IntN(1000))*time.Microsecond, func() {
				timer.Reset(time.Duration(r.IntN(int(time.Millisecond))))
				n.Offload(func() {}, func() {
					if id == 0 {
						order += fmt.Sprint(i, " ")
					}
				})
			})
		}
	}
	w.RunUntil(1e9)
	return w.Digest(), order
}

func TestSameSeedSameDigest(t *testing.T) {
	digest, order := traffic(New(5))
	again, orderAgain := traffic(New(5))
	if digest != again || order != orderAgain {
		t.Errorf("one seed gave %x and %x, %q and %q", digest, again, order, orderAgain)
	}
}

func TestDifferentSeedDifferentOffloadOrder(t *testing.T) {
	_, order := traffic(New(5))
	_, other := traffic(New(6))
	if order == other {
		t.Errorf("seeds 5 and 6 gave the same order %q", order)
	}
}

func TestResetWorldIsLikeNew(t *testing.T) {
	w := New(99)
	traffic(w)
	w.OnTurn(func(int32) { t.Error("OnTurn outlived Reset") })
	stale := w.Node(0).AfterFunc(time.Hour, func() {})
	w.Node(1).Pause()
	w.Reset(5)
	got, _ := traffic(w)
	want, _ := traffic(New(5))
	if got != want {
		t.Errorf("digest %x, want %x", got, want)
	}
	if stale.Stop() {
		t.Error("a timer outlived Reset")
	}
}

// TestDigestIsTheSameOnEveryMachine pins it: a change here invalidates every recorded seed.
func TestDigestIsTheSameOnEveryMachine(t *testing.T) {
	w := New(1)
	w.Node(1).After(time.Second, func() { w.Mix(42) })
	w.RunUntil(2e9)
	if got := w.Digest(); got != pinnedDigest {
		t.Errorf("digest %#x, want %#x", got, uint64(pinnedDigest))
	}
	if got := Rand(1, "label").Uint64(); got != pinnedDraw {
		t.Errorf("first draw %#x, want %#x", got, uint64(pinnedDraw))
	}
}

const (
	pinnedDigest = 0x5a96a456d194cfab
	pinnedDraw   = 0x2ab880fac3bc508b
)

func TestAfterEventAllocatesNothing(t *testing.T) {
	w := New(1)
	a := &again{w.Node(0), Rand(1, "again")}
	for range 1000 {
		a.Run(0)
	}
	if n := testing.AllocsPerRun(10_000, func() { w.Step() }); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// model is the queue as anyone would write it: a list of armed timers, searched.
type model struct {
	armed []armed
	seq   uint64
}

type armed struct {
	at  scheduler.Instant
	seq uint64
	id  int
}

func (m *model) stop(id int) bool {
	n := len(m.armed)
	m.armed = slices.DeleteFunc(m.armed, func(a armed) bool { return a.id == id })
	return len(m.armed) < n
}

func (m *model) arm(id int, at scheduler.Instant) {
	m.stop(id)
	m.seq++
	m.armed = append(m.armed, armed{at, m.seq, id})
}

func (m *model) fire(until scheduler.Instant) (ids []int) {
	slices.SortFunc(m.armed, func(a, b armed) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	for len(m.armed) > 0 && m.armed[0].at <= until {
		ids = append(ids, m.armed[0].id)
		m.armed = m.armed[1:]
	}
	return ids
}

func TestTimersFireAsInASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, m := New(1), model{}
		n := w.Node(0)
		var fired []int
		var timers []scheduler.Timer
		delay := rapid.Int64Range(0, 20)
		which := func(t *rapid.T) int {
			if len(timers) == 0 {
				t.Skip("no timer yet")
			}
			return rapid.IntRange(0, len(timers)-1).Draw(t, "timer")
		}
		t.Repeat(map[string]func(*rapid.T){
			"new": func(t *rapid.T) {
				id, d := len(timers), delay.Draw(t, "d")
				timers = append(timers, n.AfterFunc(time.Duration(d), func() { fired = append(fired, id) }))
				m.arm(id, n.Now()+scheduler.Instant(d))
			},
			"reset": func(t *rapid.T) {
				id, d := which(t), delay.Draw(t, "d")
				timers[id].Reset(time.Duration(d))
				m.arm(id, n.Now()+scheduler.Instant(d))
			},
			"stop": func(t *rapid.T) {
				id := which(t)
				if got, want := timers[id].Stop(), m.stop(id); got != want {
					t.Fatalf("Stop of timer %d says %v", id, got)
				}
			},
			"compact": func(*rapid.T) { w.queue.compact() },
			"kill another": func(*rapid.T) {
				w.Node(1).Post(func() { t.Fatalf("a killed node ran") })
				w.Node(1).Kill()
			},
			"pause":  func(*rapid.T) { n.Pause() },
			"resume": func(*rapid.T) { n.Resume() },
			"run": func(t *rapid.T) {
				until := w.Now() + scheduler.Instant(delay.Draw(t, "d"))
				if w.RunUntil(until); n.Paused() {
					return
				}
				if want := m.fire(until); !slices.Equal(fired, want) {
					t.Fatalf("fired %v, want %v", fired, want)
				}
				fired = nil
			},
		})
	})
}
