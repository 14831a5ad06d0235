package api

import (
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// endpoints collects the addresses of brokers that an answer points to (KIP-951).
type endpoints struct {
	server   *Server
	listener string
	ids      []int32
}

func (e *endpoints) add(id int32) {
	if id >= 0 && !slices.Contains(e.ids, id) {
		e.ids = append(e.ids, id)
	}
}

// each calls f with the brokers that are registered and have the listener.
func (e *endpoints) each(f func(b *metadata.Broker, at metadata.Endpoint)) {
	for _, id := range e.ids {
		if b := e.server.Image().Broker(id); b != nil {
			if at, ok := b.Endpoint(e.listener); ok {
				f(b, at)
			}
		}
	}
}

func (e *endpoints) forProduce() (brokers []kmsg.ProduceResponseBroker) {
	e.each(func(b *metadata.Broker, at metadata.Endpoint) {
		brokers = append(brokers, kmsg.ProduceResponseBroker{NodeID: b.ID, Host: at.Host, Port: int32(at.Port), Rack: rackOf(b)})
	})
	return brokers
}

func (e *endpoints) forFetch() (nodes []wire.NodeEndpoint) {
	e.each(func(b *metadata.Broker, at metadata.Endpoint) {
		nodes = append(nodes, wire.NodeEndpoint{ID: b.ID, Host: at.Host, Port: int32(at.Port), Rack: rackOf(b)})
	})
	return nodes
}

func rackOf(b *metadata.Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return &b.Rack
}
