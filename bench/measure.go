package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/olekukonko/tablewriter"
)

// result is one measurement. CPU and loop time are the server's alone.
type result struct {
	Row, Server       string
	MBPerSecond       float64 // record bytes, 10^6
	RequestsPerSecond float64 // or records, for franz-go
	CPUSecondsPerGB   float64
	LoopBusyShare     float64 // of wall time; lockstepd only
	StartMs           int64   `json:",omitempty"`
	ResidentBytes     int64   `json:",omitempty"`
}

// loadResult is what the load process prints.
type loadResult struct {
	Seconds float64
	Bytes   int64
	Count   int64
}

func measure(s server, r row, dir string) (result, error) {
	p, err := s.start(dir, r.Nodes)
	if p != nil && p.cmd != nil {
		defer p.stop()
	}
	if err != nil {
		return result{}, err
	}
	if r.Kind == "fetch" {
		fill := r
		fill.Kind, fill.Window, fill.Acks = "raw", 16, 1
		if _, err := runLoad(fill, p.addr, s.name); err != nil {
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
	l, err := runLoad(r, p.addr, s.name)
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

func runLoad(r row, addr, server string) (loadResult, error) {
	arg, err := json.Marshal(job{r, addr, server == "ceiling"})
	if err != nil {
		return loadResult{}, err
	}
	cmd := exec.Command(os.Args[0], "load", string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return loadResult{}, fmt.Errorf("load: %w", err)
	}
	var l loadResult
	return l, json.NewDecoder(bytes.NewReader(out)).Decode(&l)
}

func measureIdle(s server, dir string) (result, error) {
	p, err := s.start(dir, 1)
	if p != nil && p.cmd != nil {
		defer p.stop()
	}
	if err != nil {
		return result{}, err
	}
	time.Sleep(2 * time.Second) // idle is what it is after a while
	resident, err := p.residentBytes()
	return result{StartMs: p.ready.Milliseconds(), ResidentBytes: resident}, err
}

// print writes a table of medians: a line per row and server.
func print(w io.Writer, results []result) {
	table := tablewriter.NewWriter(w)
	table.Header("row", "server", "MB/s", "requests/s", "CPU s/GB", "loop busy", "MB/s beside kfake", "beside ceiling")
	for _, row := range rows {
		for _, s := range []string{"lockstepd", "before", "kfake", "ceiling"} {
			if m, ok := medianOf(results, row.Name, s); ok {
				table.Append(m.cells(results)...)
			}
		}
	}
	table.Render()
}

func (m result) cells(results []result) []any {
	busy, kfake, ceiling := "", "", ""
	if m.Server == "lockstepd" || m.Server == "before" {
		busy = fmt.Sprintf("%.1f %%", 100*m.LoopBusyShare)
		kfake, ceiling = ratio(m, results, "kfake"), ratio(m, results, "ceiling")
	}
	return []any{m.Row, m.Server, fmt.Sprintf("%.0f", m.MBPerSecond), fmt.Sprintf("%.0f", m.RequestsPerSecond), fmt.Sprintf("%.2f", m.CPUSecondsPerGB), busy, kfake, ceiling}
}

func ratio(m result, results []result, other string) string {
	o, ok := medianOf(results, m.Row, other)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.2f", m.MBPerSecond/o.MBPerSecond)
}

// medianOf is the measurement of median throughput.
func medianOf(results []result, row, server string) (result, bool) {
	var all []result
	for _, r := range results {
		if r.Row == row && r.Server == server {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return result{}, false
	}
	slices.SortFunc(all, func(a, b result) int { return int(a.MBPerSecond - b.MBPerSecond) })
	return all[len(all)/2], true
}
