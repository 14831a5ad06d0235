package mutant

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/sim"
)

// Summary is the outcome of hunting a bank, to be kept as a record.
type Summary struct {
	Build       string    `json:"build"` // of the program that hunted, with its commit if it was built from one
	Mutants     int       `json:"mutants"`
	Found       int       `json:"found"`
	Missed      []string  `json:"missed"` // that must be found
	CoreSeconds float64   `json:"coreSeconds"`
	Faults      *int      `json:"medianFaults,omitempty"` // of the shrunk schedules
	Operations  *int      `json:"medianOperations,omitempty"`
	Shrinking   *float64  `json:"medianShrinkingCoreSeconds,omitempty"`
	Longest     *float64  `json:"longestShrinkingCoreSeconds,omitempty"`
	Reports     []*Report `json:"reports"`
}

// Summarize sums reports up.
func Summarize(reports []*Report) *Summary {
	s := &Summary{Build: sim.Build(), Mutants: len(reports), Missed: Missed(reports), Reports: reports}
	var faults, operations []int
	var shrinking []float64
	for _, r := range reports {
		if r.Found {
			s.Found++
		}
		s.CoreSeconds += r.CoreSeconds
		faults, operations, shrinking = add(faults, r.Faults), add(operations, r.Operations), add(shrinking, r.Shrinking)
	}
	s.Faults, s.Operations, s.Shrinking = median(faults), median(operations), median(shrinking)
	if len(shrinking) > 0 {
		longest := slices.Max(shrinking)
		s.Longest = &longest
	}
	return s
}

func add[T any](list []T, x *T) []T {
	if x == nil {
		return list
	}
	return append(list, *x)
}

// median is the middle of some numbers, of two the greater; nil if there is none.
func median[T cmp.Ordered](list []T) *T {
	if len(list) == 0 {
		return nil
	}
	slices.Sort(list)
	return &list[len(list)/2]
}

// String is one line: how many were found, and how small they became.
func (s *Summary) String() string {
	line := fmt.Sprintf("%d of %d found", s.Found, s.Mutants)
	if s.Faults != nil {
		line += "; the median schedule has " + sim.Count(*s.Faults, "fault") + " and " + sim.Count(*s.Operations, "operation")
	}
	if s.Shrinking != nil {
		line += fmt.Sprintf(", after %.1f core seconds of shrinking, %.1f at most", *s.Shrinking, *s.Longest)
	}
	return line
}
