package tcpnet

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/network"
)

// The pause after a failed accept (out of file descriptors, mostly) doubles from min to max.
const (
	minAcceptBackoff = 5 * time.Millisecond
	maxAcceptBackoff = time.Second
)

type listener struct {
	net    *Net
	sock   net.Listener
	proto  network.Protocol
	accept func(network.Conn) network.Handler
	closed atomic.Bool
}

// Listen implements network.Network.
func (n *Net) Listen(addr network.Addr, p network.Protocol, accept func(network.Conn) network.Handler) (network.Listener, error) {
	sock, err := net.Listen("tcp", string(addr))
	if err != nil {
		return nil, err
	}
	l := &listener{net: n, sock: sock, proto: p, accept: accept}
	if !n.spawn(l.run) {
		sock.Close()
		return nil, network.ErrClosed
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[l] = struct{}{}
	if n.closed { // between spawn and here
		sock.Close()
	}
	return l, nil
}

func (l *listener) Addr() network.Addr { return network.Addr(l.sock.Addr().String()) }

func (l *listener) Close() {
	l.closed.Store(true)
	l.sock.Close()
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	delete(l.net.listeners, l)
}

// run accepts until the listener is closed. Running out of file descriptors is not its end: they
// come back when connections close.
func (l *listener) run() {
	backoff := minAcceptBackoff
	for {
		sock, err := l.sock.Accept()
		switch {
		case err == nil:
			backoff = minAcceptBackoff
			l.net.loop.Post(func() { l.accepted(sock.(*net.TCPConn)) })
		case errors.Is(err, net.ErrClosed):
			return
		case !l.net.pause(backoff):
			return
		default:
			backoff = min(2*backoff, maxAcceptBackoff)
		}
	}
}

// pause waits for d; false if the Net was closed meanwhile.
func (n *Net) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.ctx.Done():
		return false
	}
}

// accepted runs on the loop. The goroutines start after accept, so that the handler is known to them.
func (l *listener) accepted(sock *net.TCPConn) {
	if l.closed.Load() || l.net.ctx.Err() != nil {
		sock.Close()
		return
	}
	c := newConn(l.net, sock, l.proto, false)
	c.handler = l.accept(c)
	invariant.Check(c.handler != nil, "accept returned no handler for %s", c.remote)
	if !l.net.serve(c) {
		c.abandon(network.ErrClosed)
	}
}
