package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// I6: what the controller writes of a partition names only eligible brokers: the ISR is unfenced replicas that are not shutting
// down (KIP-841), with everything that is committed (KIP-903); the leader is one of them. An election outside of the ISR needs the
// topic's leave.

func (s *State) onPartitionChanged(n *node, e *event.Event) {
	p := s.incarnation(e.Partition, e.TopicID)
	s.controller = n.id
	if !p.isChanged {
		p.isChanged = true
		s.changed = append(s.changed, p)
	}
	s.checkELR(n, p, int32(e.Offset), e.Note)
}

func (s *State) onUncleanElection(n *node, e *event.Event) {
	p := s.incarnation(e.Partition, e.TopicID)
	u := uncleanElection{epoch: e.Epoch, leader: e.Peer, seq: s.seq, t: s.now, lastKnown: e.Note != ""}
	u.allowed = p.topic.Unclean
	if img := s.in.ControllerImage(n.id); img != nil { // it may know more than is committed
		u.allowed = s.configured(img, p.id.Topic).Unclean
	}
	u.allowed = u.allowed || slices.Contains(s.promises.Unclean, p.id)
	p.unclean = append(p.unclean, u)
	if !u.lastKnown && !u.allowed {
		s.violate("P1", "I6", s.did(n.id, fmt.Sprintf("elected broker %d", e.Peer)), "controller %d made broker %d, which is not in the ISR, leader of %s in epoch %d, though unclean.leader.election.enable is off",
			n.id, e.Peer, p.id, e.Epoch)
	}
}

// checkISR judges a partition as the controller has it at the end of the turn in which it wrote it.
func (s *State) checkISR(p *partition) {
	p.isChanged = false
	img := s.in.ControllerImage(s.controller)
	if img == nil {
		return
	}
	reg := p.in(img)
	if reg == nil {
		return
	}
	if reg.Leader >= 0 && !contains(reg.ISR, reg.Leader) {
		s.violate("P3", "I6", s.wrote(reg), "controller %d wrote leader %d of %s, which is not in the ISR %v", s.controller, reg.Leader, p.id, reg.ISR)
	}
	for _, id := range reg.ISR {
		s.checkMember(p, img, reg, id)
	}
}

func (s *State) checkMember(p *partition, img *metadata.Image, reg *metadata.Partition, id int32) {
	b := img.Broker(id)
	// Without an ELR the last member stays, as the record of who has the data.
	remembered := len(reg.ISR) == 1 && reg.Leader < 0
	switch {
	case !reg.HasReplica(id):
		s.violate("P3", "I6", s.wrote(reg), "controller %d put broker %d, which has no replica, in the ISR of %s", s.controller, id, p.id)
	case remembered:
	case b == nil || !b.Active():
		s.violate("P3", "I6", s.causeOfFencing(reg, id), "controller %d left broker %d in the ISR of %s (partition epoch %d), though it is fenced or shutting down",
			s.controller, id, p.id, reg.PartitionEpoch)
	case p.truth.known && p.truth.leaderEpoch == reg.LeaderEpoch && !contains(p.truth.isr, id) && s.leadsQuorum(s.controller):
		s.checkJoins(p, reg, b)
	}
}

// leadsQuorum reports whether a node leads the newest quorum epoch: what an older one still writes is never committed.
func (s *State) leadsQuorum(id int32) bool {
	newest := s.metadata.committed.lastLeader(s.metadata)
	m := s.find(id, s.metadata)
	return newest == none || m != nil && m.role == leading && m.epoch == newest
}

// checkJoins compares the log of a broker that joins the ISR with what is committed. Of an incarnation that the controller
// does not know is gone, what it had counts. What an earlier controller knew may never have been committed.
func (s *State) checkJoins(p *partition, reg *metadata.Partition, b *metadata.Broker) {
	c := &p.committed
	if reg.LeaderEpoch < c.valid || reg.LeaderEpoch != c.lastLeader(p) {
		return
	}
	m := s.find(b.ID, p)
	if m == nil {
		return
	}
	m.agree()
	has := m.agreedEnd()
	if m.node.registered != b.Epoch && m.hadEpoch == reg.LeaderEpoch {
		has = max(has, m.hadEnd)
	}
	if has < c.end {
		s.violate(p.topic.promise(), "I6", s.causeOfJoining(p, b.ID), "controller %d put broker %d in the ISR of %s, though it lacks the committed record %s",
			s.controller, b.ID, p.id, recordName(p.id, has))
	}
}

// lastLeader is the newest epoch in which somebody became leader.
func (c *committed) lastLeader(p *partition) int32 {
	epoch := int32(none)
	for _, l := range p.leaders {
		epoch = max(epoch, l.epoch)
	}
	return epoch
}

// causeOfFencing is when a broker was fenced or began to shut down, if it is known; else what the controller wrote is all there is.
func (s *State) causeOfFencing(reg *metadata.Partition, id int32) string {
	if t := s.node(id).fenced; t > 0 {
		return fmt.Sprintf("broker %d was fenced at %s", id, seconds(t))
	}
	return s.wrote(reg)
}

// causeOfJoining is what took records from a broker last, or else that the leader asked for it.
func (s *State) causeOfJoining(p *partition, id int32) string {
	if p.proposed.t > 0 {
		return fmt.Sprintf("leader %d proposed it at %s", p.proposed.by, seconds(p.proposed.t))
	}
	return s.did(s.controller, "took it in")
}
