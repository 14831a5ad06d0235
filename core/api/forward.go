package api

import (
	"errors"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	forwardPatience = 30 * time.Second       // for the controller's answer (request.timeout.ms)
	forwardBackoff  = 100 * time.Millisecond // between tries
)

// forwardToController answers an administrative request with what the active controller says (KIP-590).
func (k *call) forwardToController() {
	if k.controllerSide {
		k.answerAsController()
		return
	}
	k.server.forward(k.req.Body, k, func(resp kmsg.Response, err error) {
		if err != nil {
			resp = errorResponse(k.req.Body, err)
		}
		k.reply(resp)
	})
}

func (s *Server) activeHere() bool { return s.Controller != nil && s.Controller.Active() }

// forwarding is a request on its way to the active controller, wherever it is by now.
type forwarding struct {
	server   *Server
	client   *call // who waits for the answer; nil: nobody who could go away
	clientID string
	req      kmsg.Request
	deadline scheduler.Instant
	done     func(kmsg.Response, error)
}

// forward hands a request to the active controller, in an Envelope unless it is on this node, and gives the answer.
//
// While there is no controller, or it is not reached, or it stops being one before it answers, the request is sent again;
// that may repeat what has been done, so that a client can find its topic created by its own request. After
// forwardPatience the error is kerr.RequestTimedOut. Clients do not see NOT_CONTROLLER: they are not talking to one.
func (s *Server) forward(req kmsg.Request, client *call, done func(kmsg.Response, error)) {
	f := &forwarding{server: s, client: client, clientID: clientIDOf(client), req: req, deadline: s.Env.Loop.Now().Add(forwardPatience), done: done}
	f.try()
}

func (f *forwarding) try() {
	s := f.server
	left := f.deadline.Sub(s.Env.Loop.Now())
	if left <= 0 || s.closing || f.client != nil && f.client.isAbandoned() {
		f.done(nil, kerr.RequestTimedOut)
		return
	}
	frame := wire.AppendRequest(nil, f.req, wire.CorrelationID(f.req.Key(), f.req.GetVersion(), 0), f.clientID)
	if s.activeHere() {
		s.serveEnveloped(frame, f.onAnswer)
		return
	}
	addr, ok := s.controllerAddr()
	if !ok || s.Env.Buggify.Fires(buggify.ForwardLate) {
		f.again()
		return
	}
	envelope := kmsg.NewPtrEnvelopeRequest()
	envelope.RequestData, envelope.ClientHostAddress = frame, []byte{127, 0, 0, 1}
	s.Peers.Lane(controllerLane).Send(addr, envelope, left, func(r *wire.Response, err error) {
		if err != nil {
			f.again()
			return
		}
		defer r.Release()
		resp := r.Body.(*kmsg.EnvelopeResponse)
		f.onAnswer(resp.ResponseData, kerr.ErrorForCode(resp.ErrorCode))
	})
}

// clientIDOf is whose quotas a request counts against.
func clientIDOf(client *call) string {
	if client == nil {
		return "forwarded"
	}
	return string(client.req.ClientID)
}

func (f *forwarding) again() { f.server.Env.Loop.AfterFunc(forwardBackoff, f.try) }

// onAnswer takes the bytes of the answer, or what the Envelope says instead.
func (f *forwarding) onAnswer(data []byte, err error) {
	var resp kmsg.Response
	if err == nil {
		resp, err = unwrap(data, f.req)
	}
	if err == kerr.NotController || err == nil && f.server.Env.Buggify.Fires(buggify.ForwardTwice) {
		f.again()
		return
	}
	f.done(resp, err)
}

var errOtherAnswer = errors.New("api: the envelope holds another answer")

func unwrap(data []byte, req kmsg.Request) (kmsg.Response, error) {
	msg, err := wire.DecodeResponse(data)
	if err != nil {
		return nil, err
	}
	inner := msg.(*wire.Response)
	if inner.Key != req.Key() || inner.Version != req.GetVersion() {
		return nil, errOtherAnswer
	}
	return inner.Body, nil
}

// serveEnveloped runs the request in frame as if it had come to the controller's listener. The error is
// kerr.NotController also if the controller stopped being one before it answered.
func (s *Server) serveEnveloped(frame []byte, done func(data []byte, err error)) {
	msg, err := wire.DecodeRequest(frame)
	if err != nil || !forwardable(msg.(*wire.Request).Key) {
		done(nil, kerr.InvalidRequest)
		return
	}
	k := &call{server: s, req: msg.(*wire.Request), controllerSide: true}
	k.own = func(resp kmsg.Response) {
		if isDeposed(resp) {
			done(nil, kerr.NotController)
			return
		}
		done(wire.AppendResponse(nil, k.req, resp), nil)
	}
	k.dispatch()
}

// forwardable lists what a broker may wrap: everything else in an Envelope is refused, an Envelope above all.
func forwardable(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs, kmsg.DescribeQuorum,
		kmsg.ElectLeaders, kmsg.AlterPartitionAssignments, kmsg.ListPartitionReassignments, kmsg.UpdateFeatures, kmsg.UnregisterBroker,
		kmsg.AlterClientQuotas, kmsg.AlterUserSCRAMCredentials, kmsg.AddRaftVoter, kmsg.RemoveRaftVoter:
		return true
	}
	return false
}

// isDeposed reports whether the answer to a forwardable request says that this is no controller any more.
func isDeposed(resp kmsg.Response) bool {
	const code = 41 // NOT_CONTROLLER
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		return slices.ContainsFunc(r.Topics, func(t kmsg.CreateTopicsResponseTopic) bool { return t.ErrorCode == code })
	case *kmsg.DeleteTopicsResponse:
		return slices.ContainsFunc(r.Topics, func(t kmsg.DeleteTopicsResponseTopic) bool { return t.ErrorCode == code })
	case *kmsg.CreatePartitionsResponse:
		return slices.ContainsFunc(r.Topics, func(t kmsg.CreatePartitionsResponseTopic) bool { return t.ErrorCode == code })
	case *kmsg.AlterConfigsResponse:
		return slices.ContainsFunc(r.Resources, func(t kmsg.AlterConfigsResponseResource) bool { return t.ErrorCode == code })
	case *kmsg.IncrementalAlterConfigsResponse:
		return slices.ContainsFunc(r.Resources, func(t kmsg.IncrementalAlterConfigsResponseResource) bool { return t.ErrorCode == code })
	case *kmsg.ElectLeadersResponse:
		return r.ErrorCode == code
	case *kmsg.AlterPartitionAssignmentsResponse:
		return r.ErrorCode == code
	case *kmsg.ListPartitionReassignmentsResponse:
		return r.ErrorCode == code
	case *kmsg.AlterClientQuotasResponse:
		return slices.ContainsFunc(r.Entries, func(e kmsg.AlterClientQuotasResponseEntry) bool { return e.ErrorCode == code })
	case *kmsg.AlterUserSCRAMCredentialsResponse:
		return slices.ContainsFunc(r.Results, func(e kmsg.AlterUserSCRAMCredentialsResponseResult) bool { return e.ErrorCode == code })
	case *kmsg.UpdateFeaturesResponse:
		return r.ErrorCode == code
	case *kmsg.UnregisterBrokerResponse:
		return r.ErrorCode == code
	}
	return false
}
