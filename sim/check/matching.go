package check

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

// I2, log matching: two replicas that have a batch of the same epoch at the same offset have the same bytes there. Since one
// leader writes in an epoch, it is enough to compare each batch with the one the leader wrote. The same prefix
// follows, because a batch continues the log it is appended to and epochs do not go back in it; where two logs differ below the
// high watermark committed.go notices.

// match finds the batch that an append repeats, or takes the leader's new one. None after a violation.
func (s *State) match(r *replica, b record.Batch, e *event.Event) int32 {
	p := r.part
	id := p.lookup(r.last(), e.Epoch, e.Offset)
	if id < 0 {
		if r.role != leading || r.epoch != e.Epoch {
			s.violate(r.safety("P3"), s.matchChecker(p), s.did(r.node.id, "appended it"), "broker %d has record %s of epoch %d, which no leader of that epoch wrote",
				r.node.id, recordName(p.id, e.Offset), e.Epoch)
			return none
		}
		id = p.write(s.batchOf(b))
		p.noteKeys(id, b)
		p.noteDecisions(id, b)
		if b.IsTransactional() {
			s.noteTxn(p, id, b)
		}
		return id
	}
	old := &p.batches[id]
	if old.next == b.NextOffset() && old.hasForm(form{b.CRC(), int32(len(b))}) {
		return id
	}
	s.violate(r.safety("P3"), s.matchChecker(p), s.causeOfRemovalOr(p, id, s.did(r.node.id, "appended other bytes")),
		"record %s of epoch %d is not the same on broker %d as its leader had written it", recordName(p.id, e.Offset), e.Epoch, r.node.id)
	return p.write(s.batchOf(b))
}

// safety is the promise that a safety violation breaks: P4 in the metadata log.
func (r *replica) safety(promise string) string {
	if r.part.id == event.MetadataPartition {
		return "P4"
	}
	return promise
}

func (s *State) matchChecker(p *partition) string {
	if p == s.metadata {
		return "I10"
	}
	return "I2"
}
