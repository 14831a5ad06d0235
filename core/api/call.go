package api

import (
	"bytes"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type callState uint8

const (
	open     callState = iota // being worked on
	answered                  // chunks are ready, earlier answers may not be
	done
)

// call is one request on its way to its answer.
type call struct {
	server         *Server
	conn           *conn // nil for a request that came in an Envelope, or of this broker's own
	req            *wire.Request
	frame          *network.Frame
	bytes          int
	listener       string
	controllerSide bool
	state          callState
	hangUp         bool // close the connection instead of answering
	chunks         []network.Chunk
	one            [1]network.Chunk    // chunks, if there is one
	release        func()              // to be called when the chunks were sent
	onSent         func(error)         // sent, bound at its first use
	head           []byte              // memory for the answer to a fetch, used again
	sending        []network.Chunk     // likewise
	own            func(kmsg.Response) // of a request without a connection: where the answer goes
}

// newCall is a call for a request of a connection: for a fetch or a produce one that was used before. Others are rare, and
// some are referred to after their answer.
func (s *Server) newCall(req *wire.Request) *call {
	n := len(s.calls) - 1
	if n < 0 || !comesBack(req) {
		return &call{server: s, req: req}
	}
	k := s.calls[n]
	s.calls = s.calls[:n]
	k.req = req
	return k
}

func comesBack(req *wire.Request) bool {
	return req.Key == int16(kmsg.Produce) || req.Key == int16(kmsg.Fetch)
}

// maxKeptHead is the largest memory for the head of a fetch's answer that is used again.
const maxKeptHead = 64 << 10

// sent ends a call whose answer held memory until now.
func (k *call) sent(error) {
	k.finish()
	k.comeBack()
}

// comeBack makes the call another request's: nothing refers to it any more, nor to the request.
func (k *call) comeBack() {
	k.req.Recycle()
	clear(k.sending)
	k.sending, k.head = k.sending[:0], k.head[:0]
	if cap(k.head) > maxKeptHead {
		k.head = nil
	}
	k.conn, k.req, k.frame, k.chunks, k.one[0].Bytes, k.release = nil, nil, nil, nil, nil, nil
	k.state, k.hangUp = open, false // bytes, listener and side are set with the next request
	k.server.calls = append(k.server.calls, k)
}

// isAbandoned reports that nobody is there to be answered.
func (k *call) isAbandoned() bool { return k.conn != nil && k.conn.closed }

// usualAnswer is room for most answers without records, so that encoding one allocates once.
const usualAnswer = 128

// reply answers with a response, once.
func (k *call) reply(resp kmsg.Response) {
	if k.own != nil {
		invariant.Check(k.state == open, "a request of our own was answered twice")
		k.state = done
		k.own(resp)
		return
	}
	if k.req.Key != int16(kmsg.Produce) {
		k.throttle(resp, k.recordWork(0))
	}
	k.one[0].Bytes = wire.AppendResponse(make([]byte, 0, usualAnswer), k.req, resp)
	k.replyChunks(k.one[:], nil)
}

// replyChunks answers with an encoded response; release is called when it was sent.
func (k *call) replyChunks(chunks []network.Chunk, release func()) {
	k.chunks, k.release = chunks, release
	k.answer()
}

// replyNothing ends a request that gets no answer (acks=0).
func (k *call) replyNothing() { k.answer() }

// disconnect ends a request by closing its connection, when the answers before it were handed to the network. What that has not written yet is lost,
// as it may be with any connection: to wait for it would take a callback for each answer, for the sake of a produce with acks=0 that failed.
func (k *call) disconnect() {
	k.hangUp = true
	k.answer()
}

func (k *call) answer() {
	invariant.Check(k.state == open, "a request was answered twice")
	k.state = answered
	k.letGoOfFrame()
	if k.conn.closed {
		k.finish()
		return
	}
	if x := k.server.Env.Buggify; x.Fires(buggify.AnswerLate) {
		k.server.Env.Loop.AfterFunc(x.Delay(buggify.AnswerLate, 100*time.Millisecond), k.conn.flush)
		return
	}
	k.conn.flush()
}

// letGoOfFrame gives the request's bytes back before it is answered: it may wait for minutes. Of those bytes only the client id is looked at
// again, when the answer is counted.
func (k *call) letGoOfFrame() {
	if k.frame != nil {
		if k.state == open {
			k.req.ClientID = bytes.Clone(k.req.ClientID)
		}
		k.frame.Release()
		k.frame = nil
		k.server.discharge(k.bytes)
	}
}

func (k *call) finish() {
	k.state = done
	if k.release != nil {
		k.release()
	}
}
