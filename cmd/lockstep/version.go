package main

import (
	"fmt"

	"github.com/lockstep/lockstep/sim"
)

func (p *program) version([]string) int {
	fmt.Fprintln(p.out, sim.Build())
	return exitOK
}
