package main

import (
	"errors"
	"fmt"

	"github.com/lockstep/lockstep/sim"
	"github.com/spf13/pflag"
)

// variantFlags are the flags that say how schedules are drawn.
func variantFlags(f *pflag.FlagSet, v *sim.Variant) {
	f.Var((*duration)(&v.Length), "length", "how long clients and faults are at work, in simulated time; as drawn if not given")
	f.BoolVar(&v.Unbounded, "unbounded", false, "let power and disks be lost beyond what the promises survive: only what never may break is checked then")
	f.BoolVar(&v.Voters, "voters", false, "let voters of the quorum come and go")
	f.BoolVar(&v.LogDirs, "log-dirs", false, "every node has two log directories, one of which may fail, and replicas move between them")
}

// source is where a schedule comes from: --seed N, or a file.
type source struct {
	seed    uint64
	variant sim.Variant
}

func (s *source) flags(f *pflag.FlagSet) {
	f.Uint64Var(&s.seed, "seed", 0, "the seed whose schedule is meant")
	variantFlags(f, &s.variant)
}

// load finds the schedule and the command that replays it.
func (s *source) load(f *pflag.FlagSet) (schedule *sim.Schedule, repro string, err error) {
	switch hasSeed := f.Changed("seed"); {
	case hasSeed && f.NArg() == 0:
		return s.variant.Draw(s.seed), fmt.Sprintf("lockstep replay --seed %d%s", s.seed, s.variant.Flags()), nil
	case !hasSeed && f.NArg() == 1 && s.variant != (sim.Variant{}):
		return nil, "", fmt.Errorf("a file says itself what is run, only --seed takes%s", s.variant.Flags())
	case !hasSeed && f.NArg() == 1:
		schedule, err := readSchedule(f.Arg(0))
		return schedule, "lockstep replay " + f.Arg(0), err
	}
	return nil, "", errors.New("this takes --seed N or one file; see lockstep help")
}
