package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Replayable is a trace that can be gone through as often as one likes, each time the same.
type Replayable func(t Tracer) error

// Traced is the trace of a schedule's run.
func Traced(s *Schedule, interrupted func() bool) Replayable {
	return func(t Tracer) error {
		Run(s, RunOptions{Trace: t, Interrupted: interrupted})
		return nil
	}
}

// Recorded is a trace that was written as JSON lines. Lines that are no entries are passed over.
func Recorded(open func() (io.ReadCloser, error)) Replayable {
	return func(t Tracer) error {
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close()
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e Entry
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return fmt.Errorf("trace: %w", err)
			}
			if e.Kind != "" {
				t.Trace(&e)
			}
		}
		return lines.Err()
	}
}

// allNodes is the lane of a trace as a whole; the other lanes are the nodes, and -1 the world.
const allNodes = -2

// Parting is where two traces part.
type Parting struct {
	Node   int32   // whose entries; allNodes for the whole trace
	Common int     // entries that both have, from the start
	Before []Entry // the last of those
	A, B   []Entry // what follows in each; empty where it ends
}

// stride is how many entries of a lane one checkpoint covers: traces are compared by these, so that none has to be kept.
const stride = 512

// DiffTraces finds where two traces part: first the whole, then each node's entries, by node. It is nil for equal ones.
// What counts is what happened, when and where; not the seq of entries, which one more fault shifts. Each trace is gone
// through twice. around is how many entries before and after are reported.
func DiffTraces(a, b Replayable, around int) ([]Parting, error) {
	marksA, marksB := newMarks(), newMarks()
	if err := a(marksA); err != nil {
		return nil, err
	}
	if err := b(marksB); err != nil {
		return nil, err
	}
	windowA, windowB := marksA.windows(marksB, around), marksA.windows(marksB, around)
	if len(windowA.lanes) == 0 {
		return nil, nil
	}
	if err := a(windowA); err != nil {
		return nil, err
	}
	if err := b(windowB); err != nil {
		return nil, err
	}
	return windowA.part(windowB, around), nil
}

// marks are the checkpoints of a trace's lanes.
type marks struct{ lanes map[int32]*markedLane }

type markedLane struct {
	count  int
	digest uint64
	at     []uint64 // the digest after each stride
}

func newMarks() *marks { return &marks{map[int32]*markedLane{}} }

// Trace implements Tracer.
func (m *marks) Trace(e *Entry) {
	h := e.hash()
	m.lane(allNodes).add(h)
	m.lane(e.Node).add(h)
}

func (m *marks) lane(node int32) *markedLane {
	l := m.lanes[node]
	if l == nil {
		l = &markedLane{}
		m.lanes[node] = l
	}
	return l
}

func (l *markedLane) add(h uint64) {
	l.digest = (l.digest ^ h) * 0xff51afd7ed558ccd
	l.digest ^= l.digest >> 32
	l.count++
	if l.count%stride == 0 {
		l.at = append(l.at, l.digest)
	}
}

// hash is FNV-1a of what counts in a comparison.
func (e *Entry) hash() uint64 {
	h := uint64(14695981039346656037)
	add := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	add(e.Kind)
	add(e.Partition)
	add(e.Fault)
	add(e.Note)
	for _, n := range []int64{int64(e.T), int64(e.Node), int64(e.Peer), e.Offset, e.Len, int64(e.Epoch)} {
		h = (h ^ uint64(n)) * 1099511628211
		h ^= h >> 29
	}
	return h
}

// windows are the strides in which lanes part, not filled yet.
func (m *marks) windows(o *marks, around int) *windows {
	w := &windows{lanes: map[int32]*window{}}
	var nodes []int32
	for node := range m.lanes { // order: sorted below
		nodes = append(nodes, node)
	}
	for node := range o.lanes { // order: sorted below
		if m.lanes[node] == nil {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	for _, node := range nodes {
		a, b := m.lane(node), o.lane(node)
		if a.count == b.count && a.digest == b.digest {
			continue
		}
		n := 0
		for n < min(len(a.at), len(b.at)) && a.at[n] == b.at[n] {
			n++
		}
		w.nodes = append(w.nodes, node)
		w.lanes[node] = &window{from: max(n*stride-around, 0), to: (n+1)*stride + around}
	}
	return w
}

// windows keep the entries around the places where lanes part.
type windows struct {
	nodes []int32
	lanes map[int32]*window
}

type window struct {
	from, to int // numbers of entries
	seen     int
	entries  []Entry
}

// Trace implements Tracer.
func (w *windows) Trace(e *Entry) {
	w.lanes[allNodes].add(e)
	if l := w.lanes[e.Node]; l != nil {
		l.add(e)
	}
}

func (w *window) add(e *Entry) {
	if w.seen >= w.from && w.seen < w.to {
		w.entries = append(w.entries, *e)
	}
	w.seen++
}

func (w *windows) part(o *windows, around int) (partings []Parting) {
	for _, node := range w.nodes {
		a, b := w.lanes[node], o.lanes[node]
		n := 0
		for n < min(len(a.entries), len(b.entries)) && a.entries[n].hash() == b.entries[n].hash() {
			n++
		}
		partings = append(partings, Parting{
			Node: node, Common: a.from + n, Before: a.entries[max(n-around, 0):n],
			A: a.entries[n:min(n+around, len(a.entries))], B: b.entries[n:min(n+around, len(b.entries))],
		})
	}
	return partings
}

// DiffSchedules are the lines that only one of two schedules has: the first's with "- ", the second's with "+ ".
func DiffSchedules(a, b *Schedule) (lines []string) {
	la, lb := strings.Split(strings.TrimSpace(a.String()), "\n"), strings.Split(strings.TrimSpace(b.String()), "\n")
	for _, line := range la {
		if !slices.Contains(lb, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range lb {
		if !slices.Contains(la, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return lines
}

// Print writes a parting for people. names says how a node is called.
func (p *Parting) Print(w io.Writer, names func(node int32) string) {
	who := "the runs part"
	if p.Node != allNodes {
		who = names(p.Node) + " parts"
	}
	fmt.Fprintf(w, "%s after %s in common\n", who, Count(p.Common, "entry"))
	print := func(mark string, entries []Entry) {
		for i := range entries {
			e := &entries[i]
			fmt.Fprintf(w, "  %s %14s  %-6s %s\n", mark, formatTime(e.T), names(e.Node), e)
		}
		if len(entries) == 0 && mark != " " {
			fmt.Fprintf(w, "  %s ends here\n", mark)
		}
	}
	print(" ", p.Before)
	print("A", p.A)
	print("B", p.B)
}

// HostNames says how the nodes of a schedule's world are called in a trace.
func HostNames(s *Schedule) func(node int32) string {
	return func(node int32) string { return hostName(&s.Options, node) }
}
