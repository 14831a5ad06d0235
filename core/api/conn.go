package api

import (
	"errors"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// conn is a client's connection. Requests are taken up as they arrive and answered in their order,
// whatever finishes first.
type conn struct {
	server         *Server
	net            network.Conn
	listener       string // name: clients are told of the addresses of the listener they came in on
	controllerSide bool
	waiting        []*call // in request order; the first may be unanswered
	stalled        bool    // the broker has too many bytes in flight
	paused         bool    // what SetReading was told
	closed         bool    // by either side
	lastUsed       scheduler.Instant
	index          int // in server.conns
}

// Receive implements network.Handler.
func (c *conn) Receive(_ network.Conn, msg any, f *network.Frame) {
	req := msg.(*wire.Request)
	c.lastUsed = c.server.Env.Loop.Now()
	k := &call{server: c.server, conn: c, req: req, frame: f, bytes: len(f.Bytes), listener: c.listener, controllerSide: c.controllerSide}
	c.waiting = append(c.waiting, k)
	c.server.admit(c, k.bytes)
	if len(c.waiting) >= maxCallsPerConn {
		c.updateReading()
	}
	k.dispatch()
}

// Closed implements network.Handler.
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

func (c *conn) updateReading() {
	pause := c.stalled || len(c.waiting) >= maxCallsPerConn
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
}

// close ends the connection from this side; nothing is sent on it any more.
func (c *conn) close() {
	if !c.closed {
		c.closed = true
		c.net.Close()
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
	default:
		c.net.Send(k.chunks, func(error) { k.finish() })
	}
}

type callState uint8

const (
	open     callState = iota // being worked on
	answered                  // chunks are ready, earlier answers may not be
	done
)

// call is one request on its way to its answer.
type call struct {
	server         *Server
	conn           *conn // nil for a request that came in an Envelope
	req            *wire.Request
	frame          *network.Frame
	bytes          int
	listener       string
	controllerSide bool
	state          callState
	chunks         []network.Chunk
	release        func()                // to be called when the chunks were sent
	hangUp         bool                  // close the connection instead of answering
	deliver        func([]network.Chunk) // of an enveloped request, instead of conn
	own            func(kmsg.Response)   // of this broker's own request, instead of conn
}

// reply answers with a response, once.
func (k *call) reply(resp kmsg.Response) {
	if k.own != nil {
		k.state = done
		k.own(resp)
		return
	}
	k.replyBytes(wire.AppendResponse(nil, k.req, resp))
}

func (k *call) replyBytes(b []byte) {
	k.replyChunks([]network.Chunk{{Bytes: b}}, nil)
}

// replyChunks answers with an encoded response; release is called when it was sent.
func (k *call) replyChunks(chunks []network.Chunk, release func()) {
	k.chunks, k.release = chunks, release
	k.answer()
}

// replyNothing ends a request that gets no answer (acks=0).
func (k *call) replyNothing() { k.answer() }

// disconnect ends a request by closing its connection, after the answers before it.
func (k *call) disconnect() {
	k.hangUp = true
	k.answer()
}

func (k *call) answer() {
	if k.state != open {
		panic("api: a request was answered twice")
	}
	k.state = answered
	if k.frame != nil {
		k.frame.Release()
		k.frame = nil
		k.server.discharge(k.bytes)
	}
	switch {
	case k.deliver != nil:
		k.state = done
		k.deliver(k.chunks)
	case k.conn.closed:
		k.finish()
	default:
		k.conn.flush()
	}
}

func (k *call) finish() {
	k.state = done
	if k.release != nil {
		k.release()
	}
}
