package availability

import (
	"fmt"
	"io"
	"strings"

	"github.com/lockstep/lockstep/sim"
)

// The picture's measures, in pixels.
const (
	labelWidth = 330
	panelWidth = 400
	valueWidth = 150 // for the number behind a bar
	barHeight  = 9
	rowGap     = 12
	headHeight = 92
	troubleGap = 30 // above the first row of each trouble
	ticks      = 5
)

// bar is one line of a row: a client.
type bar struct{ name, colour string }

var bars = []bar{{"acks=0", "#9aa0a6"}, {"acks=1", "#e8863a"}, {"acks=all", "#2b6cb0"}, {"consumer, without news", "#3a9d5d"}}

// picture is an SVG under construction.
type picture struct {
	strings.Builder
	y       int
	seconds float64 // at the right end of the left panel
}

// WriteSVG draws unavailability and loss by configuration: a bar is the median, its whisker the 95th percentile.
func (r *Report) WriteSVG(w io.Writer) error {
	rows := picture{y: headHeight, seconds: r.longest()}
	rows.table(r)
	width, height := labelWidth+2*(panelWidth+valueWidth), rows.y+10
	p := picture{seconds: rows.seconds}
	fmt.Fprintf(&p, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="DejaVu Sans, Helvetica, Arial, sans-serif">`+"\n", width, height)
	fmt.Fprintf(&p, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	p.head(r)
	p.grid(labelWidth, height, "%.0f s", p.seconds)
	p.grid(labelWidth+panelWidth+valueWidth, height, "%.0f %%", 100)
	p.WriteString(rows.String())
	p.WriteString("</svg>\n")
	_, err := io.WriteString(w, p.String())
	return err
}

// table draws all rows, each trouble under its name.
func (p *picture) table(r *Report) {
	trouble := ""
	for _, row := range r.Rows {
		if row.Trouble != trouble {
			trouble = row.Trouble
			p.y += troubleGap - rowGap
			p.text(12, p.y-6, "bold 13px", "start", "#222", trouble)
		}
		p.row(row)
	}
}

// longest is the end of the scale: the next multiple of ten seconds.
func (r *Report) longest() float64 {
	most := 10.0
	for _, row := range r.Rows {
		most = max(most, row.News.P95)
		for i := range row.Producers {
			most = max(most, row.Producers[i].Unavailable.P95)
		}
	}
	return float64((int(most) + 9) / 10 * 10)
}

func (p *picture) head(r *Report) {
	p.text(12, 24, "bold 17px", "start", "#111", "Unavailability and loss by configuration")
	p.text(12, 44, "12px", "start", "#555", fmt.Sprintf("%s a row; each broker is away for %.0f s", sim.Count(r.Seeds, "seed"), Config{}.down().Seconds()))
	x := 12
	for _, b := range bars { // the legend
		fmt.Fprintf(p, `<rect x="%d" y="58" width="12" height="10" fill="%s"/>`+"\n", x, b.colour)
		p.text(x+17, 67, "10px", "start", "#333", b.name)
		x += 30 + 6*len(b.name)
	}
	p.text(labelWidth, 44, "bold 13px", "start", "#222", "seconds without service (bar: median, line: 95th percentile)")
	p.text(labelWidth+panelWidth+valueWidth, 44, "bold 13px", "start", "#222", "seeds that lost acknowledged records (mean records a seed)")
}

// grid draws a panel's scale.
func (p *picture) grid(x, height int, format string, most float64) {
	for i := range ticks + 1 {
		at := x + panelWidth*i/ticks
		fmt.Fprintf(p, `<line x1="%d" y1="%d" x2="%[1]d" y2="%d" stroke="#e3e3e3"/>`+"\n", at, headHeight-8, height-10)
		p.text(at, headHeight-12, "11px", "middle", "#555", fmt.Sprintf(format, most*float64(i)/ticks))
	}
}

func (p *picture) row(row *Row) {
	middle := p.y + barHeight*len(bars)/2 + 4
	p.text(labelWidth-10, middle, "12px", "end", "#222", row.Title)
	for i := range row.Producers {
		producer := &row.Producers[i]
		p.time(bars[i], producer.Unavailable)
		p.loss(bars[i], producer, row.Seeds)
		p.y += barHeight
	}
	p.time(bars[len(bars)-1], row.News)
	p.y += barHeight + rowGap
}

func (p *picture) time(b bar, s Spread) {
	scale := func(seconds float64) int { return int(seconds / p.seconds * panelWidth) }
	p.bar(labelWidth, scale(s.Median), b.colour)
	end := max(scale(s.P95), scale(s.Median))
	fmt.Fprintf(p, `<line x1="%d" y1="%d" x2="%d" y2="%[2]d" stroke="#222"/>`+"\n", labelWidth+scale(s.Median), p.y+barHeight/2, labelWidth+end)
	p.text(labelWidth+end+5, p.y+barHeight-1, "9px", "start", "#444", fmt.Sprintf("%.*f s", decimals(s.Median), s.Median))
}

func decimals(seconds float64) int {
	if seconds < 1 {
		return 2
	}
	return 1
}

func (p *picture) loss(b bar, producer *Producer, seeds uint64) {
	x := labelWidth + panelWidth + valueWidth
	width := int(float64(producer.SeedsWithLoss) / float64(max(seeds, 1)) * panelWidth)
	p.bar(x, width, b.colour)
	label := fmt.Sprintf("%s (%s)", producer.lossShare(seeds), number(producer.LostMean))
	if producer.SeedsWithLoss == 0 {
		label = producer.lossShare(seeds)
	}
	p.text(x+width+5, p.y+barHeight-1, "9px", "start", "#444", label)
}

func (p *picture) bar(x, width int, colour string) {
	fmt.Fprintf(p, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, p.y, max(width, 1), barHeight-1, colour)
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (p *picture) text(x, y int, font, anchor, colour, text string) {
	weight, size, bold := strings.Cut(font, " ")
	if !bold {
		weight, size = "normal", font
	}
	fmt.Fprintf(p, `<text x="%d" y="%d" font-size="%s" font-weight="%s" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, size, weight, anchor, colour, escape.Replace(text))
}
