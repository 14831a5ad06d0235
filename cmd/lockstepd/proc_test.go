package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is no promise of speed: a busy machine takes its time.
const patience = 60 * time.Second

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// proc is a lockstepd with a directory of its own: one process at a time, but it may be started again.
type proc struct {
	t    *testing.T
	name string
	dir  string // its working directory; the data is in data()
	args []string

	cmd    *exec.Cmd
	exited chan struct{}

	mu   sync.Mutex
	log  strings.Builder
	from int // where the log of this start begins
}

// quickSession are settings that make a killed broker's session end soon.
var quickSession = []string{
	"--set", "broker.session.timeout.ms=1000", "--set", "broker.heartbeat.interval.ms=200",
}

// newProc makes a node in a directory of its own. The log is shown if the test fails.
func newProc(t *testing.T, name string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, name: name, dir: t.TempDir(), args: args}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the log of %s:\n%s", name, p.wholeLog())
		}
	})
	return p
}

// single starts a node on free ports and waits until it is ready.
func single(t *testing.T, args ...string) *proc {
	t.Helper()
	listeners := "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"
	p := newProc(t, "single", append([]string{"--set", listeners}, args...)...)
	p.start()
	p.awaitReady()
	return p
}

func (p *proc) data() string { return filepath.Join(p.dir, "lockstep-data") }

// start runs the daemon; it must not be running.
func (p *proc) start() {
	p.t.Helper()
	p.mu.Lock()
	p.from = p.log.Len()
	p.mu.Unlock()
	p.cmd = exec.Command(daemon, p.args...)
	p.cmd.Dir = p.dir
	stderr, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan struct{})
	go p.watch(p.cmd, stderr, p.exited)
}

func (p *proc) watch(cmd *exec.Cmd, stderr io.Reader, exited chan struct{}) {
	defer close(exited)
	for r := bufio.NewReader(stderr); ; {
		line, err := r.ReadString('\n')
		p.mu.Lock()
		p.log.WriteString(line)
		p.mu.Unlock()
		if err != nil {
			break
		}
	}
	cmd.Wait()
}

// logged is what the process has logged since its last start.
func (p *proc) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()[p.from:]
}

func (p *proc) wholeLog() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *proc) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// awaitLog waits for text in the log.
func (p *proc) awaitLog(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%s logs %q", p.name, text), func() bool { return strings.Contains(p.logged(), text) })
}

func (p *proc) awaitReady() {
	p.t.Helper()
	eventually(p.t, p.name+" is ready", func() bool {
		if !p.running() && !strings.Contains(p.logged(), "ready on") {
			p.t.Fatalf("%s ended before it was ready", p.name)
		}
		return strings.Contains(p.logged(), "ready on")
	})
}

var readyLine = regexp.MustCompile(`ready on ([0-9a-f.:\[\]]+:[0-9]+)`)

// addr is the broker's address, once it is ready.
func (p *proc) addr() string {
	m := readyLine.FindStringSubmatch(p.logged())
	if m == nil {
		p.t.Fatalf("%s is not ready", p.name)
	}
	return m[1]
}

// kill ends the process as kill -9 does, if it runs.
func (p *proc) kill() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// terminate asks the process to end and returns its exit code.
func (p *proc) terminate() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.awaitExit()
}

func (p *proc) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

func (p *proc) awaitExit() int {
	p.t.Helper()
	eventually(p.t, p.name+" ends", func() bool { return !p.running() })
	return p.cmd.ProcessState.ExitCode()
}

// freePorts finds n ports that nobody listens on, outside the range from which systems take the ports of
// outgoing connections: a node must find its port free again after a restart.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000 {
			t.Fatal("no free ports between 20000 and 32000")
		}
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // held until all are found, so that they differ
		ports = append(ports, port)
	}
	return ports
}

// newCluster makes n nodes, brokers and voters all, from a server.properties each.
func newCluster(t *testing.T, n int, extra string) []*proc {
	t.Helper()
	ports := freePorts(t, 2*n)
	var voters []string
	for i := range n {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[n+i]))
	}
	var nodes []*proc
	for i := range n {
		p := newProc(t, fmt.Sprintf("node %d", i+1), "--config", "server.properties")
		text := fmt.Sprintf("node.id=%d\nlisteners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d\ncontroller.quorum.voters=%s\n%s",
			i+1, ports[i], ports[n+i], strings.Join(voters, ","), extra)
		write(t, filepath.Join(p.dir, "server.properties"), text)
		nodes = append(nodes, p)
	}
	startAll(nodes)
	return nodes
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func addrs(nodes []*proc) (all []string) {
	for _, p := range nodes {
		all = append(all, p.addr())
	}
	return all
}
