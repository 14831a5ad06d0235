package config

import "time"

// maxDuration is the longest time that can be configured: a hundred years. It is not the longest time.Duration, because that much
// from now would be before now.
const maxDuration = 100 * 365 * 24 * time.Hour

// duration is n units, and maxDuration if that is longer. n may be negative if it is small: -1 is "never" of some keys.
func duration(n int64, unit time.Duration) time.Duration {
	if n > int64(maxDuration/unit) {
		return maxDuration
	}
	return time.Duration(n) * unit
}
