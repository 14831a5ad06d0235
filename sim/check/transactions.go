package check

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// Transactions in the history (P6).

// Outcome is how a transaction ended, as somebody knows it.
type Outcome int8

// The outcomes.
const (
	Open Outcome = iota
	Committed
	Aborted
	Undecided // nobody will ever be told
)

// verb is what happened to a transaction that has ended.
func (o Outcome) verb() string {
	if o == Committed {
		return "committed"
	}
	return "aborted"
}

// txn is one transaction as its client knows it.
type txn struct {
	producer int32
	fate     Outcome
	asked    bool // for its commit
	late     bool // version 1, and an earlier request of the same producer epoch may come late: see reasonLate
	torn     bool // it was told already that it is
	began    scheduler.Instant
	ending   scheduler.Instant // when its end was first asked for
	decided  scheduler.Instant
	reads    []value // what it consumed
	// What the logs say: partitions, by place in History.partitions, in which it was committed, and aborted; none.
	committedIn, abortedIn int32
}

// reasonLate is what Jepsen found in Kafka's first protocol for transactions (KAFKA-17754): a request that was not answered, and sent again, may come
// late and be taken for one of the producer's next transaction, which has the same epoch. So a late EndTxn commits or aborts half of that, and a late
// TxnOffsetCommit takes its offsets back. Version 2 (KIP-890) raises the epoch at each end.
const reasonLate = "transaction.version 1: a late request was taken for one of the producer's next transaction (KIP-890)"

// initialized is a producer that became the one of its transactional id.
type initialized struct {
	producer int32
	epoch    int16
	id       int64
	t        scheduler.Instant
}

// ReadsUncommitted says that a consumer reads what is committed to the log, whatever becomes of the transactions in it.
func (h *History) ReadsUncommitted(consumer int) { h.uncommitted[consumer] = true }

// Initialized says that a producer became the one of its transactional id, and was told its id and epoch.
func (h *History) Initialized(producer int, id int64, epoch int16, t scheduler.Instant) {
	h.inits = append(h.inits, initialized{int32(producer), epoch, id, t})
}

// Begin says that what a producer makes from now on, and what a consumer reads if it is not none (-1), belongs to one
// transaction, until End.
func (h *History) Begin(producer, consumer int) (id int32) {
	id = h.BeginAs(producer, false, 0)
	if consumer >= 0 {
		h.reading[consumer] = id
	}
	return id
}

// BeginAs is Begin of who consumes by other means. late: with version 1, an earlier request of the producer's epoch is not answered.
func (h *History) BeginAs(producer int, late bool, t scheduler.Instant) (id int32) {
	id = int32(len(h.txns))
	h.txns = append(h.txns, txn{producer: int32(producer), late: late, began: t, committedIn: none, abortedIn: none})
	h.writing[producer] = id
	return id
}

// Ending says that the producer is about to ask for its transaction's end.
func (h *History) Ending(id int32, commit bool, t scheduler.Instant) {
	h.txns[id].asked, h.txns[id].ending = commit, t
}

// End says how a transaction ended: committed, aborted, or nobody knows.
func (h *History) End(id int32, committed, aborted bool, t scheduler.Instant) {
	x := &h.txns[id]
	x.decided, x.fate = t, Undecided
	switch {
	case committed:
		x.fate = Committed
		h.checkFenced(id)
		h.awaitAll(id, t)
	case aborted:
		x.fate = Aborted
	}
	for _, current := range [2][]int32{h.writing, h.reading} {
		for i := range current {
			if current[i] == id {
				current[i] = none
			}
		}
	}
}

// awaitAll has all records of a transaction that is committed awaited by the consumers.
func (h *History) awaitAll(id int32, t scheduler.Instant) {
	for partition := range h.partitions {
		l := &h.lanes[h.laneOf(int(h.txns[id].producer), partition)]
		for i := len(l.batches) - 1; i >= 0 && l.batches[i].txn >= id; i-- {
			if b := &l.batches[i]; b.txn == id && b.fate == acked {
				h.await(l.seen[b.first:b.first+int64(b.count)], t)
			}
		}
	}
}

// checkFenced: a producer whose transactional id another one has taken commits nothing that it asks for afterwards.
func (h *History) checkFenced(id int32) {
	x := &h.txns[id]
	own := slices.IndexFunc(h.inits, func(i initialized) bool { return i.producer == x.producer })
	if own < 0 || h.state != nil && !h.state.decisionsWhole() {
		return
	}
	last := len(h.inits) - 1
	for h.inits[last].producer != x.producer || h.inits[last].t > x.began {
		last--
	}
	for _, i := range h.inits[last+1:] {
		if i.producer != x.producer && i.id == h.inits[last].id && i.epoch > h.inits[last].epoch && i.t < x.ending {
			h.violate("P6", "H1", "", x.decided, "producer "+itoa(int(i.producer))+" became the one of the transactional id at "+seconds(i.t),
				"producer %d committed a transaction at %s, though producer %d had taken its place when it asked for that", []any{x.producer, seconds(x.decided), i.producer})
			return
		}
	}
}

// checkPrecommitted: a consumer that reads only what is committed never reads what its own open transaction wrote.
func (h *History) checkPrecommitted(consumer, partition int, offset int64, b *sent, v value, t scheduler.Instant) {
	if b.txn == h.reading[consumer] {
		h.violateAs("precommitted-read", "P6", t, readAt(consumer, t), "consumer %d read %s (%s) within the transaction that wrote it",
			consumer, h.record(partition, offset), h.valueName(v))
	}
}

// seeInTxn takes what a consumer has read of a transaction. One that reads only what is committed reads nothing of one whose commit
// nobody has asked for.
func (h *History) seeInTxn(consumer, partition int, offset int64, b *sent, v value, t scheduler.Instant) {
	x := &h.txns[b.txn]
	if h.uncommitted[consumer] {
		return
	}
	b.seen = true
	if x.fate == Open && !x.asked && h.reading[consumer] != b.txn && x.began > 0 && !h.mayDiffer(b.txn, partition, 1) {
		h.violateAs("aborted-read", "P6", t, readAt(consumer, t), "consumer %d read %s (%s), and its transaction is open", consumer, h.record(partition, offset), h.valueName(v))
	}
}

// isLate reports whether a transaction of version 1 may have been changed by a late request, and counts the records as lost so.
func (h *History) isLate(id int32, records int64) bool {
	if !h.txns[id].late {
		return false
	}
	h.losses = count(h.losses, reasonLate, records)
	return true
}

// mayDiffer reports whether a transaction may have ended otherwise in a partition than it was to: records of it are lost as the configuration allows, or
// decisions of its coordinator, or a late request has changed it.
func (h *History) mayDiffer(id int32, partition int, records int64) bool {
	if h.state != nil {
		if _, whole := h.state.committedEnd(h.partitions[partition].id); !whole || !h.state.decisionsWhole() {
			return true
		}
	}
	return h.isLate(id, records)
}

// outcomeOf is how the transaction of a batch ended, as the log says or, without one, the producer knows.
func (h *History) outcomeOf(partition int, offset int64, b *sent) Outcome {
	if b.txn < 0 {
		return Committed
	}
	if h.state != nil {
		return h.state.outcomeAt(h.partitions[partition].id, offset)
	}
	return h.txns[b.txn].fate
}

// isHidden reports whether a consumer is not to read a record: it is of a transaction that is not committed.
func (h *History) isHidden(consumer, partition int, offset int64, v value) bool {
	if v.lane < 0 || len(h.txns) == 0 || h.uncommitted[consumer] && !h.isMarker(partition, offset) {
		return false
	}
	b := h.lanes[v.lane].find(v.counter)
	return b.txn >= 0 && h.outcomeOf(partition, offset, b) != Committed || h.isMarker(partition, offset)
}

// isMarker reports whether there is the end of a transaction now at an offset where a record was that is lost, as the configuration allows.
func (h *History) isMarker(partition int, offset int64) bool {
	if h.state == nil {
		return false
	}
	p := h.state.intern(h.partitions[partition].id)
	id := p.committed.at(p, offset)
	return id >= 0 && p.batches[id].control
}

// judgeTxn judges the i-th batch of a lane, which is of a transaction.
func (h *History) judgeTxn(producer, partition int, l *lane, i int, known offsets, now scheduler.Instant) {
	b := &l.batches[i]
	if x := &h.txns[b.txn]; x.fate == Aborted || x.fate == Undecided && x.abortedIn >= 0 && x.committedIn < 0 {
		h.judgeAborted(producer, partition, l, b, now)
	}
	if i == 0 {
		return
	}
	a := &l.batches[i-1]
	if a.txn != b.txn || a.fate != acked || b.fate != acked || a.offset < 0 || b.offset < 0 {
		return
	}
	switch {
	case b.offset < a.next():
		h.violateAs("int-nonmonotonic-send", "P5", now, ackedAt(producer, b), "producer %d sent %s after %s in one transaction",
			producer, h.record(partition, b.offset), h.record(partition, a.offset))
	case known.between(a.next(), b.offset) > 0:
		h.counts.SendSkips++
	}
}

// judgeAborted: of a transaction that was aborted nothing is read.
func (h *History) judgeAborted(producer, partition int, l *lane, b *sent, now scheduler.Instant) {
	if !b.seen || h.mayDiffer(b.txn, partition, int64(b.count)) {
		return
	}
	for i := range int64(b.count) {
		if at := l.seen[b.first+i]; at >= 0 {
			h.violateAs("aborted-read", "P6", now, h.causeOfAbort(b.txn),
				"record %s (record %d of producer %d) was read, though its transaction was aborted", h.record(partition, at), b.first+i, producer)
			return
		}
	}
}

// causeOfAbort says who knows that a transaction was aborted.
func (h *History) causeOfAbort(id int32) string {
	x := &h.txns[id]
	if x.fate == Aborted {
		return fmt.Sprintf("producer %d was told that it aborted at %s", x.producer, seconds(x.decided))
	}
	return fmt.Sprintf("a marker in %s aborted what producer %d had begun at %s", h.partitions[x.abortedIn].id, x.producer, seconds(x.began))
}

// txnOf is the transaction that a batch of a log was sent in; none if it is of nobody's.
func (h *History) txnOf(b record.Batch) (id int32) {
	id = none
	_ = b.Each(nil, func(r record.Record) error {
		producer, partition, counter, ok := ParseValue(ValueOf(r))
		if id < 0 && ok && producer < len(h.producers) && partition < len(h.partitions) {
			if l := &h.lanes[h.laneOf(producer, partition)]; counter < int64(len(l.seen)) {
				id = l.find(counter).txn
			}
		}
		return nil
	})
	return id
}

func itoa(n int) string { return strconv.Itoa(n) }
