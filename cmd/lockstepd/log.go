package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/lockstep/lockstep/core/event"
)

// logger writes lines from any goroutine without ever making the caller wait for the terminal.
type logger struct {
	lines chan string
	done  chan struct{}
	once  sync.Once
}

const logBacklog = 1024 // lines that may wait; more are counted and dropped

func newLogger(w io.Writer) *logger {
	l := &logger{lines: make(chan string, logBacklog), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			io.WriteString(w, line)
		}
	}()
	return l
}

// printf writes a line about a node; -1 is the process.
func (l *logger) printf(node int32, format string, args ...any) {
	who := "lockstepd"
	if node >= 0 {
		who = fmt.Sprintf("node %d", node)
	}
	line := fmt.Sprintf("%s %s: %s\n", time.Now().Format("2006-01-02 15:04:05.000"), who, fmt.Sprintf(format, args...))
	select {
	case l.lines <- line:
	default: // the terminal is slower than the events; the broker goes first
	}
}

// flush waits until all lines are out. Nothing may be printed after it.
func (l *logger) flush() {
	l.once.Do(func() { close(l.lines) })
	<-l.done
}

// badRequestsPerSecond bounds the log lines that strangers can cause.
const badRequestsPerSecond = 10

// eventLog logs the events that an operator wants to know of.
type eventLog struct {
	node        *node
	second      int64
	badRequests int
	suppressed  int
}

// Emit implements event.Sink.
func (e *eventLog) Emit(ev event.Event) {
	switch ev.Kind {
	case event.LogDirFailed:
		e.node.log.printf(e.node.cfg.NodeID, "log directory %s failed: %s", e.node.cfg.LogDir, ev.Note)
		e.node.fail(errors.New("its log directory failed"))
	case event.BadRequest:
		e.badRequest(ev)
	case event.NodeStopping, event.NodeStopped, event.ControllerActive, event.ControllerResigned, event.BrokerRegistered, event.BrokerFenced,
		event.BrokerUnfenced, event.UncleanElection, event.Truncated, event.IsrCommitted:
		e.node.log.printf(e.node.cfg.NodeID, "%s", ev)
	case event.Recovered:
		if ev.Len > 0 {
			e.node.log.printf(e.node.cfg.NodeID, "%s", ev)
		}
	}
}

func (e *eventLog) badRequest(ev event.Event) {
	now := time.Now().Unix()
	if now != e.second {
		if e.suppressed > 0 {
			e.node.log.printf(e.node.cfg.NodeID, "%d more bad requests", e.suppressed)
		}
		e.second, e.badRequests, e.suppressed = now, 0, 0
	}
	if e.badRequests++; e.badRequests > badRequestsPerSecond {
		e.suppressed++
		return
	}
	e.node.log.printf(e.node.cfg.NodeID, "%s", ev)
}
