package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep/lockstep/sim"
	"github.com/lockstep/lockstep/sim/mutant"
)

// mutantOptions are the flags of mutants.
type mutantOptions struct {
	hunt  mutant.Hunt
	ids   []string
	tier  string
	jobs  int
	check bool
	build string
	out   string
	json  bool
}

func (p *program) mutants(args []string) int {
	var o mutantOptions
	f := p.flags("mutants", "mutants [ID…]")
	f.StringVar(&o.tier, "tier", "", "those of this tier: A, B, C or equivalent")
	f.DurationVar(&o.hunt.Budget, "budget", time.Minute, "core time to look for each")
	f.Uint64Var(&o.hunt.Seeds, "seeds", 100_000, "the most seeds to run for each")
	f.Uint64Var(&o.hunt.From, "seed-from", 1, "the first of them")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "how many to hunt at once, each on one core")
	f.BoolVar(&o.hunt.Shrink, "shrink", false, "find the smallest schedule that shows each")
	f.BoolVar(&o.check, "check", false, "only prove that every patch applies and compiles")
	f.StringVar(&o.build, "build", "", "only build the simulator with this one mutant in its core, into this file")
	f.StringVar(&o.out, "out", "", "write a line of JSON for each mutant; what is in the file already is not hunted again")
	f.BoolVar(&o.json, "json", false, "print the reports, or what came of --check or --build, as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	o.ids = f.Args()
	w, err := mutant.NewWorkshop(".")
	if err != nil {
		return p.failed(err)
	}
	defer w.Close()
	return p.runMutants(w, &o)
}

func (p *program) runMutants(w *mutant.Workshop, o *mutantOptions) int {
	bank, err := w.Bank()
	if err == nil {
		bank, err = mutant.Select(bank, o.ids, o.tier)
	}
	if err != nil {
		return p.failed(err)
	}
	switch {
	case o.check:
		return p.printChecked(newChecked(bank, w.Check(p.ctx, bank)), o.json)
	case o.build != "":
		return p.buildMutant(w, bank, o)
	}
	if o.out == "" {
		return p.huntInto(nil, w, bank, o)
	}
	file, err := mutant.OpenReports(o.out, o.hunt)
	if err != nil {
		return p.failed(err)
	}
	code := p.huntInto(file, w, bank, o)
	if err := file.Close(); err != nil {
		return p.failed(err)
	}
	return code
}

// huntInto hunts and keeps the reports in a file, if there is one.
func (p *program) huntInto(file *mutant.ReportsFile, w *mutant.Workshop, bank []*mutant.Mutant, o *mutantOptions) (code int) {
	var err error
	if o.hunt.Clean, err = w.Build(p.ctx, "clean"); err != nil {
		return p.exitCode(p.failed(err))
	}
	reports, err := p.huntAll(file, w, bank, o)
	if err != nil {
		return p.failed(err)
	}
	p.printMutants(reports, o.json)
	if len(mutant.Missed(reports)) > 0 {
		return p.exitCode(sim.Violated.ExitCode())
	}
	return p.exitCode(exitOK)
}

// checked is the answer of --check in JSON.
type checked struct {
	Mutants int      `json:"mutants"`
	Broken  []string `json:"broken"` // why a patch does not apply or compile
}

func newChecked(bank []*mutant.Mutant, broken []error) *checked {
	c := &checked{Mutants: len(bank), Broken: []string{}}
	for _, err := range broken {
		c.Broken = append(c.Broken, err.Error())
	}
	return c
}

// printChecked tells whether patches apply and compile, and returns the exit code.
func (p *program) printChecked(c *checked, asJSON bool) int {
	switch {
	case asJSON:
		p.printJSON(c)
	case len(c.Broken) == 0:
		fmt.Fprintf(p.out, "%s checked: all apply and compile\n", sim.Count(c.Mutants, "mutant"))
	}
	for _, why := range c.Broken {
		fmt.Fprintf(p.err, "lockstep: %s\n", why)
	}
	if len(c.Broken) > 0 {
		return sim.Violated.ExitCode()
	}
	return exitOK
}

// built is the answer of --build in JSON.
type built struct {
	File  string `json:"file"`
	ID    string `json:"id"`
	Title string `json:"title"`
}

// buildMutant leaves a simulator whose core has a bug.
func (p *program) buildMutant(w *mutant.Workshop, bank []*mutant.Mutant, o *mutantOptions) int {
	if len(bank) != 1 {
		fmt.Fprintln(p.err, "lockstep: --build takes one mutant; see lockstep mutants --help")
		return exitUsage
	}
	if err := w.BuildInto(p.ctx, o.build, bank[0]); err != nil {
		return p.exitCode(p.failed(err))
	}
	p.printBuilt(&built{o.build, bank[0].ID, bank[0].Title}, o.json)
	return exitOK
}

func (p *program) printBuilt(b *built, asJSON bool) {
	if asJSON {
		p.printJSON(b)
		return
	}
	fmt.Fprintf(p.out, "%s has %s in its core: %s\n", b.File, b.ID, b.Title)
}

// huntAll hunts some mutants at a time; the reports are in the order of the bank. Of hunts that were interrupted there is none. What is in the
// file is not hunted again.
func (p *program) huntAll(file *mutant.ReportsFile, w *mutant.Workshop, bank []*mutant.Mutant, o *mutantOptions) (_ []*mutant.Report, err error) {
	reports := make([]*mutant.Report, len(bank))
	progress := sim.NewProgress(p.err, uint64(len(bank)))
	var next, done atomic.Int64
	var lock sync.Mutex
	keep := func(i int64, r *mutant.Report) {
		lock.Lock()
		defer lock.Unlock()
		reports[i], err = r, errors.Join(err, file.Append(r))
		progress.Show(uint64(done.Add(1)), "mutants, the last "+r.ID)
	}
	var workers sync.WaitGroup
	for range max(o.jobs, 1) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(bank)) && !p.interrupted(); i = next.Add(1) - 1 {
				if known := file.Find(bank[i].ID); known != nil {
					reports[i] = known
					done.Add(1)
					continue
				}
				r := w.Run(p.ctx, bank[i], o.hunt)
				if p.interrupted() && r.Error != "" {
					return
				}
				keep(i, r)
			}
		})
	}
	workers.Wait()
	progress.Clear()
	return slices.DeleteFunc(reports, func(r *mutant.Report) bool { return r == nil }), err
}

func (p *program) printMutants(reports []*mutant.Report, asJSON bool) {
	s := mutant.Summarize(reports)
	if asJSON {
		p.printJSON(s)
		return
	}
	mutant.Print(p.out, reports)
	fmt.Fprintln(p.out, s)
	for _, r := range reports {
		if r.Error != "" {
			fmt.Fprintf(p.err, "%s: %s\n", r.ID, r.Error)
		}
		if len(r.Dirty) > 0 {
			fmt.Fprintf(p.err, "%s: these seeds fail without it as well: %v\n", r.ID, r.Dirty)
		}
	}
	if len(s.Missed) > 0 {
		fmt.Fprintf(p.out, "to be found: %s\n", strings.Join(s.Missed, " "))
	}
}
