package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// reconciliation moves a member towards its target assignment, one step at a heartbeat (KIP-848, "Member Assignment: Reconciliation"): it first
// gives up what it is not to have, and only when it has said so goes to the target's epoch; and it gets a partition only when nobody else has it.
//
// Example: a target gives p of A to B. A is told to revoke p and stays in its epoch. B goes to the new epoch without p, and waits. A's
// heartbeat says that it has p no more, so A goes to the new epoch; at B's next heartbeat p is free, and B gets it. At no time
// do both have it.
type reconciliation struct {
	member     *consumerMember
	epoch      int32 // of the target assignment
	target     partitionSet
	subscribed func(topic [16]byte) bool
	isFree     func(p topicPartition) bool // nobody has it but the member itself
	// owned is what the member says that it has; nil: it does not say.
	owned partitionSet
	// resubscribed: the member wants other topics than before, so that partitions of some may have to go at once.
	resubscribed bool
}

// next is the member after a step; the same one if there is none to take.
func (r *reconciliation) next() (*consumerMember, error) {
	switch mb := r.member; mb.state {
	case memberStable:
		switch {
		case mb.epoch != r.epoch:
			return r.advance(mb.epoch), nil
		case r.resubscribed:
			return r.narrow(), nil
		}
		return mb, nil
	case unrevoked:
		switch {
		case !r.stillOwns(mb.revoking):
			return r.advance(mb.epoch), nil
		case r.resubscribed:
			return r.narrow(), nil
		}
		return mb, nil
	case unreleased:
		return r.advance(mb.epoch), nil
	default: // from a later version's log: it starts anew, once it has nothing
		if r.owned == nil || len(r.owned) > 0 {
			return nil, refusal{kerr.FencedMemberEpoch, fmt.Sprintf("member %s is in a state that is not known here and must join anew without partitions", mb.id)}
		}
		return r.advance(r.epoch), nil
	}
}

// stillOwns reports whether the member may still have some of the partitions: it does as long as it does not say otherwise.
func (r *reconciliation) stillOwns(some partitionSet) bool {
	return r.owned == nil || r.owned.intersects(some)
}

// narrow takes away what the member does not subscribe to any more, and leaves its epoch.
func (r *reconciliation) narrow() *consumerMember {
	mb := r.member
	assigned, gone := mb.assigned.split(func(p topicPartition) bool { return !r.subscribed(p.topic) })
	if len(gone) == 0 {
		return mb
	}
	revoking := mb.revoking.union(gone)
	if r.stillOwns(revoking) {
		return mb.moved(mb.epoch, unrevoked, assigned, revoking)
	}
	return mb.moved(mb.epoch, mb.state, assigned, mb.revoking)
}

// advance goes as far towards the target as others allow. from is the epoch in which the member stays while it must revoke.
func (r *reconciliation) advance(from int32) *consumerMember {
	mb := r.member
	kept, revoking := mb.assigned.split(func(p topicPartition) bool { return !r.wants(p) })
	if len(revoking) > 0 && r.stillOwns(revoking) {
		return mb.moved(from, unrevoked, kept, revoking)
	}
	state := memberStable
	for p := range r.target { // order: each on its own
		switch {
		case !r.wants(p) || kept.has(p):
		case r.isFree(p):
			kept[p] = r.epoch
		default:
			state = unreleased
		}
	}
	return mb.moved(r.epoch, state, kept, partitionSet{})
}

func (r *reconciliation) wants(p topicPartition) bool {
	return r.target.has(p) && r.subscribed(p.topic)
}
