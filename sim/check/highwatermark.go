package check

import (
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// I5: a high watermark is at most the log's end; on a leader it never goes back within an epoch, is at most what every member of
// the ISR has of the leader's log, and moves only while the ISR is at least min.insync.replicas (KIP-966); on a
// follower it is at most what a leader had.

func (s *State) onHighWatermark(r *replica, e *event.Event) {
	p, hw := r.part, e.Offset
	if hw > r.written {
		s.violate("P3", "I5", "", "broker %d put the high watermark of %s at %d, beyond its log's end %d", r.node.id, p.id, hw, r.written)
		return
	}
	if hw < r.hw {
		s.violate("P3", "I5", "", "broker %d took the high watermark of %s back from %d to %d in leader epoch %d", r.node.id, p.id, r.hw, hw, r.epoch)
	}
	r.hw = hw
	if r.role == leading && e.Epoch == r.epoch {
		s.onLeaderHighWatermark(r)
		return
	}
	if hw > p.committed.end && r.epoch >= p.committed.valid {
		s.violate("P3", "I5", "", "follower %d put the high watermark of %s at %d, beyond all leaders' %d", r.node.id, p.id, hw, p.committed.end)
	}
	s.checkPrefix(r)
}

func (s *State) onLeaderHighWatermark(r *replica) {
	s.commit(r, r.hw, r.epoch)
	if r.isrKnown {
		s.checkMinISR(r)
	}
	s.mark(r, dirtyHighWatermark)
}

func (s *State) checkMinISR(r *replica) {
	if minISR := r.part.topic.minISR(); len(r.isr) < minISR {
		s.violate("P1", "I5", "", "leader %d committed %s with an ISR of %d, below min.insync.replicas %d",
			r.node.id, recordName(r.part.id, r.hw-1), len(r.isr), minISR)
	}
}

// checkLeaderHighWatermark compares the leader's high watermark with the logs of the ISR that the controller committed.
func (s *State) checkLeaderHighWatermark(r *replica) {
	t := &r.part.truth
	if r.role != leading || !t.known || t.leader != r.node.id || t.leaderEpoch != r.epoch || r.epoch < r.part.committed.valid {
		return
	}
	for _, id := range t.isr {
		if id == r.node.id {
			continue
		}
		if has := s.reached(id, r); has < r.hw {
			s.violate(r.part.topic.promise(), "I5", "", "leader %d committed %s, but broker %d of the ISR has the leader's log only up to %d",
				r.node.id, recordName(r.part.id, r.hw-1), id, has)
			return
		}
	}
}

// reached is how far a broker's log is the leader's, or was before its last crash, of which the leader cannot know. A leader that
// is elected again in a later epoch goes on with what it knew of its followers.
func (s *State) reached(id int32, leader *replica) int64 {
	m := s.find(id, leader.part)
	if m == nil {
		return 0
	}
	if m.epoch > leader.epoch {
		return leader.hw // it knows of a newer leader: what it does is no matter to this one
	}
	m.agree()
	has := m.agreedEnd()
	if m.hadEpoch >= leader.ledSince {
		has = max(has, m.hadEnd)
	}
	return has
}

// commonEnd is how far the log is its leader's: what the leader may have counted, committed or not.
func (s *State) commonEnd(r *replica) int64 {
	r.agree()
	leader := s.leaderOf(r.part, r.epoch)
	if leader == nil || leader == r {
		return r.written
	}
	if !leader.agree() || r.agreedCommit != leader.agreedCommit {
		return r.agreedEnd()
	}
	i, j := r.agreed, leader.agreed
	for i < len(r.slots) && j < len(leader.slots) && r.slots[i].batch == leader.slots[j].batch {
		i++
		j++
	}
	if i == 0 {
		return r.logStart
	}
	return r.at(i - 1).next
}

// leaderOf is the replica that leads in an epoch, nil if none does now.
func (s *State) leaderOf(p *partition, epoch int32) *replica {
	for _, r := range p.replicas {
		if r.role == leading && r.epoch == epoch {
			return r
		}
	}
	return nil
}

// contains reports whether a small list has an id.
func contains(ids []int32, id int32) bool { return slices.Contains(ids, id) }
