package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/lockstep/lockstep/sim"
)

// exportRun plays a schedule and writes its trace in another program's format: to a file beside the usual output, or to the
// output instead of it.
func (p *program) exportRun(s *sim.Schedule, repro string, o *replayOptions) int {
	if slices.Contains(sim.ExportFormats(), o.export) {
		export, _ := sim.NewExporter(o.export, p.out, s)
		r := p.run(s, sim.RunOptions{Trace: export, Messages: true}, o.twice)
		if r.Bug != "" {
			fmt.Fprintf(p.err, "lockstep: %s\n", r.Bug)
		}
		return p.closed(export, r.Verdict().ExitCode())
	}
	format := sim.ExportFormat(o.export)
	if format == "" {
		fmt.Fprintf(p.err, "lockstep: %s ends like no export format; there are .jsonl, .json, .shiviz and .mmd\n", o.export)
		return exitUsage
	}
	file, err := os.Create(o.export)
	if err != nil {
		return p.failed(err)
	}
	return p.exportTo(file, format, s, repro, o)
}

func (p *program) exportTo(file io.WriteCloser, format string, s *sim.Schedule, repro string, o *replayOptions) int {
	export, _ := sim.NewExporter(format, file, s)
	code := p.closed(export, p.play(s, repro, o, export))
	if err := file.Close(); err != nil {
		return p.failed(err)
	}
	return code
}

// closed ends an export; it returns the exit code.
func (p *program) closed(export sim.Exporter, code int) int {
	if err := export.Close(); err != nil {
		return p.failed(err)
	}
	return code
}

// tee traces to both, each of which may be nil. Only the exporter gets messages: the trace for people has none.
func tee(trace sim.Tracer, export sim.Exporter) sim.Tracer {
	switch {
	case export == nil:
		return trace
	case trace == nil:
		return export
	}
	return sim.TracerFunc(func(e *sim.Entry) {
		export.Trace(e)
		if !sim.IsMessage(e) {
			trace.Trace(e)
		}
	})
}
