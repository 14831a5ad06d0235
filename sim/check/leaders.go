package check

import (
	"fmt"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// I3: one leader per partition and leader epoch, one per quorum epoch, and neither epoch ever goes back.

// leadership is who led in an epoch.
type leadership struct {
	epoch, node int32
	t           scheduler.Instant
}

// lead notes a leader and reports whether it is the epoch's only one; first is the one that was.
func (p *partition) lead(epoch, node int32, t scheduler.Instant) (first leadership, ok bool) {
	for i := len(p.leaders) - 1; i >= 0; i-- {
		if l := p.leaders[i]; l.epoch == epoch {
			return l, l.node == node
		}
	}
	p.leaders = append(p.leaders, leadership{epoch, node, t})
	return first, true
}

func (l leadership) String() string {
	return fmt.Sprintf("broker %d became leader in epoch %d at %s", l.node, l.epoch, seconds(l.t))
}

func (s *State) onBecameLeader(r *replica, e *event.Event) {
	p := r.part
	if first, ok := p.lead(e.Epoch, r.node.id, s.now); !ok {
		s.violate("P3", "I3", first.String(), "partition %s has two leaders in epoch %d, brokers %d and %d", p.id, e.Epoch, first.node, r.node.id)
	}
	s.take(r, e.Epoch, leading)
	s.mark(r, dirtyLeader|dirtyEpochs|dirtyProducers)
	s.checkLeaderHasCommitted(r, e.Epoch)
}

func (s *State) onBecameFollower(r *replica, e *event.Event) {
	s.take(r, e.Epoch, following)
	r.diverged = divergence{}
}

// take gives a replica its role in an epoch, which is not below the last.
func (s *State) take(r *replica, epoch int32, role role) {
	if epoch < r.epoch {
		s.violate("P3", "I3", s.did(r.node.id, "took its role"), "broker %d went back from leader epoch %d of %s to %d", r.node.id, r.epoch, r.part.id, epoch)
	}
	if epoch != r.epoch {
		r.hw = none // monotone within an epoch
	}
	r.role, r.epoch, r.isrKnown, r.since = role, epoch, false, s.now
	r.proposed = r.proposed[:0]
}

// checkLeadership compares a new leader with the registration it acted upon, and takes its ISR from there.
func (s *State) checkLeadership(r *replica) {
	img := s.in.Image(r.node.id)
	if img == nil || r.role != leading {
		return
	}
	reg := r.part.in(img)
	if reg == nil || reg.LeaderEpoch != r.epoch {
		return // it knows more by now
	}
	if reg.Leader != r.node.id {
		s.violate("P3", "I3", s.did(r.node.id, "became leader"), "broker %d leads %s in epoch %d, which is broker %d's", r.node.id, r.part.id, r.epoch, reg.Leader)
	}
	if !r.isrKnown {
		r.isr, r.isrKnown, r.isrSince = append(r.isr[:0], reg.ISR...), true, s.now
	}
	if log := s.open(r); log != nil {
		s.commit(r, log.HighWatermark(), r.epoch) // after an unclean election it may be beyond what counted until now
	}
}

// checkLeaderTruncates: a leader only ever appends.
func (s *State) checkLeaderTruncates(r *replica, e *event.Event) {
	if r.role == leading && e.Offset < r.end && r.part != s.metadata {
		s.violate("P3", "I3", s.did(r.node.id, s.truncationStory(r, e)), "broker %d truncated %s to %d while it led in epoch %d", r.node.id, r.part.id, e.Offset, r.epoch)
	}
}
