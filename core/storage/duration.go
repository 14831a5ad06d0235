package storage

import (
	"math"
	"time"
)

// maxDuration is the longest that a configured time can take: a hundred years. It is not the longest time.Duration, because that much
// from now would be before now.
const maxDuration = 100 * 365 * 24 * time.Hour

// msDuration is a configured number of milliseconds; what is longer than maxDuration is that long.
func msDuration(ms int64) time.Duration {
	if ms > maxDuration.Milliseconds() {
		return maxDuration
	}
	return time.Duration(ms) * time.Millisecond
}

// msLater is when ms milliseconds have passed since then, both not negative; for ever if there is no such time.
func msLater(then, ms int64) int64 {
	if ms > math.MaxInt64-then {
		return math.MaxInt64
	}
	return then + ms
}
