package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
)

// P9, liveness of the cluster: some time after the heal every node is up, every partition has a leader and a full ISR, and no
// broker is fenced. History.Liveness judges what clients see of it.

// Liveness returns what is not yet well. It is called when the cluster had its time after the heal.
func (s *State) Liveness(now scheduler.Instant) []Violation {
	s.now = now
	img := s.newestImage()
	if img == nil {
		s.stuck(fmt.Sprintf("nothing was committed until %s", seconds(now)), "no node has any metadata")
	} else {
		s.checkBrokers(img)
		s.checkPartitions(img)
		s.checkImages(img)
	}
	found := s.violations
	s.violations = nil
	return found
}

func (s *State) stuck(cause, format string, args ...any) {
	s.violate("P9", "LV", cause, format, args...)
}

func (s *State) checkBrokers(img *metadata.Image) {
	img.Brokers(func(b *metadata.Broker) bool {
		if b.Fenced && slices.Contains(s.in.Nodes(), b.ID) {
			s.stuck(s.fencing(b.ID), "broker %d is still fenced", b.ID)
		}
		return true
	})
}

func (s *State) checkPartitions(img *metadata.Image) {
	img.Partitions(func(p *metadata.Partition) bool {
		if p.Leader < 0 {
			s.stuck(s.sinceWhen(p), "partition %s has no leader", p.Key())
		} else if len(p.ISR) < len(p.Replicas) {
			s.stuck(s.sinceWhen(p), "partition %s has an ISR of %v of its replicas %v", p.Key(), p.ISR, p.Replicas)
		}
		return true
	})
}

func (s *State) checkImages(newest *metadata.Image) {
	for _, id := range s.in.Nodes() {
		img := s.in.Image(id)
		switch {
		case img == nil:
			s.stuck(s.node(id).lastEnd(), "node %d is not up", id)
		case img.Offset() == newest.Offset() && img.Hash() != newest.Hash():
			s.violate("P4", "I15", s.did(id, fmt.Sprintf("had hash %016x", img.Hash())), "node %d has other metadata at offset %d than the newest", id, img.Offset())
		}
	}
}

// fencing is when a broker was fenced, or else when it last came or went.
func (s *State) fencing(id int32) string {
	if n := s.node(id); n.fenced > n.ended {
		return fmt.Sprintf("broker %d was fenced at %s", id, seconds(n.fenced))
	}
	return s.node(id).lastEnd()
}

// sinceWhen is when a partition came into the state that it is stuck in.
func (s *State) sinceWhen(reg *metadata.Partition) string {
	return fmt.Sprintf("leader %d with ISR %v and ELR %v was committed at %s", reg.Leader, reg.ISR, reg.ELR, seconds(s.intern(reg.Key()).truth.since))
}
