package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// server is one of the programs that are compared.
type server struct {
	name   string
	binary string // of lockstepd
}

func buildLockstepd(dir string) (string, error) {
	binary := filepath.Join(dir, "lockstepd")
	build := exec.Command("go", "build", "-o", binary, "github.com/lockstep/lockstep/cmd/lockstepd")
	build.Dir = ".."
	build.Stderr = os.Stderr
	return binary, build.Run()
}

// serveKfake runs kfake with one broker on a free port, which it prints.
func serveKfake() {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cluster.ListenAddrs()[0])
	select {}
}

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	addr  string
	dir   string
	ready time.Duration
	lines chan string // of lockstepd's log
}

// start starts a server that ends with ctx at the latest, and returns when it is ready.
func (s server) start(ctx context.Context, dir string, nodes int) (*process, error) {
	data, err := os.MkdirTemp(dir, "data-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: data}
	switch s.name {
	case "lockstepd", "before":
		err = p.startLockstepd(ctx, s.binary, max(nodes, 1))
	case "kfake":
		err = p.startAndReadAddr(exec.CommandContext(ctx, os.Args[0], "serve-kfake", ""))
	default:
		err = p.startAndReadAddr(exec.CommandContext(ctx, os.Args[0], "serve-ceiling", data))
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *process) startAndReadAddr(cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	p.addr = strings.TrimSpace(line)
	return err
}

var readyLine = regexp.MustCompile(`ready on ([0-9.:]+)`)

func (p *process) startLockstepd(ctx context.Context, binary string, nodes int) error {
	args := []string{"--set", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"}
	if nodes > 1 {
		port, err := freePorts(2 * nodes)
		if err != nil {
			return err
		}
		args = []string{"--dev", strconv.Itoa(nodes), "--port", strconv.Itoa(port)}
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = p.dir
	log, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	p.lines = make(chan string, 4096)
	go scanLines(log, p.lines)
	for ready := 0; ready < nodes; {
		line, ok := <-p.lines
		if !ok {
			return fmt.Errorf("lockstepd ended before it was ready")
		}
		if m := readyLine.FindStringSubmatch(line); m != nil {
			ready++
			p.addr = m[1]
		}
	}
	p.ready = time.Since(began)
	return nil
}

func scanLines(r io.Reader, lines chan<- string) {
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		select {
		case lines <- scanner.Text():
		default: // nobody reads the log at the moment
		}
	}
	close(lines)
}

// freePorts finds n free ports in a row.
func freePorts(n int) (int, error) {
	for first := 20000; first < 60000; first += n {
		free := true
		for i := 0; i < n && free; i++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+i))
			if free = err == nil; free {
				l.Close()
			}
		}
		if free {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row", n)
}

func (p *process) stop() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
	os.RemoveAll(p.dir)
}

const clockTick = 10 * time.Millisecond // USER_HZ is 100 on Linux

// cpu is the processor time the server has used.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, nil
}

func (p *process) residentBytes() (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

var busyLine = regexp.MustCompile(`loop busy ([0-9.]+) s`)

// loopBusy asks lockstepd how long its loops have run, in seconds, all nodes together.
func (p *process) loopBusy(nodes int) (float64, error) {
	if p.lines == nil {
		return 0, nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return 0, err
	}
	sum := 0.0
	for found := 0; found < max(nodes, 1); {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return 0, fmt.Errorf("lockstepd has ended")
			}
			if m := busyLine.FindStringSubmatch(line); m != nil {
				busy, _ := strconv.ParseFloat(m[1], 64)
				sum += busy
				found++
			}
		case <-time.After(5 * time.Second):
			return 0, fmt.Errorf("lockstepd did not say how busy its loop was")
		}
	}
	return sum, nil
}
