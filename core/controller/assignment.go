package controller

import (
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
)

// assignment is who has a partition's replicas, and what a reassignment makes of them (KIP-455). While one is under
// way replicas are the union of the old and the new.
type assignment struct {
	replicas []int32 // preferred leader first
	adding   []int32 // of replicas: new, perhaps not caught up
	removing []int32 // of replicas: to go when all of adding are in the ISR
}

func assignmentOf(p *metadata.Partition) assignment {
	return assignment{p.Replicas, p.Adding, p.Removing}
}

func (a assignment) isReassigning() bool { return len(a.adding)+len(a.removing) > 0 }

// original is the replicas before the reassignment under way.
func (a assignment) original() []int32 { return minus(a.replicas, a.adding) }

// aim is the replicas that will stay.
func (a assignment) aim() []int32 { return minus(a.replicas, a.removing) }

// to begins a reassignment to target, instead of one that may be under way.
//
// Who was being added by the other one is still new: it may not have caught up. (Kafka takes it for an old replica if
// target names it, and goes on waiting for it if target does not.)
func (a assignment) to(target []int32) assignment {
	removing := minus(a.replicas, target)
	adding := minus(target, a.original())
	slices.Sort(removing)
	slices.Sort(adding)
	return assignment{append(slices.Clone(target), removing...), adding, removing}
}

// completed is the assignment and the ISR with which a reassignment ends, if an ISR allows that: all that were added
// are in it, somebody stays in it, and if there will be fewer replicas, all of them are in it.
//
// Counter-example to leaving the last out: 0,1,2,3,4 becomes 2,3,4,5 while 0, 1 and 5 are in the ISR. With 5 added all
// would be done, and 5 alone would have the data that three brokers have.
func (a assignment) completed(isr []int32) (done assignment, doneISR []int32, ok bool) {
	if !a.isReassigning() {
		return a, isr, false
	}
	stay, isr := a.aim(), minus(isr, a.removing)
	switch {
	case len(stay) == 0 || len(isr) == 0:
		return a, nil, false
	case !includes(isr, a.adding):
		return a, nil, false
	case len(a.adding) < len(a.removing) && !includes(isr, stay):
		return a, nil, false
	}
	return assignment{replicas: stay}, isr, true
}

// minus is ids less others, as a new slice.
func minus(ids, others []int32) []int32 {
	out := make([]int32, 0, len(ids))
	for _, id := range ids {
		if !slices.Contains(others, id) {
			out = append(out, id)
		}
	}
	return out
}

func includes(ids, others []int32) bool { return len(minus(others, ids)) == 0 }
