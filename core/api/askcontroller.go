package api

import (
	"time"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// controllerLane is the connections to the controller.
const controllerLane = "controller"

const askTimeout = 5 * time.Second // longest wait for the controller's answer to this broker's own requests

// AskController sends one of this broker's own requests (registration, heartbeat, AlterPartition,
// AllocateProducerIds) to the active controller, on this node or elsewhere. The error is
// kerr.NotController when there is nobody to ask, else the connection's; an answer may itself carry an error.
// Frames under the answer are gone when done returns.
func (s *Server) AskController(req kmsg.Request, done func(kmsg.Response, error)) {
	a, _ := wire.Lookup(req.Key())
	req.SetVersion(a.Max)
	if s.activeHere() {
		k := &call{server: s, req: &wire.Request{Key: req.Key(), Version: a.Max, Body: req}, controllerSide: true}
		k.own = func(resp kmsg.Response) { done(resp, nil) }
		k.answerAsController()
		return
	}
	addr, ok := s.controllerAddr()
	if !ok {
		done(nil, kerr.NotController)
		return
	}
	s.Peers.Lane(controllerLane).Send(addr, req, askTimeout, func(r *wire.Response, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		defer r.Release()
		done(r.Body, nil)
	})
}

// controllerAddr is where the active controller is, if it is known and elsewhere. One that was elected on this node and is
// not active yet cannot be asked.
func (s *Server) controllerAddr() (network.Addr, bool) {
	if leader, _ := s.Quorum.LeaderAndEpoch(); leader == s.Config.NodeID {
		return "", false
	}
	addr, ok := s.Quorum.LeaderAddr()
	if ok {
		s.lastAsked = addr
	}
	return addr, ok
}

// ControllerChanged gives up what was asked of a controller that has a successor: it may be cut off and silent, and
// heartbeats that wait for it are missed elsewhere.
func (s *Server) ControllerChanged() {
	addr, ok := s.Quorum.LeaderAddr()
	if ok && s.lastAsked != "" && s.lastAsked != addr {
		s.Peers.Lane(controllerLane).Abandon(s.lastAsked)
		s.lastAsked = ""
	}
}
