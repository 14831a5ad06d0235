package tcpnet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/tcpnet"
)

// loop runs what is posted on one goroutine.
type loop struct {
	mu    sync.Mutex
	queue []func()
	wake  chan struct{}
}

func newLoop(t testing.TB) *loop {
	l := &loop{wake: make(chan struct{}, 1)}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		var spare []func()
		for {
			l.mu.Lock()
			turn := l.queue
			l.queue = spare
			l.mu.Unlock()
			for i, f := range turn {
				turn[i] = nil
				f()
			}
			if spare = turn[:0]; len(turn) > 0 {
				continue
			}
			select {
			case <-l.wake:
			case <-stop:
				return
			}
		}
	}()
	return l
}

func (l *loop) Post(f func()) {
	l.mu.Lock()
	l.queue = append(l.queue, f)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// do runs f on the loop and waits for it.
func (l *loop) do(f func()) {
	ran := make(chan struct{})
	l.Post(func() { f(); close(ran) })
	<-ran
}

// handler passes on what happens.
type handler struct {
	receive func(c network.Conn, f *network.Frame)
	closed  chan error
}

func newHandler(receive func(c network.Conn, f *network.Frame)) handler {
	return handler{receive, make(chan error, 1)}
}

func (h handler) Receive(c network.Conn, _ any, f *network.Frame) { h.receive(c, f) }
func (h handler) Closed(_ network.Conn, err error)                { h.closed <- err }

func release(_ network.Conn, f *network.Frame) { f.Release() }

func raw(b []byte) (any, error) { return nil, nil }

// server listens with accept; its loop and network end with the test.
func server(t testing.TB, o tcpnet.Options, p network.Protocol, accept func(network.Conn) network.Handler) (*loop, *tcpnet.Net, network.Addr) {
	l := newLoop(t)
	n := tcpnet.New(l, o)
	t.Cleanup(n.Close)
	var addr network.Addr
	l.do(func() {
		listener, err := n.Listen("127.0.0.1:0", p, accept)
		if err != nil {
			panic(err)
		}
		addr = listener.Addr()
	})
	return l, n, addr
}

func dial(t testing.TB, addr network.Addr) net.Conn {
	c, err := net.Dial("tcp", string(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// 25 KiB a connection: 10,000 of them stay below 256 MiB, whatever they announce.
func TestMemoryFollowsTheBytesThatArriveNotTheSizeAnnounced(t *testing.T) {
	const conns, perConn = 1000, 25 << 10
	accepted := make(chan struct{}, conns)
	_, _, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100 << 20}, func(network.Conn) network.Handler {
		accepted <- struct{}{}
		return newHandler(release)
	})
	before := inUse()
	for range conns {
		c := dial(t, addr)
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, 100<<20), 'x')); err != nil {
			t.Fatal(err)
		}
		<-accepted
	}
	if grown := inUse() - before; grown > conns*perConn {
		t.Errorf("%d connections cost %d KiB each", conns, grown/conns>>10)
	} else {
		t.Logf("%d bytes a connection, both sides", grown/conns)
	}
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func TestPrefixTellsWhoIsNotAKafkaClient(t *testing.T) {
	for name, hello := range map[string]string{"http": "GET / HTTP/1.1\r\n\r\n", "tls": "\x16\x03\x01\x02\x00\x01", "negative": "\xff\xff\xff\xff"} {
		t.Run(name, func(t *testing.T) {
			h := newHandler(release)
			_, _, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100 << 20}, func(network.Conn) network.Handler { return h })
			io.WriteString(dial(t, addr), hello)
			var size *network.FrameSizeError
			if err := <-h.closed; !errors.As(err, &size) || string(size.Prefix[:]) != hello[:4] {
				t.Error(err)
			}
		})
	}
}

func TestDecoderPanicCostsOnlyTheConnection(t *testing.T) {
	h := newHandler(release)
	p := network.Protocol{Decode: func(b []byte) (any, error) { return b[10], nil }, MaxFrame: 100}
	_, _, addr := server(t, tcpnet.Options{}, p, func(network.Conn) network.Handler { return h })
	io.WriteString(dial(t, addr), "\x00\x00\x00\x01x")
	if err := <-h.closed; err == nil {
		t.Error("no error")
	}
}

func TestFrameThatArrivesByteByByteIsWhole(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 1000)
	got := make(chan bool, 1)
	h := newHandler(func(_ network.Conn, f *network.Frame) { got <- bytes.Equal(f.Bytes, want) })
	_, _, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 1 << 20}, func(network.Conn) network.Handler { return h })
	c := dial(t, addr)
	stream := append(binary.BigEndian.AppendUint32(nil, uint32(len(want))), want...)
	for len(stream) > 0 {
		n := min(7, len(stream))
		c.Write(stream[:n])
		stream = stream[n:]
	}
	if !<-got {
		t.Error("wrong bytes")
	}
}

func TestPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	h := newHandler(release)
	failed := make(chan error, 1)
	accept := func(c network.Conn) network.Handler {
		c.Send([]network.Chunk{{Bytes: make([]byte, 64<<20)}}, func(err error) { failed <- err })
		return h
	}
	_, _, addr := server(t, tcpnet.Options{WriteTimeout: 20 * time.Millisecond}, network.Protocol{Decode: raw, MaxFrame: 100}, accept)
	dial(t, addr)
	if err := <-failed; !errors.Is(err, network.ErrTimeout) {
		t.Error(err)
	}
	if err := <-h.closed; !errors.Is(err, network.ErrTimeout) {
		t.Error(err)
	}
}

// file is a region's file. Only its handle is used.
type file struct {
	disk.File
	handle *os.File
}

func (f file) Name() string     { return "00000000000000000000.log" }
func (f file) Retain()          {}
func (f file) Close()           {}
func (f file) Handle() *os.File { return f.handle }

func openFile(t testing.TB, size int) file {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return file{nil, f}
}

func TestRegionBeyondTheEndOfItsFileEndsTheConnection(t *testing.T) {
	for _, size := range []int{100, 64 << 10, 2 << 20} {
		f := openFile(t, size-1)
		h := newHandler(release)
		failed := make(chan error, 1)
		accept := func(c network.Conn) network.Handler {
			c.Send([]network.Chunk{{Region: disk.Region{File: f, Len: size}}}, func(err error) { failed <- err })
			return h
		}
		_, _, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100}, accept)
		io.Copy(io.Discard, dial(t, addr))
		if err := <-failed; err == nil {
			t.Errorf("no error for a region of %d bytes", size)
		}
		if err := <-h.closed; err == nil || errors.Is(err, network.ErrReset) {
			t.Errorf("the connection ended with %v", err)
		}
	}
}

func TestClosingTheNetEndsAllConnections(t *testing.T) {
	h := newHandler(release)
	accepted := make(chan struct{})
	_, n, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100}, func(network.Conn) network.Handler {
		close(accepted)
		return h
	})
	c := dial(t, addr)
	<-accepted
	n.Close()
	n.Close()
	if err := <-h.closed; !errors.Is(err, network.ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the socket is still open")
	}
}

func TestUsesAfterNetCloseAnswerErrClosed(t *testing.T) {
	l, n, addr := server(t, tcpnet.Options{}, network.Protocol{Decode: raw, MaxFrame: 100}, nil)
	n.Close()
	got := make(chan error, 1)
	l.do(func() {
		n.Dial(addr, network.Protocol{Decode: raw}, newHandler(release), func(_ network.Conn, err error) { got <- err })
		if _, err := n.Listen("127.0.0.1:0", network.Protocol{Decode: raw}, nil); !errors.Is(err, network.ErrClosed) {
			t.Error(err)
		}
	})
	if err := <-got; !errors.Is(err, network.ErrClosed) {
		t.Error(err)
	}
}
