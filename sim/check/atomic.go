package check

import (
	"fmt"
	"slices"
	"sort"

	"github.com/lockstep/lockstep/core/event"
)

// I9, atomicity (P6): all that a transaction wrote ends in the same way in every partition, as its producer was told; a marker ends what is of one
// transaction, and says what the transaction's coordinator has decided.

// txnsOf is the transactions in a partition's committed log.
type txnsOf struct {
	open  map[int32][]int32 // batches without a marker, by producer
	ended []endedBatch      // by offset
}

// endedBatch is a batch of a transaction that has its marker.
type endedBatch struct {
	base, next int64
	outcome    Outcome
}

// onTxnCommitted takes a batch, of a transaction or a marker, that is committed now.
func (s *State) onTxnCommitted(p *partition, id int32) {
	b := &p.batches[id]
	if !b.control {
		if p.txns.open == nil {
			p.txns.open = map[int32][]int32{}
		}
		p.txns.open[b.producer] = append(p.txns.open[b.producer], id)
		return
	}
	open := p.txns.open[b.producer]
	if b.marker == Open || len(open) == 0 {
		return // it ends nothing
	}
	delete(p.txns.open, b.producer)
	for _, of := range open {
		p.txns.add(endedBatch{p.batches[of].base, p.batches[of].next, b.marker})
	}
	s.checkDecided(p, b)
	if s.onMarker != nil && p.committed.isWhole(p) {
		s.onMarker(p, open, id)
	}
}

// add puts a batch in its place: near the end.
func (t *txnsOf) add(b endedBatch) {
	at := len(t.ended)
	for at > 0 && t.ended[at-1].base > b.base {
		at--
	}
	t.ended = slices.Insert(t.ended, at, b)
}

// forgetTxns takes the committed log as it is: some of it was lost.
func (p *partition) forgetTxns() { p.txns = txnsOf{} }

// outcome is how the transaction of a batch in the committed log ended; Committed for one of none.
func (p *partition) outcome(b *batch) Outcome {
	if !b.transactional || b.control {
		return Committed
	}
	return p.txns.outcomeAt(b.base)
}

// isUncommitted reports whether a batch is of a transaction that is not committed; of one whose end is lost nobody knows.
func (p *partition) isUncommitted(b *batch) bool {
	return p.committed.isWhole(p) && p.outcome(b) != Committed
}

// mayBeAborted reports whether a batch is of a transaction that was aborted, or may have been.
func (p *partition) mayBeAborted(b *batch) bool {
	return p.outcome(b) == Aborted || b.transactional && !p.committed.isWhole(p)
}

// outcomeAt is how the transaction of a record ended; Open if it has not.
func (t *txnsOf) outcomeAt(offset int64) Outcome {
	i := sort.Search(len(t.ended), func(i int) bool { return t.ended[i].next > offset })
	if i < len(t.ended) && t.ended[i].base <= offset {
		return t.ended[i].outcome
	}
	return Open
}

// outcomeAt is how the transaction of a record in the committed log ended.
func (s *State) outcomeAt(id event.Partition, offset int64) Outcome {
	return s.intern(id).txns.outcomeAt(offset)
}

// onMarker judges what a marker in a partition's log has ended.
func (h *History) onMarker(p *partition, ended []int32, marker int32) {
	at := slices.IndexFunc(h.partitions, func(x *historyPart) bool { return x.id == p.id })
	if at < 0 {
		return
	}
	outcome, first := p.batches[marker].marker, p.batches[ended[0]].txn
	for _, id := range ended {
		b := &p.batches[id]
		if b.txn < 0 {
			continue
		}
		if b.txn != first && first >= 0 && !h.isLate(b.txn, b.next-b.base) && !h.isLate(first, 0) {
			h.violateTorn(p, "marker %s ends what producer %d wrote in two transactions, the first from %s on and another from %s on",
				recordName(p.id, p.batches[marker].base), h.txns[first].producer, recordName(p.id, p.batches[ended[0]].base), recordName(p.id, b.base))
		}
		h.noteOutcome(p, b.txn, at, outcome, p.batches[marker].base)
	}
}

// noteOutcome takes how a transaction ended in a partition.
func (h *History) noteOutcome(p *partition, id int32, partition int, o Outcome, marker int64) {
	x := &h.txns[id]
	if o == Committed {
		x.committedIn = int32(partition)
	} else {
		x.abortedIn = int32(partition)
	}
	switch {
	case x.torn:
	case x.committedIn >= 0 && x.abortedIn >= 0:
		if x.torn = true; !h.isLate(id, 1) {
			h.violateTorn(p, "a transaction of producer %d, begun at %s, is committed in %s and aborted in %s", x.producer, seconds(x.began),
				h.partitions[x.committedIn].id, h.partitions[x.abortedIn].id)
		}
	case x.fate == Committed && o == Aborted, x.fate == Aborted && o == Committed:
		if x.torn = true; !h.isLate(id, 1) {
			h.violateTorn(p, "a transaction of producer %d, which was told at %s that it is %s, is %s by the marker %s", x.producer, seconds(x.decided),
				x.fate.verb(), o.verb(), h.record(partition, marker))
		}
	case o == Committed && !x.asked && x.began > 0:
		if x.torn = true; !h.isLate(id, 1) {
			h.violateTorn(p, "a transaction of producer %d, begun at %s, is committed by the marker %s, and nobody has asked for that", x.producer, seconds(x.began), h.record(partition, marker))
		}
	}
}

// violateTorn notes a transaction that is not what it was to be, when the turn ends.
func (h *History) violateTorn(p *partition, format string, args ...any) {
	if !h.state.decisionsWhole() {
		return // a coordinator may have forgotten what it had decided
	}
	h.state.violate("P6", "I9", h.state.did(p.truth.leader, "committed the marker"), format, args...)
}

// judgeOutcomes: what a producer was told of its transaction's end is what the logs say. A marker may have come before the answer.
func (h *History) judgeOutcomes() {
	for id := range h.txns {
		x := &h.txns[id]
		at, o := x.abortedIn, Aborted
		if x.fate == Aborted {
			at, o = x.committedIn, Committed
		}
		if at >= 0 && !x.torn && (x.fate == Committed || x.fate == Aborted) && !h.mayDiffer(int32(id), int(at), 1) {
			h.violate("P6", "I9", "", x.decided, fmt.Sprintf("producer %d was told so at %s", x.producer, seconds(x.decided)),
				"a transaction of producer %d, which was told that it is %s, is %s in %s", []any{x.producer, x.fate.verb(), o.verb(), h.partitions[at].id})
		}
	}
}
