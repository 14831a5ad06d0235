package main

import "github.com/lockstep/lockstep/sim"

// promises prints what a run is judged by.
func (p *program) promises(args []string) int {
	f := p.flags("promises", "promises")
	asJSON := f.Bool("json", false, "print them as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	if *asJSON {
		p.printJSON(sim.Promises())
		return exitOK
	}
	sim.PrintPromises(p.out)
	return exitOK
}
