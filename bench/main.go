// Command bench measures lockstepd beside franz-go's kfake and beside a ceiling: a program that takes
// the same frames, checks their CRC, appends them to a file and answers, without being Kafka.
//
// Every row of a run uses a fresh server process and the same client in a process of its own; the servers take turns within a
// row, so that a machine whose speed drifts slows all of them. Medians are printed.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "serve-kfake":
			serveKfake()
			return
		case "serve-ceiling":
			serveCeiling(os.Args[2])
			return
		case "load":
			load(os.Args[2])
			return
		}
	}
	repeat := pflag.Int("repeat", 3, "measurements per row and server")
	only := pflag.String("rows", "", "only rows whose name contains this")
	out := pflag.String("json", "", "also write the results to this file")
	scale := pflag.Float64("scale", 1, "how much of the usual volume to send")
	before := pflag.String("before", "", "another lockstepd to measure beside the one that is built")
	pflag.Parse()
	if err := run(*repeat, *only, *out, *scale, *before); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(repeat int, only, out string, scale float64, before string) error {
	dir, err := os.MkdirTemp("", "lockstep-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := buildLockstepd(dir)
	if err != nil {
		return err
	}
	servers := []server{{name: "lockstepd", binary: binary}, {name: "kfake"}, {name: "ceiling"}}
	if before != "" {
		servers = slices.Insert(servers, 1, server{name: "before", binary: before})
	}
	var results []result
	for _, row := range rows {
		if !strings.Contains(row.Name, only) {
			continue
		}
		row.Bytes = int64(float64(row.Bytes) * scale)
		for round := range repeat {
			for _, s := range servers {
				if !row.runsOn(s) {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s, %s, %d of %d\n", row.Name, s.name, round+1, repeat)
				r, err := measure(s, row, dir)
				if err != nil {
					return fmt.Errorf("%s on %s: %w", row.Name, s.name, err)
				}
				results = append(results, r)
			}
		}
	}
	print(os.Stdout, results)
	if idle, err := measureIdle(servers[0], dir); err == nil {
		fmt.Printf("\nOne idle lockstepd: ready %d ms after its start, %.1f MB resident.\n", idle.StartMs, float64(idle.ResidentBytes)/1e6)
	} else {
		return err
	}
	if out == "" {
		return nil
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o644)
}
