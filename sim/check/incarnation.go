package check

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// incarnation is a partition of one topic. A topic that is deleted may be created again under the same name; while some nodes
// still have the one and others have the next already, both are judged, each by itself.
type incarnation struct {
	id      event.Partition
	topicID [16]byte
}

// incarnation finds the partition of a topic; with the zero id the one that has the name now.
func (s *State) incarnation(id event.Partition, topicID [16]byte) *partition {
	current := s.intern(id)
	if topicID == current.topicID || topicID == [16]byte{} {
		return current
	}
	if current.topicID == [16]byte{} {
		s.name(current, topicID)
		return current
	}
	p := s.topics[incarnation{id, topicID}]
	if p == nil {
		p = s.add(id)
		p.topicID = topicID
		s.topics[incarnation{id, topicID}] = p
	}
	return p
}

// name notes the topic id of a partition that has its name from now on.
func (s *State) name(p *partition, topicID [16]byte) {
	if s.names[p.id] == p && p.topicID == topicID {
		return
	}
	p.topicID = topicID
	s.topics[incarnation{p.id, topicID}] = p
	s.names[p.id] = p
	s.known = nil
}

// in is the partition's registration in an image, nil if there is none of this incarnation.
func (p *partition) in(img *metadata.Image) *metadata.Partition {
	reg := img.Partition(p.id)
	if reg == nil || reg.TopicID != p.topicID && p.topicID != [16]byte{} {
		return nil
	}
	return reg
}

// open is a replica's open log, nil if its node has none or one of another incarnation.
func (s *State) open(r *replica) Replica {
	log := s.in.Replica(r.node.id, r.part.id)
	if log == nil || log.TopicID() != r.part.topicID && log.TopicID() != [16]byte{} {
		return nil
	}
	return log
}
