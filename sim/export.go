package sim

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
)

// Exporter writes a trace for another program. Give the run that it traces RunOptions.Messages.
type Exporter interface {
	Tracer
	// Close writes what is left; the writer stays open.
	Close() error
}

// exportFormats are the formats, with the ending of their files and what makes their exporters.
var exportFormats = []struct {
	name, ending string
	open         func(w *bufio.Writer, o *Options) Exporter
}{
	{"jsonl", ".jsonl", newJSONLines},
	{"chrome", ".json", newChrome},
	{"shiviz", ".shiviz", newShiViz},
	{"mermaid", ".mmd", newMermaid},
}

// ExportFormats names all formats.
func ExportFormats() (names []string) {
	for _, f := range exportFormats {
		names = append(names, f.name)
	}
	return names
}

// ExportFormat finds the format of a file by its ending; empty if it has none.
func ExportFormat(file string) string {
	for _, f := range exportFormats {
		if filepath.Ext(file) == f.ending {
			return f.name
		}
	}
	return ""
}

// NewExporter writes a format to w: "jsonl" (the trace as it is), "chrome" (trace events, for Perfetto), "shiviz" (vector
// clocks) or "mermaid" (a sequence diagram of the last messages).
func NewExporter(format string, w io.Writer, s *Schedule) (Exporter, error) {
	for _, f := range exportFormats {
		if f.name == format {
			return f.open(bufio.NewWriterSize(w, 64<<10), &s.Options), nil
		}
	}
	return nil, fmt.Errorf("no export format %q; there are: %v", format, ExportFormats())
}

// jsonLines is the trace as JSONTracer writes it.
type jsonLines struct {
	*JSONTracer
	w *bufio.Writer
}

func newJSONLines(w *bufio.Writer, _ *Options) Exporter { return jsonLines{NewJSONTracer(w), w} }

// Close implements Exporter.
func (j jsonLines) Close() error { return j.w.Flush() }

// way is a frame on its way: what a "sent" and a "message" entry have in common.
type way struct {
	from, to int32
	n        int64
}

// wayOf is the way of a message's entry, of either kind.
func wayOf(e *Entry) way {
	if e.Kind == kindSent {
		return way{e.Node, e.Peer, e.Offset}
	}
	return way{e.Peer, e.Node, e.Offset}
}

// isTurn reports whether an entry is a turn in a partition's or a node's life, worth a mark of its own.
func isTurn(e *Entry) bool {
	switch e.Kind {
	case "became-leader", "raft-became", "truncated", "raft-truncated", "unclean-election", "controller-active", "killed", "lost-power", "log-dir-failed", "violation", "broker-fenced":
		return true
	}
	return false
}
