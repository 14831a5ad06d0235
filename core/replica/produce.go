package replica

import (
	"errors"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
)

// The acknowledgements a produce may ask for.
const (
	acksNone   = 0
	acksLeader = 1
	acksAll    = -1
)

// ProduceEntry is one partition's batch, or the marker that ends a transaction there. TopicID is zero if the request names topics only.
type ProduceEntry struct {
	Partition event.Partition
	TopicID   [16]byte
	Batch     record.Batch
	Facts     record.ProduceFacts // of the batch, as it was validated
	Guard     storage.Guard       // of a batch that begins a transaction
	// TransactionVersion is a marker's, by which it is judged.
	TransactionVersion int16
}

// ProduceResult answers one entry. CurrentLeader is set if Err is NOT_LEADER_OR_FOLLOWER (KIP-951).
type ProduceResult struct {
	Err            error
	BaseOffset     int64
	LogStartOffset int64
	LogAppendTime  int64                // ms; -1: the records have their producer's time
	RecordErrors   []record.RecordError // with INVALID_RECORD and INVALID_TIMESTAMP
	CurrentLeader  wire.Leader
}

// NewProduceResult is a result without offsets.
func NewProduceResult(err error) ProduceResult {
	return ProduceResult{Err: err, BaseOffset: -1, LogStartOffset: -1, LogAppendTime: -1, CurrentLeader: wire.Leader{ID: -1, Epoch: -1}}
}

// RefuseProduce is the result of a batch that cannot be taken for the reason err, which Kafka finds out in the partition's log: if the
// partition takes no batches at all, that counts.
func (m *Manager) RefuseProduce(id event.Partition, topicID [16]byte, acks int16, err error) ProduceResult {
	p, refused := m.accepting(id, topicID, acks)
	if refused == nil {
		refused = err
	}
	r := NewProduceResult(nil)
	r.fail(refused, p)
	return r
}

// accepting returns the partition if this broker leads it and it has the replicas that acks asks for: a batch refused here is nowhere.
func (m *Manager) accepting(id event.Partition, topicID [16]byte, acks int16) (*Partition, error) {
	p, err := m.leading(id, topicID, -1)
	if err == nil && acks == acksAll && p.IsUnderMinISR() {
		err = kerr.NotEnoughReplicas
	}
	return p, err
}

// fail makes it a failure, of a partition that may be nil. The producer is told where the log begins, but for errors that say that
// there is no log, or that the batch is not for one.
func (r *ProduceResult) fail(err error, p *Partition) {
	r.Err, r.BaseOffset = err, -1
	if p == nil {
		return
	}
	switch err {
	case kerr.NotLeaderForPartition:
		r.CurrentLeader = p.currentLeader()
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.CorruptMessage, kerr.KafkaStorageError:
	default:
		if p.lead != nil {
			r.LogStartOffset = p.log.LogStartOffset()
		}
	}
}

// delayedProduce is a produce request until all its partitions are settled. It is used again
// for another request once no append of this one is under way.
type delayedProduce struct {
	m         *Manager
	expiry    expiry
	acks      int16
	waits     []produceWait
	results   []ProduceResult
	unsettled int
	writing   int // appends whose done has not run
	answered  bool
	free      bool // in m.produces
	done      func([]ProduceResult)
}

// produceWait is one partition of a delayedProduce.
type produceWait struct {
	op       *delayedProduce
	index    int
	p        *Partition
	required int64 // the high watermark that commits the batch: its last offset + 1
	settled  bool

	onWritten  func(error) // made once, used again
	listed     bool        // in p.produces
	prev, next *produceWait
}

// produceList is a partition's waits in the order of the offset that they require, so that a move of the high
// watermark looks at those it completes and one more.
type produceList struct{ first, last *produceWait }

// add inserts w. Offsets are assigned in order, so it belongs last; only a duplicate, which waits for the original's
// offset, goes back a few.
func (l *produceList) add(w *produceWait) {
	after := l.last
	for after != nil && after.required > w.required {
		after = after.prev
	}
	w.prev, w.listed = after, true
	if after == nil {
		w.next, l.first = l.first, w
	} else {
		w.next, after.next = after.next, w
	}
	if w.next == nil {
		l.last = w
	} else {
		w.next.prev = w
	}
}

func (l *produceList) remove(w *produceWait) {
	if !w.listed {
		return
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.listed = nil, nil, false
}

// Produce appends each entry's batch to the log that this broker leads and calls done once all are settled.
//
// With acks=all an entry is settled when its last record is below the high watermark, with acks 1 and 0 when its
// bytes are written, in any case when it fails. done may run before Produce returns; the results are valid
// during the call. frame is what the batches are slices of; it is retained as long as they are in use.
func (m *Manager) Produce(acks int16, timeout time.Duration, entries []ProduceEntry, frame *network.Frame, done func([]ProduceResult)) {
	op := m.newProduce(acks, len(entries), done)
	for i := range entries {
		op.append(i, &entries[i], frame)
	}
	op.unsettled-- // the request itself: it is not answered before all its entries were looked at
	if op.unsettled > 0 && acks == acksAll {
		m.purgatory.add(&op.expiry, timeout)
	}
	op.maybeAnswer()
}

func (m *Manager) newProduce(acks int16, n int, done func([]ProduceResult)) *delayedProduce {
	var op *delayedProduce
	if last := len(m.produces) - 1; last >= 0 {
		op, m.produces = m.produces[last], m.produces[:last]
	} else {
		op = &delayedProduce{m: m}
		op.expiry = expiry{pos: notWaiting, onExpire: op.expire}
	}
	if cap(op.waits) < n {
		op.waits, op.results = make([]produceWait, n), make([]ProduceResult, n)
	}
	op.waits, op.results = op.waits[:n], op.results[:n]
	op.acks, op.done, op.unsettled, op.writing, op.answered, op.free = acks, done, n+1, 0, false, false
	return op
}

// append does what can be done at once for one entry.
func (op *delayedProduce) append(i int, e *ProduceEntry, frame *network.Frame) {
	w := &op.waits[i]
	if w.op == nil {
		w.op, w.index = op, i
		w.onWritten = w.written
	}
	p, err := op.m.accepting(e.Partition, e.TopicID, op.acks)
	w.p, w.settled = p, false
	op.results[w.index] = NewProduceResult(nil)
	if err != nil {
		w.settle(err)
		return
	}
	if p.mustPrepare(e) {
		w.prepare(e, frame)
		return
	}
	w.append(e, frame)
}

// append appends the entry's batch, whose partition this broker leads.
func (w *produceWait) append(e *ProduceEntry, frame *network.Frame) {
	op := w.op
	op.writing++
	info, err := w.p.append(e, frame, w.onWritten)
	if err != nil {
		op.writing--
		w.settle(err)
		return
	}
	if e.Batch.IsLogAppendTime() || info.Duplicate { // as Kafka, which knows of a duplicate no more than its time
		op.results[w.index].LogAppendTime = info.MaxTimestamp
	}
	w.accepted(info)
}

func (p *Partition) append(e *ProduceEntry, frame *network.Frame, done func(error)) (storage.AppendInfo, error) {
	if e.Batch.IsControl() {
		return p.log.AppendMarker(e.Batch, p.leaderEpoch, e.TransactionVersion, done)
	}
	if err := p.check(e.Batch, e.Guard); err != nil {
		return storage.AppendInfo{}, err
	}
	return p.log.AppendAsLeader(e.Batch, p.leaderEpoch, frame, done)
}

// accepted notes where the batch went; a duplicate went where the original did.
func (w *produceWait) accepted(info storage.AppendInfo) {
	r := &w.op.results[w.index]
	r.BaseOffset, r.LogStartOffset = info.FirstOffset, w.p.log.LogStartOffset()
	w.required = info.NextOffset
	if w.op.acks != acksAll {
		return
	}
	if w.p.log.HighWatermark() >= w.required {
		w.settle(nil)
		return
	}
	w.p.produces.add(w)
}

// written runs when the batch's bytes are written, or never will be.
func (w *produceWait) written(err error) {
	op, p := w.op, w.p
	p.onAppended()
	switch {
	case w.settled:
	case err != nil:
		w.settle(appendError(err))
	case op.acks != acksAll:
		w.settle(nil) // the record is in our log, whoever leads by now: that is all that was asked
	}
	op.writing-- // not before: until here op is surely ours
	op.maybeFree()
}

// appendError is what a client is told when its accepted batch was not written.
func appendError(err error) error {
	var k *kerr.Error
	switch {
	case errors.Is(err, storage.ErrTruncated):
		return kerr.NotLeaderForPartition
	case errors.As(err, &k):
		return k
	}
	return kerr.KafkaStorageError
}

// settle gives the entry its result; idempotent.
func (w *produceWait) settle(err error) {
	if w.settled {
		return
	}
	op := w.op
	w.settled = true
	if w.p != nil {
		w.p.produces.remove(w)
	}
	if err != nil {
		op.results[w.index].fail(err, w.p)
	}
	op.unsettled--
	op.maybeAnswer()
}

func (op *delayedProduce) maybeAnswer() {
	if op.unsettled > 0 || op.answered {
		return
	}
	op.answered = true
	op.m.purgatory.remove(&op.expiry)
	op.done(op.results)
	op.done = nil
	op.maybeFree()
}

// maybeFree makes op available for another request when nothing refers to it any more.
func (op *delayedProduce) maybeFree() {
	if op.writing > 0 || !op.answered || op.free {
		return
	}
	for i := range op.waits {
		op.waits[i].p = nil
	}
	op.free = true
	op.m.produces = append(op.m.produces, op)
}

// expire answers with REQUEST_TIMED_OUT; the records stay and may yet be committed.
func (op *delayedProduce) expire() {
	for i := range op.waits {
		op.waits[i].settle(kerr.RequestTimedOut)
	}
}
