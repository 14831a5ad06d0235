package main

import (
	"fmt"
	"os"

	"github.com/lockstep/lockstep/sim"
)

// merge puts results files together: in any order, and as often as one likes.
func (p *program) merge(args []string) int {
	f := p.flags("merge", "merge FILE... [--out FILE]")
	out := f.String("out", "", "write the records here, a line for each seed, lowest first")
	asJSON := f.Bool("json", false, "print the summary as JSON")
	if code, ended := parse(f, args); ended {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(p.err, "lockstep: merge takes the files that fuzz --out wrote; see lockstep merge --help")
		return exitUsage
	}
	var all sim.Results
	for _, name := range f.Args() {
		if err := readResults(&all, name); err != nil {
			return p.failed(err)
		}
	}
	if *out != "" {
		if err := writeResults(&all, *out); err != nil {
			return p.failed(err)
		}
	}
	sum := all.Sum()
	p.printFuzz(sum, "lockstep merge", report{json: *asJSON})
	return sum.Verdict().ExitCode()
}

func readResults(all *sim.Results, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := all.Read(file); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func writeResults(all *sim.Results, name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := all.Write(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
