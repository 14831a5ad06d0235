package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
)

// shivizParser is the regular expression that ShiViz needs to read the rest, as the file's first line says.
const shivizParser = `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`

// shiviz writes a log with vector clocks. What says only that records flow is left out.
type shiviz struct {
	w       *bufio.Writer
	options *Options
	clocks  map[int32]map[string]uint64
	sent    map[way]map[string]uint64
}

func newShiViz(w *bufio.Writer, o *Options) Exporter {
	fmt.Fprintf(w, "%s\n\n", shivizParser)
	return &shiviz{w: w, options: o, clocks: map[int32]map[string]uint64{}, sent: map[way]map[string]uint64{}}
}

// Trace implements Tracer.
func (v *shiviz) Trace(e *Entry) {
	if !IsMessage(e) && !IsNews(e) {
		return
	}
	host := hostName(v.options, e.Node)
	clock := v.clocks[e.Node]
	if clock == nil {
		clock = map[string]uint64{}
		v.clocks[e.Node] = clock
	}
	if e.Kind == kindMessage {
		merge(clock, v.sent[wayOf(e)])
		delete(v.sent, wayOf(e))
	}
	clock[host]++
	if e.Kind == kindSent {
		v.sent[wayOf(e)] = copyOf(clock)
	}
	v.write(host, clock, e)
}

func (v *shiviz) write(host string, clock map[string]uint64, e *Entry) {
	text := e.String()
	switch e.Kind {
	case kindSent:
		text = "to " + hostName(v.options, e.Peer) + ": " + e.Note
	case kindMessage:
		text = "from " + hostName(v.options, e.Peer) + ": " + e.Note
	}
	b, err := json.Marshal(clock) // with sorted keys
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(v.w, "%s %s\n%s %s\n", host, b, formatTime(e.T), text)
}

// Close implements Exporter.
func (v *shiviz) Close() error { return v.w.Flush() }

func merge(clock, other map[string]uint64) {
	for host, n := range other { // order: a maximum
		clock[host] = max(clock[host], n)
	}
}

func copyOf(clock map[string]uint64) map[string]uint64 {
	c := make(map[string]uint64, len(clock))
	merge(c, clock)
	return c
}
