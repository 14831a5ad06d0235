package sim

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Summary is a fuzz's numbers as they are printed and as JSON.
type Summary struct {
	Build string `json:"build"`          // of the program that ran the seeds, with its commit if it was built from one
	What  string `json:"what,omitempty"` // the command that ran them, or the campaign that they are of
	First uint64 `json:"firstSeed"`
	Last  uint64 `json:"lastSeed"`
	Variant
	Seeds           uint64            `json:"seeds"`
	Passed          uint64            `json:"passed"`
	Inconclusive    uint64            `json:"inconclusive"`
	Missing         uint64            `json:"missing,omitempty"` // seeds of a campaign without an outcome yet
	Violated        uint64            `json:"violated"`
	Broken          uint64            `json:"broken"`
	SimulatedHours  float64           `json:"simulatedHours"`
	Events          uint64            `json:"events"`
	Faults          []FaultCount      `json:"faults"`
	RarePaths       SiteCounts        `json:"buggify"`      // by site, how often it fired
	RarePathsUnused []string          `json:"buggifyNever"` // sites that did not fire
	Elections       int               `json:"elections"`
	QuorumElections int               `json:"quorumElections"`
	ISRChanges      int               `json:"isrChanges"`
	Truncations     int               `json:"truncations"`
	RecordsAcked    int64             `json:"recordsAcknowledged"`
	RecordsRead     int64             `json:"recordsRead"`
	ExpectedLosses  []Loss            `json:"expectedLosses"`
	Violations      map[string]uint64 `json:"violationsByPromise"`
	Coverage        *CoverageJSON     `json:"coverage"`
	Failures        []Record          `json:"failures"`
	WallSeconds     float64           `json:"wallSeconds"`
	EventsPerSecond float64           `json:"eventsPerSecond"`
	SimPerSecond    float64           `json:"simulatedSecondsPerSecond"`
	Digest          string            `json:"digest"`
	Verdict         string            `json:"verdict"`
}

// FaultCount is how often a kind of fault was drawn, and how often it changed something.
type FaultCount struct {
	Kind      string `json:"kind"`
	Drawn     int    `json:"drawn"`
	Effective int    `json:"effective"`
}

// Summary sums up.
func (f *Fuzz) Summary() *Summary {
	s, wall := &f.Stats, max(f.Wall.Seconds(), 1e-9)
	return &Summary{
		Build: f.Build, Missing: f.Missing, First: min(f.First, f.Last), Last: f.Last, Variant: f.Options.Variant,
		Seeds: f.Runs, Passed: f.Verdicts[Passed], Inconclusive: f.Verdicts[Inconclusive], Violated: f.Verdicts[Violated], Broken: f.Verdicts[Broken],
		SimulatedHours: s.Simulated.Hours(), Events: s.Events, Faults: faultCounts(s),
		RarePaths: s.Buggify, RarePathsUnused: s.Buggify.Never(),
		Elections: s.Elections, QuorumElections: s.QuorumElections, ISRChanges: s.ISRChanges, Truncations: s.Truncations,
		RecordsAcked: s.Acked, RecordsRead: s.Read, ExpectedLosses: s.Losses, Violations: f.Broken, Failures: f.Failures, Coverage: f.Coverage.JSON(),
		WallSeconds: wall, EventsPerSecond: float64(f.ran.Events) / wall, SimPerSecond: f.ran.Simulated.Seconds() / wall,
		Digest: fmt.Sprintf("%016x", f.Digest), Verdict: f.Verdict().String(),
	}
}

func faultCounts(s *Stats) (counts []FaultCount) {
	for k := range numKinds {
		counts = append(counts, FaultCount{k.String(), s.Drawn[k], s.Effective[k]})
	}
	return counts
}

// Print writes the summary as a table for people.
func (s *Summary) Print(w io.Writer) {
	t := newLeftTable(w)
	for _, row := range s.rows() {
		_ = t.Append(row[0], row[1])
	}
	_ = t.Render()
}

// NewTable is a table without lines, as all of this program's are; options add to that or overrule it.
func NewTable(w io.Writer, options ...tablewriter.Option) *tablewriter.Table {
	return tablewriter.NewTable(w, append([]tablewriter.Option{
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{Borders: tw.BorderNone, Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone}})),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
	}, options...)...)
}

// newLeftTable is a table whose first two columns begin at the left.
func newLeftTable(w io.Writer) *tablewriter.Table {
	return NewTable(w, tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: []tw.Align{tw.AlignLeft, tw.AlignLeft}}))
}

func (s *Summary) rows() (rows [][2]string) {
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	add("build", "%s", s.Build)
	add("seeds", "%s: %s passed, %s inconclusive", thousands(s.Seeds), thousands(s.Passed), thousands(s.Inconclusive))
	add("simulated", "%.2f hours", s.SimulatedHours)
	add("events", "%s", thousands(s.Events))
	for _, f := range s.Faults {
		if f.Drawn > 0 {
			add("fault "+f.Kind, "%d, %d with an effect", f.Drawn, f.Effective)
		}
	}
	add("rare paths", "%s taken; %d of %s never fired", thousands(s.RarePaths.sum()), len(s.RarePathsUnused), Count(len(s.RarePaths), "site"))
	add("elections", "%s of partition leaders, %s of controllers", thousands(uint64(s.Elections)), thousands(uint64(s.QuorumElections)))
	add("ISR changes", "%s", thousands(uint64(s.ISRChanges)))
	add("truncations", "%s", thousands(uint64(s.Truncations)))
	add("records", "%s acknowledged, %s read", thousands(uint64(s.RecordsAcked)), thousands(uint64(s.RecordsRead)))
	for _, l := range s.ExpectedLosses {
		add("expected loss", "%s %s: %s", thousands(uint64(l.Records)), plural(l.Records, "record"), l.Reason)
	}
	add("violations", "%s", s.violations())
	add("digest", "%s", s.Digest)
	if s.WallSeconds > 1e-3 {
		add("speed", "%s events/s, %.0f simulated seconds per second, %s in all", thousands(uint64(s.EventsPerSecond)), s.SimPerSecond, (time.Duration(s.WallSeconds*1e3) * time.Millisecond).String())
	}
	return rows
}

func (s *Summary) violations() string {
	var promises []string
	for p := range s.Violations { // order: sorted below
		promises = append(promises, fmt.Sprintf("%s: %d", p, s.Violations[p]))
	}
	slices.Sort(promises)
	if s.Broken > 0 {
		promises = append(promises, fmt.Sprintf("runs that broke: %d", s.Broken))
	}
	if len(promises) == 0 {
		return "none"
	}
	return strings.Join(promises, ", ")
}

// Count is a number and what it counts: "1 batch", "2 batches".
func Count[N int | int64 | uint64](n N, what string) string {
	return strconv.FormatInt(int64(n), 10) + " " + plural(n, what)
}

// plural is the word for n of something.
func plural[N int | int64 | uint64](n N, what string) string {
	stem, isY := strings.CutSuffix(what, "y")
	switch {
	case n == 1:
		return what
	case isY:
		return stem + "ies"
	case strings.HasSuffix(what, "ch"):
		return what + "es"
	}
	return what + "s"
}

// thousands writes a number with commas.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
