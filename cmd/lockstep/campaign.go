package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/lockstep/lockstep/sim"
	"github.com/lockstep/lockstep/sim/campaign"
	"github.com/spf13/pflag"
)

// campaignFlags are the flags of lockstep campaign.
type campaignFlags struct {
	campaign.Options
	seeds   seedRange
	batch   uint64
	variant sim.Variant
	workers int
	idle    time.Duration
	out     string
	json    bool
	verdict sim.Verdict // of the results, once they were read
}

const campaignUsage = `campaign [enqueue|work|status] --bootstrap-server HOST:PORT --topic TOPIC [--seeds A..B]

  enqueue   write ranges of seeds to the topic
  work      run ranges until none is left; start as many as you have machines, end any of them at any time
  status    sum up the results so far
  (none)    all three
`

// campaign spreads a fuzz over machines through any Kafka cluster.
func (p *program) campaign(args []string) int {
	o := campaignFlags{seeds: seedRange{from: 1, count: 1000}}
	f := p.campaignFlags(&o)
	if code, ended := parse(f, args); ended {
		return code
	}
	steps := map[string][]func(*campaignFlags) error{
		"enqueue": {p.enqueue}, "work": {p.work}, "status": {p.status}, "": {p.enqueue, p.work, p.status},
	}[f.Arg(0)]
	if f.NArg() > 1 || steps == nil || len(o.Seeds) == 0 || o.Topic == "" || o.batch == 0 || o.workers < 1 {
		fmt.Fprintln(p.err, "lockstep: campaign takes enqueue, work, status or nothing, and --bootstrap-server and --topic; see lockstep campaign --help")
		return exitUsage
	}
	for _, step := range steps {
		if err := step(&o); err != nil {
			return p.campaignFailed(err)
		}
	}
	return o.verdict.ExitCode()
}

func (p *program) campaignFlags(o *campaignFlags) *pflag.FlagSet {
	f := p.flags("campaign", campaignUsage)
	f.StringSliceVar(&o.Options.Seeds, "bootstrap-server", nil, "brokers of the cluster that carries the campaign")
	f.StringVar(&o.Topic, "topic", "", "the topic of the ranges; the results are in TOPIC-results")
	f.Int32Var(&o.Partitions, "partitions", 64, "of the topic, if it is made: as many workers can share the campaign")
	f.Var(&o.seeds, "seeds", "how many seeds to enqueue, or from which to which")
	f.Uint64Var(&o.batch, "batch", 100, "how many seeds a worker takes at once")
	variantFlags(f, &o.variant)
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many seeds to run at once")
	f.DurationVar(&o.idle, "idle", 30*time.Second, "a worker ends when no range came for this long")
	f.StringVar(&o.out, "out", "", "write the results here too, a line of JSON for each seed")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
	return f
}

// errBlind says that the checkers missed what they must see.
var errBlind = errors.New("the canary was not found: no seed is run")

func (p *program) enqueue(o *campaignFlags) error {
	all := campaign.Range{From: o.seeds.from, To: o.seeds.from + o.seeds.count - 1, Variant: o.variant, Build: sim.Build()}
	n, err := campaign.Enqueue(p.ctx, o.Options, all, o.batch)
	if err == nil {
		fmt.Fprintf(p.err, "in %s: %s, of seeds %d..%d\n", o.Topic, sim.Count(n, "range"), all.From, all.To)
	}
	return err
}

func (p *program) work(o *campaignFlags) error {
	if !p.seesCanaries(o.json) {
		return errBlind
	}
	w := campaign.Worker{Options: o.Options, Build: sim.Build(), Idle: o.idle, Run: func(ctx context.Context, r campaign.Range, write func(*sim.Record)) error {
		p.runFuzzOf(ctx, r, o.workers, write)
		return ctx.Err()
	}}
	n, err := w.Work(p.ctx)
	fmt.Fprintf(p.err, "%s run\n", sim.Count(n, "range"))
	return err
}

// runFuzzOf runs a range; a run that the context ended has no record.
func (p *program) runFuzzOf(ctx context.Context, r campaign.Range, workers int, write func(*sim.Record)) {
	progress := sim.NewProgress(p.err, r.To-r.From+1)
	defer progress.Clear()
	sim.RunFuzz(sim.FuzzOptions{
		From: r.From, Seeds: r.To - r.From + 1, Variant: r.Variant, Workers: workers,
		Interrupted: func() bool { return ctx.Err() != nil },
		Record:      func(r *sim.Record) error { write(r); return nil },
		Progress:    func(f *sim.Fuzz, _ *sim.Result) { progress.Show(f.Runs, fmt.Sprintf("seeds of %d..%d", r.From, r.To)) },
	})
}

func (p *program) status(o *campaignFlags) error {
	s, err := campaign.ReadStatus(p.ctx, o.Options)
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := writeResults(s.Results, o.out); err != nil {
			return err
		}
	}
	sum := s.Results.Sum()
	sum.Missing = s.Missing()
	p.printFuzz(sum, fmt.Sprintf("%d of %s of campaign %s", s.Results.Len(), sim.Count(s.Seeds, "seed"), o.Topic), report{json: o.json})
	o.verdict = sum.Verdict()
	return nil
}

// campaignFailed tells an error and returns its exit code.
func (p *program) campaignFailed(err error) int {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(p.err, "lockstep: interrupted; what was under way is another worker's")
		return exitInterrupted
	}
	return p.failed(err)
}
