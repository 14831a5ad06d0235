// Lockstep runs the broker's core in a simulated world: thousands of failure schedules, each from one
// seed, each replayed bit for bit.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/lockstep/lockstep/sim"
)

// The exit codes that are no verdict.
const (
	exitOK          = 0
	exitUsage       = 2
	exitInterrupted = 130
)

// memoryLimit is when the collector starts to run: until then nothing is collected, which makes the
// simulator twice as fast.
const memoryLimit = 1 << 30

// launched is when the process began.
var launched = time.Now()

// program is one call of lockstep.
type program struct {
	out, err io.Writer
	ctx      context.Context // ends when the user interrupts
}

func (p *program) interrupted() bool { return p.ctx.Err() != nil }

// exitCode is the exit code of work that has one, unless the user ended it before.
func (p *program) exitCode(code int) int {
	if p.interrupted() {
		return exitInterrupted
	}
	return code
}

// verb is a command.
type verb struct {
	name, args, doc string
	run             func(p *program, args []string) int
}

func verbs() []verb {
	return []verb{
		{"fuzz", "--seeds N", "run many seeds and sum up", (*program).fuzz},
		{"replay", "--seed N | FILE", "run one schedule and print its trace", (*program).replay},
		{"campaign", "--topic T", "fuzz on many machines through a Kafka cluster", (*program).campaign},
		{"shrink", "--seed N | FILE", "find the smallest schedule that fails in the same way", (*program).shrink},
		{"convert", "FILE", "turn a fail file of rapid into a schedule, or back", (*program).convert},
		{"explain", "--seed N | FILE", "tell how a violation came about", (*program).explain},
		{"diff", "A B", "find where two runs part", (*program).diff},
		{"merge", "FILE...", "put results of fuzz --out together", (*program).merge},
		{"mutants", "[ID...]", "build real bugs into the core and see that they are found", (*program).mutants},
		{"promises", "", "print what a run is judged by: P1 to P9", (*program).promises},
		{"experiment", "NAME", "answer one question with one table", (*program).experiment},
		{"version", "", "print the version", (*program).version},
		{"help", "", "print this", (*program).help},
	}
}

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(-1)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	p := &program{out: os.Stdout, err: os.Stderr, ctx: untilInterrupted()}
	os.Exit(p.main(os.Args[1:]))
}

// untilInterrupted lets the first Ctrl-C or SIGTERM end the work with its summary, and the second end the process.
func untilInterrupted() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx
}

func (p *program) main(args []string) int {
	if len(args) == 0 {
		p.help(nil)
		return exitUsage
	}
	name := args[0]
	if name == "--help" || name == "-h" {
		name = "help"
	}
	if name == "--version" {
		name = "version"
	}
	for _, v := range verbs() {
		if v.name == name {
			return v.run(p, args[1:])
		}
	}
	fmt.Fprintf(p.err, "lockstep: unknown command %q; see lockstep help\n", name)
	return exitUsage
}

func (p *program) help(args []string) int {
	f := p.flags("help", "help")
	asJSON := f.Bool("json", false, "print the commands as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	if *asJSON {
		p.helpAsJSON()
		return exitOK
	}
	fmt.Fprintln(p.out, "lockstep runs a Kafka cluster in a simulated world, from a seed.")
	fmt.Fprintln(p.out)
	for _, v := range verbs() {
		fmt.Fprintf(p.out, "  lockstep %-28s %s\n", v.name+" "+v.args, v.doc)
	}
	fmt.Fprintln(p.out)
	fmt.Fprintln(p.out, "lockstep COMMAND --help lists a command's flags. Exit codes: 0 passed, 1 violation, 2 usage, 3 inconclusive,")
	fmt.Fprintln(p.out, "4 nondeterminism or a bug of the harness, 130 interrupted.")
	return exitOK
}

func (p *program) helpAsJSON() {
	type command struct {
		Name string `json:"name"`
		Args string `json:"args,omitempty"`
		Doc  string `json:"doc"`
	}
	var all []command
	for _, v := range verbs() {
		all = append(all, command{v.name, v.args, v.doc})
	}
	p.printJSON(all)
}

// failed tells an error and returns its exit code: seeds with two digests are a verdict.
func (p *program) failed(err error) int {
	fmt.Fprintf(p.err, "lockstep: %v\n", err)
	if errors.Is(err, sim.ErrTwoDigests) || errors.Is(err, errBlind) {
		return sim.Broken.ExitCode()
	}
	return exitUsage
}

// printJSON prints a value for machines, indented.
func (p *program) printJSON(v any) {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}
