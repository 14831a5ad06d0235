package main

import (
	"fmt"
	"os"
	"time"

	"github.com/lockstep/lockstep/sim"
)

// shrunk is shrink's answer in JSON.
type shrunk struct {
	Verdict    string  `json:"verdict"`
	Reason     string  `json:"reason,omitempty"`
	Promise    string  `json:"promise,omitempty"`
	Checker    string  `json:"checker,omitempty"`
	FirstCause string  `json:"firstCause,omitempty"`
	Faults     int     `json:"faults"`
	Operations int     `json:"operations"`
	Brokers    int     `json:"brokers"`
	Runs       int     `json:"runs"`
	Seconds    float64 `json:"seconds"` // of CPU
	Finished   bool    `json:"finished"`
	Schedule   string  `json:"schedule"`
}

func (p *program) shrink(args []string) int {
	var from source
	var o sim.ShrinkOptions
	f := p.flags("shrink", "shrink FILE | --seed N")
	from.flags(f)
	f.DurationVar(&o.Budget, "budget", 30*time.Second, "how much CPU time to spend; 0: until nothing gives")
	file := f.String("out", "", "write the schedule to this file")
	asJSON := f.Bool("json", false, "print the outcome as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	s, repro, err := from.load(f)
	if err != nil {
		return p.failed(err)
	}
	began := cpuTime()
	o.Used = func() time.Duration { return cpuTime() - began }
	o.Interrupted = p.interrupted
	progress := sim.NewProgress(p.err, uint64(o.Budget.Milliseconds())+1)
	o.Progress = func(s *sim.Shrunk) {
		progress.Show(uint64(min(s.Used, o.Budget).Milliseconds())+1, "ms; "+s.Pass+": "+s.Summary())
	}
	out := sim.Shrink(s, o)
	progress.Clear()
	return p.printShrunk(out, repro, *file, *asJSON)
}

func (p *program) printShrunk(s *sim.Shrunk, repro, file string, asJSON bool) int {
	text := s.Text(repro)
	if file != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return p.failed(err)
		}
	}
	r := s.Result
	switch {
	case asJSON:
		p.printJSON(newShrunk(s))
	case s.Runs == 1:
		fmt.Fprintf(p.out, "%s: nothing to shrink\n%s\n", r.Verdict(), repro)
	default:
		p.tellShrunk(s, text, file)
	}
	return p.exitCode(r.Verdict().ExitCode())
}

func (p *program) tellShrunk(s *sim.Shrunk, text, file string) {
	if file == "" {
		fmt.Fprintf(p.out, "%s\n", text)
	}
	fmt.Fprintln(p.out, s.Summary())
	if !s.Finished {
		fmt.Fprintln(p.out, "the search was ended; more may give")
	}
	fmt.Fprintf(p.out, "%s: %s\n", s.Result.Verdict(), s.Result.Reason())
	if file != "" {
		fmt.Fprintf(p.out, "lockstep replay %s\n", file)
	}
}

func newShrunk(s *sim.Shrunk) *shrunk {
	r := s.Result
	o := &shrunk{
		Verdict: r.Verdict().String(), Reason: r.Reason(), Faults: len(s.Schedule.Faults), Operations: s.Operations(),
		Brokers: s.Schedule.Options.Cluster.Brokers, Runs: s.Runs, Seconds: s.Used.Seconds(), Finished: s.Finished, Schedule: s.Schedule.String(),
	}
	if len(r.Violations) > 0 {
		v := &r.Violations[0]
		o.Promise, o.Checker, o.FirstCause = v.Promise, v.Checker, v.FirstCause
	}
	return o
}
