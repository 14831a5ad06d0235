// Command lockstepd is the broker: the core of the simulator on real sockets and disks.
//
// Without arguments it is a one-node broker and controller on 127.0.0.1:9092 with its data in
// ./lockstep-data.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/lockstep/lockstep/core/config"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	o, err := parseFlags(args, stderr)
	if errors.Is(err, pflag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "lockstepd: %v\n", err)
		return exitUsage
	}
	configs, err := o.configs(stderr)
	if err != nil {
		fmt.Fprintf(stderr, "lockstepd: %v\n", err)
		return exitUsage
	}
	tuneMemory()
	return serve(configs, newLogger(stderr))
}

// serve runs the nodes until a signal or a failure ends one of them.
func serve(configs []*config.Config, log *logger) int {
	defer log.flush()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan error, len(configs))
	var nodes []*node
	for _, cfg := range configs {
		n, err := newNode(cfg, log, ended)
		if err != nil {
			log.printf(cfg.NodeID, "cannot start: %v", err)
			shutDownAll(nodes, signals)
			return exitFailed
		}
		nodes = append(nodes, n)
		n.start()
	}
	stats := make(chan os.Signal, 1)
	signal.Notify(stats, syscall.SIGUSR1)
	for {
		select {
		case <-stats:
			for _, n := range nodes {
				n.logStats()
			}
		case <-signals:
			return shutDownAll(nodes, signals)
		case err := <-ended:
			log.printf(-1, "stopping: %v", err)
			shutDownAll(nodes, signals)
			return exitFailed
		}
	}
}

// shutDownAll shuts all nodes down in a controlled way, all at once; a second signal ends the wait.
func shutDownAll(nodes []*node, signals <-chan os.Signal) int {
	done := make(chan error, len(nodes))
	for _, n := range nodes {
		n.shutDown(done)
	}
	code := exitOK
	for range nodes {
		select {
		case err := <-done:
			if err != nil {
				code = exitFailed
			}
		case <-signals:
			return exitFailed
		}
	}
	for _, n := range nodes {
		n.close()
	}
	return code
}
