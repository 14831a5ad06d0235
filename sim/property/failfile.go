package property

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/lockstep/lockstep/sim"
	"pgregory.net/rapid"
)

// A fail file of rapid is its log, commented out, a line of version and seed, and the bits that were drawn, a word a line. The
// log of a property of this package holds the schedule as text. In the other direction a schedule is written as bits that
// begin with a mark, which a property would never draw by chance, and go on with the text itself.

const (
	markBits = 32
	version  = "v0.4.8" // of rapid's fail files
)

var header = regexp.MustCompile(`(?m)^v\d+\.\d+\.\d+#\d+$`)

// IsFailFile reports whether a text is a fail file of rapid.
func IsFailFile(text string) bool { return header.MatchString(text) }

// ReadFailFile finds the schedule in a fail file: the last one in its log, which is the smallest.
func ReadFailFile(text string) (*sim.Schedule, error) {
	var found []string
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, commented := strings.CutPrefix(lines.Text(), "# ")
		switch {
		case !commented:
		case strings.HasPrefix(line, "build "):
			found = []string{line}
		case found != nil && sim.IsScheduleLine(line):
			found = append(found, line)
		}
	}
	if found == nil {
		return nil, errors.New("the fail file's log has no schedule: it is not of a property that draws one")
	}
	return sim.ParseSchedule(strings.Join(found, "\n"))
}

// WriteFailFile writes a fail file with which any test that calls Check runs the schedule: go test -rapid.failfile=FILE.
func WriteFailFile(w io.Writer, s *sim.Schedule) error {
	text := s.String()
	b := bufio.NewWriter(w)
	for line := range strings.Lines(text) {
		fmt.Fprintf(b, "# %s", line)
	}
	fmt.Fprintf(b, "%s#0\n", version)
	for range markBits {
		fmt.Fprintln(b, "0x1")
	}
	for _, c := range append([]byte(text), 0) {
		for i := range 8 {
			fmt.Fprintf(b, "0x%x\n", c>>i&1)
		}
	}
	return b.Flush()
}

// drawVerbatim reads what WriteFailFile wrote; nil if the bits begin otherwise.
func drawVerbatim(t *rapid.T) *sim.Schedule {
	for range markBits {
		if !rapid.Bool().Draw(t, "verbatim") {
			return nil
		}
	}
	var text []byte
	for c := drawByte(t); c != 0; c = drawByte(t) {
		text = append(text, c)
	}
	s, err := sim.ParseSchedule(string(text))
	if err != nil {
		t.Skipf("no schedule: %v", err)
	}
	return s
}

func drawByte(t *rapid.T) (c byte) {
	for i := range 8 {
		if rapid.Bool().Draw(t, "bit") {
			c |= 1 << i
		}
	}
	return c
}
