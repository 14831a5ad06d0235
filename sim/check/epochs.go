package check

import (
	"fmt"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
)

// I4: the leader epochs of a log's batches never go back, and its epoch cache says of each batch what the batch says. Only the
// end may have entries without batches, for leaders that wrote nothing yet.

// checkAppendEpoch compares a batch's epoch with the one before it.
func (s *State) checkAppendEpoch(r *replica, e *event.Event) {
	if n := len(r.slots); n > 0 && r.at(n-1).epoch > e.Epoch {
		s.violate(r.safety("P3"), "I4", s.did(r.node.id, "appended it"), "broker %d appended %s in epoch %d after epoch %d",
			r.node.id, recordName(r.part.id, e.Offset), e.Epoch, r.at(n-1).epoch)
	}
}

// checkEpochs compares a log's epoch cache with its batches.
func (s *State) checkEpochs(r *replica, log Replica) {
	if r.part.cleaned.to > 0 {
		s.checkEpochsOfCompacted(r, log)
		return
	}
	cache := log.Epochs()
	if !s.isMonotone(r, cache) {
		return
	}
	cache = s.passBefore(r, cache)
	n, last := 0, int32(none)
	for i := r.first; i < len(r.slots); i++ {
		b := r.at(i)
		if b.epoch == last || b.epoch < 0 {
			continue
		}
		if n >= len(cache) || cache[n].Epoch != b.epoch || cache[n].Start != max(b.base, r.logStart) && (n > 0 || cache[n].Start > b.base) {
			s.violate(r.safety("P3"), "I4", s.causeOfCache(r), "the epoch cache of %s on broker %d does not know that epoch %d begins at %d",
				r.part.id, r.node.id, b.epoch, b.base)
			return
		}
		n, last = n+1, b.epoch
	}
	for _, c := range cache[n:] {
		if c.Start < r.end {
			s.violate(r.safety("P3"), "I4", s.causeOfCache(r), "the epoch cache of %s on broker %d has epoch %d at %d, where the log has none",
				r.part.id, r.node.id, c.Epoch, c.Start)
			return
		}
	}
}

// passBefore leaves out the entry of the epoch that ended where the log starts. It may be known, and then is that of the last record that
// left the log there.
func (s *State) passBefore(r *replica, cache []storage.EpochEntry) []storage.EpochEntry {
	end := r.end
	if len(cache) > 1 {
		end = cache[1].Start
	}
	if len(cache) == 0 || cache[0].Start >= r.logStart || end != r.logStart {
		return cache
	}
	if r.first > 0 && r.at(r.first-1).epoch != cache[0].Epoch {
		s.violate(r.safety("P3"), "I4", s.causeOfCache(r), "the epoch cache of %s on broker %d has epoch %d before the log start %d; that of the last record there was %d",
			r.part.id, r.node.id, cache[0].Epoch, r.logStart, r.at(r.first-1).epoch)
	}
	return cache[1:]
}

func (s *State) isMonotone(r *replica, cache []storage.EpochEntry) bool {
	for i := 1; i < len(cache); i++ {
		if cache[i].Epoch <= cache[i-1].Epoch || cache[i].Start <= cache[i-1].Start {
			s.violate(r.safety("P3"), "I4", s.causeOfCache(r), "the epoch cache of %s on broker %d goes back at epoch %d", r.part.id, r.node.id, cache[i].Epoch)
			return false
		}
	}
	return true
}

// causeOfCache is what changed the epochs of a log last: the cache is compared after each change.
func (s *State) causeOfCache(r *replica) string {
	for i := len(r.part.removals) - 1; i >= 0; i-- {
		if m := &r.part.removals[i]; m.node == r.node.id && m.t >= r.since {
			return m.String()
		}
	}
	if r.openedAt >= r.since {
		return fmt.Sprintf("broker %d opened the log at %s", r.node.id, seconds(r.openedAt))
	}
	return fmt.Sprintf("broker %d took its role in epoch %d at %s", r.node.id, r.epoch, seconds(r.since))
}
