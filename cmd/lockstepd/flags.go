package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/config"
	"github.com/spf13/pflag"
)

const firstPort = 9092 // of --dev

type options struct {
	config string
	set    []string
	dev    int
	port   int
}

func parseFlags(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := pflag.NewFlagSet("lockstepd", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.config, "config", "", "a server.properties `file` with Kafka's keys")
	flags.StringArrayVar(&o.set, "set", nil, "override one key: `key=value`; may be repeated")
	flags.IntVar(&o.dev, "dev", 0, "run a development cluster of `N` nodes in this process")
	flags.IntVar(&o.port, "port", firstPort, "first port of --dev: brokers listen on N ports from here, controllers on the next N")
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Lockstep is a Kafka-compatible broker.\n\nUsage: lockstepd [flags]\n       lockstepd format -c FILE -t ID [-s | -I VOTERS | -N]\n       lockstepd random-uuid\n\nWithout flags: one node on 127.0.0.1:%d, data in ./lockstep-data.\n\n%s", firstPort, flags.FlagUsages())
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *version {
		fmt.Fprintln(stderr, "lockstepd "+versionText())
		return nil, pflag.ErrHelp
	}
	return o, o.check(flags)
}

func (o *options) check(flags *pflag.FlagSet) error {
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q; a configuration file goes with --config", flags.Arg(0))
	case o.dev < 0 || o.dev > 9:
		return fmt.Errorf("--dev %d: between 1 and 9 nodes", o.dev)
	case o.dev > 0 && o.config != "":
		return fmt.Errorf("--dev makes its own configuration and does not go with --config")
	case o.dev == 0 && flags.Changed("port"):
		return fmt.Errorf("--port goes with --dev; else set listeners")
	case o.port < 1 || o.port+2*o.dev > 65535:
		return fmt.Errorf("--port %d: the nodes' ports must lie between 1 and 65535", o.port)
	}
	return nil
}

func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// configs gives the configuration of each node to run in this process.
func (o *options) configs(stderr io.Writer) ([]*config.Config, error) {
	overrides, err := o.overrides()
	if err != nil {
		return nil, err
	}
	var configs []*config.Config
	for _, props := range o.properties(overrides) {
		if o.config != "" {
			if props, err = readProperties(o.config); err != nil {
				return nil, err
			}
		}
		c, warnings, err := config.Parse(append(props, overrides...))
		if err != nil {
			return nil, err
		}
		if len(configs) == 0 {
			for _, w := range warnings {
				fmt.Fprintf(stderr, "lockstepd: warning: %s\n", w)
			}
		}
		configs = append(configs, c)
	}
	return configs, nil
}

func (o *options) overrides() ([]config.Property, error) {
	var props []config.Property
	for _, s := range o.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--set %s: not of the form key=value", s)
		}
		props = append(props, config.Property{Key: strings.TrimSpace(key), Value: value, Origin: "--set"})
	}
	return props, nil
}

func readProperties(file string) ([]config.Property, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return config.ParseProperties(filepath.Base(file), string(text))
}

// properties are the built-in settings of each node, below a file's.
func (o *options) properties(overrides []config.Property) [][]config.Property {
	if o.dev == 0 {
		if isOneOf(overrides) {
			return [][]config.Property{nil}
		}
		return [][]config.Property{coordinatorProperties(nil, "one node", 1)}
	}
	var voters []string
	for i := range o.dev {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, o.port+o.dev+i))
	}
	var nodes [][]config.Property
	for i := range o.dev {
		nodes = append(nodes, devProperties(o, i, strings.Join(voters, ",")))
	}
	return nodes
}

// devTimeouts suit nodes that share a process: none can be far away, and who tries things out does not like to wait.
var devTimeouts = [][2]string{
	{"controller.quorum.election.timeout.ms", "300"},
	{"controller.quorum.election.backoff.max.ms", "300"},
	{"controller.quorum.fetch.timeout.ms", "1000"},
	{"broker.session.timeout.ms", "3000"},
	{"broker.heartbeat.interval.ms", "500"},
}

// isOneOf reports whether the command line makes the node a part of a larger cluster.
func isOneOf(overrides []config.Property) bool {
	return slices.ContainsFunc(overrides, func(p config.Property) bool {
		return strings.HasPrefix(p.Key, "controller.quorum.") && strings.Contains(p.Value, ",") || p.Key == "process.roles"
	})
}

// coordinatorProperties let the coordinators' topics be on as many brokers as there are, as the server.properties that comes with
// Kafka does: its defaults, three replicas, would have a single node wait for ever. And nobody else is waited for.
func coordinatorProperties(props []config.Property, origin string, factor int) []config.Property {
	for _, kv := range [][2]string{
		{"offsets.topic.replication.factor", strconv.Itoa(factor)},
		{"transaction.state.log.replication.factor", strconv.Itoa(factor)},
		{"transaction.state.log.min.isr", strconv.Itoa(max(1, factor-1))},
		{"group.initial.rebalance.delay.ms", "0"},
	} {
		props = append(props, config.Property{Key: kv[0], Value: kv[1], Origin: origin})
	}
	return props
}

func devProperties(o *options, i int, voters string) []config.Property {
	factor := min(o.dev, 3)
	var props []config.Property
	set := func(key, format string, args ...any) {
		props = append(props, config.Property{Key: key, Value: fmt.Sprintf(format, args...), Origin: "--dev"})
	}
	set("node.id", "%d", i+1)
	set("listeners", "PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", o.port+i, o.port+o.dev+i)
	set("controller.quorum.voters", "%s", voters)
	set("log.dirs", "lockstep-data/node-%d", i+1)
	set("default.replication.factor", "%d", factor)
	set("min.insync.replicas", "%d", max(1, factor-1))
	set("broker.rack", "rack-%d", i+1)
	for _, quick := range devTimeouts {
		set(quick[0], "%s", quick[1])
	}
	return coordinatorProperties(props, "--dev", factor)
}
