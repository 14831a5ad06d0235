package main

import (
	"fmt"
	"io"
	"os"

	"github.com/lockstep/lockstep/sim"
	"github.com/lockstep/lockstep/sim/property"
)

// readSchedule reads a schedule: as text, or in a fail file of rapid.
func readSchedule(name string) (*sim.Schedule, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseSchedule(string(text))
}

func parseSchedule(text string) (*sim.Schedule, error) {
	if property.IsFailFile(text) {
		return property.ReadFailFile(text)
	}
	return sim.ParseSchedule(text)
}

// convert turns a fail file of rapid into a schedule and a schedule into a fail file.
func (p *program) convert(args []string) int {
	f := p.flags("convert", "convert FILE [--out FILE]")
	out := f.String("out", "", "write here instead of printing it")
	if code, ended := parse(f, args); ended {
		return code
	}
	if f.NArg() != 1 {
		fmt.Fprintln(p.err, "lockstep: convert takes one file, a schedule or a fail file of rapid; see lockstep convert --help")
		return exitUsage
	}
	if err := p.convertFile(f.Arg(0), *out); err != nil {
		return p.failed(err)
	}
	return exitOK
}

func (p *program) convertFile(name, out string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	s, err := parseSchedule(string(text))
	if err != nil {
		return err
	}
	w := p.out
	if out != "" {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		defer file.Close()
		w = file
	}
	if property.IsFailFile(string(text)) {
		_, err = io.WriteString(w, s.String())
		return err
	}
	return property.WriteFailFile(w, s)
}
