package tcpnet

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/lockstep/lockstep/network"
)

// An idle connection holds smallBuffer. One that fills it with a single read gets bigBuffer until a
// read leaves it half empty. A frame's own memory starts with firstAlloc, once smallBuffer of it
// has arrived, and grows fourfold whenever it is full: it follows the bytes that came, never the
// size announced.
const (
	smallBuffer = 4 << 10
	bigBuffer   = 64 << 10
	firstAlloc  = 64 << 10
	growth      = 4
)

// maxLone is the largest request for which a switch of goroutines is worth saving.
const maxLone = 16 << 10

// read is the reader's goroutine.
func (c *conn) read() {
	defer c.leave()
	r := newFrameReader(c.sock, c.net.pool, c.proto.MaxFrame)
	defer r.shrink()
	var batch []received
	for {
		f, err := r.next()
		if err == nil {
			var msg any
			if msg, err = decode(c.proto.Decode, f.Bytes); err == nil {
				batch = append(batch, received{msg, f})
			} else {
				c.net.pool.put(f)
			}
		}
		if err == nil && len(batch) < maxFramesAhead && r.ready() {
			continue
		}
		lone := err == nil && len(batch) == 1 && len(f.Bytes) <= maxLone && r.isEmpty()
		if !c.put(batch, lone, err) {
			return
		}
		clear(batch)
		batch = batch[:0]
	}
}

// decode runs the decoder; a panic of it on hostile bytes costs the connection, not the broker.
func decode(d network.Decoder, b []byte) (msg any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("network: decoder panicked: %v", p)
		}
	}()
	return d(b)
}

// frameReader cuts a byte stream into frames.
type frameReader struct {
	sock  io.Reader
	pool  *framePool
	max   int
	small []byte
	big   *network.Frame // nil unless buf is its
	buf   []byte         // buf[from:to] is read and not consumed
	from  int
	to    int
	full  bool // the last read left no room: there is more
}

func newFrameReader(sock io.Reader, pool *framePool, max int) *frameReader {
	r := &frameReader{sock: sock, pool: pool, max: max, small: make([]byte, smallBuffer)}
	r.buf = r.small
	return r
}

// next returns the next whole frame.
func (r *frameReader) next() (*network.Frame, error) {
	if err := r.want(4); err != nil {
		return nil, err
	}
	prefix := [4]byte(r.buf[r.from:])
	size := int64(int32(binary.BigEndian.Uint32(prefix[:])))
	if size < 0 || size > int64(r.max) {
		return nil, &network.FrameSizeError{Size: size, Max: r.max, Prefix: prefix}
	}
	r.from += 4
	return r.body(int(size))
}

// ready reports whether a whole frame, or a bad size, is already in the buffer.
func (r *frameReader) ready() bool {
	n := r.to - r.from
	return n >= 4 && int64(n-4) >= int64(int32(binary.BigEndian.Uint32(r.buf[r.from:])))
}

// isEmpty reports whether all that was read is consumed.
func (r *frameReader) isEmpty() bool { return r.from == r.to }

// want reads until n bytes, at most smallBuffer, are in the buffer.
func (r *frameReader) want(n int) error {
	for r.to-r.from < n {
		r.makeRoom()
		m, err := r.sock.Read(r.buf[r.to:])
		if err != nil {
			return connError(err)
		}
		r.full = m == len(r.buf)-r.to
		r.to += m
	}
	return nil
}

// makeRoom chooses the buffer and moves what is unread to its start.
func (r *frameReader) makeRoom() {
	old := r.buf[r.from:r.to]
	switch {
	case r.full && r.big == nil:
		r.big = r.pool.get(bigBuffer)
		r.buf = r.big.Bytes
	case !r.full && len(old) == 0:
		r.shrink()
	}
	r.from, r.to = 0, copy(r.buf, old)
}

// shrink gives the big buffer back.
func (r *frameReader) shrink() {
	if r.big != nil {
		r.pool.put(r.big)
		r.big, r.buf = nil, r.small
	}
}

func (r *frameReader) body(size int) (*network.Frame, error) {
	if err := r.want(min(size, smallBuffer)); err != nil {
		return nil, err
	}
	f := r.pool.get(min(size, firstAlloc))
	n := copy(f.Bytes, r.buf[r.from:r.to])
	r.from += n
	for n < size {
		if n == len(f.Bytes) {
			f = r.pool.grow(f, min(size, growth*n))
		}
		m, err := r.sock.Read(f.Bytes[n:])
		if err != nil {
			r.pool.put(f)
			return nil, connError(err)
		}
		n += m
	}
	return f, nil
}
