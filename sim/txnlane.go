package sim

import (
	"slices"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnLane is one partition as a transactional producer sees it.
type txnLane struct {
	t        *transactor
	part     *partition
	ordinal  int // among all partitions
	counter  int64
	sequence int32
	added    *transaction // the one that the partition is known to be part of
	batches  []*txnBatch  // without an answer, oldest first
	inFlight int
	asleep   bool
	req      *kmsg.ProduceRequest
}

// txnBatch is one batch of records until its fate is known.
type txnBatch struct {
	lane     *txnLane
	first    int64 // counter of its first record
	count    int
	sequence int32
	turn     int
	origins  []origin // what its records are copies of, if they are
	data     []byte
	made     scheduler.Instant
	inFlight bool
	attempts int
}

// originSize is what names a record and what it is a copy of.
const originSize = 2 * minValue

// write adds a batch of new records to the transaction; origins is nil unless they are copies.
func (l *txnLane) write(count int, origins []origin) {
	b := &txnBatch{lane: l, first: l.counter, count: count, turn: l.t.turn, origins: origins, made: l.t.loop.Now()}
	l.counter += int64(count)
	l.batches = append(l.batches, b)
	l.t.run.txnWrote(l.t, b)
}

func (t *transactor) pumpAll() {
	for _, l := range t.lanes {
		l.pump()
	}
}

// pump sends what may be sent, as a lane of other producers does.
func (l *txnLane) pump() {
	if len(l.batches) == 0 || l.asleep || l.t.down {
		return
	}
	if l.part.leader < 0 {
		l.t.refresh()
		l.retry()
		return
	}
	if !l.isAdded() {
		return
	}
	for i, b := range l.batches {
		if b.inFlight {
			continue
		}
		if l.inFlight >= maxInFlight || b.attempts > 0 && i > 0 {
			return
		}
		l.send(b)
	}
}

// isAdded reports whether the partition may be written to, and else sees to it.
func (l *txnLane) isAdded() bool {
	t := l.t
	if t.v2 || l.added == t.current {
		return true
	}
	t.addPartitions()
	return false
}

// addPartitions makes the partitions that have something to be written part of the transaction (version 1).
func (t *transactor) addPartitions() {
	x := t.current
	if x.adding || x.wantsAbort {
		return
	}
	var lanes []*txnLane
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, t.id, t.who.id, t.who.epoch
	for _, l := range t.lanes {
		if len(l.batches) == 0 || l.added == x {
			continue
		}
		lanes = append(lanes, l)
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != l.part.topic.name {
			req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: l.part.topic.name})
		}
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, l.part.id.Index)
	}
	x.adding, x.touched = true, true
	t.insist(t.coordinator(), func() kmsg.Request { return req }, func(_ *question, _ kmsg.Response, err error) {
		x.adding = false
		switch {
		case err == kerr.TransactionAbortable:
			t.abort()
		case err != nil:
			t.giveUp(err)
		default:
			for _, l := range lanes {
				l.added = x
			}
			t.pumpAll()
			t.maybeEnd()
		}
	}, firstAddedCode)
}

// firstAddedCode is the first error of an answer, one that stays before others.
func firstAddedCode(resp kmsg.Response) (code int16) {
	for _, topic := range resp.(*kmsg.AddPartitionsToTxnResponse).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 && (code == 0 || code == kerr.OperationNotAttempted.Code) {
				code = p.ErrorCode
			}
		}
	}
	return code
}

// seal gives the batch its place in the session and its bytes.
func (l *txnLane) seal(b *txnBatch) {
	t := l.t
	b.sequence = l.sequence
	l.sequence = record.IncrementSequence(l.sequence, int32(b.count))
	now := t.loop.UnixMilli()
	t.builder.Reset(nil, record.BatchOptions{
		LeaderEpoch: -1, ProducerID: t.who.id, ProducerEpoch: t.who.epoch, BaseSequence: b.sequence, BaseTimestamp: now, Transactional: true,
	})
	for i := range b.count {
		counter := b.first + int64(i)
		check.AppendValue(t.value[:0], t.index, l.ordinal, counter)
		if b.origins != nil {
			o := &b.origins[i]
			check.AppendValue(t.value[:minValue], o.producer, o.ordinal, o.counter)
		}
		t.builder.Append(now, l.key(counter), t.value)
	}
	t.builder.Build()
	b.data = t.builder.Bytes()
}

// key is that of a record, which a compacted topic's must have: each comes again soon.
func (l *txnLane) key(counter int64) []byte {
	if !l.t.run.schedule.Options.topic(l.part.id.Topic).Compact {
		return nil
	}
	return []byte{byte(l.t.index), byte(counter * counter % keysOf)}
}

func (l *txnLane) send(b *txnBatch) {
	if b.attempts == 0 {
		l.seal(b)
	}
	b.attempts++
	b.inFlight = true
	l.inFlight++
	l.t.current.touched = true
	l.req.Topics[0].TopicID = l.part.topic.id
	l.req.Topics[0].Partitions[0].Records = b.data
	l.t.send(l.part.leader, l.req, l.t.timeout, b, false)
}

// answered implements asker.
func (b *txnBatch) answered(resp kmsg.Response, err error) {
	l := b.lane
	if b.turn != l.t.turn {
		return // the process that sent it is gone
	}
	b.inFlight = false
	l.inFlight--
	offset := int64(-1)
	if err == nil {
		answer := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		offset, err = answer.BaseOffset, kerr.ErrorForCode(answer.ErrorCode)
	}
	if err == nil || err == kerr.DuplicateSequenceNumber {
		l.remove(b)
		l.t.run.txnAcked(l.t, b, offset)
		l.pump()
		l.t.maybeEnd()
		return
	}
	l.onFailed(b, err)
}

// onFailed goes on after a batch that was not taken.
func (l *txnLane) onFailed(b *txnBatch, err error) {
	t := l.t
	passes := isSilence(err) || kerr.IsRetriable(err) || err == kerr.ConcurrentTransactions || err == kerr.OutOfOrderSequenceNumber && l.batches[0] != b
	switch {
	case err == kerr.ProducerFenced || err == kerr.InvalidProducerIDMapping:
		t.giveUp(err)
	case passes && !t.lastFor(b.made, t.o.Delivery):
		t.refresh()
		l.retry()
	default:
		t.checkFailed(b, err, passes)
		l.drop(b)
		t.current.unresolved = true
		t.abort()
	}
}

// checkFailed notes an error that a correct broker does not answer.
func (t *transactor) checkFailed(b *txnBatch, err error, passes bool) {
	t.run.note(t.loop.ID(), "txn-batch-failed", err.Error())
	switch err {
	case kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.TransactionAbortable, kerr.UnknownProducerID:
	default:
		if !passes {
			t.run.unexpected(t.name, b.lane.part, err)
		}
	}
}

// drop gives a batch up of which nobody knows whether it was written.
func (l *txnLane) drop(b *txnBatch) {
	l.remove(b)
	l.t.run.txnGaveUp(l.t, b)
}

func (l *txnLane) remove(b *txnBatch) {
	if at := slices.Index(l.batches, b); at >= 0 {
		l.batches = slices.Delete(l.batches, at, at+1)
	}
}

// dropUnsent gives up what was not sent yet: the transaction is to be aborted.
func (l *txnLane) dropUnsent() {
	for _, b := range slices.Clone(l.batches) {
		if b.attempts == 0 {
			l.drop(b)
		}
	}
}

// forget gives up everything: the process is gone.
func (l *txnLane) forget() {
	for _, b := range slices.Clone(l.batches) {
		l.drop(b)
	}
	l.inFlight, l.added, l.asleep = 0, nil, false
}

// retry sends again after a while.
func (l *txnLane) retry() {
	if l.asleep {
		return
	}
	l.asleep = true
	turn := l.t.turn
	l.t.loop.After(retryBackoff, func() {
		if l.t.turn == turn {
			l.asleep = false
			l.expire()
			l.pump()
		}
	})
}

// expire gives up what was not taken in time while there was nobody to send it to.
func (l *txnLane) expire() {
	t := l.t
	if len(l.batches) == 0 || l.inFlight > 0 || !t.lastFor(l.batches[0].made, t.o.Delivery) {
		return
	}
	t.current.unresolved = t.current.unresolved || l.batches[0].attempts > 0
	l.drop(l.batches[0])
	t.abort()
}
