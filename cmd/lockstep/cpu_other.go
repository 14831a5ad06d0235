//go:build !unix

package main

import "time"

// cpuTime is the wall's time where the system's own is not asked for.
func cpuTime() time.Duration { return time.Since(launched) }
