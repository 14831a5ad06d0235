package network_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/network/tcpnet"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// fixture is two ends of a network and the loop that drives both.
type fixture struct {
	t      *testing.T
	server network.Network
	client network.Network
	addr   network.Addr // where the server can listen
	step   func() bool  // runs a turn; false if none will come
	stop   func()       // ends the network, then runs what is left
	file   func(content []byte) disk.File
	turns  int
}

// each runs the test on both implementations: what they share is the contract.
func each(t *testing.T, test func(t *testing.T, x *fixture)) {
	t.Run("tcpnet", func(t *testing.T) { test(t, tcpFixture(t)) })
	t.Run("simnet", func(t *testing.T) { test(t, simFixture(t)) })
}

// until runs turns until cond holds.
func (x *fixture) until(cond func() bool) {
	x.t.Helper()
	for !cond() {
		if x.turns++; !x.step() {
			x.t.Fatal("nothing is left to happen")
		}
	}
}

func simFixture(t *testing.T) *fixture {
	w := virtual.New(1)
	n := simnet.New(w, 1, simnet.Options{ReadRegion: func(r disk.Region, p []byte) {
		copy(p, r.File.(*testFile).content[r.Pos:r.Pos+int64(r.Len)])
	}})
	x := &fixture{
		t: t, server: n.Host("server", w.Node(1)), client: n.Host("client", w.Node(2)), addr: "server:9092",
		step: w.Step, file: func(content []byte) disk.File { return &testFile{content: content, refs: 1} },
	}
	x.stop = func() {
		for w.Step() {
		}
	}
	return x
}

func tcpFixture(t *testing.T) *fixture {
	l := newTestLoop()
	n := tcpnet.New(l, tcpnet.Options{})
	x := &fixture{t: t, server: n, client: n, addr: "127.0.0.1:0", step: l.step}
	x.file = func(content []byte) disk.File {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return handleFile{&testFile{name: path, refs: 1}, f}
	}
	x.stop = func() {
		n.Close()
		l.drain()
	}
	t.Cleanup(n.Close)
	return x
}

// testLoop is a loop that the test's own goroutine drives.
type testLoop struct {
	mu    sync.Mutex
	queue []func()
	wake  chan struct{}
	taken []func()
}

func newTestLoop() *testLoop { return &testLoop{wake: make(chan struct{}, 1)} }

func (l *testLoop) Post(f func()) {
	l.mu.Lock()
	l.queue = append(l.queue, f)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// step runs the next function posted. Waiting for one ends the test only if it hangs.
func (l *testLoop) step() bool {
	for len(l.taken) == 0 {
		if l.take(); len(l.taken) > 0 {
			break
		}
		hang := time.NewTimer(time.Minute)
		select {
		case <-l.wake:
			hang.Stop()
		case <-hang.C:
			return false
		}
	}
	f := l.taken[0]
	l.taken = l.taken[1:]
	f()
	return true
}

func (l *testLoop) take() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken, l.queue = l.queue, nil
}

// drain runs what is posted.
func (l *testLoop) drain() {
	for l.take(); len(l.taken) > 0; l.take() {
		for len(l.taken) > 0 {
			l.step()
		}
	}
}

// testFile counts its references. Only regions of it are read, by the network.
type testFile struct {
	disk.File
	name    string
	content []byte
	refs    int
}

func (f *testFile) Name() string { return f.name }
func (f *testFile) Retain()      { f.refs++ }
func (f *testFile) Close()       { f.refs-- }

// handleFile is a testFile of the operating system's.
type handleFile struct {
	*testFile
	file *os.File
}

func (f handleFile) Handle() *os.File { return f.file }

func refsOf(f disk.File) int {
	if h, ok := f.(handleFile); ok {
		return h.refs
	}
	return f.(*testFile).refs
}
