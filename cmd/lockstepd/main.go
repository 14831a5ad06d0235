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
	"strings"
	"syscall"
	"time"

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
	if len(args) > 0 && args[0] == "format" {
		return runFormat(args[1:], os.Stdout, stderr)
	}
	if len(args) == 1 && args[0] == "random-uuid" {
		return runRandomUUID(os.Stdout)
	}
	o, err := parseFlags(args, stderr)
	if errors.Is(err, pflag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return usageError(stderr, err)
	}
	configs, err := o.configs(stderr)
	if err != nil {
		return usageError(stderr, err)
	}
	tuneMemory()
	return serve(configs, newLogger(stderr))
}

// usageError prints an error, a line for each that it joins.
func usageError(stderr io.Writer, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(stderr, "lockstepd: %s\n", line)
	}
	return exitUsage
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
			shutDownAll(nodes, log, signals)
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
			return shutDownAll(nodes, log, signals)
		case err := <-ended:
			log.printf(-1, "stopping: %v", err)
			shutDownAll(nodes, log, signals)
			return exitFailed
		}
	}
}

// sameSignal is how long after a signal another one counts as the same: timeout(1) and some
// supervisors signal the process and then its group.
const sameSignal = time.Second

// shutDownAll shuts all nodes down in a controlled way, all at once; a second signal ends the wait.
func shutDownAll(nodes []*node, log *logger, signals <-chan os.Signal) int {
	began := time.Now()
	done := make(chan error, len(nodes))
	for _, n := range nodes {
		n.shutDown(done)
	}
	code := exitOK
	for left := len(nodes); left > 0; {
		select {
		case err := <-done:
			left--
			if err != nil {
				log.printf(-1, "shutting down: %v", err)
				code = exitFailed
			}
		case <-signals:
			if time.Since(began) > sameSignal {
				log.printf(-1, "a second signal: not waiting for the controlled shutdown of %d nodes", left)
				return exitFailed
			}
		}
	}
	for _, n := range nodes {
		n.close()
	}
	return code
}
