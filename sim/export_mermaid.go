package sim

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
)

// mermaidMessages is how many messages a diagram shows: more cannot be read.
const mermaidMessages = 40

// mermaid writes a sequence diagram of the last messages that arrived, with the turns between them.
type mermaid struct {
	w       *bufio.Writer
	options *Options
	entries []Entry
	arrived int
}

func newMermaid(w *bufio.Writer, o *Options) Exporter { return &mermaid{w: w, options: o} }

// Trace implements Tracer.
func (m *mermaid) Trace(e *Entry) {
	if e.Kind != kindMessage && e.Kind != "fault" && !isTurn(e) {
		return
	}
	m.entries = append(m.entries, *e)
	if e.Kind == kindMessage {
		m.arrived++
	}
	for m.arrived > mermaidMessages {
		if m.entries[0].Kind == kindMessage {
			m.arrived--
		}
		m.entries = m.entries[1:]
	}
}

// Close implements Exporter.
func (m *mermaid) Close() error {
	fmt.Fprintln(m.w, "sequenceDiagram")
	hosts := m.hosts()
	for _, id := range hosts {
		fmt.Fprintf(m.w, "    participant %s\n", hostName(m.options, id))
	}
	for i := range m.entries {
		m.write(&m.entries[i], hosts)
	}
	return m.w.Flush()
}

// hosts are all that take part, brokers before clients.
func (m *mermaid) hosts() (ids []int32) {
	for i := range m.entries {
		e := &m.entries[i]
		for _, id := range []int32{e.Node, e.Peer} {
			if id >= 0 && (e.Kind == kindMessage || id == e.Node) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *mermaid) write(e *Entry, hosts []int32) {
	switch {
	case e.Kind == kindMessage:
		arrow := "->>"
		if strings.Contains(e.Note, "response") {
			arrow = "-->>"
		}
		fmt.Fprintf(m.w, "    %s%s%s: %s\n", hostName(m.options, e.Peer), arrow, hostName(m.options, e.Node), mermaidText(e.Note))
	case len(hosts) == 0:
	case e.Node >= 0:
		fmt.Fprintf(m.w, "    Note over %s: %s\n", hostName(m.options, e.Node), mermaidText(formatTime(e.T)+" "+e.String()))
	default:
		fmt.Fprintf(m.w, "    Note over %s,%s: %s\n", hostName(m.options, hosts[0]), hostName(m.options, hosts[len(hosts)-1]), mermaidText(formatTime(e.T)+" "+e.String()))
	}
}

// mermaidText is a text without what means something to Mermaid.
func mermaidText(s string) string {
	return strings.NewReplacer("#", "", ";", ",", "\n", " ", ":", " -").Replace(s)
}
