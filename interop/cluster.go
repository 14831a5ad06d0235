package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cluster is what the clients talk to.
type cluster struct {
	nodes       int
	bootstrap   string // of the brokers, comma-separated
	controllers string
	dir         string // data lies below it; empty where somebody else runs the cluster
	daemon      *exec.Cmd
	log         string
}

// replicas is the replication factor that tests ask for.
func (c *cluster) replicas() int16 { return int16(min(c.nodes, 3)) }

// first is the address of one broker.
func (c *cluster) first() string { return c.brokers()[0] }

func (c *cluster) brokers() []string { return strings.Split(c.bootstrap, ",") }

// dataDirs are the nodes' log directories.
func (c *cluster) dataDirs() []string {
	dirs, _ := filepath.Glob(filepath.Join(c.dir, "lockstep-data", "node-*"))
	return dirs
}

func buildLockstepd(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "lockstepd")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/lockstepd")
	build.Dir = ".." // with the versions of its own go.mod
	build.Stderr = os.Stderr
	return binary, build.Run()
}

// startCluster runs lockstepd --dev on free ports in a row, and returns when all nodes are ready.
func startCluster(ctx context.Context, binary, dir string, nodes int, settings ...string) (*cluster, error) {
	var err error
	for range 5 { // another process may take the ports in between
		var c *cluster
		if c, err = tryCluster(ctx, binary, dir, nodes, settings); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func tryCluster(ctx context.Context, binary, parent string, nodes int, settings []string) (*cluster, error) {
	port, err := freePorts(2 * nodes)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "cluster-")
	if err != nil {
		return nil, err
	}
	c := newCluster(dir, port, nodes)
	return c, c.start(ctx, binary, settings, "--dev", strconv.Itoa(nodes), "--port", strconv.Itoa(port))
}

func newCluster(dir string, port, nodes int) *cluster {
	return &cluster{nodes: nodes, dir: dir, log: filepath.Join(dir, "log"), bootstrap: addresses(port, nodes), controllers: addresses(port+nodes, nodes)}
}

// start returns when all nodes are ready.
func (c *cluster) start(ctx context.Context, binary string, settings []string, args ...string) error {
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	c.daemon = exec.CommandContext(ctx, binary, args...)
	c.daemon.Dir = c.dir
	c.daemon.Cancel = func() error { return c.daemon.Process.Signal(syscall.SIGTERM) }
	c.daemon.WaitDelay = 20 * time.Second
	err := c.awaitReady()
	if err != nil {
		c.stop()
	}
	return err
}

// startLikeKafka formats and runs one node with the file that startKafka gives to Kafka.
func startLikeKafka(ctx context.Context, binary, parent string, settings []string) (*cluster, error) {
	port, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "like-kafka-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(config, fmt.Appendf(nil, kafkaProperties, port, port+1, filepath.Join(dir, "data")), 0o644); err != nil {
		return nil, err
	}
	id, err := exec.CommandContext(ctx, binary, "random-uuid").Output()
	if err != nil {
		return nil, err
	}
	if err := quiet(ctx, dir, binary, "format", "--standalone", "-c", config, "-t", strings.TrimSpace(string(id))); err != nil {
		return nil, err
	}
	c := newCluster(dir, port, 1)
	return c, c.start(ctx, binary, settings, "--config", config)
}

func addresses(port, n int) string {
	var all []string
	for i := range n {
		all = append(all, net.JoinHostPort("127.0.0.1", strconv.Itoa(port+i)))
	}
	return strings.Join(all, ",")
}

// freePorts finds n ports in a row that nobody listens on, below those that Linux gives to clients.
func freePorts(n int) (int, error) {
	for range 100 {
		first := 20000 + rand.IntN(12000)
		if allFree(first, n) {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row", n)
}

func allFree(first, n int) bool {
	for i := range n {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+i)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func (c *cluster) awaitReady() error {
	logged, err := c.daemon.StderrPipe()
	if err != nil {
		return err
	}
	file, err := os.Create(c.log)
	if err != nil {
		return err
	}
	if err := c.daemon.Start(); err != nil {
		return err
	}
	ready := make(chan int)
	go follow(logged, file, ready)
	for n := range ready {
		if n == c.nodes {
			go func() { // until the daemon ends
				for range ready {
				}
			}()
			return nil
		}
	}
	return fmt.Errorf("lockstepd ended before it was ready; its log is %s", c.log)
}

// follow copies the daemon's log to a file and tells how many nodes are ready.
func follow(logged io.Reader, file io.WriteCloser, ready chan<- int) {
	defer close(ready)
	defer file.Close()
	n := 0
	lines := bufio.NewScanner(logged)
	for lines.Scan() {
		fmt.Fprintln(file, lines.Text())
		if strings.Contains(lines.Text(), ": ready on ") {
			n++
			ready <- n
		}
	}
}

// stop is a controlled shutdown, which a healthy lockstepd ends with exit code 0.
func (c *cluster) stop() error {
	if c.daemon == nil || c.daemon.Process == nil {
		return nil
	}
	c.daemon.Process.Signal(syscall.SIGTERM)
	return c.daemon.Wait()
}
