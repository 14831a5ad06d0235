package replica

import (
	"math"
	"slices"
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

const (
	unknownOffset = -1
	// never is an instant before every lag: a loop starts at instant 0, so 0 would say "caught up when we started"
	// and hold the high watermark back for a replica that was never heard of.
	never scheduler.Instant = math.MinInt64 / 2
	// unknownBrokerEpoch is a follower that has not fetched in this leader epoch. -1 is one that
	// does not say its epoch (before KIP-903) and is believed.
	unknownBrokerEpoch int64 = -2
)

// follower is what the leader knows of one other replica, from its fetches.
type follower struct {
	id             int32
	logEndOffset   int64 // where it fetched last; unknownOffset before it fetched
	logStartOffset int64
	brokerEpoch    int64

	lastFetchLeaderLEO int64 // the leader's log end offset at the previous fetch
	lastFetch          scheduler.Instant
	lastCaughtUp       scheduler.Instant // the latest instant whose log end offset at the leader it has reached

	inMaximalISR bool // cached from the ISR state
	eligible     bool // cached from metadata: unfenced, not shutting down, broker epoch as it fetched with (KIP-841, KIP-903)
}

func newFollower(id int32) follower {
	return follower{
		id: id, logEndOffset: unknownOffset, logStartOffset: unknownOffset, brokerEpoch: unknownBrokerEpoch,
		lastFetchLeaderLEO: unknownOffset, lastFetch: never, lastCaughtUp: never,
	}
}

// reset prepares for a new leader epoch. A replica in the ISR gets the benefit of the doubt for one
// lag; one outside of it must not hold the high watermark back before it is heard of.
//
// Nothing that was known of it stays, not even if this broker led the epoch before as well as far as it knows: it may have slept
// through the epoch of another leader, to whose log the follower has truncated its own meanwhile.
func (f *follower) reset(now scheduler.Instant, inISR bool) {
	*f = newFollower(f.id)
	if inISR {
		f.lastCaughtUp = now
	}
}

// fetched notes a fetch at offset while the leader's log ended at leaderLEO.
//
// The rule is KIP-16's: who fetches at the end that the leader had at the previous fetch was caught up then.
// Counter-example to "at the end now": a partition that gets a record every millisecond; each fetch
// finds the end moved on, and every follower of a busy partition would leave the ISR.
func (f *follower) fetched(now scheduler.Instant, offset, logStartOffset, leaderLEO int64) {
	switch {
	case offset >= leaderLEO:
		f.lastCaughtUp = max(f.lastCaughtUp, now)
	case offset >= f.lastFetchLeaderLEO:
		f.lastCaughtUp = max(f.lastCaughtUp, f.lastFetch)
	}
	f.logEndOffset, f.logStartOffset = offset, logStartOffset
	f.lastFetchLeaderLEO = max(f.lastFetchLeaderLEO, leaderLEO)
	f.lastFetch = now
}

// isCaughtUp reports whether the follower is at the leader's end or was within the last lagMax.
func (f *follower) isCaughtUp(leaderLEO int64, now scheduler.Instant, lagMax time.Duration) bool {
	return f.logEndOffset == leaderLEO || now.Sub(f.lastCaughtUp) <= lagMax
}

// brokerState is a member of a proposed ISR (KIP-903).
type brokerState struct {
	id    int32
	epoch int64
}

// isrChange is one proposal to the controller. It keeps its identity through retries, and a reply
// counts only while the change it answers is still the pending one.
type isrChange struct {
	expand         bool
	isr            []int32 // sorted
	members        []brokerState
	leaderEpoch    int32
	partitionEpoch int32
	inFlight       bool
}

// isrState is what the controller is known to have committed, and at most one change under way (KIP-497).
type isrState struct {
	committed []int32    // sorted
	pending   *isrChange // nil: none
}

// maximal is the ISR under the stricter outcome of the pending change: the one that the high
// watermark has to respect. An expansion counts at once: the controller may have committed it and
// may elect the new member before we hear of it. A shrink counts only once committed: if it fails,
// the member we stopped waiting for may be elected without the records that we called committed.
func (s *isrState) maximal() []int32 {
	if s.pending != nil && s.pending.expand {
		return s.pending.isr
	}
	return s.committed
}

// commit replaces the state by what the controller has committed and forgets the pending change.
func (s *isrState) commit(isr []int32) {
	s.committed = sorted(isr)
	s.pending = nil
}

// revert forgets the pending change; only right if it is known never to be applied.
func (s *isrState) revert() { s.pending = nil }

func (s *isrState) with(id int32) []int32 {
	isr := append(slices.Clone(s.committed), id)
	slices.Sort(isr)
	return isr
}

func (s *isrState) without(out []int32) []int32 {
	isr := make([]int32, 0, len(s.committed))
	for _, id := range s.committed {
		if !slices.Contains(out, id) {
			isr = append(isr, id)
		}
	}
	return isr
}

func sorted(ids []int32) []int32 {
	s := slices.Clone(ids)
	slices.Sort(s)
	return s
}
