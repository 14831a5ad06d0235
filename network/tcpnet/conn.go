package tcpnet

import (
	"net"
	"sync"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/network"
)

// The reader waits for the loop when it is this far ahead of it.
const (
	maxFramesAhead = 64
	maxBytesAhead  = 1 << 20
)

// maxUnsent is for how many bytes of answers in memory, behind those being written, a peer is still listened to: as in Kafka,
// who asks and does not read the answers is not asked what else they want. Only a connection that we accepted is held
// to it: two brokers that dialled each other could both wait for the other to read.
const maxUnsent = 1 << 20

// conn is one side of a connection, shared by the loop, a reader and a writer.
//
// It ends in this order: end closes the socket, reader and writer leave and the last of them posts
// finish, which answers what was still queued and calls Closed.
type conn struct {
	net    *Net
	sock   *net.TCPConn
	remote network.Addr
	proto  network.Protocol
	dialed bool // by us

	mu       sync.Mutex
	room     sync.Cond // the reader waits here to be allowed to go on
	work     sync.Cond // the writer waits here for sends
	in       []received
	inBytes  int
	inPosted bool  // deliver is posted and has not taken in yet
	readErr  error // what the reader ended with, behind the frames of in
	paused   bool  // SetReading(false)
	out      *batch
	spare    *batch // one finished batch, to be filled again
	writing  bool   // somebody writes a batch: the writer, or the loop in flush
	lone     bool   // the latest frame came alone: the peer may be waiting for its answer
	ended    bool
	endErr   error // why, if ended
	running  int   // goroutines

	// The loop's own.
	handler   network.Handler
	held      []received // taken from in, not delivered before heldNext
	heldNext  int
	closing   bool // Close was called
	gone      bool // Closed was called
	direct    direct
	deliverFn func()
	finishFn  func()
	flushFn   func()
}

// received is a decoded frame on its way to the loop.
type received struct {
	msg   any
	frame *network.Frame
}

func newConn(n *Net, sock *net.TCPConn, p network.Protocol, dialed bool) *conn {
	sock.SetNoDelay(true)
	c := &conn{net: n, sock: sock, remote: network.Addr(sock.RemoteAddr().String()), proto: p, dialed: dialed, running: 2}
	c.room.L, c.work.L = &c.mu, &c.mu
	c.deliverFn, c.finishFn, c.flushFn = c.deliver, c.finish, c.flush
	c.direct.init(sock)
	return c
}

func (c *conn) Remote() network.Addr { return c.remote }

// Send implements network.Conn. After Closed it answers ErrClosed; simnet panics then.
func (c *conn) Send(frame []network.Chunk, done func(error)) {
	if c.gone {
		if done != nil {
			c.net.loop.Post(func() { done(network.ErrClosed) })
		}
		return
	}
	for i := range frame {
		if f := frame[i].Region.File; f != nil {
			f.Retain()
		}
	}
	c.mu.Lock()
	first := c.out == nil
	if first {
		c.out = c.takeSpare()
	}
	c.out.add(frame, done)
	direct := first && c.lone && !c.writing && c.out.isShort()
	if first && !direct {
		c.work.Signal() // once for all that is queued until the writer comes
	}
	c.mu.Unlock()
	if direct {
		c.net.loop.Post(c.flushFn)
	}
}

// SetReading implements network.Conn. It is exact: no frame comes while reading is off.
func (c *conn) SetReading(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = !on
	if !on || c.gone {
		return
	}
	c.room.Signal()
	if !c.inPosted {
		c.inPosted = true
		c.net.loop.Post(c.deliverFn)
	}
}

// Close implements network.Conn. What is queued and not yet written is not sent.
func (c *conn) Close() {
	c.closing = true
	c.end(network.ErrClosed)
}

// end closes the socket, once; err is what Closed will be told. From any goroutine.
func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.endErr = true, err
	c.sock.Close()
	c.room.Signal()
	c.work.Signal()
}

// abandon ends a connection whose goroutines were never started.
func (c *conn) abandon(err error) {
	c.end(err)
	c.net.loop.Post(c.finishFn)
}

// leave is a goroutine's last step.
func (c *conn) leave() {
	c.mu.Lock()
	c.running--
	last := c.running == 0
	c.mu.Unlock()
	if last {
		c.net.forget(c)
		c.net.loop.Post(c.finishFn)
	}
}

// put hands frames, and the error that follows them, to the loop, and waits until the reader may
// go on; false if the connection ended. lone says that it is one short frame and no other is on its way. By the reader.
func (c *conn) put(frames []received, lone bool, err error) bool {
	if c.queue(frames, lone, err) {
		if lone {
			c.net.postAndRun(c.deliverFn)
		} else {
			c.net.loop.Post(c.deliverFn)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.ended && err == nil && c.isTooFarAhead() {
		c.room.Wait()
	}
	return !c.ended && err == nil
}

// isTooFarAhead reports whether the reader must wait: for the loop, or for the peer to read. Holds mu.
func (c *conn) isTooFarAhead() bool {
	return c.paused || len(c.in) >= maxFramesAhead || c.inBytes >= maxBytesAhead || c.isUnread()
}

// isUnread reports whether the peer must read before it is listened to again. Holds mu.
func (c *conn) isUnread() bool { return !c.dialed && c.out != nil && c.out.memory > maxUnsent }

// queue adds to in; true if deliver must be posted.
func (c *conn) queue(frames []received, lone bool, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, frames...)
	for i := range frames {
		c.inBytes += len(frames[i].frame.Bytes)
	}
	c.readErr = err
	post := !c.inPosted
	c.inPosted = true
	c.lone = lone && post
	return post
}

// deliver calls Receive for each frame that has arrived. When all were delivered and the reader has
// ended, so does the connection. On the loop.
func (c *conn) deliver() {
	readErr := c.take()
	for c.heldNext < len(c.held) && !c.closing && !c.isPaused() {
		r := c.held[c.heldNext]
		c.held[c.heldNext] = received{}
		c.heldNext++
		c.handler.Receive(c, r.msg, r.frame)
	}
	if c.heldNext < len(c.held) {
		return
	}
	c.held, c.heldNext = c.held[:0], 0
	if readErr != nil {
		c.end(readErr)
	}
}

// take moves what has arrived to held.
func (c *conn) take() (readErr error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inPosted, c.inBytes = false, 0
	if len(c.held) == 0 {
		c.held, c.in = c.in, c.held
	} else {
		c.held = append(c.held, c.in...)
	}
	clear(c.in)
	c.in = c.in[:0]
	c.room.Signal()
	return c.readErr
}

// isPaused needs no lock: only the loop writes paused.
func (c *conn) isPaused() bool { return c.paused }

// finish answers what was queued and calls Closed. On the loop; both goroutines have left.
func (c *conn) finish() {
	invariant.Check(!c.gone, "connection to %s finished twice", c.remote)
	c.gone = true
	c.take()
	for _, r := range c.held[c.heldNext:] {
		r.frame.Release()
	}
	c.held, c.in = nil, nil
	if c.out != nil {
		c.out.finish(c.endErr)
	}
	c.handler.Closed(c, c.endErr)
}
