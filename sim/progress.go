package sim

import (
	"fmt"
	"io"
	"os"
	"time"
)

// Progress is one line on a terminal that tells how far long work is; elsewhere it is nothing.
type Progress struct {
	w       *os.File // nil: not a terminal
	of      uint64
	began   time.Time
	limit   time.Duration // after which the work ends whatever is left; 0: never
	known   uint64        // steps that were done before it began
	started bool
	shown   time.Time
	visible bool
}

// NewProgress begins to watch work of so many steps.
func NewProgress(w io.Writer, of uint64) *Progress {
	p := &Progress{of: of, began: time.Now()}
	if file, ok := w.(*os.File); ok && isTerminal(file) {
		p.w = file
	}
	return p
}

// Within says that the work ends after so long, however far it is; 0 takes that back.
func (p *Progress) Within(limit time.Duration) { p.limit = limit }

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Show says that done steps are done, at least one, and how long the rest will take at that pace. what names the steps. Those that were
// done at the first call but for one took no time: somebody else did them.
func (p *Progress) Show(done uint64, what string) {
	now := time.Now()
	if !p.started {
		p.started, p.known = true, done-1
	}
	if p.w == nil || now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown, p.visible = now, true
	fmt.Fprintf(p.w, "\r\x1b[K%d of %d %s, %s left", done, p.of, what, p.left(done, now.Sub(p.began)).Round(time.Second))
}

// left is how long what is not done takes, after so much of it was done in some time.
func (p *Progress) left(done uint64, took time.Duration) time.Duration {
	left := time.Duration(float64(took) / float64(max(done-p.known, 1)) * float64(p.of-min(done, p.of)))
	if p.limit > 0 {
		left = min(left, max(p.limit-took, 0))
	}
	return left
}

// Clear takes the line away, so that something else can be printed.
func (p *Progress) Clear() {
	if p.visible {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.visible = false
	}
}
