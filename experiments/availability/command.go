package availability

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"

	"github.com/lockstep/lockstep/sim"
	"github.com/spf13/pflag"
)

// The exit codes that are no verdict, as of every command of lockstep.
const (
	exitOK          = 0
	exitUsage       = 2
	exitBroken      = 4
	exitInterrupted = 130
)

// flags are the command's.
type flags struct {
	seeds, from uint64
	workers     int
	rows, svg   string
	json        bool
	schedule    bool
}

// Doc is the experiment in a line.
const Doc = "create and stop a cluster: who is without service for how long, and what is lost"

// Main runs the experiment as a command and returns the exit code.
func Main(args []string, out, errOut io.Writer, interrupted func() bool) int {
	var o flags
	f := pflag.NewFlagSet("availability", pflag.ContinueOnError)
	f.SetOutput(errOut)
	f.SortFlags = false
	f.Uint64Var(&o.seeds, "seeds", 1000, "how many seeds a row")
	f.Uint64Var(&o.from, "seed-from", 1, "the first of them")
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "how many runs at once")
	f.StringVar(&o.rows, "rows", "", "only the rows whose name matches this regular expression, such as ^rf3-isr2-one")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	f.StringVar(&o.svg, "svg", "", "draw the picture into this file")
	f.BoolVar(&o.schedule, "schedule", false, "print the first seed's schedule of each row, for lockstep replay FILE, and run nothing")
	f.Usage = func() {
		fmt.Fprintf(errOut, "usage: lockstep experiment availability [--seeds N]\n%s", f.FlagUsages())
	}
	switch err := f.Parse(args); {
	case err == pflag.ErrHelp:
		return exitOK
	case err != nil:
		fmt.Fprintf(errOut, "lockstep: %v\n", err)
		return exitUsage
	}
	configs, err := o.configs(f.Args())
	if err != nil {
		fmt.Fprintf(errOut, "lockstep: %v\n", err)
		return exitUsage
	}
	if o.schedule {
		for _, c := range configs {
			fmt.Fprint(out, c.Schedule(o.from))
		}
		return exitOK
	}
	return o.run(configs, out, errOut, interrupted)
}

// configs are those whose name matches.
func (o *flags) configs(args []string) (configs []Config, err error) {
	if len(args) > 0 || o.workers < 1 || o.seeds < 1 {
		return nil, fmt.Errorf("availability takes flags only, and at least one seed and one worker")
	}
	match, err := regexp.Compile(o.rows)
	if err != nil {
		return nil, err
	}
	for _, c := range Configs() {
		if match.MatchString(c.Name()) {
			configs = append(configs, c)
		}
	}
	if len(configs) > 0 {
		return configs, nil
	}
	err = fmt.Errorf("no row matches %q; there are:", o.rows)
	for _, c := range Configs() {
		err = fmt.Errorf("%w\n  %s", err, c.Name())
	}
	return nil, err
}

func (o *flags) run(configs []Config, out, errOut io.Writer, interrupted func() bool) int {
	var picture *os.File
	if o.svg != "" {
		var err error
		if picture, err = os.Create(o.svg); err != nil { // before the work, not after it
			fmt.Fprintf(errOut, "lockstep: %v\n", err)
			return exitUsage
		}
		defer picture.Close()
	}
	progress := sim.NewProgress(errOut, uint64(len(configs))*o.seeds)
	r := Run(Options{Configs: configs, From: o.from, Seeds: o.seeds, Workers: o.workers, Interrupted: interrupted, Progress: func(done uint64) { progress.Show(done, "runs") }})
	progress.Clear()
	if picture != nil {
		if err := r.WriteSVG(picture); err != nil {
			fmt.Fprintf(errOut, "lockstep: %v\n", err)
			return exitBroken
		}
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		_ = e.Encode(r)
	} else {
		r.Print(out)
	}
	return r.exitCode()
}

// exitCode is the worst run's: a bug of the harness before a violation, that before a run that proves nothing.
func (r *Report) exitCode() int {
	if r.Interrupted {
		return exitInterrupted
	}
	worst := sim.Passed
	for _, row := range r.Rows {
		for _, f := range row.Failures {
			if f.verdict == sim.Broken || worst != sim.Broken && (f.verdict == sim.Violated || worst == sim.Passed) {
				worst = f.verdict
			}
		}
	}
	return worst.ExitCode()
}
