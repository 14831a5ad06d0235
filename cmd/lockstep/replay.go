package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/sim"
)

// replayOptions are replay's flags.
type replayOptions struct {
	source
	twice    bool
	json     bool
	all      bool
	quiet    bool
	schedule bool
	nodes    []int
	export   string
}

func (p *program) replay(args []string) int {
	var o replayOptions
	f := p.flags("replay", "replay --seed N | FILE")
	o.flags(f)
	f.BoolVar(&o.twice, "twice", false, "run it again and compare the digests")
	f.BoolVar(&o.json, "json", false, "print the trace as JSON, an object a line, and the verdict as the last")
	f.BoolVar(&o.all, "all", false, "trace every append and high watermark too")
	f.BoolVar(&o.quiet, "quiet", false, "print the verdict only")
	f.BoolVar(&o.schedule, "schedule", false, "print the schedule as text and do not run it")
	f.StringVar(&o.export, "export", "", "write the trace with all messages to FILE.jsonl, FILE.json (Chrome's format, for Perfetto), FILE.shiviz or FILE.mmd (Mermaid); or jsonl, chrome, shiviz or mermaid, to print it instead")
	f.IntSliceVar(&o.nodes, "node", nil, "trace these nodes only")
	if code, ended := parse(f, args); ended {
		return code
	}
	s, repro, err := o.load(f)
	if err != nil {
		return p.failed(err)
	}
	if o.schedule {
		fmt.Fprint(p.out, s)
		return exitOK
	}
	if o.export != "" {
		return p.exportRun(s, repro, &o)
	}
	return p.play(s, repro, &o, nil)
}

// outcome is a replay's last line in JSON.
type outcome struct {
	Verdict    string          `json:"verdict"`
	Reason     string          `json:"reason,omitempty"`
	FirstCause string          `json:"firstCause,omitempty"`
	Seed       uint64          `json:"seed"`
	Digest     string          `json:"digest"`
	Repro      string          `json:"repro"`
	Simulated  float64         `json:"simulatedSeconds"`
	Events     uint64          `json:"events"`
	Violations []sim.Violation `json:"violations,omitempty"`
}

// play runs a schedule and prints its trace; an exporter, if there is one, gets all of it too.
func (p *program) play(s *sim.Schedule, repro string, o *replayOptions, export sim.Exporter) int {
	out := bufio.NewWriterSize(p.out, 64<<10)
	defer out.Flush()
	if !o.json {
		fmt.Fprintf(out, "%s\n\n", repro)
	}
	r := p.run(s, sim.RunOptions{Trace: tee(o.tracer(out, s), export), Messages: export != nil}, o.twice)
	end := newOutcome(r, repro)
	if o.json {
		_ = json.NewEncoder(out).Encode(end)
	} else {
		end.print(out, r)
	}
	return r.Verdict().ExitCode()
}

// run runs a schedule, twice to compare the digests; a difference is a bug of the result.
func (p *program) run(s *sim.Schedule, o sim.RunOptions, twice bool) *sim.Result {
	o.Interrupted = p.interrupted
	r := sim.Run(s, o)
	if !twice || r.Verdict() == sim.Interrupted {
		return r
	}
	again := sim.Run(s, sim.RunOptions{Interrupted: p.interrupted})
	if again.Digest != r.Digest && again.Verdict() != sim.Interrupted {
		r.Bug = fmt.Sprintf("not deterministic: the second run's digest is %016x, the first one's %016x", again.Digest, r.Digest)
	}
	return r
}

func (o *replayOptions) tracer(out *bufio.Writer, s *sim.Schedule) sim.Tracer {
	if o.quiet {
		return nil
	}
	if o.json {
		t := sim.NewJSONTracer(out)
		return sim.TracerFunc(func(e *sim.Entry) {
			if o.keep(e) {
				t.Trace(e)
			}
		})
	}
	t := sim.NewTextTracer(out, s)
	t.Keep = o.keep
	t.Header()
	return t
}

func (o *replayOptions) keep(e *sim.Entry) bool {
	if len(o.nodes) > 0 && e.Node >= 0 && !slices.Contains(o.nodes, int(e.Node)) {
		return false
	}
	return o.all || sim.IsNews(e)
}

func newOutcome(r *sim.Result, repro string) *outcome {
	o := &outcome{
		Verdict: r.Verdict().String(), Reason: r.Reason(), Seed: r.Schedule.Seed, Digest: fmt.Sprintf("%016x", r.Digest), Repro: repro,
		Simulated: r.Stats.Simulated.Seconds(), Events: r.Stats.Events, Violations: r.Violations,
	}
	if len(r.Violations) > 0 {
		o.FirstCause = r.Violations[0].FirstCause
	}
	return o
}

func (o *outcome) print(out *bufio.Writer, r *sim.Result) {
	fmt.Fprintf(out, "\n%s", o.Verdict)
	if o.Reason != "" {
		fmt.Fprintf(out, ": %s", o.Reason)
	}
	if r.Stack != "" {
		fmt.Fprintf(out, "\n%s", r.Stack)
	}
	fmt.Fprintf(out, "\n%.3f simulated seconds, %s, digest %s\n%s\n", o.Simulated, sim.Count(o.Events, "event"), o.Digest, o.Repro)
}
