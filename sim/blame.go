package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// BlameOptions is how finely to ask.
type BlameOptions struct {
	Points      int // moments
	Runs        int // at each
	Interrupted func() bool
	Progress    func(done, of int)
}

// Odds is how often a run breaks its promise when all that comes after a moment is drawn anew.
type Odds struct {
	After    time.Duration     `json:"after"` // of the main phase
	T        scheduler.Instant `json:"t"`
	Runs     int               `json:"runs"`
	Violated int               `json:"violated"`
}

// reseeding has a run draw anew from a moment on.
type reseeding struct {
	at   time.Duration // of the main phase
	salt uint64
}

// Blame plays a schedule that breaks a promise again and again, the same up to a moment and drawn anew from there, for a row of
// moments up to the violation: delays, crashes' damage, clients, elections, and times, lengths and targets of the faults that are still to begin.
// Where the odds jump, the harm was done. It is empty if the run does not break a promise after clients began.
func Blame(s *Schedule, o BlameOptions) (row []Odds) {
	b := newBlamer(s)
	if b.promise == "" {
		return nil
	}
	for i := range o.Points {
		at := (b.failed * time.Duration(i) / time.Duration(max(o.Points-1, 1))).Truncate(time.Millisecond)
		odds := Odds{After: at, T: b.began.Add(at)}
		for n := range o.Runs {
			if o.Interrupted != nil && o.Interrupted() {
				return row
			}
			odds.Runs++
			if b.violates(at, uint64(i*o.Runs+n+1)) {
				odds.Violated++
			}
			if o.Progress != nil {
				o.Progress(i*o.Runs+n+1, o.Points*o.Runs)
			}
		}
		row = append(row, odds)
	}
	return row
}

type blamer struct {
	schedule *Schedule
	world    *virtual.World
	promise  string
	checker  string
	began    scheduler.Instant
	failed   time.Duration // after began
}

func newBlamer(s *Schedule) *blamer {
	b := &blamer{schedule: s.clone(), world: virtual.New(s.Seed)}
	r := Run(s, RunOptions{World: b.world, Watch: startWatch{began: &b.began}})
	if len(r.Violations) == 0 || b.began == 0 {
		return b
	}
	v := &r.Violations[0]
	b.promise, b.checker, b.failed = v.Promise, v.Checker, v.T.Sub(b.began)
	switch {
	case b.failed <= s.Options.For:
		b.schedule.Options.Settle = 0 // who has not failed by then has not failed so
	case b.promise == "P9":
		b.schedule.Options.Settle = min(s.Options.Settle, slowest(&s.Options.Cluster))
		b.failed = s.Options.For
	}
	return b
}

func (b *blamer) violates(at time.Duration, n uint64) bool {
	salt := virtual.Rand(b.schedule.Seed, fmt.Sprintf("blame/%d", n)).Uint64() | 1
	c := b.schedule.clone()
	c.redrawAfter(at, salt)
	r := Run(c, RunOptions{World: b.world, reseed: &reseeding{at, salt}})
	return len(r.Violations) > 0 && r.Violations[0].Promise == b.promise && r.Violations[0].Checker == b.checker
}

// redrawAfter draws when, for how long and whom the faults that begin after a moment strike. Their kinds and sizes stay.
func (s *Schedule) redrawAfter(at time.Duration, salt uint64) {
	nodes := nodeNames(&s.Options.Cluster)
	for i := range s.Faults {
		f := &s.Faults[i]
		if f.At <= at {
			continue
		}
		r := virtual.Rand(salt, "fault/"+f.Label)
		f.At = at + time.Duration(r.Int64N(int64(max(s.Options.For-at, 1)))) + 1
		f.For = f.For/2 + time.Duration(r.Int64N(int64(f.For)+1))
		f.Target = redrawHost(r, f.Target, nodes)
		if f.Target == f.Peer {
			f.Peer = nodes[(1+r.IntN(len(nodes)))%len(nodes)]
		}
	}
}

// redrawHost draws another node for one; roles and clients stay.
func redrawHost(r *rand.Rand, host string, nodes []string) string {
	if slices.Contains(nodes, host) {
		return pick(r, nodes...)
	}
	return host
}

// reseedLater arms the moment from which the run draws anew.
func (r *run) reseedLater() {
	if s := r.options.reseed; s != nil {
		r.world.After(s.at, func() {
			r.world.Reseed(s.salt)
			r.cluster.net.Reseed(s.salt)
		})
	}
}

// PrintOdds draws a row of odds as bars. The mark is where they rise most.
func PrintOdds(w io.Writer, row []Odds) {
	worst := jump(row)
	for i, o := range row {
		mark := ""
		if i == worst {
			mark = "  <- most of the harm is done since the line above"
		}
		fmt.Fprintf(w, "%14s  %-20s %3d%%%s\n", formatTime(o.T), strings.Repeat("#", 20*o.Violated/max(o.Runs, 1)), 100*o.Violated/max(o.Runs, 1), mark)
	}
}

// jump is where the odds rise most from one moment to the next; -1 if they never do.
func jump(row []Odds) int {
	worst, most := -1, 0
	for i := 1; i < len(row); i++ {
		if rise := row[i].Violated - row[i-1].Violated; rise > most {
			worst, most = i, rise
		}
	}
	return worst
}
