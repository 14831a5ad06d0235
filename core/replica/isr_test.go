package replica

import (
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"pgregory.net/rapid"
)

const lag = 30 * time.Second

func at(d time.Duration) scheduler.Instant { return scheduler.Instant(d) }

// slowCaughtUp is KIP-16's definition, from the whole history: the latest instant t such that the newest fetch is at or
// beyond the end that the leader's log had at t. Known only for the instants of fetches.
func slowCaughtUp(fetches []fetchSeen) scheduler.Instant {
	best := never
	for i, now := range fetches {
		for j, earlier := range fetches[:i+1] {
			isThis, isPrevious := j == i, j == i-1
			if (isThis || isPrevious) && now.offset >= earlier.leaderLEO {
				best = max(best, earlier.at)
			}
		}
	}
	return best
}

type fetchSeen struct {
	at        scheduler.Instant
	offset    int64
	leaderLEO int64
}

func TestFollowerIsCaughtUpAsOfThePreviousFetchWhoseEndItReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFollower(2)
		var seen []fetchSeen
		now, leo, offset := scheduler.Instant(0), int64(0), int64(0)
		for range rapid.IntRange(1, 30).Draw(t, "fetches") {
			now = now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(t, "ms")) * time.Millisecond)
			leo += int64(rapid.IntRange(0, 5).Draw(t, "appended"))
			offset = min(leo, offset+int64(rapid.IntRange(0, 8).Draw(t, "fetched")))
			f.fetched(now, offset, 0, leo)
			seen = append(seen, fetchSeen{now, offset, leo})
			if want := slowCaughtUp(seen); f.lastCaughtUp != want {
				t.Fatalf("caught up at %d, by definition %d; %v", f.lastCaughtUp, want, seen)
			}
		}
	})
}

func TestFollowerOfABusyPartitionStaysInSync(t *testing.T) {
	f := newFollower(2)
	f.reset(0, true)
	for i := range int64(100) { // a record a second, each fetch one behind
		f.fetched(at(time.Duration(i)*time.Second), i, 0, i+1)
	}
	if !f.isCaughtUp(100, at(100*time.Second), lag) {
		t.Error("a follower that is always one record behind fell out of sync")
	}
}

func TestFollowerThatStopsFetchingFallsBehind(t *testing.T) {
	f := newFollower(2)
	f.fetched(at(time.Second), 5, 0, 5)
	if !f.isCaughtUp(5, at(time.Hour), lag) {
		t.Error("a follower at the end is in sync however long ago it fetched")
	}
	if f.isCaughtUp(6, at(time.Second+lag+1), lag) {
		t.Error("a follower that did not fetch a record for longer than the lag is in sync")
	}
}

func TestReplicaOutsideTheISRIsNotCaughtUpBeforeItFetches(t *testing.T) {
	f := newFollower(2)
	f.reset(at(time.Second), false)
	if f.isCaughtUp(1, at(time.Second), lag) {
		t.Error("an unheard-of replica holds the high watermark back")
	}
}

func TestMaximalISRHasPendingAdditionsAndNoPendingRemovals(t *testing.T) {
	s := isrState{committed: []int32{1, 2}}
	s.pending = &isrChange{expand: true, isr: s.with(3)}
	if got := s.maximal(); !slices.Equal(got, []int32{1, 2, 3}) {
		t.Errorf("expanding: %v", got)
	}
	s.pending = &isrChange{isr: s.without([]int32{2})}
	if got := s.maximal(); !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("shrinking: %v", got)
	}
	s.commit([]int32{3, 1})
	if got := s.maximal(); !slices.Equal(got, []int32{1, 3}) || s.pending != nil {
		t.Errorf("committed: %v", got)
	}
}

// slowCommitted is the definition: the largest offset that everyone who counts has reached.
func slowCommitted(leo int64, followers []follower, now scheduler.Instant) int64 {
	for hw := leo; ; hw-- {
		all := true
		for _, f := range followers {
			counts := f.inMaximalISR || f.eligible && (f.logEndOffset == leo || now.Sub(f.lastCaughtUp) <= lag)
			all = all && (!counts || f.logEndOffset >= hw)
		}
		if all {
			return hw
		}
	}
}

func TestHighWatermarkIsTheLeastEndOfAllWhoCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leo, now := rapid.Int64Range(0, 20).Draw(t, "leo"), at(time.Minute)
		followers := make([]follower, rapid.IntRange(0, 4).Draw(t, "followers"))
		for i := range followers {
			followers[i] = newFollower(int32(i))
			followers[i].logEndOffset = rapid.Int64Range(-1, 22).Draw(t, "end")
			followers[i].inMaximalISR = rapid.Bool().Draw(t, "isr")
			followers[i].eligible = rapid.Bool().Draw(t, "eligible")
			followers[i].lastCaughtUp = at(time.Duration(rapid.IntRange(0, 60).Draw(t, "caught up")) * time.Second)
		}
		if got, want := committedUpTo(leo, followers, now, lag), slowCommitted(leo, followers, now); got != want {
			t.Fatalf("%d, by definition %d; leo %d, %+v", got, want, leo, followers)
		}
	})
}

func TestHighWatermarkWaitsForAReplicaThatIsAboutToJoin(t *testing.T) {
	f := newFollower(2)
	f.logEndOffset, f.lastCaughtUp, f.eligible = 7, at(0), true
	if hw := committedUpTo(10, []follower{f}, at(time.Second), lag); hw != 7 {
		t.Errorf("high watermark %d passes the replica at 7, which then can never join", hw)
	}
	if hw := committedUpTo(10, []follower{f}, at(lag+1), lag); hw != 10 {
		t.Errorf("high watermark %d is held back by a replica that fell behind", hw)
	}
}
