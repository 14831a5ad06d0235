package network_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
)

// side records what happens on one side of a connection.
type side struct {
	t        *testing.T
	x        *fixture
	conn     network.Conn
	got      [][]byte // copies
	frames   []*network.Frame
	keep     bool // do not release
	closed   int
	err      error
	inCall   bool // a call into the seam is running: nothing may be called back
	received func(msg any)
}

func (s *side) Receive(c network.Conn, msg any, f *network.Frame) {
	s.check()
	if s.closed > 0 {
		s.t.Error("Receive after Closed")
	}
	s.got = append(s.got, bytes.Clone(msg.([]byte)))
	if s.received != nil {
		s.received(msg)
	}
	if s.keep {
		s.frames = append(s.frames, f)
	} else {
		f.Release()
	}
}

func (s *side) Closed(c network.Conn, err error) {
	s.check()
	s.closed++
	s.err = err
}

func (s *side) check() {
	if s.inCall {
		s.t.Error("called back within the call")
	}
}

// call runs f, a call into the seam, and sees that it calls nothing back.
func (s *side) call(f func()) {
	s.inCall = true
	f()
	s.inCall = false
}

func raw(frame []byte) (any, error) { return frame, nil }

func protocol(max int) network.Protocol { return network.Protocol{Decode: raw, MaxFrame: max} }

// pair connects a client to a server.
func pair(t *testing.T, x *fixture, server, client network.Protocol) (s, c *side) {
	t.Helper()
	s, c = &side{t: t, x: x}, &side{t: t, x: x}
	l, err := x.server.Listen(x.addr, server, func(conn network.Conn) network.Handler {
		s.conn = conn
		return s
	})
	if err != nil {
		t.Fatal(err)
	}
	c.call(func() {
		x.client.Dial(l.Addr(), client, c, func(conn network.Conn, err error) {
			c.check()
			if err != nil {
				t.Fatal(err)
			}
			c.conn = conn
		})
	})
	x.until(func() bool { return s.conn != nil && c.conn != nil })
	return s, c
}

func defaultPair(t *testing.T, x *fixture) (s, c *side) {
	return pair(t, x, protocol(4<<20), protocol(4<<20))
}

func chunks(parts ...[]byte) (frame []network.Chunk) {
	for _, p := range parts {
		frame = append(frame, network.Chunk{Bytes: p})
	}
	return frame
}

// pattern is n bytes that differ by seed and position.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*31 ^ seed
	}
	return b
}

func TestFramesOfAllSizesArriveWholeAndInOrder(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		s, c := defaultPair(t, x)
		var want [][]byte
		dones := 0
		for i, size := range []int{0, 1, 3, 100, 4092, 4096, 4097, 64 << 10, 64<<10 + 1, 3 << 20, 0, 2 << 10, 200 << 10} {
			b := pattern(size, byte(i))
			want = append(want, b)
			frame := chunks(b[:size/3], nil, b[size/3:])
			c.call(func() {
				c.conn.Send(frame, func(err error) {
					c.check()
					if err != nil {
						t.Error(err)
					}
					if dones != i {
						t.Errorf("done %d came as number %d", i, dones)
					}
					dones++
				})
			})
			clear(frame) // the slice of chunks is the sender's again
		}
		x.until(func() bool { return len(s.got) == len(want) && dones == len(want) })
		for i := range want {
			if !bytes.Equal(s.got[i], want[i]) {
				t.Errorf("frame %d of %d bytes arrived wrong, with %d bytes", i, len(want[i]), len(s.got[i]))
			}
		}
	})
}

func TestManySmallFramesKeepTheirOrderBothWays(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		const n = 5000
		s, c := defaultPair(t, x)
		s.received = func(msg any) {
			s.call(func() { s.conn.Send(chunks(bytes.Clone(msg.([]byte))), nil) })
		}
		for i := range n {
			c.conn.Send(chunks(binary.BigEndian.AppendUint32(nil, uint32(i)), pattern(i%700, 1)), nil)
		}
		x.until(func() bool { return len(c.got) == n })
		for i := range n {
			if got := binary.BigEndian.Uint32(c.got[i]); got != uint32(i) || len(c.got[i]) != 4+i%700 {
				t.Fatalf("answer %d is of request %d", i, got)
			}
		}
	})
}

func TestRegionsAndBytesMakeOneFrame(t *testing.T) {
	sizes := []int{0, 1, 1000, 32<<10 - 1, 32 << 10, 100 << 10, 512 << 10, 512<<10 + 1, 1<<20 + 12345, 2 << 20}
	each(t, func(t *testing.T, x *fixture) {
		s, c := defaultPair(t, x)
		content := pattern(3<<20, 7)
		f := x.file(content)
		for i, size := range sizes {
			head, tail := pattern(i*100, 1), pattern(3000, 2)
			region := disk.Region{File: f, Pos: int64(11 * i), Len: size}
			frame := []network.Chunk{{Bytes: head}, {Region: region}, {Region: region}, {Bytes: tail}}
			if size > 1<<20 {
				frame = append(frame[:2], frame[3])
			}
			var want []byte
			for _, k := range frame {
				want = append(want, k.Bytes...)
				if k.Region.File != nil {
					want = append(want, content[k.Region.Pos:][:size]...)
				}
			}
			done := false
			c.conn.Send(frame, func(err error) { done = err == nil })
			x.until(func() bool { return done && len(s.got) == i+1 })
			if !bytes.Equal(s.got[i], want) {
				t.Errorf("frame with regions of %d bytes arrived wrong", size)
			}
			if refsOf(f) != 1 {
				t.Errorf("file has %d references after done", refsOf(f))
			}
		}
	})
}

func TestEveryDoneRunsOnceThoughTheConnectionCloses(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		const n = 50
		s, c := defaultPair(t, x)
		f := x.file(pattern(100<<10, 1))
		var dones [n]int
		failed := 0
		for i := range n {
			frame := []network.Chunk{{Bytes: pattern(300<<10, 2)}, {Region: disk.Region{File: f, Len: 90 << 10}}}
			c.conn.Send(frame, func(err error) {
				c.check()
				if c.closed > 0 {
					t.Error("done after Closed")
				}
				if dones[i]++; err != nil {
					failed++
					if !errors.Is(err, network.ErrClosed) {
						t.Error(err)
					}
				}
			})
			if i == n/2 {
				x.until(func() bool { return len(s.got) > 0 })
			}
		}
		c.call(c.conn.Close)
		x.until(func() bool { return c.closed > 0 && s.closed > 0 })
		x.stop()
		for i, count := range dones {
			if count != 1 {
				t.Errorf("done %d ran %d times", i, count)
			}
		}
		if c.closed != 1 || s.closed != 1 || failed == 0 || refsOf(f) != 1 {
			t.Errorf("closed %d and %d times, %d sends failed, file has %d references", c.closed, s.closed, failed, refsOf(f))
		}
		if !errors.Is(c.err, network.ErrClosed) || !errors.Is(s.err, network.ErrReset) {
			t.Errorf("closer learned %v, peer %v", c.err, s.err)
		}
	})
}

func TestFramesSentBeforeCloseArriveBeforeClosed(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		s, c := defaultPair(t, x)
		left := 20
		for i := range left {
			c.conn.Send(chunks(pattern(1000, byte(i))), func(error) { left-- })
		}
		x.until(func() bool { return left == 0 })
		c.conn.Close()
		x.until(func() bool { return s.closed > 0 })
		if len(s.got) != 20 {
			t.Errorf("%d of 20 frames came before Closed", len(s.got))
		}
	})
}

func TestTooLargeFrameEndsTheConnectionWithItsPrefix(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		s, c := pair(t, x, protocol(1000), protocol(1000))
		c.conn.Send(chunks(pattern(1000, 1)), nil)
		c.conn.Send(chunks(pattern(1001, 1)), nil)
		x.until(func() bool { return s.closed > 0 && c.closed > 0 })
		var size *network.FrameSizeError
		if !errors.As(s.err, &size) {
			t.Fatal(s.err)
		}
		if want := (network.FrameSizeError{Size: 1001, Max: 1000, Prefix: [4]byte{0, 0, 3, 233}}); *size != want || len(s.got) != 1 {
			t.Errorf("%+v after %d frames", *size, len(s.got))
		}
		if !errors.Is(c.err, network.ErrReset) {
			t.Errorf("the sender learned %v", c.err)
		}
	})
}

func TestDecoderErrorEndsTheConnection(t *testing.T) {
	bad := errors.New("bad")
	each(t, func(t *testing.T, x *fixture) {
		p := network.Protocol{MaxFrame: 100, Decode: func(b []byte) (any, error) {
			if len(b) == 2 {
				return nil, bad
			}
			return b, nil
		}}
		s, c := pair(t, x, p, protocol(100))
		for size := range 4 {
			c.conn.Send(chunks(pattern(size, 1)), nil)
		}
		x.until(func() bool { return s.closed > 0 && c.closed > 0 })
		if !errors.Is(s.err, bad) || len(s.got) != 2 {
			t.Errorf("%v after %d frames", s.err, len(s.got))
		}
	})
}

func TestDialIsRefusedWhereNobodyListens(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		l, err := x.server.Listen(x.addr, protocol(10), nil)
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr()
		l.Close()
		var got error
		c := &side{t: t, x: x}
		c.call(func() {
			x.client.Dial(addr, protocol(10), c, func(conn network.Conn, err error) {
				c.check()
				if got = err; conn != nil {
					t.Error("a connection came with the error")
				}
			})
		})
		x.until(func() bool { return got != nil })
		if !errors.Is(got, network.ErrRefused) || c.closed > 0 {
			t.Error(got)
		}
	})
}

func TestAnAddressIsListenedOnOnce(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		l, err := x.server.Listen(x.addr, protocol(10), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.server.Listen(l.Addr(), protocol(10), nil); err == nil {
			t.Error("no error")
		}
	})
}

// The bound: 1 MiB and 64 frames ahead in tcpnet, what its sockets hold, and a frame or two.
func TestWithoutReadingFramesAndSendsWait(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		const n = 300
		s, c := defaultPair(t, x)
		s.received = func(any) {
			if len(s.got) == 10 {
				s.call(func() { s.conn.SetReading(false) })
			}
		}
		sent, held := 0, 0
		for i := range n {
			c.conn.Send(chunks(pattern(100<<10, byte(i))), func(error) { sent++ })
		}
		x.until(func() bool { return len(s.got) >= 10 })
		// Another connection lives on, and shows that time has passed.
		s2, c2 := secondPair(t, x)
		for i := range 100 {
			c2.conn.Send(chunks(pattern(10, 1)), nil)
			x.until(func() bool { return len(s2.got) > i })
		}
		if held = len(s.got); held > 13 {
			t.Errorf("%d frames came after 10 were asked for", held)
		}
		if sent == n {
			t.Error("all sends were taken though nobody reads")
		}
		s.call(func() { s.conn.SetReading(true) })
		x.until(func() bool { return len(s.got) == n && sent == n })
		for i, b := range s.got {
			if !bytes.Equal(b, pattern(100<<10, byte(i))) {
				t.Fatalf("frame %d is wrong", i)
			}
		}
	})
}

// secondPair is a pair beside the first one of a fixture.
func secondPair(t *testing.T, x *fixture) (s, c *side) {
	if x.addr == "server:9092" {
		x.addr = "server:9093"
	}
	return defaultPair(t, x)
}

func TestReleasedFrameIsReusedOrPoisonedAndAHeldOneIsNot(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		s, c := defaultPair(t, x)
		s.keep = true
		for i := range 100 {
			c.conn.Send(chunks(pattern(5000, byte(i))), nil)
			x.until(func() bool { return len(s.got) == i+1 })
			if i%2 == 0 {
				f := s.frames[i]
				f.Retain()
				f.Release()
				f.Release()
				s.frames[i] = nil
			}
		}
		for i, f := range s.frames {
			if f != nil && !bytes.Equal(f.Bytes, pattern(5000, byte(i))) {
				t.Errorf("held frame %d has changed", i)
			}
		}
	})
}

func TestClosingInReceiveStopsTheRest(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		s, c := defaultPair(t, x)
		s.received = func(any) {
			if len(s.got) == 3 {
				s.call(s.conn.Close)
			}
		}
		for range 10 {
			c.conn.Send(chunks(pattern(10, 1)), nil)
		}
		x.until(func() bool { return s.closed > 0 && c.closed > 0 })
		x.stop()
		if len(s.got) != 3 || s.closed != 1 {
			t.Errorf("%d frames, closed %d times", len(s.got), s.closed)
		}
	})
}

func TestRemoteIsTheAddressDialled(t *testing.T) {
	each(t, func(t *testing.T, x *fixture) {
		var at network.Addr
		s := &side{t: t, x: x}
		l, err := x.server.Listen(x.addr, protocol(10), func(conn network.Conn) network.Handler { return s })
		if err != nil {
			t.Fatal(err)
		}
		x.client.Dial(l.Addr(), protocol(10), &side{t: t, x: x}, func(c network.Conn, err error) { at = c.Remote() })
		x.until(func() bool { return at != "" })
		if at != l.Addr() {
			t.Error(fmt.Sprint(at, " is not ", l.Addr()))
		}
	})
}
