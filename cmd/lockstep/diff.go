package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/lockstep/lockstep/sim"
)

// parting is where two runs part, in JSON.
type parting struct {
	Node   string      `json:"node"` // "all": the trace as a whole
	Common int         `json:"common"`
	Before []sim.Entry `json:"before"`
	A      []sim.Entry `json:"a"`
	B      []sim.Entry `json:"b"`
}

// difference is diff's answer in JSON.
type difference struct {
	Equal    bool      `json:"equal"`
	Schedule []string  `json:"schedule,omitempty"`
	Partings []parting `json:"partings,omitempty"`
}

func (p *program) diff(args []string) int {
	f := p.flags("diff", "diff A B, each a seed or the file of a schedule; or diff --trace A.jsonl B.jsonl")
	traces := f.Bool("trace", false, "A and B are traces that replay --export wrote as JSON lines, perhaps by two builds")
	around := f.Int("context", 6, "how many entries before and after to print")
	asJSON := f.Bool("json", false, "print the difference as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	if f.NArg() != 2 || *around < 1 {
		fmt.Fprintln(p.err, "lockstep: diff takes two schedules or traces; see lockstep diff --help")
		return exitUsage
	}
	d, names, err := p.compare(f.Arg(0), f.Arg(1), *traces, *around)
	if err != nil {
		return p.failed(err)
	}
	if p.interrupted() { // the runs did not end: they part where they were left
		return exitInterrupted
	}
	if *asJSON {
		p.printJSON(d.asJSON(names))
	} else {
		d.print(p.out, names)
	}
	if len(d.partings) > 0 {
		return 1
	}
	return exitOK
}

// compared is what diff found.
type compared struct {
	schedule []string
	partings []sim.Parting
}

func (p *program) compare(a, b string, traces bool, around int) (d compared, names func(int32) string, err error) {
	var ra, rb sim.Replayable
	if traces {
		ra, rb = recorded(a), recorded(b)
		names = sim.HostNames(&sim.Schedule{})
	} else {
		sa, err := scheduleOf(a)
		if err != nil {
			return d, nil, err
		}
		sb, err := scheduleOf(b)
		if err != nil {
			return d, nil, err
		}
		d.schedule = sim.DiffSchedules(sa, sb)
		ra, rb = sim.Traced(sa, p.interrupted), sim.Traced(sb, p.interrupted)
		names = sim.HostNames(sa)
	}
	d.partings, err = sim.DiffTraces(ra, rb, around)
	return d, names, err
}

func recorded(file string) sim.Replayable {
	return sim.Recorded(func() (io.ReadCloser, error) { return os.Open(file) })
}

// scheduleOf is the schedule of a seed, or in a file.
func scheduleOf(arg string) (*sim.Schedule, error) {
	if seed, err := strconv.ParseUint(arg, 10, 64); err == nil {
		return sim.Draw(seed), nil
	}
	return readSchedule(arg)
}

func (d *compared) print(w io.Writer, names func(int32) string) {
	for _, line := range d.schedule {
		fmt.Fprintln(w, line)
	}
	if len(d.partings) == 0 {
		fmt.Fprintln(w, "the runs are equal, entry by entry")
		return
	}
	for i := range d.partings {
		fmt.Fprintln(w)
		d.partings[i].Print(w, names)
	}
}

func (d *compared) asJSON(names func(int32) string) *difference {
	out := &difference{Equal: len(d.partings) == 0, Schedule: d.schedule}
	for i := range d.partings {
		p := &d.partings[i]
		node := "all"
		if p.Node >= -1 {
			node = names(p.Node)
		}
		out.Partings = append(out.Partings, parting{node, p.Common, p.Before, p.A, p.B})
	}
	return out
}
