package tcpnet_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/benbjohnson/clock"

	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/tcpnet"
	"github.com/lockstep/lockstep/scheduler/wall"
)

// The client asks one thing at a time, so that each answer is written by the loop, but reads none before
// the socket has refused some of them; so the writer takes over in the middle of a frame.
func TestAnswersStayWholeAndInOrderWhenTheSocketFills(t *testing.T) {
	const requests, size = 3000, 3000
	seen := make(chan struct{})
	answer := func(c network.Conn, f *network.Frame) {
		n := binary.BigEndian.Uint32(f.Bytes)
		f.Release()
		c.Send([]network.Chunk{{Bytes: numbered(n, size/2)}}, nil)
		if n%3 == 0 {
			c.Send([]network.Chunk{{Bytes: numbered(n, size/2)}}, func(error) {})
		}
		seen <- struct{}{}
	}
	c := dialedBy(t, answer)
	for i := range uint32(requests) {
		c.Write(request(i))
		<-seen
	}
	r := bufio.NewReaderSize(c, 1<<20)
	for i := range uint32(requests) {
		expect(t, r, i, size/2)
		if i%3 == 0 {
			expect(t, r, i, size/2)
		}
	}
}

// dialedBy is the other end of a connection that a Net has dialled: it is listened to even if it reads nothing.
func dialedBy(t *testing.T, receive func(network.Conn, *network.Frame)) net.Conn {
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	l := newLoop(t)
	n := tcpnet.New(l, tcpnet.Options{})
	t.Cleanup(n.Close)
	l.do(func() {
		n.Dial(network.Addr(sock.Addr().String()), network.Protocol{Decode: raw, MaxFrame: 100}, newHandler(receive), func(network.Conn, error) {})
	})
	c, err := sock.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLoopThatTakesTheReadersGoroutineAnswersOnIt(t *testing.T) {
	l := wall.New(clock.New(), wall.Options{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(context.Background())
	}()
	n := tcpnet.New(l, tcpnet.Options{})
	defer func() { n.Close(); l.Stop(); <-ended }()
	var addr network.Addr
	var handled uint32 // unguarded: the race detector judges
	l.Do(func() {
		p := network.Protocol{Decode: raw, MaxFrame: 100}
		listener, _ := n.Listen("127.0.0.1:0", p, func(network.Conn) network.Handler {
			return newHandler(func(c network.Conn, f *network.Frame) {
				handled++
				c.Send([]network.Chunk{{Bytes: numbered(binary.BigEndian.Uint32(f.Bytes), 8)}}, func(error) { f.Release() })
			})
		})
		addr = listener.Addr()
	})
	a, b := dial(t, addr), dial(t, addr)
	for i := range uint32(500) {
		a.Write(request(i))
		b.Write(request(i))
		expect(t, a, i, 8)
		expect(t, b, i, 8)
	}
	l.Do(func() {
		if handled != 1000 {
			t.Errorf("handled %d requests", handled)
		}
	})
}

func request(n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, n)
}

// numbered is size bytes, a multiple of four, that say n over and over.
func numbered(n uint32, size int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint32(nil, n), size/4)
}

func expect(t *testing.T, c io.Reader, n uint32, size int) {
	t.Helper()
	got := make([]byte, 4+size)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	want := append(binary.BigEndian.AppendUint32(nil, uint32(size)), numbered(n, size)...)
	if string(got) != string(want) {
		t.Fatalf("answer %d is not what was sent", n)
	}
}
