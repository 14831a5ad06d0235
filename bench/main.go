// Command bench measures lockstepd beside franz-go's kfake and beside a ceiling: a program that takes
// the same frames, checks their CRC, appends them to a file and answers from it, without being Kafka.
//
//	cd bench && go run .                              all rows: some seven minutes on two cores
//	go run . --rows "64 KiB" --repeat 5               rows whose name contains this
//	go run . --scale 0.2                              a fifth of the volume
//	go run . --before /tmp/lockstepd                  another build in the same run, for a change's ratio
//
// Each measurement starts a fresh server process on a fresh directory and puts the same load on it from a
// process of its own. The servers take turns within a row, so that a machine whose speed drifts slows
// all of them; medians are printed, then whether they meet the project's bars, and every measurement goes to
// results.json. MB are 10^6 bytes of records. CPU is the server's alone; "loop busy" is the share of wall time that
// lockstepd's loop ran, of all its loops together where there are three nodes. Read ratios: absolute figures
// are the machine's.
//
// It is a module of its own, so that the broker does not depend on what it is compared with. It needs Linux, for /proc.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	if len(os.Args) > 2 && runChild(os.Args[1], os.Args[2]) {
		return
	}
	var o options
	pflag.IntVar(&o.repeat, "repeat", 3, "measurements per row and server")
	pflag.StringVar(&o.only, "rows", "", "only rows whose name contains this")
	pflag.StringVar(&o.out, "json", "results.json", "where the results go")
	pflag.Float64Var(&o.scale, "scale", 1, "how much of the usual volume to send")
	pflag.StringVar(&o.before, "before", "", "another lockstepd to measure beside the one that is built")
	pflag.DurationVar(&o.timeout, "timeout", 2*time.Minute, "what a measurement may take")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// runChild is what the processes that bench starts of itself do.
func runChild(role, arg string) bool {
	switch role {
	case "serve-kfake":
		serveKfake()
	case "serve-ceiling":
		serveCeiling(arg)
	case "load":
		load(arg)
	default:
		return false
	}
	return true
}

type options struct {
	repeat            int
	only, out, before string
	scale             float64
	timeout           time.Duration
}

// report is what goes to the JSON file.
type report struct {
	Go      string
	CPUs    int
	Time    time.Time
	Scale   float64
	Idle    idle
	Results []result
}

func run(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "lockstep-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	servers, err := o.servers(dir)
	if err != nil {
		return err
	}
	r := report{Go: runtime.Version(), CPUs: runtime.NumCPU(), Time: time.Now(), Scale: o.scale}
	for _, row := range rows {
		if !strings.Contains(row.Name, o.only) {
			continue
		}
		row.Bytes = int64(float64(row.Bytes) * o.scale)
		if err := o.measureRow(ctx, row, servers, dir, &r.Results); err != nil {
			return err
		}
	}
	err = within(ctx, o.timeout, func(ctx context.Context) (err error) {
		r.Idle, err = measureIdle(ctx, servers[0], dir)
		return err
	})
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	r.print(os.Stdout)
	return r.write(o.out)
}

func (o *options) servers(dir string) ([]server, error) {
	binary, err := buildLockstepd(dir)
	if err != nil {
		return nil, err
	}
	servers := []server{{name: "lockstepd", binary: binary}, {name: "kfake"}, {name: "ceiling"}}
	if o.before != "" {
		before, err := filepath.Abs(o.before)
		if err != nil {
			return nil, err
		}
		servers = slices.Insert(servers, 1, server{name: "before", binary: before})
	}
	return servers, nil
}

func (o *options) measureRow(ctx context.Context, row row, servers []server, dir string, results *[]result) error {
	for round := range o.repeat {
		for _, s := range servers {
			if !row.runsOn(s) {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, %s, %d of %d\n", row.Name, s.name, round+1, o.repeat)
			err := within(ctx, o.timeout, func(ctx context.Context) error {
				r, err := measure(ctx, s, row, dir)
				*results = append(*results, r)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s on %s: %w", row.Name, s.name, err)
			}
		}
	}
	return nil
}

// within runs f, whose processes end with its context, and says so if the time was up.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	timed, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := f(timed)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted")
	case timed.Err() != nil:
		return fmt.Errorf("no result after %v (%w)", d, err)
	}
	return err
}

func (r *report) write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		return err
	}
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	fmt.Printf("All measurements: %s\n", file)
	return nil
}
