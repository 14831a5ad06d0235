// Package network is the seam of framed connections: Kafka's frames, a four-byte big-endian size
// and that many bytes.
//
// Frames of one connection keep their order; nothing is promised between connections. A
// connection may end at any moment and then whatever was under way may or may not have arrived.
//
// network/simnet carries frames under seeded faults; network/tcpnet over real sockets.
package network

import (
	"errors"
	"fmt"

	"github.com/lockstep/lockstep/disk"
)

// Addr is "host:port".
type Addr string

// Errors that end a connection or a dial. Implementations wrap them; compare with errors.Is.
var (
	ErrClosed  = errors.New("network: connection closed")    // by this side
	ErrReset   = errors.New("network: connection reset")     // by the peer or the network
	ErrRefused = errors.New("network: connection refused")   // nobody listens
	ErrTimeout = errors.New("network: connection timed out") // no answer to a dial
)

// FrameSizeError ends a connection whose peer announced a frame that is negative or larger than
// Protocol.MaxFrame. Prefix is the four bytes as received: they tell HTTP and TLS from Kafka.
type FrameSizeError struct {
	Size   int64
	Max    int
	Prefix [4]byte
}

func (e *FrameSizeError) Error() string {
	return fmt.Sprintf("network: announced frame of %d bytes, at most %d allowed", e.Size, e.Max)
}

// Chunk is a part of a frame to send: Bytes or, if Region.File is set, Region.
type Chunk struct {
	Bytes  []byte
	Region disk.Region
}

// Len is the chunk's size in bytes.
func (c Chunk) Len() int {
	if c.Region.File != nil {
		return c.Region.Len
	}
	return len(c.Bytes)
}

// Frame is one received frame, lent to the core. Its bytes, and every slice of them in the decoded
// message, are valid until the last reference is released: tcpnet then reuses the memory and
// simnet poisons it, so that a use after release is a checksum failure in some seed. A frame is
// counted on the loop only.
type Frame struct {
	Bytes []byte
	refs  int32
	free  func(*Frame)
}

// NewFrame is for network implementations: a frame with one reference. free, if not nil, gets the
// frame back, on the loop, when the last reference is released.
func NewFrame(b []byte, free func(*Frame)) *Frame { return &Frame{Bytes: b, refs: 1, free: free} }

// Reuse is for network implementations: it makes a freed frame a new one with one reference.
func (f *Frame) Reuse(b []byte) { f.Bytes, f.refs = b, 1 }

// Retain adds a reference. A nil frame (bytes that nobody pools) is fine.
func (f *Frame) Retain() {
	if f == nil {
		return
	}
	if f.refs <= 0 {
		panic("network: frame retained after its release")
	}
	f.refs++
}

// Release drops a reference; the last one gives the bytes back.
func (f *Frame) Release() {
	if f == nil {
		return
	}
	f.refs--
	if f.refs < 0 {
		panic("network: frame released twice")
	}
	if f.refs == 0 && f.free != nil {
		f.free(f)
	}
}

// Conn is one side of a connection. All calls are made on the loop.
type Conn interface {
	Remote() Addr
	// Send sends the chunks as one frame; the size prefix is added. done may be nil; it runs in a
	// later turn, once, when the chunks are no longer in use: with nil when they were handed to the
	// operating system (not: received), else with why not. Files of regions are retained meanwhile.
	Send(frame []Chunk, done func(err error))
	// SetReading stops and resumes the delivery of frames: backpressure. A few frames that were
	// already read may still come.
	SetReading(on bool)
	// Close ends the connection; the handler's Closed follows in a later turn with ErrClosed.
	Close()
}

// Decoder turns a frame into a message. It is pure: in the daemon it runs on the connection's
// goroutine. The message may alias the frame. An error ends the connection.
type Decoder func(frame []byte) (msg any, err error)

// Protocol is how to read the frames of a connection.
type Protocol struct {
	Decode Decoder
	// MaxFrame is the largest frame accepted, in bytes. Memory grows with the bytes that arrive,
	// never with the size announced.
	MaxFrame int
}

// Handler gets what happens on a connection, on the loop.
type Handler interface {
	// Receive gets a decoded frame and one reference to it, to be released by the handler.
	Receive(c Conn, msg any, f *Frame)
	// Closed is the last call, once.
	Closed(c Conn, err error)
}

// Listener accepts connections until closed.
type Listener interface {
	Addr() Addr // the bound address, with the real port
	Close()
}

// Network makes connections.
type Network interface {
	// Listen binds addr at once; accept runs on the loop for each connection and returns its handler.
	Listen(addr Addr, p Protocol, accept func(c Conn) Handler) (Listener, error)
	// Dial connects; done runs in a later turn, before any call of h. On error c is nil and h is never called.
	Dial(addr Addr, p Protocol, h Handler, done func(c Conn, err error))
}
