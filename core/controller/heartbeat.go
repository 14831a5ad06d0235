package controller

import (
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// controlState is what a heartbeat makes of a broker.
type controlState int8

const (
	stateFenced controlState = iota
	stateUnfenced
	stateControlledShutdown
	stateShutdownNow
)

// BrokerHeartbeat keeps a broker's session alive, unfences it once it has caught up with its own
// registration, fences it if it wants that, and walks it through controlled shutdown (KIP-631).
//
// The session counts from here, whatever the disk makes of the records (KAFKA-15019).
func (c *Controller) BrokerHeartbeat(req *kmsg.BrokerHeartbeatRequest, done func(*kmsg.BrokerHeartbeatResponse)) {
	if !c.Active() {
		done(heartbeatError(kerr.NotController))
		return
	}
	if err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		answer(c, nil, heartbeatError(err), heartbeatError, done)
		return
	}
	b := c.img.Broker(req.BrokerID)
	s := c.sessions.touch(b.ID, b.Epoch)
	current, next := c.controlStates(b, s, req)
	records := c.heartbeatRecords(b, current, next)
	if len(records) == 0 { // both could change the same partition; directories are told again
		records = c.directoryRecords(b, req)
	}
	s.metadataOffset = req.CurrentMetadataOffset
	answerInParts(c, records, heartbeatResponse(b, req, next), heartbeatError, done)
	c.noteShutdown(s, next)
}

func heartbeatError(err *kerr.Error) *kmsg.BrokerHeartbeatResponse {
	resp := kmsg.NewPtrBrokerHeartbeatResponse()
	resp.ErrorCode = err.Code
	return resp
}

func heartbeatResponse(b *metadata.Broker, req *kmsg.BrokerHeartbeatRequest, next controlState) *kmsg.BrokerHeartbeatResponse {
	resp := kmsg.NewPtrBrokerHeartbeatResponse()
	resp.IsCaughtUp = req.CurrentMetadataOffset >= b.Epoch
	resp.IsFenced = next == stateFenced || next == stateShutdownNow
	resp.ShouldShutdown = next == stateShutdownNow
	return resp
}

// controlStates finds where a broker is and where its heartbeat takes it.
func (c *Controller) controlStates(b *metadata.Broker, s *session, req *kmsg.BrokerHeartbeatRequest) (current, next controlState) {
	switch {
	case s.shutdownOffset >= 0 && !b.Fenced:
		return stateControlledShutdown, c.duringShutdown(b, s)
	case b.Fenced:
		return stateFenced, whileFenced(b, req)
	}
	return stateUnfenced, c.whileUnfenced(b, req)
}

// whileFenced: a broker's epoch is the offset of its registration, so a broker that has applied it
// knows of everything that was decided before it came. One that began to shut down stays fenced, where
// Kafka would unfence it, as mayLead takes no account of that:
//
// Example 1: a heartbeat from before the shutdown is delayed on a connection of its own; it arrives
// when the broker is gone, which would then lead what it left.
func whileFenced(b *metadata.Broker, req *kmsg.BrokerHeartbeatRequest) controlState {
	switch {
	case req.WantShutdown:
		return stateShutdownNow
	case !req.WantFence && !b.InControlledShutdown && req.CurrentMetadataOffset >= b.Epoch:
		return stateUnfenced
	}
	return stateFenced
}

func (c *Controller) whileUnfenced(b *metadata.Broker, req *kmsg.BrokerHeartbeatRequest) controlState {
	switch {
	case req.WantFence && req.WantShutdown:
		return stateShutdownNow
	case req.WantFence:
		return stateFenced
	case req.WantShutdown && c.hasLeaderships(b.ID):
		return stateControlledShutdown
	case req.WantShutdown:
		return stateShutdownNow
	}
	return stateUnfenced
}

func (c *Controller) heartbeatRecords(b *metadata.Broker, current, next controlState) []metadata.Record {
	if current == next {
		return nil
	}
	switch next {
	case stateFenced, stateShutdownNow:
		if b.Fenced {
			return nil
		}
		return c.fenceRecords(b)
	case stateUnfenced:
		return c.unfenceRecords(b)
	}
	return c.shutdownRecords(b)
}

// directoryRecords follow what a broker says of its directories (KIP-858, KIP-1066).
func (c *Controller) directoryRecords(b *metadata.Broker, req *kmsg.BrokerHeartbeatRequest) []metadata.Record {
	var records []metadata.Record
	var online [][16]byte
	for _, dir := range b.Dirs {
		if !slices.Contains(req.OfflineLogDirs, dir) {
			online = append(online, dir)
			continue
		}
		records = c.leaderUpdatesOf(records, leaderUpdate{remove: b.ID, add: none, uncleanShutdown: none},
			func(p *metadata.Partition) bool { return slices.Contains(p.ISR, b.ID) && p.Dir(b.ID) == dir })
	}
	change := metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch}
	if len(online) < len(b.Dirs) {
		change.LogDirs = online
	}
	if req.CordonedLogDirs != nil && !slices.Equal(req.CordonedLogDirs, b.CordonedDirs) {
		change.CordonedLogDirs = req.CordonedLogDirs
	}
	if change.LogDirs != nil || change.CordonedLogDirs != nil {
		records = append(records, &change)
	}
	return records
}

// hasLeaderships reports whether a broker leads a partition.
func (c *Controller) hasLeaderships(id int32) bool {
	found := false
	c.img.Partitions(func(p *metadata.Partition) bool {
		found = p.Leader == id
		return !found
	})
	return found
}

// lowestActiveOffset is how far the slowest active broker has come in the metadata log.
func (c *Controller) lowestActiveOffset() int64 {
	lowest := int64(math.MaxInt64)
	c.sessions.each(func(s *session) {
		if b := c.img.Broker(s.id); b != nil && b.Epoch == s.epoch && !b.Fenced && s.shutdownOffset < 0 {
			lowest = min(lowest, s.metadataOffset)
		}
	})
	return lowest
}
