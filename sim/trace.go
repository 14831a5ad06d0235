package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// Entry is one line of a trace: the one schema for logs, pages and exporters.
type Entry struct {
	Seq       uint64            `json:"seq"`
	T         scheduler.Instant `json:"t"`     // ns
	Cause     uint64            `json:"cause"` // seq of the event that scheduled this one
	Kind      string            `json:"kind"`
	Node      int32             `json:"node"` // -1: the world; from 999 on: clients
	Peer      int32             `json:"peer"` // -1: none, as in the next three
	Partition string            `json:"partition,omitempty"`
	Offset    int64             `json:"offset"`
	Len       int64             `json:"len,omitempty"`
	Epoch     int32             `json:"epoch"`
	Fault     string            `json:"fault,omitempty"`
	Note      string            `json:"note,omitempty"`
}

// Tracer gets what happens, in order.
type Tracer interface{ Trace(e *Entry) }

// TracerFunc is a function as a Tracer.
type TracerFunc func(e *Entry)

// Trace implements Tracer.
func (f TracerFunc) Trace(e *Entry) { f(e) }

func entryOf(node int32, e *event.Event) Entry {
	return Entry{
		Kind: e.Kind.String(), Node: node, Peer: e.Peer, Partition: e.Partition.String(), Offset: e.Offset, Len: e.Len,
		Epoch: e.Epoch, Note: e.Note,
	}
}

func (r *run) trace(e Entry) {
	e.Seq, e.Cause, e.T = r.world.Cause(), r.world.Parent(), r.world.Now()
	r.options.Trace.Trace(&e)
}

// note traces what is not an event of the core.
func (r *run) note(node int32, kind, note string) {
	if r.options.Trace != nil {
		r.trace(Entry{Kind: kind, Node: node, Peer: -1, Offset: -1, Epoch: -1, Note: note})
	}
}

func (r *run) phase(name string) { r.note(-1, "phase", name) }

// fault traces the begin or end of a fault; target is who it strikes if that was not plain.
func (r *run) fault(f *Fault, note, target string) {
	if r.options.Trace == nil {
		return
	}
	if target != "" && target != f.Target {
		note += " on " + target
	}
	r.trace(Entry{Kind: "fault", Node: -1, Peer: -1, Offset: -1, Epoch: -1, Fault: f.Label, Note: note})
}

// String is the entry without time and place.
func (e *Entry) String() string {
	var b strings.Builder
	b.WriteString(e.Kind)
	if e.Fault != "" {
		b.WriteString(" " + e.Fault)
	}
	if e.Partition != "" {
		b.WriteString(" " + e.Partition)
	}
	if e.Peer >= 0 {
		fmt.Fprintf(&b, " peer=%d", e.Peer)
	}
	if e.Epoch >= 0 {
		fmt.Fprintf(&b, " epoch=%d", e.Epoch)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " offset=%d", e.Offset)
	}
	if e.Len != 0 {
		fmt.Fprintf(&b, " len=%d", e.Len)
	}
	if e.Note != "" {
		fmt.Fprintf(&b, " (%s)", e.Note)
	}
	return b.String()
}

// laneWidth is how far apart the columns of two nodes are.
const laneWidth = 22

// TextTracer writes a trace for people: a column for the world and its clients and one for each
// node. A line may run over the columns right of its own; nothing else is on it.
type TextTracer struct {
	W     io.Writer
	Nodes []int32             // the columns after the first
	Keep  func(e *Entry) bool // nil: everything
}

// NewTextTracer has a column for each of the schedule's nodes.
func NewTextTracer(w io.Writer, s *Schedule) *TextTracer {
	return &TextTracer{W: w, Nodes: nodeIDs(&s.Options.Cluster)}
}

// Header writes the columns' names.
func (t *TextTracer) Header() {
	fmt.Fprintf(t.W, "%14s  %-*s", "time", laneWidth, "world")
	for _, id := range t.Nodes {
		fmt.Fprintf(t.W, "%-*s", laneWidth, nodeName(id))
	}
	fmt.Fprintln(t.W)
}

// Trace implements Tracer.
func (t *TextTracer) Trace(e *Entry) {
	if t.Keep != nil && !t.Keep(e) {
		return
	}
	column := 0
	for i, id := range t.Nodes {
		if id == e.Node {
			column = 1 + i
		}
	}
	fmt.Fprintf(t.W, "%14s  %s%s\n", formatTime(e.T), strings.Repeat(" ", column*laneWidth), e)
}

func formatTime(t scheduler.Instant) string {
	return fmt.Sprintf("%d.%06ds", int64(t)/int64(time.Second), int64(t)%int64(time.Second)/1000)
}

// IsNews reports whether an entry is more than one of the many that say that records flow.
func IsNews(e *Entry) bool {
	switch e.Kind {
	case "appended", "written", "high-watermark", "raft-high-watermark", "metadata-applied", "connection-lost", kindSent, kindMessage:
		return false
	}
	return true
}

// JSONTracer writes one object a line.
type JSONTracer struct{ Encoder *json.Encoder }

// NewJSONTracer writes to w.
func NewJSONTracer(w io.Writer) *JSONTracer { return &JSONTracer{json.NewEncoder(w)} }

// Trace implements Tracer.
func (t *JSONTracer) Trace(e *Entry) { _ = t.Encoder.Encode(e) }
