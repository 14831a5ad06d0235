// Command interop tries stock clients and tools against lockstepd --dev 1 and 3, and compares lockstepd's answers with Apache Kafka's.
//
//	cd interop && go run .                            all that this machine can run; the rest is skipped, and it says why
//	go run . --clients sarama --nodes 3               one client, on three nodes
//	go run . --bootstrap 127.0.0.1:9092               the same against any other cluster, for instance Apache Kafka
//	go run . --differential new                       the differential test, against an Apache Kafka that it fetches and starts
//	go run . --doc ../docs/COMPATIBILITY.md           all, and write down what came of it
//
// It is a module of its own, so that the broker does not depend on its clients.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lockstep/lockstep/interop/differential"
	"github.com/spf13/pflag"
)

func main() {
	var o options
	pflag.StringVar(&o.bootstrap, "bootstrap", "", "a cluster that runs already, for instance Apache Kafka, instead of lockstepd")
	pflag.IntVar(&o.bootstrapNodes, "nodes", 0, "nodes of the cluster at --bootstrap; else run only this many nodes of lockstepd")
	pflag.StringSliceVar(&o.clients, "clients", nil, "only clients whose name contains one of these")
	pflag.StringVar(&o.features, "features", "", "only features whose name contains this")
	pflag.StringVar(&o.cache, "cache", "", "where clients are installed (default: the user's cache directory)")
	pflag.StringVar(&o.out, "json", "", "a file for the results")
	pflag.StringVar(&o.results, "results", "", "a file that --json has written: those results instead of a run")
	pflag.StringVar(&o.doc, "doc", "", "a file for the results as Markdown, docs/COMPATIBILITY.md")
	pflag.StringVar(&o.binary, "lockstepd", "", "a lockstepd to try instead of one that is built")
	pflag.StringArrayVar(&o.settings, "set", nil, "a setting for lockstepd: `key=value`")
	pflag.StringVar(&o.kafka, "differential", "", "only compare the answers with those of the Kafka at this `address`, or \"new\" for one of its own")
	pflag.StringVar(&o.differ.Only, "stories", "", "only stories of --differential whose API and name contain this")
	pflag.Uint64Var(&o.differ.Seed, "seed", 1, "of the random requests of --differential")
	pflag.IntVar(&o.differ.Random, "random", 20, "random requests of each API and version in --differential")
	pflag.DurationVar(&o.patience, "patience", time.Minute, "what one case may take")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := o.run(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

type options struct {
	bootstrap       string
	bootstrapNodes  int
	clients         []string
	features, cache string
	out, doc        string
	results         string
	binary          string
	settings        []string
	kafka           string
	differ          differential.Options
	patience        time.Duration
}

// run tries all and returns how many cases failed, or how many differences from Kafka nobody has explained.
func (o *options) run(ctx context.Context) (failed int, err error) {
	work, err := os.MkdirTemp("", "lockstep-interop-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if err := o.findCache(); err != nil {
		return 0, err
	}
	if o.kafka != "" && o.doc == "" {
		unexplained, _, err := o.compare(ctx, work)
		return unexplained, err
	}
	var results []result
	report := func(r result) {
		results = append(results, r)
		print(r)
		if r.Outcome == fail {
			failed++
		}
	}
	switch {
	case o.results != "":
		err = o.read(report)
	case o.bootstrap != "":
		c := &cluster{nodes: max(o.bootstrapNodes, 1), bootstrap: o.bootstrap}
		err = o.runSuites(ctx, c, work, report)
	default:
		err = o.runLockstepd(ctx, work, report)
	}
	if err != nil {
		return failed, err
	}
	fmt.Println(summary(results))
	if err := o.write(results); err != nil || o.doc == "" {
		return failed, err
	}
	o.kafka = "new"
	unexplained, found, err := o.compare(ctx, work)
	if err == nil {
		err = document(o.doc, results, found, found != nil)
	}
	return failed + unexplained, err
}

// compare is the differential test.
func (o *options) compare(ctx context.Context, work string) (unexplained int, found []differential.Difference, err error) {
	lockstepd, kafka := o.bootstrap, o.kafka
	if lockstepd == "" {
		if err := o.findBinary(ctx, work); err != nil {
			return 0, nil, err
		}
		c, err := startLikeKafka(ctx, o.binary, work, o.settings)
		if err != nil {
			return 0, nil, err
		}
		defer c.stop()
		lockstepd = c.bootstrap
	}
	if kafka == "new" {
		e, err := scratch(work, o.cache)
		if err != nil {
			return 0, nil, err
		}
		if err := needJava(ctx, e); err != nil {
			fmt.Println("differential: skipped:", err)
			return 0, nil, nil
		}
		addr, stop, err := startKafka(ctx, e)
		if err != nil {
			return 0, nil, err
		}
		defer stop()
		kafka = addr
	}
	return compareTo(kafka, lockstepd, o.differ)
}

// findBinary builds lockstepd unless there is one to try.
func (o *options) findBinary(ctx context.Context, work string) (err error) {
	if o.binary == "" {
		o.binary, err = buildLockstepd(ctx, work)
	}
	return err
}

func (o *options) findCache() error {
	if o.cache != "" {
		return nil
	}
	dir, err := os.UserCacheDir()
	o.cache = filepath.Join(dir, "lockstep-interop")
	return err
}

func (o *options) runLockstepd(ctx context.Context, work string, report func(result)) error {
	if err := o.findBinary(ctx, work); err != nil {
		return err
	}
	for _, nodes := range []int{1, 3} {
		if o.bootstrapNodes != 0 && o.bootstrapNodes != nodes {
			continue
		}
		if err := o.runOnLockstepd(ctx, work, nodes, report); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) runOnLockstepd(ctx context.Context, work string, nodes int, report func(result)) error {
	c, err := startCluster(ctx, o.binary, work, nodes, o.settings...)
	if err != nil {
		return err
	}
	if err := o.runSuites(ctx, c, work, report); err != nil {
		c.stop()
		return err
	}
	r := result{Client: "lockstepd", Feature: "controlled shutdown", Nodes: nodes, Outcome: pass}
	if err := c.stop(); err != nil {
		r.Outcome, r.Detail = fail, err.Error()
		logged, _ := os.ReadFile(c.log)
		os.Stderr.Write(logged)
	}
	report(r)
	return nil
}

func (o *options) runSuites(ctx context.Context, c *cluster, work string, report func(result)) error {
	for _, s := range suites() {
		if !o.wants(s.client) {
			continue
		}
		e, err := newEnv(c, work, o.cache, s.client, o.patience)
		if err != nil {
			return err
		}
		e.binary = o.binary
		e.other = func(ctx context.Context) (*cluster, error) {
			if o.binary == "" {
				return nil, fmt.Errorf("%w: the cluster is somebody else's, and there is no second one", errSkip)
			}
			return startCluster(ctx, o.binary, work, c.nodes, o.settings...)
		}
		s.run(ctx, e, func(feature string) bool { return strings.Contains(feature, o.features) }, report)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (o *options) wants(client string) bool {
	return len(o.clients) == 0 || slices.ContainsFunc(o.clients, func(c string) bool { return strings.Contains(client, c) })
}

func suites() []*suite {
	return slices.Concat(goSuites(), []*suite{kcat(), confluent()}, pythonSuites(), nodeSuites(), []*suite{java(), connect(), registry(), kgoTests()})
}

func goSuites() []*suite { return []*suite{franz(), saramaSuite(), segmentio()} }

func print(r result) {
	fmt.Printf("%s  %d node%s  %-20s %-28s %5.1fs  %s\n", r.Outcome, r.Nodes, plural(r.Nodes), r.Client, r.Feature, r.Took.Seconds(), firstLine(r.Detail))
}

func plural(n int) string {
	if n == 1 {
		return " "
	}
	return "s"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// summary is the closing line.
func summary(results []result) string {
	n := map[outcome]int{}
	for _, r := range results {
		n[r.Outcome]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", n[pass], n[fail], n[skip])
}

func (o *options) write(results []result) error {
	if o.out == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.out, append(text, '\n'), 0o644)
}

// read reports the results of an earlier run.
func (o *options) read(report func(result)) error {
	text, err := os.ReadFile(o.results)
	if err != nil {
		return err
	}
	var results []result
	if err := json.Unmarshal(text, &results); err != nil {
		return err
	}
	for _, r := range results {
		report(r)
	}
	return nil
}

// moduleVersion is the version of a Go module that this program was built with.
func moduleVersion(path string) func() string {
	return func() string {
		info, _ := debug.ReadBuildInfo()
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
		return ""
	}
}
