package main

import (
	"errors"
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
		fmt.Fprintf(f.Output(), "lockstep: %v\n", err)
		return exitUsage, true
	}
}

// fuzzFlags are fuzz's flags that are not a sim.FuzzOptions' own.
type fuzzFlags struct {
	seeds  seedRange
	shard  string
	shards uint64
	out    string
	blind  bool // --no-canary
	report report
}

// report is how a fuzz's numbers are printed.
type report struct{ json, buggify, coverage bool }

func (p *program) fuzz(args []string) int {
	var o sim.FuzzOptions
	flags := fuzzFlags{seeds: seedRange{from: 1, count: 1000}}
	f := p.flags("fuzz", "fuzz [--seeds N|A..B] [--for 10m] [--out FILE]")
	f.Var(&flags.seeds, "seeds", "how many seeds to run, or from which to which")
	f.Uint64Var(&flags.seeds.from, "seed-from", 1, "the first of them")
	f.Var((*duration)(&o.Limit), "for", "begin no seed after this much time")
	f.IntVar(&o.Workers, "workers", runtime.NumCPU(), "how many to run at once")
	variantFlags(f, &o.Variant)
	f.BoolVar(&o.Twice, "twice", false, "run each seed a second time and compare the digests")
	f.BoolVar(&o.FailFast, "fail-fast", false, "end at the first seed that fails")
	f.StringVar(&flags.shard, "shard", "", "run the i-th of n equal parts, as i/n with i from 0; a job's scheduler may say it in the environment")
	f.Uint64Var(&flags.shards, "shards", 0, "how many parts there are, where the environment says only which this is")
	f.StringVar(&flags.out, "out", "", "write a line of JSON for each seed; what is in the file already is not run again")
	f.BoolVar(&flags.report.buggify, "buggify", false, "print how often each rare path of the core was taken")
	f.BoolVar(&flags.report.coverage, "coverage", false, "print which features met which faults, and which never did")
	f.BoolVar(&flags.blind, "no-canary", false, "do not first prove that the checkers see")
	f.BoolVar(&flags.report.json, "json", false, "print the summary as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	err := flags.check(f, &o)
	if err == nil {
		o.Shard, err = flags.theShard()
	}
	if err != nil {
		return p.failed(err)
	}
	o.From, o.Seeds, o.Interrupted = flags.seeds.from, flags.seeds.count, p.interrupted
	if !flags.blind && !p.seesCanaries(flags.report.json) {
		return sim.Broken.ExitCode()
	}
	return p.fuzzInto(flags.out, o, flags.report)
}

// check finds flags that make no sense together.
func (f *fuzzFlags) check(set *pflag.FlagSet, o *sim.FuzzOptions) error {
	switch {
	case set.NArg() > 0:
		return errors.New("fuzz takes flags only; see lockstep fuzz --help")
	case o.Workers < 1:
		return errors.New("--workers is not above zero")
	case f.seeds.isRange && set.Changed("seed-from"):
		return errors.New("--seeds A..B says itself which is the first: no --seed-from")
	}
	return nil
}

// theShard is what --shard says, else the environment.
func (f *fuzzFlags) theShard() (sim.Shard, error) {
	if f.shard != "" {
		return sim.ParseShard(f.shard)
	}
	return sim.ShardFromEnvironment(os.Getenv, f.shards)
}

// fuzzInto fuzzes and keeps the records in a file, if one is named.
func (p *program) fuzzInto(name string, o sim.FuzzOptions, how report) (code int) {
	if name == "" {
		return p.runFuzz(o, how)
	}
	file, err := sim.OpenResults(name, o.Variant)
	if err != nil {
		return p.failed(err)
	}
	o.Known, o.Record = file.Find, file.Append
	code = p.runFuzz(o, how)
	if err := file.Close(); err != nil {
		return p.failed(err)
	}
	return code
}

func (p *program) runFuzz(o sim.FuzzOptions, how report) int {
	progress := sim.NewProgress(p.err, o.Shard.Share(o.Seeds))
	progress.Within(o.Limit)
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
	if !how.json {
		fmt.Fprintf(p.out, "%s\n", repro)
	}
	f := sim.RunFuzz(o)
	progress.Clear()
	p.printFuzz(f, repro, how)
	if f.Err != nil {
		return p.failed(f.Err)
	}
	return f.Verdict().ExitCode()
}

func reproOf(o *sim.FuzzOptions) string {
	s := fmt.Sprintf("lockstep fuzz --seeds %d..%d%s", o.From, o.From+o.Seeds-1, o.Variant.Flags())
	if o.Shard.Of > 0 {
		s += " --shard " + o.Shard.String()
	}
	return s
}

// tellFailure says at once what was found; on stderr, so that --json stays JSON.
func (p *program) tellFailure(r *sim.Result) {
	fmt.Fprintf(p.err, "seed %d: %s\n    %s\n", r.Schedule.Seed, r.Reason(), r.Repro())
}

func (p *program) printFuzz(f *sim.Fuzz, repro string, how report) {
	s := f.Summary()
	s.What = repro
	if how.json {
		p.printJSON(s)
		return
	}
	s.Print(p.out)
	if how.buggify {
		s.PrintBuggify(p.out)
	}
	if how.coverage {
		f.Coverage.Print(p.out)
	}
	for i, failure := range s.Failures {
		if i == maxFailures {
			fmt.Fprintf(p.out, "and %d more\n", len(s.Failures)-maxFailures)
			break
		}
		fmt.Fprintf(p.out, "seed %d: %s\n    %s\n", failure.Seed, failure.Reason, failure.Repro)
	}
	fmt.Fprintf(p.out, "%s: %s\n", s.Verdict, repro)
}
