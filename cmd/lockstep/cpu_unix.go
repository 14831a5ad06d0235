//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is how long the process has computed, on all cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return time.Since(launched)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
