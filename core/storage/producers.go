package storage

import (
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

// batchesKept is how many batches of a producer are remembered to recognise its retries.
const batchesKept = 5

// ProducerBatch is what the log remembers of one batch of an idempotent producer.
type ProducerBatch struct {
	LastSequence int32
	OffsetDelta  int32
	LastOffset   int64
	Timestamp    int64
}

// FirstSequence is the sequence of the batch's first record; sequences wrap from MaxInt32 to 0.
func (b ProducerBatch) FirstSequence() int32 {
	if b.LastSequence >= b.OffsetDelta {
		return b.LastSequence - b.OffsetDelta
	}
	return math.MaxInt32 - (b.OffsetDelta - b.LastSequence) + 1
}

// FirstOffset is the offset of the batch's first record.
func (b ProducerBatch) FirstOffset() int64 { return b.LastOffset - int64(b.OffsetDelta) }

// ProducerState is what a log knows of one producer: Kafka's ProducerStateEntry. Leader and
// followers derive the same from the same log.
type ProducerState struct {
	ProducerID       int64
	LastTimestamp    int64
	TxnFirstOffset   int64 // -1: no transaction is open
	CoordinatorEpoch int32
	Epoch            int16
	batches          [batchesKept]ProducerBatch // oldest first
	count            int8
}

// Batches are the last batches, oldest first.
func (p *ProducerState) Batches() []ProducerBatch { return p.batches[:p.count] }

// LastSequence is the last batch's, or -1.
func (p *ProducerState) LastSequence() int32 {
	if p.count == 0 {
		return -1
	}
	return p.batches[p.count-1].LastSequence
}

func (p *ProducerState) setEpoch(epoch int16) {
	if p.Epoch != epoch {
		p.Epoch, p.count = epoch, 0
	}
}

func (p *ProducerState) add(b ProducerBatch) {
	if p.count == batchesKept {
		copy(p.batches[:], p.batches[1:])
		p.count--
	}
	p.batches[p.count] = b
	p.count++
	p.LastTimestamp = b.Timestamp
}

// duplicate is the remembered batch with exactly these sequences, or nil.
func (p *ProducerState) duplicate(epoch int16, first, last int32) *ProducerBatch {
	if p.Epoch != epoch {
		return nil
	}
	for i := range p.Batches() {
		if b := &p.batches[i]; b.LastSequence == last && b.FirstSequence() == first {
			return b
		}
	}
	return nil
}

// checkSequence says whether a client's batch may follow (Kafka's ProducerAppendInfo).
func (p *ProducerState) checkSequence(epoch int16, first int32) error {
	last := p.LastSequence()
	switch err := p.checkEpoch(epoch); {
	case err != nil:
		return err
	case p.Epoch == -1: // unknown producer: retention may have taken what it wrote
		return nil
	case epoch != p.Epoch && first != 0:
		return kerr.OutOfOrderSequenceNumber
	case epoch == p.Epoch && int64(first) != int64(last)+1 && (first != 0 || last != math.MaxInt32):
		return kerr.OutOfOrderSequenceNumber
	}
	return nil
}

// checkEpoch is all that is asked of what a coordinator appends on a producer's behalf: it has no sequences.
func (p *ProducerState) checkEpoch(epoch int16) error {
	if epoch < p.Epoch {
		return kerr.InvalidProducerEpoch
	}
	return nil
}

// openTxn is a transaction of this log: open, or ended by a marker that is not replicated yet.
type openTxn struct {
	producerID int64
	first      int64
	last       int64 // the marker's offset; -1: open
}

// producers is the state of all producers of one log.
type producers struct {
	states map[int64]*ProducerState
	txns   []openTxn // by first offset

	verifications map[int64]*verification // by producer id; nil until the first
	guards        Guard                   // the last one given
}

func (s *producers) isEmpty() bool { return len(s.states) == 0 && len(s.txns) == 0 }

func (s *producers) clear() {
	clear(s.verifications)
	clear(s.states)
	s.txns = s.txns[:0]
}

// get is a producer's state; for a stranger a state with Epoch -1 that is not kept.
func (s *producers) get(id int64) *ProducerState {
	if p := s.states[id]; p != nil {
		return p
	}
	return &ProducerState{ProducerID: id, Epoch: -1, CoordinatorEpoch: -1, LastTimestamp: -1, TxnFirstOffset: -1}
}

// check judges a batch that is no marker: the remembered batch it repeats, or an error, or neither.
func (s *producers) check(b record.Batch) (*ProducerBatch, error) {
	p := s.states[b.ProducerID()]
	if p == nil {
		return nil, nil
	}
	epoch, first := b.ProducerEpoch(), b.BaseSequence()
	if first < 0 {
		return nil, p.checkEpoch(epoch)
	}
	if dup := p.duplicate(epoch, first, b.LastSequence()); dup != nil {
		return dup, nil
	}
	if err := p.checkSequence(epoch, first); err != nil {
		return nil, err
	}
	if p.TxnFirstOffset >= 0 && !b.IsTransactional() {
		return nil, kerr.InvalidTxnState
	}
	return nil, nil
}

// checkMarker judges the end of a transaction of that transaction.version.
//
// With version 2 the coordinator raises the epoch at each end, so a marker of the epoch that the producer writes with is a late one of
// the transaction before, and would end the wrong one (KIP-890). If nothing is open it repeats one whose answer was lost (KAFKA-19999).
func (p *ProducerState) checkMarker(b record.Batch, version int16) error {
	epoch := b.ProducerEpoch()
	late := version >= 2 && epoch == p.Epoch && p.TxnFirstOffset >= 0 && epoch < math.MaxInt16
	if epoch < p.Epoch || late {
		return kerr.InvalidProducerEpoch
	}
	if m, ok := record.ParseMarker(b); ok && m.CoordinatorEpoch < p.CoordinatorEpoch {
		return kerr.TransactionCoordinatorFenced
	}
	return nil
}

// update takes a batch that was appended. It trusts it: the leader has checked. aborted: the batch is the marker of t.
func (s *producers) update(b record.Batch) (t AbortedTxn, aborted bool) {
	id := b.ProducerID()
	if id < 0 {
		return t, false
	}
	p := s.states[id]
	if p == nil {
		p = s.get(id)
		s.states[id] = p
	}
	p.setEpoch(b.ProducerEpoch())
	if b.IsTransactional() {
		s.endVerification(b)
	}
	if b.IsControl() {
		return s.endTxn(p, b)
	}
	p.add(ProducerBatch{LastSequence: b.LastSequence(), OffsetDelta: b.LastOffsetDelta(), LastOffset: b.LastOffset(), Timestamp: b.MaxTimestamp()})
	if b.IsTransactional() && p.TxnFirstOffset < 0 {
		p.TxnFirstOffset = b.BaseOffset()
		s.txns = append(s.txns, openTxn{id, b.BaseOffset(), -1})
	}
	return t, false
}

// endTxn takes a marker. One of a producer that has nothing in this log ends nothing.
//
// Of an empty control batch the whole transaction was compacted away. Where it is open all the same, in a replica that was away for longer
// than delete.retention.ms, it is over: what it wrote was aborted or has been superseded, and nobody need read it. (Kafka's stays open.)
func (s *producers) endTxn(p *ProducerState, b record.Batch) (t AbortedTxn, aborted bool) {
	p.LastTimestamp = b.MaxTimestamp() // also of an empty one: the epoch in it fences until the producer has expired
	m, ok := record.ParseMarker(b)
	switch {
	case ok:
	case b.Count() > 0 || p.TxnFirstOffset < 0:
		return t, false
	default:
		m.CoordinatorEpoch = p.CoordinatorEpoch
	}
	first := p.TxnFirstOffset
	p.CoordinatorEpoch, p.TxnFirstOffset = m.CoordinatorEpoch, -1
	if first < 0 {
		return t, false
	}
	for at := sort.Search(len(s.txns), func(i int) bool { return s.txns[i].first >= first }); at < len(s.txns) && s.txns[at].first == first; at++ {
		if s.txns[at].producerID == p.ProducerID { // of two that begin at one offset, as only a damaged snapshot can say
			s.txns[at].last = b.BaseOffset()
		}
	}
	return AbortedTxn{p.ProducerID, first, b.BaseOffset(), s.firstOpen(b.NextOffset())}, !m.Commit
}

// firstOpen is the first offset of the first open transaction, or none.
func (s *producers) firstOpen(none int64) int64 {
	for i := range s.txns {
		if s.txns[i].last < 0 {
			return s.txns[i].first
		}
	}
	return none
}

// firstUnstable is the first offset of a transaction that is open or whose marker is not below the
// high watermark, or MaxInt64.
func (s *producers) firstUnstable(highWatermark int64) int64 {
	replicated := func(t openTxn) bool { return t.last >= 0 && t.last < highWatermark }
	if len(s.txns) > 0 && replicated(s.txns[0]) {
		s.txns = slices.DeleteFunc(s.txns, replicated)
	}
	if len(s.txns) == 0 {
		return math.MaxInt64
	}
	return s.txns[0].first
}

// expire forgets the producers that have been idle for maxIdleMs and have no open transaction.
func (s *producers) expire(nowMs, maxIdleMs int64) {
	maps.DeleteFunc(s.verifications, func(_ int64, v *verification) bool { return nowMs-v.startedMs >= maxIdleMs }) // order: likewise
	maps.DeleteFunc(s.states, func(_ int64, p *ProducerState) bool { return p.expired(nowMs, maxIdleMs) })          // order: independent deletions
}

func (p *ProducerState) expired(nowMs, maxIdleMs int64) bool {
	return p.TxnFirstOffset < 0 && nowMs-p.LastTimestamp >= maxIdleMs
}

// sorted is a copy of all states by producer id.
func (s *producers) sorted() []ProducerState {
	all := make([]ProducerState, 0, len(s.states))
	ids := slices.AppendSeq(make([]int64, 0, len(s.states)), maps.Keys(s.states)) // order: sorted below
	slices.Sort(ids)
	for _, id := range ids {
		all = append(all, *s.states[id])
	}
	return all
}

// load takes states from a snapshot.
func (s *producers) load(all []ProducerState) {
	for i := range all {
		p := &all[i]
		s.states[p.ProducerID] = p
		if p.TxnFirstOffset >= 0 {
			s.txns = append(s.txns, openTxn{p.ProducerID, p.TxnFirstOffset, -1})
		}
	}
	slices.SortFunc(s.txns, func(a, b openTxn) int { return int(min(max(a.first-b.first, -1), 1)) })
}
