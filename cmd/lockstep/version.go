package main

import (
	"fmt"

	"github.com/lockstep/lockstep/sim"
)

func (p *program) version(args []string) int {
	f := p.flags("version", "version")
	asJSON := f.Bool("json", false, "print the version as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	if *asJSON {
		p.printJSON(map[string]string{"build": sim.Build()})
		return exitOK
	}
	fmt.Fprintln(p.out, sim.Build())
	return exitOK
}
