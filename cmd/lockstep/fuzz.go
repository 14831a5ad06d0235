package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"github.com/lockstep/lockstep/sim"
	"github.com/spf13/pflag"
)

// maxFailures is how many failures are told in full.
const maxFailures = 20

func (p *program) flags(name, usage string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(p.err)
	f.SortFlags = false
	f.Usage = func() {
		fmt.Fprintf(p.err, "usage: lockstep %s\n%s", usage, f.FlagUsages())
	}
	return f
}

// parse returns the exit code if the program is to end here.
func parse(f *pflag.FlagSet, args []string) (code int, ended bool) {
	switch err := f.Parse(args); err {
	case nil:
		return 0, false
	case pflag.ErrHelp:
		return exitOK, true
	default:
		fmt.Fprintf(os.Stderr, "lockstep: %v\n", err)
		return exitUsage, true
	}
}

func (p *program) fuzz(args []string) int {
	var o sim.FuzzOptions
	f := p.flags("fuzz", "fuzz [--seeds N] [--seed-from N]")
	f.Uint64Var(&o.Seeds, "seeds", 1000, "how many seeds to run")
	f.Uint64Var(&o.From, "seed-from", 1, "the first of them")
	f.IntVar(&o.Workers, "workers", runtime.NumCPU(), "how many to run at once")
	f.DurationVar(&o.For, "for", 0, "how long clients and faults are at work in each, in simulated time; as drawn if not given")
	f.BoolVar(&o.Twice, "twice", false, "run each seed a second time and compare the digests")
	asJSON := f.Bool("json", false, "print the summary as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	if f.NArg() > 0 || o.Workers < 1 {
		fmt.Fprintln(p.err, "lockstep: fuzz takes flags only; see lockstep fuzz --help")
		return exitUsage
	}
	o.Interrupted = p.interrupted.Load
	return p.runFuzz(o, *asJSON)
}

func (p *program) runFuzz(o sim.FuzzOptions, asJSON bool) int {
	progress := sim.NewProgress(p.err, o.Seeds)
	o.Progress = func(f *sim.Fuzz, r *sim.Result) {
		if v := r.Verdict(); v == sim.Violated || v == sim.Broken {
			progress.Clear()
			if f.Verdicts[sim.Violated]+f.Verdicts[sim.Broken] <= maxFailures {
				p.tellFailure(r)
			}
		}
		progress.Show(f.Runs, fmt.Sprintf("seeds, %d failed", f.Verdicts[sim.Violated]+f.Verdicts[sim.Broken]))
	}
	repro := reproOf(&o)
	if !asJSON {
		fmt.Fprintf(p.out, "%s\n", repro)
	}
	f := sim.RunFuzz(o)
	progress.Clear()
	p.printFuzz(f, repro, asJSON)
	return f.Verdict().ExitCode()
}

func reproOf(o *sim.FuzzOptions) string {
	s := fmt.Sprintf("lockstep fuzz --seed-from %d --seeds %d", o.From, o.Seeds)
	if o.For > 0 {
		s += " --for " + o.For.String()
	}
	return s
}

// tellFailure says at once what was found; on stderr, so that --json stays JSON.
func (p *program) tellFailure(r *sim.Result) {
	fmt.Fprintf(p.err, "seed %d: %s\n    %s\n", r.Schedule.Seed, r.Reason(), r.Repro())
}

func (p *program) printFuzz(f *sim.Fuzz, repro string, asJSON bool) {
	s := f.Summary()
	if asJSON {
		e := json.NewEncoder(p.out)
		e.SetIndent("", "  ")
		_ = e.Encode(s)
		return
	}
	s.Print(p.out)
	for i, failure := range s.Failures {
		if i == maxFailures {
			fmt.Fprintf(p.out, "and %d more\n", len(s.Failures)-maxFailures)
			break
		}
		fmt.Fprintf(p.out, "seed %d: %s\n    %s\n", failure.Seed, failure.Reason, failure.Repro)
	}
	fmt.Fprintf(p.out, "%s: %s\n", s.Verdict, repro)
}
