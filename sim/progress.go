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

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Show says that done steps are done, at least one, and how long the rest will take at that pace. what names the steps.
func (p *Progress) Show(done uint64, what string) {
	now := time.Now()
	if p.w == nil || now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown, p.visible = now, true
	left := time.Duration(float64(now.Sub(p.began)) / float64(done) * float64(p.of-done))
	fmt.Fprintf(p.w, "\r\x1b[K%d of %d %s, %s left", done, p.of, what, left.Round(time.Second))
}

// Clear takes the line away, so that something else can be printed.
func (p *Progress) Clear() {
	if p.visible {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.visible = false
	}
}
