package tcpnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/lockstep/lockstep/network"
)

// dribble reads a stream in pieces whose sizes follow a script.
type dribble struct {
	stream []byte
	script []byte
	reads  int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.stream) == 0 {
		return 0, io.EOF
	}
	n := len(p)
	if len(d.script) > 0 {
		n = min(n, 1+int(d.script[d.reads%len(d.script)])*97)
	}
	d.reads++
	n = copy(p, d.stream[:min(n, len(d.stream))])
	d.stream = d.stream[n:]
	return n, nil
}

// The slow, obvious version.
func cut(stream []byte, max int) (frames [][]byte, badSize bool) {
	for len(stream) >= 4 {
		size := int(int32(binary.BigEndian.Uint32(stream)))
		if size < 0 || size > max {
			return frames, true
		}
		if len(stream)-4 < size {
			break
		}
		frames = append(frames, stream[4:4+size])
		stream = stream[4+size:]
	}
	return frames, false
}

func checkReader(t *testing.T, stream, script []byte, max int) {
	r := newFrameReader(&dribble{stream: stream, script: script}, newFramePool(), max)
	frames, badSize := cut(stream, max)
	for i, want := range frames {
		f, err := r.next()
		if err != nil || !bytes.Equal(f.Bytes, want) {
			t.Fatalf("frame %d of %d bytes is wrong: %v", i, len(want), err)
		}
		f.Release()
	}
	f, err := r.next()
	var size *network.FrameSizeError
	if f != nil || errors.As(err, &size) != badSize || !badSize && !errors.Is(err, network.ErrReset) {
		t.Fatalf("after %d frames: %v", len(frames), err)
	}
}

func FuzzFrameReaderCutsAsTheObviousVersion(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x02abGET / HTTP/1.1"), []byte{0})
	f.Add([]byte("\x00\x00\x00\x03ab"), []byte{3})
	f.Fuzz(func(t *testing.T, stream, script []byte) { checkReader(t, stream, script, 1<<20) })
}

func TestFrameReaderCutsWhateverTheReadsBring(t *testing.T) {
	var stream []byte
	for i := range 300 {
		size := i * i % 9000
		if i%50 == 0 {
			size = i * 5000
		}
		stream = binary.BigEndian.AppendUint32(stream, uint32(size))
		stream = append(stream, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	for _, script := range [][]byte{nil, {0}, {1}, {42, 43}, {255, 0}, {7, 200, 0, 0, 90}} {
		checkReader(t, stream, script, 4<<20)
		checkReader(t, stream, script, 8000)
	}
}

func TestPoolFindsTheClassABufferWasMadeFor(t *testing.T) {
	p := newFramePool()
	for _, n := range []int{0, 1, 1 << 10, 1<<10 + 1, 64 << 10, 68 << 10, 68<<10 + 1, 1 << 20, 1<<20 + 100, 128<<20 + headroom} {
		f := p.get(n)
		if class := classOf(cap(f.Bytes)); len(f.Bytes) != n || classSize(class) != cap(f.Bytes) {
			t.Errorf("%d bytes: length %d, capacity %d, class of %d", n, len(f.Bytes), cap(f.Bytes), classSize(class))
		}
	}
}

// exhausted is a listener that is out of file descriptors at first.
type exhausted struct {
	net.Listener
	failures int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

type posts chan func()

func (p posts) Post(f func()) { p <- f }

type ignore struct{}

func (ignore) Receive(network.Conn, any, *network.Frame) {}
func (ignore) Closed(network.Conn, error)                {}

func TestAcceptSurvivesRunningOutOfFileDescriptors(t *testing.T) {
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	loop := make(posts, 10)
	n := New(loop, Options{})
	accepted := false
	l := &listener{net: n, sock: &exhausted{sock, 3}, accept: func(network.Conn) network.Handler {
		accepted = true
		return ignore{}
	}}
	n.spawn(l.run)
	c, err := net.Dial("tcp", sock.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	(<-loop)()
	if !accepted {
		t.Error("not accepted")
	}
	l.Close()
	n.Close()
}
