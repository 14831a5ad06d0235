package storage

import (
	"slices"

	"github.com/lockstep/lockstep/core/record"
)

// cleanTxns tells the cleaner, as it goes through a log, what became of the transaction that a batch is of: Kafka's
// CleanedTransactionMetadata. It also finds the markers that end nothing any more.
type cleanTxns struct {
	coming    []AbortedTxn         // by first offset; those that begin further on
	aborted   map[int64]*abortedIn // by producer: where we are
	committed map[int64]bool       // producers of whose transaction, which was committed, there is data
	kept      []AbortedTxn         // whose marker was met, with data before it that is still there
}

// abortedIn is an aborted transaction of which the marker is yet to come.
type abortedIn struct {
	txn  AbortedTxn
	seen bool // some of its data is there
}

func newCleanTxns(aborted []AbortedTxn) *cleanTxns {
	t := &cleanTxns{coming: slices.Clone(aborted), aborted: map[int64]*abortedIn{}, committed: map[int64]bool{}}
	slices.SortStableFunc(t.coming, func(a, b AbortedTxn) int { return int(min(max(a.FirstOffset-b.FirstOffset, -1), 1)) })
	return t
}

// canDiscard reports whether all of a batch may go: data of an aborted transaction, or a marker of whose transaction no data is left.
func (t *cleanTxns) canDiscard(b record.Batch) bool {
	t.begin(b.LastOffset())
	switch {
	case b.IsControl():
		return t.onMarker(b)
	case !b.IsTransactional():
		return false
	}
	if in := t.aborted[b.ProducerID()]; in != nil {
		in.seen = true
		return true
	}
	t.committed[b.ProducerID()] = true
	return false
}

// begin takes in the transactions that begin up to an offset.
func (t *cleanTxns) begin(upTo int64) {
	for len(t.coming) > 0 && t.coming[0].FirstOffset <= upTo {
		if id := t.coming[0].ProducerID; t.aborted[id] == nil {
			t.aborted[id] = &abortedIn{txn: t.coming[0]}
		}
		t.coming = t.coming[1:]
	}
}

func (t *cleanTxns) onMarker(b record.Batch) bool {
	if b.Count() == 0 {
		return true // what is left of a marker that went before
	}
	m, ok := record.ParseMarker(b)
	id := b.ProducerID()
	switch {
	case !ok:
		return false // no end of a transaction
	case m.Commit:
		seen := t.committed[id]
		delete(t.committed, id)
		return !seen
	}
	in := t.aborted[id]
	delete(t.aborted, id)
	if in == nil || !in.seen {
		return true
	}
	t.kept = append(t.kept, in.txn)
	return false
}

// takeKept is the transactions that belong in the index of what was written since the last call.
func (t *cleanTxns) takeKept() []AbortedTxn {
	kept := t.kept
	t.kept = nil
	return kept
}
