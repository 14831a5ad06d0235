package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/record"
)

// I10, the voters (KIP-853): a node counts the voters that the last record of its log names, committed or not, and no other. A leader
// changes one at a time, and not before the change before it and a record of its own epoch are committed; else two
// majorities without a voter in common could both commit (Ongaro, 2015).

// voters are the voter sets of one node's log.
type voters struct {
	sets        []voterSet // by offset; the first one may come from a snapshot
	committedIn int32      // the last epoch in which the node led and committed something; 0: none
}

// voterSet is who votes from a record on. Its offset is -1 if the directory was formatted with it.
type voterSet struct {
	offset int64
	ids    []int32
}

// votersOf are the voters that a node is to count.
func (s *State) votersOf(n *node) []int32 {
	if last := n.voters.last(); last != nil {
		return last.ids
	}
	return s.promises.Voters
}

func (v *voters) last() *voterSet {
	if len(v.sets) == 0 {
		return nil
	}
	return &v.sets[len(v.sets)-1]
}

// cut forgets what is truncated.
func (v *voters) cut(end int64) {
	v.sets = slices.DeleteFunc(v.sets, func(set voterSet) bool { return set.offset >= end })
}

// onVotersAppended takes the voter sets of a batch of the metadata log.
func (s *State) onVotersAppended(r *replica, b record.Batch) {
	if r.part != s.metadata || !b.IsControl() {
		return
	}
	v := &r.node.voters
	_ = raft.VoterSets(b, func(offset int64, ids []int32) { // one that cannot be read the node has refused
		if last := v.last(); r.role == leading && last != nil && !slices.Equal(last.ids, ids) {
			s.checkChange(r, last, ids)
		}
		v.sets = append(v.sets, voterSet{offset, ids})
	})
}

// onRaftVoters compares whom a node counts with its log. What a snapshot or the operator who formatted the disk says is taken from the node.
func (s *State) onRaftVoters(r *replica, e *event.Event) {
	ids, v := parseIDs(nil, e.Note), &r.node.voters
	if last := v.last(); last != nil && last.offset == e.Offset {
		if !slices.Equal(last.ids, ids) {
			s.violate("P4", "I10", s.did(r.node.id, "said so"), "node %d counts the voters %v, its log has %v at %d", r.node.id, ids, last.ids, last.offset)
		}
		return
	}
	if last := v.last(); last != nil && !s.hasSnapshot(r.node.id, e.Offset+1) {
		s.violate("P4", "I10", s.did(r.node.id, "said so"), "node %d counts the voters %v of %d, its log has %v at %d", r.node.id, ids, e.Offset, last.ids, last.offset)
		return
	}
	v.sets = append(v.sets[:0], voterSet{e.Offset, ids})
}

// hasSnapshot reports whether a node has the snapshot of all below an offset.
func (s *State) hasSnapshot(node int32, end int64) bool {
	prefix := fmt.Sprintf("%s%020d-", s.metadata.dir, end)
	return slices.ContainsFunc(s.in.Files(node, s.metadata.topicID, s.metadata.dir), func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// checkVoters compares whom a node counts with its log when it takes a new part.
func (s *State) checkVoters(r *replica) {
	last, counted := r.node.voters.last(), s.in.Voters(r.node.id)
	if last != nil && counted != nil && !slices.Equal(last.ids, counted) {
		s.violate("P4", "I10", s.did(r.node.id, "changed its role"), "node %d counts the voters %v, its log has %v at %d", r.node.id, counted, last.ids, last.offset)
	}
}

// checkChange judges what a leader has just appended.
func (s *State) checkChange(r *replica, before *voterSet, ids []int32) {
	cause := s.did(r.node.id, "appended it")
	switch {
	case without(before.ids, ids)+without(ids, before.ids) > 1:
		s.violate("P4", "I10", cause, "leader %d changes the voters from %v to %v at once", r.node.id, before.ids, ids)
	case r.node.voters.committedIn != r.epoch:
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
