package main

import (
	"fmt"

	"github.com/lockstep/lockstep/sim"
)

// explained is explain's answer in JSON.
type explained struct {
	Verdict   string         `json:"verdict"`
	Reason    string         `json:"reason"`
	Violation *sim.Violation `json:"violation,omitempty"`
	Causes    []sim.Cause    `json:"causes"`
	Left      int            `json:"left"`
	Odds      []sim.Odds     `json:"odds,omitempty"`
	Repro     string         `json:"repro"`
}

func (p *program) explain(args []string) int {
	var from source
	o := sim.BlameOptions{Interrupted: p.interrupted}
	f := p.flags("explain", "explain FILE | --seed N")
	from.flags(f)
	f.IntVar(&o.Points, "points", 11, "at how many moments to ask for the odds of the violation; 0: do not")
	f.IntVar(&o.Runs, "runs", 20, "how many runs to make at each")
	asJSON := f.Bool("json", false, "print the explanation as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	s, repro, err := from.load(f)
	if err != nil {
		return p.failed(err)
	}
	x := sim.Explain(s, p.interrupted)
	if !*asJSON {
		x.Print(p.out)
	}
	row := p.odds(s, x, o)
	if *asJSON {
		p.printExplained(x, row, repro)
	} else if len(row) > 0 {
		fmt.Fprintln(p.out, "\nhow often it is broken when all that comes after a moment is drawn anew:")
		sim.PrintOdds(p.out, row)
	}
	return p.exitCode(x.Result.Verdict().ExitCode())
}

func (p *program) odds(s *sim.Schedule, x *sim.Explanation, o sim.BlameOptions) []sim.Odds {
	if len(x.Result.Violations) == 0 || o.Points == 0 {
		return nil
	}
	progress := sim.NewProgress(p.err, uint64(o.Points*o.Runs))
	o.Progress = func(done, _ int) { progress.Show(uint64(done), "runs drawn anew") }
	row := sim.Blame(s, o)
	progress.Clear()
	return row
}

func (p *program) printExplained(x *sim.Explanation, row []sim.Odds, repro string) {
	out := explained{Verdict: x.Result.Verdict().String(), Reason: x.Verdict(), Causes: x.Causes, Left: x.Left, Odds: row, Repro: repro}
	if len(x.Result.Violations) > 0 {
		out.Violation = &x.Result.Violations[0]
	}
	p.printJSON(out)
}
