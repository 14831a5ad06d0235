package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
)

// print writes a table of medians, a line per row and server, and then the bars.
func (r *report) print(w io.Writer) {
	table := tablewriter.NewWriter(w)
	table.Header("row", "server", "MB/s", "requests/s", "CPU s/GB", "loop busy", "MB/s beside kfake", "beside ceiling")
	for _, row := range rows {
		for _, s := range []string{"lockstepd", "before", "kfake", "ceiling"} {
			if m, ok := medianOf(r.Results, row.Name, s); ok {
				table.Append(m.cells(r.Results)...)
			}
		}
	}
	table.Render()
	fmt.Fprintf(w, "\nOne idle lockstepd: ready %d ms after its start, %.1f MB resident, %.1f ms of CPU a second.\n",
		r.Idle.StartMs, float64(r.Idle.ResidentBytes)/1e6, r.Idle.CPUMsPerSec)
	misses := r.misses()
	if len(misses) == 0 {
		fmt.Fprintln(w, "Every bar is met: ahead of kfake, 70 % of the ceiling at 16 and 64 KiB, the loop under 10 % at 64 KiB.")
	}
	for _, m := range misses {
		fmt.Fprintln(w, "MISSED:", m)
	}
}

// misses says which of the project's bars the medians do not meet.
func (r *report) misses() (out []string) {
	for _, row := range rows {
		m, ok := medianOf(r.Results, row.Name, "lockstepd")
		if !ok {
			continue
		}
		if k, ok := medianOf(r.Results, row.Name, "kfake"); ok && m.MBPerSecond <= k.MBPerSecond {
			out = append(out, row.Name+": not ahead of kfake")
		}
		large := strings.Contains(row.Name, "16 KiB") || strings.Contains(row.Name, "64 KiB")
		if c, ok := medianOf(r.Results, row.Name, "ceiling"); ok && large && m.MBPerSecond < 0.7*c.MBPerSecond {
			out = append(out, row.Name+": below 70 % of the ceiling")
		}
		if strings.Contains(row.Name, "64 KiB") && m.LoopBusyShare >= 0.1 {
			out = append(out, row.Name+": the loop is busy for 10 % or more")
		}
	}
	return out
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
