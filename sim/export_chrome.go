package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lockstep/lockstep/scheduler"
)

// chrome writes the trace-event format of Chrome's about:tracing, which Perfetto opens: a process for each host, a thread for
// each of its partitions, messages as flows, faults as spans, the rest as instants.
type chrome struct {
	w       *bufio.Writer
	options *Options
	written bool
	threads map[chromeThread]int
	hosts   map[int32]int // threads named so far; a host that is not in it has no name yet
	sent    map[way]Entry
	order   []way // of sent
	faults  []string
	last    scheduler.Instant
}

type chromeThread struct {
	host int32
	name string
}

// chromeEvent is one trace event. TS is in microseconds.
type chromeEvent struct {
	Name  string            `json:"name"`
	Cat   string            `json:"cat,omitempty"`
	Phase string            `json:"ph"`
	TS    json.Number       `json:"ts"`
	Dur   json.Number       `json:"dur,omitempty"`
	PID   int32             `json:"pid"`
	TID   int               `json:"tid"`
	ID    string            `json:"id,omitempty"`
	Bind  string            `json:"bp,omitempty"`
	Scope string            `json:"s,omitempty"`
	Args  map[string]string `json:"args,omitempty"`
}

func newChrome(w *bufio.Writer, o *Options) Exporter {
	c := &chrome{w: w, options: o, threads: map[chromeThread]int{}, hosts: map[int32]int{}, sent: map[way]Entry{}}
	w.WriteString(`{"displayTimeUnit":"ms","traceEvents":[`)
	return c
}

// Trace implements Tracer.
func (c *chrome) Trace(e *Entry) {
	c.last = max(c.last, e.T)
	switch e.Kind {
	case kindSent:
		c.sent[wayOf(e)] = *e
		c.order = append(c.order, wayOf(e))
	case kindMessage:
		c.message(e)
	case "fault":
		c.fault(e)
	default:
		c.instant(e)
	}
}

// message writes both ends and the flow between them, once the message has arrived.
func (c *chrome) message(e *Entry) {
	w := wayOf(e)
	s, ok := c.sent[w]
	if !ok {
		return
	}
	delete(c.sent, w)
	id := fmt.Sprintf("%d>%d#%d", w.from, w.to, w.n)
	from, to := c.thread(w.from, "messages"), c.thread(w.to, "messages")
	args := map[string]string{"from": hostName(c.options, w.from), "to": hostName(c.options, w.to), "bytes": fmt.Sprint(e.Len)}
	c.write(&chromeEvent{Name: e.Note, Cat: "message", Phase: "X", TS: micros(s.T), Dur: "1", PID: pid(w.from), TID: from, Args: args})
	c.write(&chromeEvent{Name: e.Note, Cat: "message", Phase: "s", TS: micros(s.T), PID: pid(w.from), TID: from, ID: id})
	c.write(&chromeEvent{Name: e.Note, Cat: "message", Phase: "X", TS: micros(e.T), Dur: "1", PID: pid(w.to), TID: to, Args: args})
	c.write(&chromeEvent{Name: e.Note, Cat: "message", Phase: "f", Bind: "e", TS: micros(e.T), PID: pid(w.to), TID: to, ID: id})
}

// fault writes the begin or the end of a span.
func (c *chrome) fault(e *Entry) {
	phase := "e"
	if strings.HasPrefix(e.Note, "begins") {
		phase = "b"
		c.faults = append(c.faults, e.Fault)
	} else {
		for i, label := range c.faults {
			if label == e.Fault {
				c.faults = append(c.faults[:i], c.faults[i+1:]...)
				break
			}
		}
	}
	c.span(e.Fault, phase, e.T, e.Note)
}

func (c *chrome) span(label, phase string, t scheduler.Instant, note string) {
	c.write(&chromeEvent{Name: label, Cat: "fault", Phase: phase, TS: micros(t), PID: pid(-1), TID: c.thread(-1, "faults"), ID: label, Args: map[string]string{"note": note}})
}

func (c *chrome) instant(e *Entry) {
	scope := "t"
	switch {
	case e.Kind == "violation":
		scope = "g"
	case isTurn(e):
		scope = "p"
	}
	thread := e.Partition
	if thread == "" {
		thread = "host"
	}
	c.write(&chromeEvent{Name: e.Kind, Cat: "event", Phase: "i", TS: micros(e.T), PID: pid(e.Node), TID: c.thread(e.Node, thread), Scope: scope, Args: map[string]string{"what": e.String()}})
}

// thread is a host's thread of a name, which it introduces when it is new.
func (c *chrome) thread(host int32, name string) int {
	key := chromeThread{host, name}
	if tid, ok := c.threads[key]; ok {
		return tid
	}
	if _, known := c.hosts[host]; !known {
		c.write(&chromeEvent{Name: "process_name", Phase: "M", TS: "0", PID: pid(host), Args: map[string]string{"name": hostName(c.options, host)}})
	}
	c.hosts[host]++
	tid := c.hosts[host]
	c.threads[key] = tid
	c.write(&chromeEvent{Name: "thread_name", Phase: "M", TS: "0", PID: pid(host), TID: tid, Args: map[string]string{"name": name}})
	return tid
}

// pid is a host's process; the world, which is none, is process 0.
func pid(host int32) int32 { return max(host, 0) }

func micros(t scheduler.Instant) json.Number {
	return json.Number(fmt.Sprintf("%d.%03d", int64(t)/1000, int64(t)%1000))
}

func (c *chrome) write(e *chromeEvent) {
	if c.written {
		c.w.WriteByte(',')
	}
	c.written = true
	c.w.WriteByte('\n')
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	c.w.Write(b)
}

// Close implements Exporter. Messages that never arrived have no flow; faults that did not end, end now.
func (c *chrome) Close() error {
	for _, w := range c.order {
		if s, ok := c.sent[w]; ok {
			c.write(&chromeEvent{Name: s.Note + " (did not arrive)", Cat: "message", Phase: "X", TS: micros(s.T), Dur: "1", PID: pid(w.from), TID: c.thread(w.from, "messages")})
		}
	}
	for _, label := range c.faults {
		c.span(label, "e", c.last, "the run ended")
	}
	c.w.WriteString("\n]}\n")
	return c.w.Flush()
}
