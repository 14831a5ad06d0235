package sim

import (
	"fmt"
	"strconv"
	"strings"
)

// operations is a set of a producer's ticks, which count from 1. As text it is "3,7-9"; "" is every
// tick and "0", which no tick is, none.
type operations struct {
	all  bool
	runs []tickRun // ascending, apart
}

// tickRun is the ticks from first to last.
type tickRun struct{ first, last int }

// parseOperations reads a set.
func parseOperations(text string) (o operations, err error) {
	if text == "" {
		return operations{all: true}, nil
	}
	for _, word := range strings.Split(text, ",") {
		r, err := parseTickRun(word)
		if err != nil {
			return o, err
		}
		if n := len(o.runs); n > 0 && r.first <= o.runs[n-1].last {
			return o, fmt.Errorf("%q does not come after what is before it", word)
		}
		o.runs = append(o.runs, r)
	}
	return o, nil
}

func parseTickRun(word string) (r tickRun, err error) {
	first, last, isRun := strings.Cut(word, "-")
	if !isRun {
		last = first
	}
	if r.first, err = strconv.Atoi(first); err != nil {
		return r, fmt.Errorf("%q is no tick", word)
	}
	if r.last, err = strconv.Atoi(last); err != nil || r.last < r.first || r.first < 0 {
		return r, fmt.Errorf("%q is no run of ticks", word)
	}
	return r, nil
}

// operationsOf is the set of some ticks, ascending.
func operationsOf(ticks []int) (o operations) {
	for _, tick := range ticks {
		if n := len(o.runs); n > 0 && o.runs[n-1].last == tick-1 {
			o.runs[n-1].last = tick
		} else {
			o.runs = append(o.runs, tickRun{tick, tick})
		}
	}
	return o
}

// pass reports whether a tick is in the set. It is asked for ascending ticks: the runs before one are dropped.
func (o *operations) pass(tick int) bool {
	if o.all {
		return true
	}
	for len(o.runs) > 0 && o.runs[0].last < tick {
		o.runs = o.runs[1:]
	}
	return len(o.runs) > 0 && o.runs[0].first <= tick
}

func (o operations) String() string {
	switch {
	case o.all:
		return ""
	case len(o.runs) == 0:
		return "0"
	}
	words := make([]string, len(o.runs))
	for i, r := range o.runs {
		words[i] = strconv.Itoa(r.first)
		if r.last > r.first {
			words[i] += "-" + strconv.Itoa(r.last)
		}
	}
	return strings.Join(words, ",")
}
