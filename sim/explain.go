package sim

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// explainLines is how many lines an explanation has at most: its causes, how many were left out, and the verdict after an empty line.
const explainLines = 40

const explainCauses = explainLines - 3

// Cause is a line of an explanation: what happened, and why that is told.
type Cause struct {
	T    scheduler.Instant `json:"t"`
	Node string            `json:"node"`
	What string            `json:"what"`
	Why  string            `json:"why"`

	seq    uint64
	order  int // in the trace
	weight int
}

// Explanation is the happens-before cone of a violation, as far as it tells something.
type Explanation struct {
	Result *Result `json:"-"`
	Causes []Cause `json:"causes"` // by time
	Left   int     `json:"left"`   // causes that were left out, as less telling
}

// Explain runs a schedule and looks back from its violation: along what scheduled what, and along what happened on each node
// to the partition concerned.
func Explain(s *Schedule, interrupted func() bool) *Explanation {
	c := &cone{options: &s.Options}
	x := &Explanation{}
	x.Result = Run(s, RunOptions{Trace: c, Messages: true, turn: c.turn, Interrupted: interrupted})
	if len(x.Result.Violations) == 0 {
		return x
	}
	c.aim(&x.Result.Violations[0])
	causes := c.collect()
	slices.SortStableFunc(causes, func(a, b Cause) int { return cmp.Or(b.weight-a.weight, b.order-a.order) })
	x.Left = max(len(causes)-explainCauses, 0)
	causes = causes[:min(len(causes), explainCauses)]
	slices.SortStableFunc(causes, func(a, b Cause) int { return a.order - b.order })
	x.Causes = causes
	return x
}

// cone is a run's trace, and what scheduled each of its events.
type cone struct {
	options   *Options
	entries   []Entry
	parents   []uint64 // by seq
	violation *Violation
	partition string // "" if the violation is of none
	offset    int64  // of the record; -1 if it is of none
	chain     map[uint64]int
	carried   map[uint64]bool
}

// Trace implements Tracer.
func (c *cone) Trace(e *Entry) { c.entries = append(c.entries, *e) }

func (c *cone) turn(w *virtual.World, _ int32) {
	for uint64(len(c.parents)) <= w.Cause() {
		c.parents = append(c.parents, 0)
	}
	c.parents[w.Cause()] = w.Parent()
}

var (
	recordIn    = regexp.MustCompile(`([A-Za-z_][\w.-]*-\d+)@(\d+)`)
	partitionIn = regexp.MustCompile(`\b([A-Za-z_][\w.-]*-\d+)\b`)
)

// aim finds what the violation is about.
func (c *cone) aim(v *Violation) {
	c.violation, c.offset = v, -1
	if m := recordIn.FindStringSubmatch(v.Text); m != nil {
		c.partition = m[1]
		c.offset, _ = strconv.ParseInt(m[2], 10, 64)
	} else if m := partitionIn.FindStringSubmatch(v.Text); m != nil {
		c.partition = m[1]
	} else if v.Promise == "P4" {
		c.partition = event.MetadataPartition.String()
	}
	c.chain = c.ancestors(v.Seq)
	c.carried = map[uint64]bool{}
	for i := range c.entries {
		if e := &c.entries[i]; e.Kind == "appended" && c.isOurs(e) && c.holds(e) {
			c.carry(e.Seq)
		}
	}
}

// ancestors are the events that an event hangs on, each with how many steps it is away.
func (c *cone) ancestors(seq uint64) map[uint64]int {
	chain := map[uint64]int{}
	for step := 0; seq != 0; step++ {
		chain[seq] = step
		if seq >= uint64(len(c.parents)) {
			break
		}
		seq = c.parents[seq]
	}
	return chain
}

// carry marks the nearest message that an append hangs on: the one that brought the record.
func (c *cone) carry(seq uint64) {
	for step := 0; seq != 0 && seq < uint64(len(c.parents)) && step < 20; step++ {
		c.carried[seq] = true
		seq = c.parents[seq]
	}
}

func (c *cone) isOurs(e *Entry) bool { return e.Partition != "" && e.Partition == c.partition }

func (c *cone) holds(e *Entry) bool {
	return c.offset >= 0 && e.Offset <= c.offset && c.offset < e.Offset+max(e.Len, 1)
}

// collect weighs each entry of the cone.
func (c *cone) collect() (causes []Cause) {
	passed := map[int32]bool{} // nodes whose high watermark has passed the record
	for i := range c.entries {
		e := &c.entries[i]
		weight, why := c.weigh(e, passed)
		if weight == 0 {
			continue
		}
		what := e.String()
		if IsMessage(e) {
			what = messageText(c.options, e)
		}
		causes = append(causes, Cause{T: e.T, Node: hostName(c.options, e.Node), What: what, Why: why, seq: e.Seq, order: i, weight: weight})
	}
	return causes
}

func messageText(o *Options, e *Entry) string {
	if e.Kind == kindSent {
		return "sends " + e.Note + " to " + hostName(o, e.Peer)
	}
	return "receives " + e.Note + " from " + hostName(o, e.Peer)
}

// weigh says how telling an entry is, 0 if it is not in the cone, and why.
func (c *cone) weigh(e *Entry, passed map[int32]bool) (weight int, why string) {
	weight, why = c.weighKind(e, passed)
	if step, ok := c.chain[e.Seq]; ok && e.Kind != "violation" {
		link := fmt.Sprintf("led to the violation, %s before", Count(step, "event"))
		if weight == 0 && step < 100 {
			return linkWeight(e), link
		}
		if weight > 0 {
			return weight + 5, why + "; " + link
		}
	}
	return weight, why
}

// linkWeight is how telling an entry is that is in the cone only because something had to schedule the violation.
func linkWeight(e *Entry) int {
	switch {
	case e.Kind == kindMessage:
		return 50
	case e.Kind == kindSent, e.Partition != "" && IsNews(e):
		return 10
	case IsNews(e):
		return 45
	}
	return 0
}

func (c *cone) weighKind(e *Entry, passed map[int32]bool) (int, string) {
	switch e.Kind {
	case "violation":
		return 100, "the violation"
	case "fault":
		return 75, "a fault"
	case "killed", "lost-power":
		return 76, "the process ended"
	case "unclean-election":
		return 80, "an election"
	case "log-dir-failed", "wiped":
		return 72, "the disk failed"
	case kindMessage:
		if c.carried[e.Seq] {
			return 60, "brought the record"
		}
		return 0, ""
	case "broker-fenced", "controller-active":
		return 40, "decides who leads"
	}
	if c.isOurs(e) {
		return c.weighOurs(e, passed)
	}
	return 0, ""
}

// weighOurs weighs an entry about the violation's partition.
func (c *cone) weighOurs(e *Entry, passed map[int32]bool) (int, string) {
	switch e.Kind {
	case "truncated", "raft-truncated":
		if c.offset >= 0 && e.Offset <= c.offset {
			return 95, "took the record away"
		}
		return 70, "a truncation"
	case "appended":
		if c.holds(e) {
			return 90, "appended the record"
		}
	case "high-watermark", "raft-high-watermark":
		if c.offset >= 0 && e.Offset > c.offset && !passed[e.Node] {
			passed[e.Node] = true
			return 78, "committed the record, as this node knows it"
		}
	case "became-leader", "raft-became":
		return 82, "an election"
	case "became-follower", "diverged", "raft-voted", "replica-removed":
		return 62, "what the election led to"
	case "partition-changed":
		return 74, "the controller's decision"
	case "recovered":
		return 66, "what a restart found"
	case "isr-committed", "isr-rejected":
		return 48, "who counts"
	}
	return 0, ""
}

// Print writes the explanation for people; the verdict is its last line.
func (x *Explanation) Print(w io.Writer) {
	for i := range x.Causes {
		c := &x.Causes[i]
		fmt.Fprintf(w, "%14s  %-6s %-70s %s\n", formatTime(c.T), c.Node, c.What, c.Why)
	}
	if x.Left > 0 {
		fmt.Fprintf(w, "left out: %s, less telling\n", Count(x.Left, "line"))
	}
	fmt.Fprintf(w, "\n%s\n", x.Verdict())
}

// Verdict is the violation in a sentence, with its first cause.
func (x *Explanation) Verdict() string {
	if len(x.Result.Violations) == 0 {
		return x.Result.Verdict().String() + ": nothing to explain"
	}
	return strings.ReplaceAll(x.Result.Violations[0].Error(), "\n", " ")
}
