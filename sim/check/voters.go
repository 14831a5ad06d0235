package check

import (
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// I10, the voters: a leader changes one at a time, and not before the change before it and a record of its own epoch are committed
// (KIP-853). Else two majorities without a voter in common could both commit (Ongaro, 2015).

// voterSet is who votes, as a node's log has it.
type voterSet struct {
	known       bool
	ids         []int32
	offset      int64 // of the record; -1: the directory was formatted with them
	committedIn int32 // the last epoch in which the node led and committed something
}

// votersOf are the voters as a node counts them.
func (s *State) votersOf(n *node) []int32 {
	if n.voters.known {
		return n.voters.ids
	}
	return s.promises.Voters
}

func (s *State) onRaftVoters(r *replica, e *event.Event) {
	v := &r.node.voters
	ids := parseIDs(nil, e.Note)
	if v.known && r.role == leading && e.Offset > v.offset && !slices.Equal(ids, v.ids) {
		s.checkChange(r, v, ids)
	}
	v.known, v.ids, v.offset = true, ids, e.Offset
}

// checkChange judges what a leader has just appended.
func (s *State) checkChange(r *replica, before *voterSet, ids []int32) {
	cause := s.did(r.node.id, "appended it")
	switch {
	case without(before.ids, ids)+without(ids, before.ids) > 1:
		s.violate("P4", "I10", cause, "leader %d changes the voters from %v to %v at once", r.node.id, before.ids, ids)
	case before.committedIn != r.epoch:
		s.violate("P4", "I10", cause, "leader %d changes the voters from %v to %v before a record of its epoch %d is committed", r.node.id, before.ids, ids, r.epoch)
	case before.offset >= r.hw:
		s.violate("P4", "I10", cause, "leader %d changes the voters from %v to %v before the change at %d is committed", r.node.id, before.ids, ids, before.offset)
	}
}

// without is how many of a are not in b.
func without(a, b []int32) (n int) {
	for _, id := range a {
		if !slices.Contains(b, id) {
			n++
		}
	}
	return n
}
