package availability

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/sim"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// Print writes the report for people: what was measured, the errors, and what that says of the article.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintln(w, "Seconds without service are median / 95th percentile / most over the seeds. Lost are acknowledged records: mean (most) a seed.")
	r.printMeasures(w)
	fmt.Fprintln(w, wrap(leftOut, 140, ""))
	fmt.Fprintln(w, "\nErrors seen by clients, a seed:")
	r.printErrors(w)
	fmt.Fprintln(w, "\nThe article, and what was measured:")
	for _, f := range r.Findings {
		fmt.Fprintf(w, "\n  %s\n    %s\n", wrap(f.heading(), 112, "  "), wrap(f.Text, 110, "    "))
	}
	r.printFailures(w)
	fmt.Fprintf(w, "\n%s\n", r.summary())
}

func (r *Report) printMeasures(w io.Writer) {
	t := newTable(w, "brokers", "configuration", "acks", "producer without", "lost", "seeds with a loss", "consumer without", "without news")
	for _, row := range r.Rows {
		for i, p := range row.Producers {
			cells := []string{"", "", p.Acks, p.Unavailable.String(), p.lost(), p.lossShare(row.Seeds), "", ""}
			if i == 0 {
				cells[0], cells[1], cells[6], cells[7] = row.Trouble, row.Title, row.Unavailable.String(), row.News.String()
			}
			_ = t.Append(cells)
		}
	}
	_ = t.Render()
}

func (r *Report) printErrors(w io.Writer) {
	t := newTable(w, "brokers", "configuration", "client", "errors")
	for _, row := range r.Rows {
		add := func(client string, errors map[string]float64) {
			if len(errors) > 0 {
				_ = t.Append([]string{row.Trouble, row.Title, client, describeErrors(errors)})
			}
		}
		for _, p := range row.Producers {
			add("acks="+p.Acks, p.Errors)
		}
		add("consumer", row.Errors)
	}
	_ = t.Render()
}

// describeErrors names the kinds, the most frequent first.
func describeErrors(errors map[string]float64) string {
	kinds := slices.Sorted(maps.Keys(errors))
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(errors[b], errors[a]) })
	for i, kind := range kinds {
		kinds[i] = kind + " " + number(errors[kind])
	}
	return strings.Join(kinds, ", ")
}

func (r *Report) printFailures(w io.Writer) {
	for _, row := range r.Rows {
		for i, f := range row.Failures {
			if i == 3 {
				fmt.Fprintf(w, "  and %s of %s\n", sim.Count(len(row.Failures)-i, "more seed"), row.Name)
				break
			}
			fmt.Fprintf(w, "\nnot counted: seed %d of %s: %s\n    lockstep experiment availability --rows '^%s$' --seed-from %d --schedule > seed.txt; lockstep replay seed.txt\n",
				f.Seed, row.Name, f.Reason, row.Name, f.Seed)
		}
	}
}

func (r *Report) summary() string {
	simulated := 0.0
	for _, row := range r.Rows {
		simulated += row.Simulated
	}
	text := fmt.Sprintf("%s, seeds %d to %d: %.1f simulated hours in %s", sim.Count(len(r.Rows), "configuration"), r.From, r.From+r.Seeds-1, simulated/3600,
		(time.Duration(r.WallSeconds) * time.Second).String())
	if r.Interrupted {
		text += "; interrupted, the numbers are of the seeds that were run"
	}
	return text
}

// String is the spread in seconds: median, 95th percentile and most.
func (s Spread) String() string {
	return fmt.Sprintf("%5.2f / %5.2f / %5.2f", s.Median, s.P95, s.Max)
}

func (p *Producer) lost() string {
	if p.SeedsWithLoss == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%d)", number(p.LostMean), p.LostMax)
}

// lossShare is how many of the seeds lost something; if none did, what the probability is below at 95 %.
func (p *Producer) lossShare(seeds uint64) string {
	if p.SeedsWithLoss == 0 {
		return fmt.Sprintf("none: < %s %%", number(100*p.LossBound))
	}
	return fmt.Sprintf("%s %%", number(100*float64(p.SeedsWithLoss)/float64(seeds)))
}

// number is a number for people: three digits, or all of an integer's.
func number(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

func newTable(w io.Writer, header ...string) *tablewriter.Table {
	return sim.NewTable(w,
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeader(header),
	)
}

// wrap breaks a text into lines of at most width characters; the second and later ones are indented.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		if column > 0 && column+len(word) >= width {
			b.WriteString("\n" + indent)
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
		column += len(word) + 1
	}
	return b.String()
}
