package config

import (
	"math"
	"time"
)

// maxDuration is the longest time that can be configured: a hundred years. It is not the longest time.Duration, because that much
// from now would be before now.
const maxDuration = 100 * 365 * 24 * time.Hour

// Duration is n units, and maxDuration if that is longer. n may be negative if it is small: -1 is "never" of some keys.
func Duration(n int64, unit time.Duration) time.Duration {
	if n > int64(maxDuration/unit) {
		return maxDuration
	}
	return time.Duration(n) * unit
}

// Later is when ms milliseconds have passed since then, both not negative; for ever if there is no such time.
func Later(then, ms int64) int64 { return then + min(ms, math.MaxInt64-then) }
