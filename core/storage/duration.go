package storage

import (
	"math"
	"time"
)

// msDuration is a configured number of milliseconds; what does not fit is for ever.
func msDuration(ms int64) time.Duration {
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}
