package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// I5: a high watermark is at most the log's end; on a leader it never goes back within an epoch, is at most what every member of
// the ISR has of the leader's log, and moves only while the ISR is at least min.insync.replicas (KIP-966); on a
// follower it is at most what a leader had. It lies between batches.

func (s *State) onHighWatermark(r *replica, e *event.Event) {
	p, hw := r.part, e.Offset
	if hw > r.written {
		s.violate("P3", "I5", s.did(r.node.id, "moved it"), "broker %d put the high watermark of %s at %d, beyond its log's end %d", r.node.id, p.id, hw, r.written)
		return
	}
	if hw < r.hw {
		s.violate("P3", "I5", s.did(r.node.id, "moved it"), "broker %d took the high watermark of %s back from %d to %d in leader epoch %d", r.node.id, p.id, r.hw, hw, r.epoch)
	}
	r.hw = hw
	s.checkBetweenBatches(r)
	if r.role == leading && e.Epoch == r.epoch {
		s.onLeaderHighWatermark(r)
		return
	}
	if hw > p.committed.end && r.epoch >= p.committed.valid {
		s.violate("P3", "I5", s.did(r.node.id, "moved it"), "follower %d put the high watermark of %s at %d, beyond all leaders' %d", r.node.id, p.id, hw, p.committed.end)
	}
	s.checkPrefix(r)
}

// checkBetweenBatches: one that lies within a batch is of another log than this one, which was there before.
func (s *State) checkBetweenBatches(r *replica) {
	if r.hw == r.end {
		return
	}
	if i := r.slotAt(r.hw); i < len(r.slots) && r.at(i).base < r.hw && r.at(i).base >= r.logStart {
		s.violate(r.safety("P3"), "I5", s.did(r.node.id, "moved it"), "broker %d put the high watermark of %s at %d, within its batch of %d to %d", r.node.id, r.part.id, r.hw, r.at(i).base, r.at(i).next-1)
	}
}

func (s *State) onLeaderHighWatermark(r *replica) {
	s.commit(r, r.hw, r.epoch)
	if r.isrKnown {
		s.checkMinISR(r)
	}
	s.mark(r, dirtyHighWatermark)
}

func (s *State) checkMinISR(r *replica) {
	if len(r.isr) >= r.part.topic.minISR() {
		return
	}
	if minISR := s.minISRAt(r.node.id, r.part); len(r.isr) < min(minISR, r.part.topic.minISR()) {
		s.violate("P1", "I5", fmt.Sprintf("leader %d knew of the ISR %v at %s", r.node.id, r.isr, seconds(r.isrSince)),
			"leader %d committed %s with an ISR of %d, below min.insync.replicas %d", r.node.id, recordName(r.part.id, r.hw-1), len(r.isr), minISR)
	}
}

func (s *State) onISRCommitted(r *replica, e *event.Event) {
	r.isr, r.isrKnown, r.isrSince = parseIDs(r.isr[:0], e.Note), true, s.now
	r.proposed = r.proposed[:0]
}

func (s *State) onISRProposed(r *replica, e *event.Event) {
	r.proposed = parseIDs(r.proposed[:0], e.Note)
	r.part.proposed = proposal{r.node.id, s.now}
}

// checkLeaderHighWatermark compares the leader's high watermark with the logs of the maximal ISR (KIP-497): those in the ISR that
// the controller committed, and those that the leader has asked for, whom the controller may have taken in already.
func (s *State) checkLeaderHighWatermark(r *replica) {
	t := &r.part.truth
	if r.role != leading || !t.known || t.leader != r.node.id || t.leaderEpoch != r.epoch || r.epoch < r.part.committed.valid {
		return
	}
	for _, ids := range [2][]int32{t.isr, r.proposed} {
		for _, id := range ids {
			if has := s.reachedBy(id, r); has < r.hw {
				s.violate(r.part.topic.promise(), "I5", s.causeOfLack(r, id), "leader %d committed %s, but broker %d of the ISR has the leader's log only up to %d",
					r.node.id, recordName(r.part.id, r.hw-1), id, has)
				return
			}
		}
	}
}

func (s *State) reachedBy(id int32, leader *replica) int64 {
	if id == leader.node.id {
		return leader.hw
	}
	return s.reached(id, leader)
}

// causeOfLack is why a member of the ISR lacks what its leader has committed: what took records from it last, or the leader's haste.
func (s *State) causeOfLack(leader *replica, id int32) string {
	for i := len(leader.part.removals) - 1; i >= 0; i-- {
		if m := &leader.part.removals[i]; m.node == id && m.t >= leader.since {
			return m.String()
		}
	}
	return s.did(leader.node.id, fmt.Sprintf("moved its high watermark to %d", leader.hw))
}

// reached is how far a broker's log is the leader's, or was before its last crash in the same epoch, of which the leader cannot know.
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
	if m.hadEpoch == leader.epoch {
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
