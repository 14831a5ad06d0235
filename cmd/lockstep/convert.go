package main

import (
	"fmt"
	"os"
	"strings"

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

// converted is convert's answer in JSON.
type converted struct {
	Format string `json:"format"` // "schedule" or "rapid"
	Text   string `json:"text"`
}

// convert turns a fail file of rapid into a schedule and a schedule into a fail file.
func (p *program) convert(args []string) int {
	f := p.flags("convert", "convert FILE [--out FILE]")
	out := f.String("out", "", "write here instead of printing it")
	asJSON := f.Bool("json", false, "print it as JSON, with its format")
	if code, ended := parse(f, args); ended {
		return code
	}
	if f.NArg() != 1 {
		fmt.Fprintln(p.err, "lockstep: convert takes one file, a schedule or a fail file of rapid; see lockstep convert --help")
		return exitUsage
	}
	c, err := convertFile(f.Arg(0))
	if err == nil && *out != "" {
		err = os.WriteFile(*out, []byte(c.Text), 0o644)
	}
	switch {
	case err != nil:
		return p.failed(err)
	case *asJSON:
		p.printJSON(c)
	case *out == "":
		fmt.Fprint(p.out, c.Text)
	}
	return exitOK
}

// convertFile is a file's schedule in the other format.
func convertFile(name string) (c converted, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return c, err
	}
	s, err := parseSchedule(string(text))
	if err != nil {
		return c, err
	}
	if property.IsFailFile(string(text)) {
		return converted{"schedule", s.String()}, nil
	}
	var b strings.Builder
	err = property.WriteFailFile(&b, s)
	return converted{"rapid", b.String()}, err
}
