package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockstep/lockstep/core/event"
)

// logger writes lines from any goroutine without ever making the caller wait for the terminal.
type logger struct {
	lines   chan string
	dropped atomic.Int64 // since the last line that was written
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
}

const (
	logBacklog    = 1024        // lines that may wait; more are counted and dropped
	flushPatience = time.Second // longest wait for a terminal that takes nothing
)

func newLogger(w io.Writer) *logger {
	l := &logger{lines: make(chan string, logBacklog), stop: make(chan struct{}), done: make(chan struct{})}
	go l.write(w)
	return l
}

// write is the logger's goroutine. What was printed before flush is still written after it.
func (l *logger) write(w io.Writer) {
	defer close(l.done)
	for {
		select {
		case line := <-l.lines:
			l.writeLine(w, line)
		case <-l.stop:
			l.drain(w)
			return
		}
	}
}

// drain writes what waits.
func (l *logger) drain(w io.Writer) {
	for {
		select {
		case line := <-l.lines:
			l.writeLine(w, line)
		default:
			return
		}
	}
}

func (l *logger) writeLine(w io.Writer, line string) {
	io.WriteString(w, line)
	if n := l.dropped.Swap(0); n > 0 {
		fmt.Fprintf(w, "lockstepd: %d lines were dropped here: they came faster than they could be written\n", n)
	}
}

// printf writes a line about a node; -1 is the process. After flush it does nothing.
func (l *logger) printf(node int32, format string, args ...any) {
	who := "lockstepd"
	if node >= 0 {
		who = fmt.Sprintf("node %d", node)
	}
	line := fmt.Sprintf("%s %s: %s\n", time.Now().Format("2006-01-02 15:04:05.000"), who, fmt.Sprintf(format, args...))
	select {
	case l.lines <- line:
	default: // the terminal is slower than the events; the broker goes first
		l.dropped.Add(1)
	}
}

// flush waits until all lines are out, or the terminal is hopeless.
func (l *logger) flush() {
	l.once.Do(func() { close(l.stop) })
	select {
	case <-l.done:
	case <-time.After(flushPatience):
	}
}

// badRequestsPerSecond bounds the log lines that strangers can cause.
const badRequestsPerSecond = 10

const (
	sayAgainAfter = 10 // seconds, until a connection's trouble is logged again
	maxTroubles   = 100
)

// eventLog logs the events that an operator wants to know of.
type eventLog struct {
	node        *node
	troubles    map[string]int64 // when each trouble with a connection was logged last, in Unix seconds
	second      int64
	badRequests int
	suppressed  int
}

// Emit implements event.Sink.
func (e *eventLog) Emit(ev *event.Event) {
	switch ev.Kind {
	case event.LogDirFailed:
		e.node.log.printf(e.node.cfg.NodeID, "log directory %s failed: %s", e.node.data, failed(ev))
		e.node.fail(errors.New("its log directory failed"))
	case event.LogDirOffline:
		e.node.log.printf(e.node.cfg.NodeID, "a log directory is offline, and what is in it: %s", ev.Note)
	case event.DiskFull:
		e.node.log.printf(e.node.cfg.NodeID, "no space left for log directory %s: nothing new is written until there is some (%s)", e.node.data, ev.Note)
	case event.DiskHasRoom:
		e.node.log.printf(e.node.cfg.NodeID, "log directory %s has space again", e.node.data)
	case event.BadRequest:
		e.badRequest(ev)
	case event.ConnectionLost:
		e.connectionLost(ev)
	case event.NodeStopping, event.NodeStopped, event.ControllerActive, event.ControllerResigned, event.RaftVoters, event.BrokerRegistered, event.BrokerFenced,
		event.BrokerUnfenced, event.UncleanElection, event.Truncated, event.IsrCommitted:
		e.node.log.printf(e.node.cfg.NodeID, "%s", ev)
	case event.Recovered:
		if ev.Len > 0 {
			e.node.log.printf(e.node.cfg.NodeID, "%s", ev)
		}
	}
}

func failed(ev *event.Event) string {
	if p := ev.Partition.String(); p != "" {
		return p + ": " + ev.Note
	}
	return ev.Note
}

// connectionLost logs a trouble now and then: a peer that is down is dialled many times a second.
func (e *eventLog) connectionLost(ev *event.Event) {
	now := time.Now().Unix()
	if last, known := e.troubles[ev.Note]; known && now-last < sayAgainAfter {
		return
	}
	if e.troubles == nil || len(e.troubles) >= maxTroubles {
		e.troubles = map[string]int64{}
	}
	e.troubles[ev.Note] = now
	e.node.log.printf(e.node.cfg.NodeID, "%s", ev)
}

func (e *eventLog) badRequest(ev *event.Event) {
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
