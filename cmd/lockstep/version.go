package main

import (
	"fmt"
	"runtime/debug"

	"github.com/lockstep/lockstep/sim"
)

func (p *program) version([]string) int {
	revision := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	fmt.Fprintf(p.out, "%s, commit %s\n", sim.Build, revision)
	return exitOK
}
