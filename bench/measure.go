package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// result is one measurement. CPU and loop time are the server's alone.
type result struct {
	Row, Server       string
	MBPerSecond       float64 // record bytes, 10^6
	RequestsPerSecond float64 // or records, for franz-go
	CPUSecondsPerGB   float64
	LoopBusyShare     float64 // of wall time; lockstepd only
}

// idle is a lockstepd without clients.
type idle struct {
	StartMs       int64
	ResidentBytes int64
	CPUMsPerSec   float64
}

// loadResult is what the load process prints.
type loadResult struct {
	Seconds float64
	Bytes   int64
	Count   int64
}

func measure(ctx context.Context, s server, r row, dir string) (result, error) {
	p, err := s.start(ctx, dir, r.Nodes)
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	if r.Kind == "fetch" {
		fill := r
		fill.Kind, fill.Window, fill.Acks = "raw", 16, 1
		if _, err := runLoad(ctx, fill, p.addr, s.name); err != nil {
			return result{}, err
		}
	}
	cpu, err := p.cpu()
	if err != nil {
		return result{}, err
	}
	busy, err := p.loopBusy(r.Nodes)
	if err != nil {
		return result{}, err
	}
	l, err := runLoad(ctx, r, p.addr, s.name)
	if err != nil {
		return result{}, err
	}
	cpuAfter, err := p.cpu()
	if err != nil {
		return result{}, err
	}
	busyAfter, err := p.loopBusy(r.Nodes)
	return result{
		Row: r.Name, Server: s.name,
		MBPerSecond:       float64(l.Bytes) / 1e6 / l.Seconds,
		RequestsPerSecond: float64(l.Count) / l.Seconds,
		CPUSecondsPerGB:   (cpuAfter - cpu).Seconds() / (float64(l.Bytes) / 1e9),
		LoopBusyShare:     (busyAfter - busy) / l.Seconds,
	}, err
}

// job is what the load process is told.
type job struct {
	Row     row
	Addr    string
	Ceiling bool
}

func runLoad(ctx context.Context, r row, addr, server string) (loadResult, error) {
	arg, err := json.Marshal(job{r, addr, server == "ceiling"})
	if err != nil {
		return loadResult{}, err
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "load", string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return loadResult{}, fmt.Errorf("load: %w", err)
	}
	var l loadResult
	return l, json.NewDecoder(bytes.NewReader(out)).Decode(&l)
}

func measureIdle(ctx context.Context, s server, dir string) (idle, error) {
	p, err := s.start(ctx, dir, 1)
	if err != nil {
		return idle{}, err
	}
	defer p.stop()
	const settle, watch = 2 * time.Second, 5 * time.Second
	time.Sleep(settle)
	before, err := p.cpu()
	if err != nil {
		return idle{}, err
	}
	time.Sleep(watch)
	after, err := p.cpu()
	if err != nil {
		return idle{}, err
	}
	resident, err := p.residentBytes()
	return idle{p.ready.Milliseconds(), resident, float64((after - before).Milliseconds()) / watch.Seconds()}, err
}
