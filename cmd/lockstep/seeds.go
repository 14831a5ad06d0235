package main

import (
	"fmt"
	"strconv"
	"strings"
)

// seedRange is the value of --seeds: "N" for the first N from --seed-from on, or "A..B", both included.
type seedRange struct {
	from, count uint64
	isRange     bool
}

// String implements pflag.Value.
func (s *seedRange) String() string {
	if s.isRange {
		return fmt.Sprintf("%d..%d", s.from, s.from+s.count-1)
	}
	return strconv.FormatUint(s.count, 10)
}

// Set implements pflag.Value.
func (s *seedRange) Set(text string) error {
	first, last, isRange := strings.Cut(text, "..")
	if !isRange {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return fmt.Errorf("%q is neither a number nor A..B", text)
		}
		s.count = n
		return nil
	}
	a, errA := strconv.ParseUint(first, 10, 63)
	b, errB := strconv.ParseUint(last, 10, 63)
	if errA != nil || errB != nil || b < a {
		return fmt.Errorf("%q is not A..B with A no greater than B", text)
	}
	*s = seedRange{from: a, count: b - a + 1, isRange: true}
	return nil
}

// Type implements pflag.Value.
func (s *seedRange) Type() string { return "N|A..B" }
