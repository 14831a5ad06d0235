package main

import (
	"fmt"
	"io"

	"github.com/lockstep/lockstep/experiments/availability"
)

// experiment is one question. run gets its arguments and returns the exit code.
type experiment struct {
	name, doc string
	run       func(args []string, out, err io.Writer, interrupted func() bool) int
}

// experiments are all there are.
var experiments = []experiment{
	{"availability", availability.Doc, availability.Main},
}

func (p *program) experiment(args []string) int {
	if len(args) > 0 {
		for _, e := range experiments {
			if e.name == args[0] {
				return e.run(args[1:], p.out, p.err, p.interrupted)
			}
		}
		fmt.Fprintf(p.err, "lockstep: unknown experiment %q\n", args[0])
	}
	fmt.Fprintln(p.err, "usage: lockstep experiment NAME; there are:")
	for _, e := range experiments {
		fmt.Fprintf(p.err, "  %-16s %s\n", e.name, e.doc)
	}
	return exitUsage
}
