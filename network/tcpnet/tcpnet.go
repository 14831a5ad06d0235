// Package tcpnet carries Kafka's frames over TCP.
//
// A connection has two goroutines. Its reader reads and decodes frames and hands them to the loop,
// as many at a time as came together; its writer takes all that the loop has queued and writes it
// at once. Where requests come one at a time there is nothing to gather, and the switches between
// goroutines cost more than the work: then the reader lends itself to the loop, and the loop tries to write the
// short answer itself. It never waits for a socket.
package tcpnet

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
)

// Options are the limits of a Net. Zero values mean the defaults.
type Options struct {
	DialTimeout time.Duration // 10 s
	// WriteTimeout is how long one write, of at most maxWrite bytes, may take until the peer is
	// given up: it bounds for how long a peer that does not read can make us hold its answers. 30 s.
	WriteTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	return o
}

// Net implements network.Network for one loop.
type Net struct {
	loop   scheduler.Poster
	lend   lender // loop, if it is one
	short  []byte // the loop's, for flush
	opts   Options
	pool   *framePool
	ctx    context.Context // ends dials and accept backoffs
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of this Net

	mu        sync.Mutex
	closed    bool
	listeners map[*listener]struct{}
	conns     map[*conn]struct{}
}

// New returns a network whose callbacks run on loop.
func New(loop scheduler.Poster, o Options) *Net {
	ctx, cancel := context.WithCancel(context.Background())
	lend, _ := loop.(lender)
	return &Net{
		loop: loop, lend: lend, opts: o.withDefaults(), pool: newFramePool(), ctx: ctx, cancel: cancel,
		listeners: make(map[*listener]struct{}), conns: make(map[*conn]struct{}),
	}
}

// lender is a loop that may run turns on the goroutine that brings it work.
type lender interface{ PostAndRun(f func()) }

// postAndRun is Post by a goroutine with nothing better to do than to run f. It holds no lock.
func (n *Net) postAndRun(f func()) {
	if n.lend != nil {
		n.lend.PostAndRun(f)
	} else {
		n.loop.Post(f)
	}
}

// Close ends every listener, dial and connection and returns when their goroutines have ended.
// Their last callbacks are posted by then. It may be called from anywhere, also twice.
func (n *Net) Close() {
	n.mu.Lock()
	n.closed = true
	n.cancel()
	for l := range n.listeners { // order: none, all end at once
		l.sock.Close()
	}
	for c := range n.conns { // order: none, all end at once
		c.end(network.ErrClosed)
	}
	n.mu.Unlock()
	n.wg.Wait()
}

// spawn runs f on a goroutine that Close waits for; false if the Net is closed.
func (n *Net) spawn(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.wg.Go(f)
	return true
}

// serve starts a connection's goroutines; false, with the socket closed, if the Net is closed.
func (n *Net) serve(c *conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		c.sock.Close()
		return false
	}
	n.conns[c] = struct{}{}
	n.wg.Go(c.read)
	n.wg.Go(c.write)
	return true
}

func (n *Net) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// Dial implements network.Network.
func (n *Net) Dial(addr network.Addr, p network.Protocol, h network.Handler, done func(network.Conn, error)) {
	ok := n.spawn(func() {
		d := net.Dialer{Timeout: n.opts.DialTimeout}
		sock, err := d.DialContext(n.ctx, "tcp", string(addr))
		if err != nil {
			n.loop.Post(func() { done(nil, dialError(n.ctx, err)) })
			return
		}
		n.loop.Post(func() { n.dialed(sock.(*net.TCPConn), p, h, done) })
	})
	if !ok {
		n.loop.Post(func() { done(nil, network.ErrClosed) })
	}
}

// dialed runs on the loop.
func (n *Net) dialed(sock *net.TCPConn, p network.Protocol, h network.Handler, done func(network.Conn, error)) {
	c := newConn(n, sock, p, true)
	c.handler = h
	if !n.serve(c) {
		done(nil, network.ErrClosed)
		return
	}
	done(c, nil)
}
