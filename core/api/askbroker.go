package api

import (
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askBrokerTimeout is the longest wait for the answer of another broker, which itself waits less.
const askBrokerTimeout = 15 * time.Second

// AskBroker sends one of this broker's own requests to a broker, this one or another, and gives the answer in a later turn. The error
// is kerr.BrokerNotAvailable if there is no such broker, else the connection's. Frames under the answer are gone when done returns.
//
// Each kind of request has connections of its own: answers come in order, and a marker that waits to be replicated must not hold
// up who asks whether a transaction goes on.
func (s *Server) AskBroker(id int32, req kmsg.Request, done func(kmsg.Response, error)) {
	a, _ := wire.Lookup(req.Key())
	req.SetVersion(a.Max)
	if id == s.Config.NodeID {
		s.askMyself(req, done)
		return
	}
	addr, ok := s.brokerAddr(id)
	if !ok {
		s.Env.Loop.Defer(func() { done(nil, kerr.BrokerNotAvailable) })
		return
	}
	s.Peers.Lane(a.Name).Send(addr, req, askBrokerTimeout, func(r *wire.Response, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		defer r.Release()
		done(r.Body, nil)
	})
}

func (s *Server) askMyself(req kmsg.Request, done func(kmsg.Response, error)) {
	k := &call{server: s, req: &wire.Request{Key: req.Key(), Version: req.GetVersion(), Body: req}, listener: s.Config.InterBrokerListener}
	k.own = func(resp kmsg.Response) { done(resp, nil) }
	s.Env.Loop.Defer(k.dispatch)
}

// brokerAddr is where brokers speak to a broker that is registered and not fenced.
func (s *Server) brokerAddr(id int32) (network.Addr, bool) {
	b := s.Image().Broker(id)
	if b == nil || b.Fenced {
		return "", false
	}
	at, ok := b.Endpoint(s.Config.InterBrokerListener)
	if !ok {
		return "", false
	}
	return network.Addr(config.HostPort(at.Host, int(at.Port))), true
}
