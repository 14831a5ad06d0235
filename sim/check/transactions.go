package check

import (
	"strconv"

	"github.com/lockstep/lockstep/scheduler"
)

// Transactions in the history: the clients do not use them yet.

// txn is one transaction as its client knows it.
type txn struct {
	fate    verdict
	decided scheduler.Instant
}

// verdict is what a client knows of its transaction.
type verdict int8

const (
	open verdict = iota
	committedTxn
	abortedTxn
	unknownTxn // nobody will ever know
)

// Begin says that what a producer makes from now on, and what a consumer reads if it is not none (-1), belongs to one
// transaction, until End.
func (h *History) Begin(producer, consumer int) (id int32) {
	id = int32(len(h.txns))
	h.txns = append(h.txns, txn{})
	h.writing[producer] = id
	if consumer >= 0 {
		h.reading[consumer] = id
	}
	return id
}

// End says how a transaction ended: committed, aborted, or nobody knows.
func (h *History) End(id int32, committed, aborted bool, t scheduler.Instant) {
	end := unknownTxn
	switch {
	case committed:
		end = committedTxn
	case aborted:
		end = abortedTxn
	}
	h.txns[id] = txn{end, t}
	for _, current := range [2][]int32{h.writing, h.reading} {
		for i := range current {
			if current[i] == id {
				current[i] = none
			}
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

// judgeTxn judges the i-th batch of a lane, which is of a transaction.
func (h *History) judgeTxn(producer, partition int, l *lane, i int, known offsets, now scheduler.Instant) {
	b := &l.batches[i]
	if h.txns[b.txn].fate == abortedTxn {
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
	for i := range int64(b.count) {
		if at := l.seen[b.first+i]; at >= 0 {
			h.violateAs("aborted-read", "P6", now, "producer "+itoa(producer)+" was told that it aborted at "+seconds(h.txns[b.txn].decided),
				"record %s (record %d of producer %d) was read, though its transaction was aborted", h.record(partition, at), b.first+i, producer)
			return
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
