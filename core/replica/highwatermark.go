package replica

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// committedUpTo is the offset below which every record is on each replica that may become leader: the
// least log end offset over the leader, the maximal ISR, and those replicas outside of it that are
// caught up and may join.
//
// Why wait for the latter: ISR={A}, B catches up record by record. If A went on alone, each of its
// appends would be committed at once, B's end would always be below the high watermark, and B could
// never join.
func committedUpTo(leaderLEO int64, followers []follower, now scheduler.Instant, lagMax time.Duration) int64 {
	hw := leaderLEO
	for i := range followers {
		f := &followers[i]
		if f.logEndOffset >= hw {
			continue
		}
		if f.inMaximalISR || f.eligible && f.isCaughtUp(leaderLEO, now, lagMax) {
			hw = f.logEndOffset
		}
	}
	return hw
}

// effectiveMinISR is min.insync.replicas, but never more than there are replicas.
func effectiveMinISR(minISR, replicas int) int { return max(1, min(minISR, replicas)) }
