package scheduler_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/lockstep/lockstep/scheduler/wall"
)

// world is a loop whose time a test moves.
type world interface {
	scheduler.Loop
	scheduler.Poster
	do(f func())               // runs f in a turn, then all that is due
	advance(d time.Duration)   // moves time, then runs all that is due, work included
	moveClock(d time.Duration) // moves what the loop reads the time from, within a turn
}

type virtualWorld struct {
	*virtual.Node
	world *virtual.World
}

func (w virtualWorld) do(f func()) {
	w.Post(f)
	w.world.RunUntil(w.world.Now())
}

func (w virtualWorld) advance(d time.Duration) { w.world.RunUntil(w.world.Now().Add(d)) }
func (w virtualWorld) moveClock(time.Duration) {} // only events move it

type wallWorld struct {
	*wall.Loop
	clock *clock.Mock
}

func (w wallWorld) do(f func()) { w.Do(f) }

func (w wallWorld) advance(d time.Duration) {
	w.clock.Add(d)
	w.Do(func() {})
}

func (w wallWorld) moveClock(d time.Duration) { w.clock.Add(d) }

// conform runs a test against both implementations of the seam.
func conform(t *testing.T, test func(t *testing.T, w world)) {
	t.Run("virtual", func(t *testing.T) {
		w := virtual.New(7)
		test(t, virtualWorld{w.Node(1), w})
	})
	t.Run("wall", func(t *testing.T) {
		mock := clock.NewMock()
		l := wall.New(mock, wall.Options{Workers: 2})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			l.Run(context.Background())
		}()
		defer func() {
			l.Stop()
			<-ended
		}()
		test(t, wallWorld{l, mock})
	})
}

// journal is what happened, in order. It is written on the loop and read after a barrier.
type journal []string

func (j *journal) add(what string) func() { return func() { *j = append(*j, what) } }

func (j *journal) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*j, want) {
		t.Fatalf("happened %q, want %q", *j, want)
	}
	*j = nil
}

func TestNothingRunsInTheCallThatTookIt(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			w.Post(j.add("post"))
			w.AfterFunc(0, j.add("timer"))
			w.AfterFunc(-time.Second, j.add("timer"))
			w.Offload(func() {}, j.add("done"))
			w.Defer(j.add("deferred"))
			j.add("turn")()
		})
		w.advance(10 * time.Millisecond)
		if len(j) != 6 || j[0] != "turn" || j[1] != "deferred" {
			t.Fatalf("happened %q, want the turn, then what it deferred, then the four others", j)
		}
	})
}

func TestDeferredRunAfterTheirEventAndBeforeTheNext(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			w.Post(j.add("next"))
			w.Defer(func() {
				j.add("a")()
				w.Defer(j.add("nested"))
			})
			w.Defer(j.add("b"))
			j.add("event")()
		})
		j.expect(t, "event", "a", "b", "nested", "next")
	})
}

func TestDeferredByATimerRunBeforeTheTimerDueWithIt(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			w.AfterFunc(time.Second, func() {
				j.add("first")()
				w.Defer(j.add("deferred"))
			})
			w.AfterFunc(time.Second, j.add("second"))
		})
		w.advance(time.Second)
		j.expect(t, "first", "deferred", "second")
	})
}

func TestPostsKeepTheirOrder(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		var want []string
		w.do(func() {
			for i := range 100 {
				w.Post(j.add(fmt.Sprint(i)))
				want = append(want, fmt.Sprint(i))
			}
		})
		j.expect(t, want...)
	})
}

func TestTimersFireInOrderOfTimeThenOfArming(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			for _, ms := range []int{30, 10, 20, 10, 0, 30} {
				w.AfterFunc(time.Duration(ms)*time.Millisecond, j.add(fmt.Sprint(ms, " of ", len(j))))
			}
		})
		w.do(func() {})
		j.expect(t, "0 of 0")
		w.advance(15 * time.Millisecond)
		j.expect(t, "10 of 0", "10 of 0")
		w.advance(15 * time.Millisecond)
		j.expect(t, "20 of 0", "30 of 0", "30 of 0")
	})
}

func TestTimerDoesNotFireBeforeItsTime(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() { w.AfterFunc(time.Second, j.add("fired")) })
		w.advance(time.Second - 1)
		j.expect(t)
		w.advance(1)
		j.expect(t, "fired")
		w.advance(time.Hour)
		j.expect(t)
	})
}

func TestStoppedTimerDoesNotRunEvenIfItWasDue(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			var second scheduler.Timer
			w.AfterFunc(time.Second, func() {
				j.add(fmt.Sprint("stopped ", second.Stop()))()
				j.add(fmt.Sprint("again ", second.Stop()))()
			})
			second = w.AfterFunc(time.Second, j.add("second"))
		})
		w.advance(time.Minute)
		j.expect(t, "stopped true", "again false")
	})
}

func TestStopOfAFiredTimerReportsFalse(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		var timer scheduler.Timer
		w.do(func() {
			timer = w.AfterFunc(time.Second, func() { j.add(fmt.Sprint("in its turn ", timer.Stop()))() })
		})
		w.advance(time.Second)
		w.do(func() {
			w.AfterFunc(time.Second, j.add("other")) // may reuse what the first one left
			j.add(fmt.Sprint("later ", timer.Stop()))()
		})
		w.advance(time.Second)
		j.expect(t, "in its turn false", "later false", "other")
	})
}

func TestResetArmsAnewWhetherArmedStoppedOrFired(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		var timer scheduler.Timer
		w.do(func() {
			timer = w.AfterFunc(10*time.Second, j.add("fired"))
			timer.Reset(20 * time.Second) // armed, to later
		})
		w.advance(15 * time.Second)
		j.expect(t)
		w.do(func() { timer.Reset(time.Second) }) // armed, to earlier
		w.advance(time.Second)
		j.expect(t, "fired")
		w.do(func() { timer.Reset(time.Second) }) // fired
		w.advance(time.Second)
		j.expect(t, "fired")
		w.do(func() {
			timer.Reset(time.Second)
			timer.Stop()
			timer.Reset(2 * time.Second) // stopped
		})
		w.advance(time.Second)
		j.expect(t)
		w.advance(time.Second)
		j.expect(t, "fired")
		w.advance(time.Minute)
		j.expect(t)
	})
}

func TestResetTimerTakesItsPlaceBehindThoseDueWithIt(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			first := w.AfterFunc(time.Second, j.add("reset"))
			w.AfterFunc(2*time.Second, j.add("other"))
			first.Reset(2 * time.Second)
		})
		w.advance(2 * time.Second)
		j.expect(t, "other", "reset")
	})
}

func TestResetInItsOwnTurnMakesATicker(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var at []scheduler.Instant
		var timer scheduler.Timer
		w.do(func() {
			timer = w.AfterFunc(time.Second, func() {
				at = append(at, w.Now())
				timer.Reset(time.Second)
			})
		})
		for range 3 {
			w.advance(time.Second)
		}
		want := []scheduler.Instant{1e9, 2e9, 3e9}
		if !slices.Equal(at, want) {
			t.Fatalf("fired at %v, want %v", at, want)
		}
	})
}

func TestNowStandsStillWithinATurn(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		w.advance(time.Second)
		w.do(func() {
			now, milli := w.Now(), w.UnixMilli()
			w.moveClock(time.Second)
			w.Defer(func() {
				if w.Now() != now || w.UnixMilli() != milli {
					t.Errorf("the turn began at %d (%d ms) and ended at %d (%d ms)", now, milli, w.Now(), w.UnixMilli())
				}
			})
		})
	})
}

func TestClocksMoveWithTime(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var now scheduler.Instant
		var milli int64
		w.do(func() { now, milli = w.Now(), w.UnixMilli() })
		w.advance(1500 * time.Millisecond)
		w.do(func() {
			if d := w.Now().Sub(now); d != 1500*time.Millisecond {
				t.Errorf("Now moved by %v", d)
			}
			if d := w.UnixMilli() - milli; d != 1500 {
				t.Errorf("UnixMilli moved by %d", d)
			}
		})
	})
}

func TestEachOffloadIsDoneOnceAfterItsWork(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		const n = 50
		worked, finished := [n]bool{}, [n]int{}
		w.do(func() {
			for i := range n {
				w.Offload(func() { worked[i] = true }, func() {
					if !worked[i] {
						t.Errorf("offload %d is done before its work", i)
					}
					finished[i]++ // on the loop: the race detector would say if not
				})
			}
		})
		w.advance(10 * time.Millisecond)
		w.do(func() {
			for i := range n {
				if finished[i] != 1 {
					t.Errorf("offload %d is done %d times", i, finished[i])
				}
			}
		})
	})
}

func TestOffloadFromDoneRunsToo(t *testing.T) {
	conform(t, func(t *testing.T, w world) {
		var j journal
		w.do(func() {
			w.Offload(func() {}, func() {
				j.add("first")()
				w.Offload(func() {}, j.add("second"))
				w.Defer(j.add("deferred"))
			})
		})
		w.advance(10 * time.Millisecond)
		j.expect(t, "first", "deferred", "second")
	})
}

func TestDeferBetweenTurnsGetsATurn(t *testing.T) {
	for name, w := range map[string]interface {
		scheduler.Loop
		run()
	}{
		"virtual": stillVirtual(),
		"wall":    stillWall(),
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			w.Defer(j.add("deferred"))
			j.expect(t)
			w.run()
			j.expect(t, "deferred")
		})
	}
}

type still struct {
	scheduler.Loop
	start func()
}

func (s still) run() { s.start() }

func stillVirtual() still {
	w := virtual.New(1)
	return still{w.Node(0), func() { w.RunUntil(0) }}
}

func stillWall() still {
	l := wall.New(clock.NewMock(), wall.Options{})
	return still{l, func() {
		go l.Run(context.Background())
		l.Do(func() {})
		l.Stop()
	}}
}
