// Package api turns requests into calls and results into answers: one file per API key, named by
// its number. It is the only place that speaks to clients, and where a request's fate becomes one
// of Kafka's error codes.
package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/group"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/quota"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds at admission: what a broker takes in before it stops reading.
const (
	maxCallsPerConn  = 64       // requests of one connection that wait for their answer
	maxBytesInFlight = 64 << 20 // request bytes of all connections that wait for their answer
	resumeBytesBelow = maxBytesInFlight / 2
	maxKept          = 1024            // partitions of a request whose memory is used again
	maxPatience      = 5 * time.Minute // longest time that a client can make its request wait here
)

// patience is how long a client wants its request to wait.
func patience(ms int32) time.Duration {
	return min(time.Duration(max(ms, 0))*time.Millisecond, maxPatience)
}

// Node is the parts of a broker that requests reach. Replicas is nil without the broker role,
// Controller without the controller's.
type Node struct {
	Env          *env.Env
	Config       *config.Config
	ClusterID    string
	Quorum       *raft.Node
	Image        func() *metadata.Image // committed; read only
	Controller   *controller.Controller
	Replicas     *replica.Manager
	Groups       *group.Coordinator // nil without the broker role, as is the next
	Transactions *txn.Coordinator
	Peers        *wire.Peers
	// DiskFull reports whether something waits for space: nothing that takes more of it is begun then.
	DiskFull func() bool
	// BrokerEpoch is the epoch of this broker's registration; -1 before it.
	BrokerEpoch func() int64
}

// Server answers the requests of all connections of a node.
type Server struct {
	Node
	handlers      []func(*call) // by API key
	conns         []*conn       // in no order but a repeatable one
	stalled       []*conn       // not read until bytes in flight fall; in order of stalling
	bytesInFlight int
	sessions      sessions
	producerIDs   producerIDs
	verifying     map[string][]*verification // by transactional id; the first of each waits for the coordinator
	creating      map[string]bool            // topics that a Metadata request made us ask the controller for
	closing       bool
	lastAsked     network.Addr   // of the controllers; empty: none
	calls         []*call        // free
	produces      []*produceCall // free
	fetches       []*fetchCall   // free
	topic         topicMemo
	telemetry     telemetry
	quotas        *quota.Manager
	// maxMessageDefault is max.message.bytes of a topic that does not say.
	maxMessageDefault int
	nodeName          string // of this node as a config resource
}

// NewServer makes the server of a node. It accepts nothing until Listen.
func NewServer(n Node) *Server {
	s := &Server{Node: n, handlers: handlerTable(), creating: map[string]bool{}, verifying: map[string][]*verification{}}
	s.maxMessageDefault = int(n.Config.TopicConfig(nil, config.Dynamic{}).Long("max.message.bytes"))
	s.nodeName = strconv.Itoa(int(n.Config.NodeID))
	s.sessions.init(n.Config.FetchSessionSlots, n.Env.Loop, n.Env.Rand("api"))
	s.telemetry.init(s)
	s.initQuotas()
	s.sweepIdle()
	return s
}

// sweepIdle closes connections on which nothing was asked for connections.max.idle.ms. A peer that lost its power says
// nothing, so without it its connections would stay for ever.
func (s *Server) sweepIdle() {
	if s.closing || s.Config.ConnectionsMaxIdle <= 0 {
		return
	}
	now := s.Env.Loop.Now()
	for _, c := range s.conns {
		if len(c.waiting) == 0 && now.Sub(c.lastUsed) > s.Config.ConnectionsMaxIdle {
			c.close()
		}
	}
	s.Env.Loop.AfterFunc(s.Config.ConnectionsMaxIdle/4, s.sweepIdle)
}

// Listen serves a listener at its host and port; the bound address is returned by the listener.
func (s *Server) Listen(l config.Listener) (network.Listener, error) {
	controllerSide := s.Config.IsControllerListener(l.Name)
	p := network.Protocol{Decode: wire.DecodeRequest, MaxFrame: s.Config.MaxRequestBytes}
	return s.Env.Net.Listen(network.Addr(l.Addr()), p, func(nc network.Conn) network.Handler {
		c := &conn{server: s, net: nc, listener: l.Name, controllerSide: controllerSide, lastUsed: s.Env.Loop.Now()}
		s.add(c)
		return c
	})
}

// Close ends all connections.
func (s *Server) Close() {
	s.closing = true
	for _, c := range s.conns {
		c.close()
	}
}

func (s *Server) add(c *conn) {
	c.index = len(s.conns)
	s.conns = append(s.conns, c)
}

func (s *Server) remove(c *conn) {
	last := len(s.conns) - 1
	s.conns[c.index] = s.conns[last]
	s.conns[c.index].index = c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
}

// admit counts a request's bytes and stalls its connection when there are too many. One that fetches is not stalled: what
// is in flight may be waiting for its followers to fetch.
func (s *Server) admit(k *call) {
	s.bytesInFlight += k.bytes
	full := s.bytesInFlight > maxBytesInFlight || s.Env.Buggify.Fires(buggify.StallEarly)
	if c := k.conn; full && !c.stalled && k.req.Key != int16(kmsg.Fetch) {
		c.stalled = true
		s.stalled = append(s.stalled, c)
		c.updateReading()
	}
}

// discharge takes back what admit counted.
func (s *Server) discharge(bytes int) {
	s.bytesInFlight -= bytes
	if len(s.stalled) == 0 || s.bytesInFlight > resumeBytesBelow {
		return
	}
	stalled := s.stalled
	s.stalled = nil
	for _, c := range stalled {
		c.stalled = false
		c.updateReading()
	}
}

func (s *Server) badRequest(note string) {
	s.Env.Event.Emit(&event.Event{Kind: event.BadRequest, Peer: -1, Epoch: -1, Offset: -1, Note: note})
}

// maxMessageBytes is the largest batch that a topic takes. It runs for each topic of each Produce, once the topic was found.
func (s *Server) maxMessageBytes(topic string) int {
	m := s.remembered()
	if m.topic == nil || m.topic.Name != topic {
		return s.configuredMaxBytes(m.image, topic)
	}
	if m.maxBytes == 0 {
		m.maxBytes = s.configuredMaxBytes(m.image, topic)
	}
	return m.maxBytes
}

func (s *Server) configuredMaxBytes(image *metadata.Image, topic string) int {
	value, ok := image.ConfigValue(int8(kmsg.ConfigResourceTypeTopic), topic, "max.message.bytes")
	if !ok {
		value, ok = image.ConfigValue(int8(kmsg.ConfigResourceTypeBroker), s.nodeName, "message.max.bytes")
	}
	if !ok {
		value, ok = image.ConfigValue(int8(kmsg.ConfigResourceTypeBroker), "", "message.max.bytes")
	}
	if !ok {
		return s.maxMessageDefault
	}
	n, _ := strconv.Atoi(strings.TrimSpace(value)) // checked when it was set
	return n
}
