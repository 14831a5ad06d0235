package api

import (
	"errors"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
)

// conn is a client's connection. Requests are taken up as they arrive and answered in their order,
// whatever finishes first.
type conn struct {
	server         *Server
	net            network.Conn
	listener       string // name: clients are told of the addresses of the listener they came in on
	controllerSide bool
	waiting        []*call           // in request order; the first may be unanswered
	stalled        bool              // the broker has too many bytes in flight
	mutedUntil     scheduler.Instant // a quota is used up
	paused         bool              // what SetReading was told
	closed         bool              // by either side
	lastUsed       scheduler.Instant
	index          int // in server.conns
	// What the client said of itself in ApiVersions.
	softwareName, softwareVersion string
}

// Receive implements network.Handler.
func (c *conn) Receive(_ network.Conn, msg any, f *network.Frame) {
	if c.closed { // by us: what was under way is not worked on
		f.Release()
		return
	}
	req := msg.(*wire.Request)
	c.lastUsed = c.server.Env.Loop.Now()
	k := c.server.newCall(req)
	k.conn, k.frame, k.bytes, k.listener, k.controllerSide = c, f, len(f.Bytes), c.listener, c.controllerSide
	c.waiting = append(c.waiting, k)
	c.server.admit(k)
	if x := c.server.Env.Buggify; x.Fires(buggify.Mute) {
		c.mute(x.Delay(buggify.Mute, 200*time.Millisecond))
	}
	if len(c.waiting) >= maxCallsPerConn {
		c.updateReading()
	}
	k.dispatch()
}

// Closed implements network.Handler. What is still being worked on ends in call.answer.
func (c *conn) Closed(_ network.Conn, err error) {
	c.closed = true
	c.server.remove(c)
	for _, k := range c.waiting {
		if k.state == answered {
			k.finish()
		}
	}
	c.waiting = nil
	c.server.sessions.closed(c)
	if !errors.Is(err, network.ErrClosed) && !errors.Is(err, network.ErrReset) {
		c.server.badRequest(string(c.net.Remote()) + ": " + explain(err))
	}
}

// explain says what a client that does not speak Kafka probably speaks.
func explain(err error) string {
	var size *network.FrameSizeError
	if errors.As(err, &size) {
		if foreign := wire.Foreign(size.Prefix); foreign != "" {
			return foreign + " arrived on a Kafka port"
		}
	}
	return err.Error()
}

// mute does not read for a time.
func (c *conn) mute(d time.Duration) {
	until := c.server.Env.Loop.Now().Add(d)
	if until <= c.mutedUntil {
		return
	}
	c.mutedUntil = until
	c.updateReading()
	c.server.Env.Loop.AfterFunc(d, c.updateReading)
}

func (c *conn) isMuted() bool { return c.server.Env.Loop.Now() < c.mutedUntil }

// closeIfIdle closes the connection d from now if nothing is asked meanwhile.
func (c *conn) closeIfIdle(d time.Duration) {
	used := c.lastUsed
	c.server.Env.Loop.AfterFunc(d, func() {
		if len(c.waiting) == 0 && c.lastUsed == used {
			c.close()
		}
	})
}

func (c *conn) updateReading() {
	pause := c.stalled || c.isMuted() || len(c.waiting) >= maxCallsPerConn
	if pause != c.paused && !c.closed {
		c.paused = pause
		c.net.SetReading(!pause)
	}
}

// flush sends the answers that are next in order.
func (c *conn) flush() {
	sent := 0
	for sent < len(c.waiting) && c.waiting[sent].state != open {
		k := c.waiting[sent]
		sent++
		c.send(k)
	}
	if sent == 0 {
		return
	}
	n := copy(c.waiting, c.waiting[sent:])
	clear(c.waiting[n:])
	c.waiting = c.waiting[:n]
	c.updateReading()
	if x := c.server.Env.Buggify; n == 0 && x.Fires(buggify.IdleClose) {
		c.closeIfIdle(x.Delay(buggify.IdleClose, 100*time.Millisecond))
	}
}

func (c *conn) send(k *call) {
	switch {
	case c.closed:
		k.finish()
	case k.hangUp:
		k.finish()
		c.close()
	case k.chunks == nil: // acks=0: no answer at all
		k.finish()
	case k.release == nil:
		c.net.Send(k.chunks, nil)
		k.finish()
		if k.req.Produce != nil { // its answer is not in the call's memory
			k.comeBack()
		}
	default:
		if k.onSent == nil {
			k.onSent = k.sent
		}
		c.net.Send(k.chunks, k.onSent)
	}
}

// close ends the connection from this side; nothing is sent on it any more.
func (c *conn) close() {
	if !c.closed {
		c.closed = true
		c.net.Close()
	}
}
