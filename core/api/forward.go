package api

import (
	"errors"
	"time"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const forwardTimeout = 30 * time.Second // longest wait for the controller's answer to one try

// forwardToController answers an administrative request with what the active controller says
// (KIP-590). A controller that is just changing is a retriable error for the client.
func (k *call) forwardToController() {
	if k.controllerSide || k.server.activeHere() {
		k.answerAsController()
		return
	}
	k.server.forward(k.req.Body, k.listener, func(resp kmsg.Response, err error) {
		if err != nil {
			k.reply(errorResponse(k.req.Body, wire.Code(err)))
			return
		}
		k.reply(resp)
	})
}

func (s *Server) activeHere() bool { return s.Controller != nil && s.Controller.Active() }

// forward sends a request to the active controller in an Envelope, or hands it to the one on this
// node, and gives the answer. The error is kerr.NotController when there is no one to ask.
func (s *Server) forward(req kmsg.Request, listener string, done func(kmsg.Response, error)) {
	if s.activeHere() {
		s.forwardHere(req, listener, done)
		return
	}
	addr, ok := s.Quorum.LeaderAddr()
	if !ok {
		done(nil, kerr.NotController)
		return
	}
	envelope := kmsg.NewPtrEnvelopeRequest()
	envelope.RequestData = wire.AppendRequest(nil, req, wire.CorrelationID(req.Key(), req.GetVersion(), 0), "forwarded")
	envelope.ClientHostAddress = []byte{127, 0, 0, 1}
	s.Peers.Lane("controller").Send(addr, envelope, forwardTimeout, func(r *wire.Response, err error) {
		if err != nil {
			done(nil, kerr.NotController)
			return
		}
		defer r.Release()
		done(unwrap(r.Body.(*kmsg.EnvelopeResponse), req))
	})
}

func unwrap(resp *kmsg.EnvelopeResponse, req kmsg.Request) (kmsg.Response, error) {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	msg, err := wire.DecodeResponse(resp.ResponseData)
	if err != nil {
		return nil, kerr.UnknownServerError
	}
	inner := msg.(*wire.Response)
	if inner.Key != req.Key() {
		return nil, errors.New("api: the envelope holds another answer")
	}
	return inner.Body, nil
}

// forwardHere answers through the handlers of this node's own controller.
func (s *Server) forwardHere(req kmsg.Request, listener string, done func(kmsg.Response, error)) {
	frame := wire.AppendRequest(nil, req, wire.CorrelationID(req.Key(), req.GetVersion(), 0), "forwarded")
	s.serveEnveloped(frame, listener, func(data []byte, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(unwrap(&kmsg.EnvelopeResponse{ResponseData: data}, req))
	})
}

// serveEnveloped runs the request in frame as if it had come to the controller's listener.
func (s *Server) serveEnveloped(frame []byte, listener string, done func(data []byte, err error)) {
	msg, err := wire.DecodeRequest(frame)
	if err != nil {
		done(nil, kerr.InvalidRequest)
		return
	}
	req := msg.(*wire.Request)
	if !forwardable(req.Key) {
		done(nil, kerr.InvalidRequest)
		return
	}
	k := &call{server: s, req: req, listener: listener, controllerSide: true}
	k.deliver = func(chunks []network.Chunk) { done(joined(chunks), nil) }
	k.dispatch()
}

// forwardable lists what a broker may wrap: everything else in an Envelope is refused, an Envelope above all.
func forwardable(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.IncrementalAlterConfigs, kmsg.DescribeQuorum:
		return true
	}
	return false
}

func joined(chunks []network.Chunk) (b []byte) {
	for _, c := range chunks {
		b = append(b, c.Bytes...)
	}
	return b
}
