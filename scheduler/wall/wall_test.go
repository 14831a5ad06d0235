package wall_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/wall"
)

// start runs a loop for the time of a test.
func start(t *testing.T, clk clock.Clock, o wall.Options) *wall.Loop {
	l := wall.New(clk, o)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(context.Background())
	}()
	t.Cleanup(func() {
		l.Stop()
		<-ended
	})
	return l
}

func TestClockAloneWakesTheLoop(t *testing.T) {
	mock := clock.NewMock()
	l := start(t, mock, wall.Options{})
	fired := make(chan scheduler.Instant, 1)
	var timer scheduler.Timer
	l.Do(func() {
		timer = l.AfterFunc(time.Second, func() {
			timer.Reset(time.Second)
			fired <- l.Now()
		})
	})
	for i := range 3 {
		mock.Add(time.Second)
		if got, want := <-fired, scheduler.Instant(i+1)*1e9; got != want {
			t.Fatalf("fired at %d, want %d", got, want)
		}
		l.Do(func() {}) // the alarm is set again
	}
}

func TestAlarmFollowsAnEarlierTimer(t *testing.T) {
	mock := clock.NewMock()
	l := start(t, mock, wall.Options{})
	fired := make(chan struct{})
	l.Do(func() { l.AfterFunc(time.Hour, func() { t.Error("fired too early") }) })
	l.Do(func() { l.AfterFunc(time.Second, func() { close(fired) }) })
	mock.Add(time.Second)
	<-fired
}

func TestAlarmOfAStoppedTimerFindsTheNextOne(t *testing.T) {
	mock := clock.NewMock()
	l := start(t, mock, wall.Options{})
	fired := make(chan struct{})
	l.Do(func() {
		first := l.AfterFunc(time.Second, func() { t.Error("a stopped timer fired") })
		l.AfterFunc(2*time.Second, func() { close(fired) })
		l.Post(func() { first.Stop() })
	})
	mock.Add(time.Second)
	l.Do(func() {})
	mock.Add(time.Second)
	<-fired
}

func TestRealClockFires(t *testing.T) {
	l := start(t, clock.New(), wall.Options{})
	fired := make(chan bool)
	l.Post(func() {
		armed := l.Now()
		l.AfterFunc(time.Millisecond, func() { fired <- l.Now().Sub(armed) >= time.Millisecond })
	})
	if !<-fired {
		t.Error("fired before its time")
	}
}

func TestPostAndOffloadDoNotBlockWhileTheLoopAndTheWorkersAreStuck(t *testing.T) {
	l := start(t, clock.NewMock(), wall.Options{Workers: 1})
	stuck, release := make(chan struct{}), make(chan struct{})
	var done int
	l.Post(func() {
		for range 1000 {
			l.Offload(func() { <-release }, func() { done++ })
		}
		close(stuck)
		<-release
	})
	<-stuck
	var ran int
	for range 1000 {
		l.Post(func() { ran++ })
	}
	close(release)
	l.Do(func() {})
	if ran != 1000 || done != 1000 {
		t.Errorf("%d posts ran and %d offloads were done, want 1000 each", ran, done)
	}
}

func TestWorkIsDoneByAtMostSoManyWorkers(t *testing.T) {
	l := start(t, clock.NewMock(), wall.Options{Workers: 3})
	var now, most atomic.Int32
	all := make(chan struct{}) // closed when three work at once
	l.Do(func() {
		for range 30 {
			l.Offload(func() {
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
					if n == 3 {
						close(all)
					}
				}
				<-all
				now.Add(-1)
			}, func() {})
		}
	})
	if most.Load() != 3 {
		t.Errorf("%d workers at once, want 3", most.Load())
	}
}

func TestStopEndsRunAfterTheTurnAndItsDeferred(t *testing.T) {
	l := wall.New(clock.NewMock(), wall.Options{})
	deferred := false
	l.Post(func() {
		l.Defer(func() { deferred = true })
		l.Post(func() { t.Error("ran after Stop") })
		l.Stop()
	})
	l.Post(func() { t.Error("ran after Stop") })
	l.Run(context.Background())
	if !deferred {
		t.Error("Stop cut the turn short")
	}
	l.Post(func() { t.Error("ran after Stop") })
	l.Do(func() { t.Error("ran after Stop") }) // and returns
}

func TestEndOfContextEndsRun(t *testing.T) {
	l := wall.New(clock.NewMock(), wall.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	l.Post(cancel)
	l.Run(ctx)
}

func TestTimerThatRearmsAtOnceDoesNotStarvePosts(t *testing.T) {
	l := wall.New(clock.NewMock(), wall.Options{})
	var timer scheduler.Timer
	timer = l.AfterFunc(0, func() { timer.Reset(0) })
	l.Post(l.Stop)
	l.Run(context.Background())
}

func TestBusyCountsTurnsAndNotSleep(t *testing.T) {
	mock := clock.NewMock()
	l := start(t, mock, wall.Options{})
	l.Do(func() { mock.Add(3 * time.Second) })
	mock.Add(time.Hour)
	l.Do(func() {})
	if got := l.Busy(); got != 3*time.Second {
		t.Errorf("busy for %v, want 3s", got)
	}
}

func TestNowNeverGoesBack(t *testing.T) {
	mock := clock.NewMock()
	mock.Add(time.Hour)
	l := start(t, mock, wall.Options{})
	mock.Add(time.Minute)
	var before, after scheduler.Instant
	l.Do(func() { before = l.Now() })
	mock.Set(mock.Now().Add(-30 * time.Second))
	l.Do(func() { after = l.Now() })
	if after < before {
		t.Errorf("Now went from %d to %d", before, after)
	}
}

func TestPostAndRunKeepsTheOrderOfTurns(t *testing.T) {
	l := start(t, clock.NewMock(), wall.Options{})
	var order []string // unguarded: the race detector judges who ran what
	for range 1000 {
		l.Do(func() {})
		order = order[:0]
		ended := make(chan struct{})
		l.PostAndRun(func() {
			l.Defer(func() { order = append(order, "deferred") })
			l.Post(func() { order = append(order, "follows"); close(ended) })
			order = append(order, "first")
		})
		<-ended // the loop may not have slept yet
		if got := strings.Join(order, " "); got != "first deferred follows" {
			t.Fatalf("ran %s", got)
		}
	}
}

func TestLentGoroutineIsGivenBackUnderEndlessWork(t *testing.T) {
	l := start(t, clock.NewMock(), wall.Options{})
	var again func()
	again = func() { l.Post(again) }
	l.PostAndRun(again) // returns
	ran := make(chan struct{})
	l.Post(func() { close(ran) })
	<-ran
}

func TestTimerArmedOnALentGoroutineFires(t *testing.T) {
	l := start(t, clock.New(), wall.Options{})
	for range 100 {
		l.Do(func() {})
		fired := make(chan struct{})
		l.PostAndRun(func() { l.AfterFunc(time.Microsecond, func() { close(fired) }) })
		<-fired
	}
}

func TestTurnsAreOneAtATimeWhoeverRunsThem(t *testing.T) {
	l := start(t, clock.New(), wall.Options{})
	const senders, each = 8, 2000
	var ran int // unguarded
	var done sync.WaitGroup
	done.Add(senders * each)
	turn := func() { ran++; done.Done() }
	for s := range senders {
		go func() {
			for i := range each {
				switch (s + i) % 4 {
				case 0:
					l.Post(turn)
				case 1:
					l.PostAndRun(func() { l.AfterFunc(0, turn) })
				case 2:
					l.PostAndRun(func() { l.Offload(func() {}, turn) })
				default:
					l.PostAndRun(turn)
				}
			}
		}()
	}
	done.Wait()
	l.Do(func() {})
	if ran != senders*each {
		t.Errorf("%d turns, want %d", ran, senders*each)
	}
}

func TestStopWaitsForTheTurnOnALentGoroutine(t *testing.T) {
	l := wall.New(clock.NewMock(), wall.Options{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(context.Background())
	}()
	l.Do(func() {})
	var ran bool
	l.PostAndRun(func() { l.Stop(); ran = true })
	<-ended
	if !ran {
		t.Error("Run returned within a turn")
	}
}
