package mutant

import (
	"io"
	"strconv"

	"github.com/lockstep/lockstep/sim"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// Print writes the reports as a table for people.
func Print(w io.Writer, reports []*Report) {
	t := sim.NewTable(w,
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithAlignment([]tw.Align{tw.AlignLeft, tw.AlignLeft, tw.AlignLeft, tw.AlignLeft, tw.AlignLeft, tw.AlignRight, tw.AlignRight, tw.AlignRight, tw.AlignRight, tw.AlignRight}),
	)
	t.Header("mutant", "title", "tier", "found", "checker", "seed", "seeds", "core s", "faults", "operations")
	for _, r := range reports {
		_ = t.Append(r.cells())
	}
	_ = t.Render()
}

func (r *Report) cells() []string {
	seed := "-"
	if r.Found {
		seed = strconv.FormatUint(r.Seed, 10)
	}
	return []string{
		r.ID, r.Title, r.Tier, r.outcome(), r.noticed(), seed, strconv.FormatUint(r.Seeds, 10),
		strconv.FormatFloat(r.CoreSeconds, 'f', 1, 64), number(r.Faults), number(r.Operations),
	}
}

func (r *Report) outcome() string {
	switch {
	case r.Error != "":
		return "error"
	case r.Found:
		return "yes"
	case r.Directed == "fails":
		return "by its schedule only"
	}
	return "no"
}

// noticed names the checker, in brackets one that was not expected to notice.
func (r *Report) noticed() string {
	switch {
	case !r.Found:
		return "-"
	case !r.Expected:
		return "(" + r.Checker + ")"
	}
	return r.Checker
}

func number(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

// Missed are the mutants that must be found and were not.
func Missed(reports []*Report) (missed []string) {
	for _, r := range reports {
		if !r.Found && (r.Tier == TierA || r.Tier == TierB) || r.Error != "" {
			missed = append(missed, r.ID)
		}
	}
	return missed
}
