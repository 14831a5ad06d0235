package check

import "slices"

// I7, the last stable offset (P6): it is where the first transaction begins that is open, or whose marker is not committed, and at most the high
// watermark. What a broker says of itself is compared with its log.

// openTxn is a transaction in a log: open, or ended by a marker that may not be committed.
type openTxn struct {
	producer    int32
	first, last int64 // last: the marker's offset; none
}

// noteTxn takes a batch of a transaction, or a marker, that was appended.
func (r *replica) noteTxn(b *batch) {
	at := slices.IndexFunc(r.txns, func(t openTxn) bool { return t.producer == b.producer && t.last < 0 })
	switch {
	case !b.control && at < 0:
		r.txns = append(r.txns, openTxn{b.producer, b.base, none})
	case b.control && b.marker != Open && at >= 0:
		r.txns[at].last = b.base
	}
}

// recountTxns reads the transactions from the log: its end was cut off.
func (r *replica) recountTxns() {
	r.txns = r.txns[:0]
	for i := range r.slots {
		if b := r.at(i); b.transactional {
			r.noteTxn(b)
		}
	}
}

// stableEnd is the last stable offset for a high watermark.
func (r *replica) stableEnd(highWatermark int64) int64 {
	r.txns = slices.DeleteFunc(r.txns, func(t openTxn) bool { return t.last >= 0 && t.last < highWatermark })
	end := highWatermark
	for _, t := range r.txns {
		end = min(end, t.first)
	}
	return max(end, r.logStart)
}

// checkStable compares a broker's last stable offset with its log.
func (s *State) checkStable(r *replica) {
	if !r.part.hasTxns {
		return
	}
	log := s.open(r)
	if log == nil || log.IsRebuilding() {
		return
	}
	hw := log.HighWatermark()
	switch at, want := log.LastStableOffset(), r.stableEnd(hw); {
	case at > hw:
		s.violate("P6", "I7", s.did(r.node.id, "moved its high watermark"), "the last stable offset of %s on broker %d is %d, above the high watermark %d", r.part.id, r.node.id, at, hw)
	case at > want:
		s.violate("P6", "I7", s.did(r.node.id, "moved its high watermark"), "the last stable offset of %s on broker %d is %d, though a transaction is open from %d on", r.part.id, r.node.id, at, want)
	case at < want && !(at == log.LogStartOffset() && r.part.isOpenBelow(at)) && !r.hasBegunAt(at, hw):
		s.violate("P6", "I7", s.did(r.node.id, "moved its high watermark"), "the last stable offset of %s on broker %d is %d, though no transaction is open below %d", r.part.id, r.node.id, at, want)
	}
}

// hasBegunAt reports whether a transaction that is not over began at an offset whose batch compaction has taken: its marker was there then, and was lost
// with the power. A snapshot of the producers knows still where the transaction began.
func (r *replica) hasBegunAt(offset, highWatermark int64) bool {
	return slices.ContainsFunc(r.part.batches, func(b batch) bool {
		return b.base == offset && b.gone && b.transactional && !b.control && !r.hasMarkerBetween(b.producer, offset, highWatermark)
	})
}

// hasMarkerBetween reports whether a transaction of a producer ended in [from, to).
func (r *replica) hasMarkerBetween(producer int32, from, to int64) bool {
	for i := r.firstAt(from); i < len(r.slots) && r.at(i).base < to; i++ {
		if b := r.at(i); b.producer == producer && b.marker != Open {
			return true
		}
	}
	return false
}

// isOpenBelow reports whether a transaction that began below an offset was open there. Its records may have gone with retention, and then a log that
// was opened later knows it from its snapshot of the producers, or does not.
func (p *partition) isOpenBelow(offset int64) bool {
	open := map[int32]bool{}
	for _, id := range p.committed.batches {
		b := &p.batches[id]
		if b.base >= offset {
			break
		}
		switch {
		case b.transactional && !b.control:
			open[b.producer] = true
		case b.marker != Open:
			delete(open, b.producer)
		}
	}
	return len(open) > 0
}
