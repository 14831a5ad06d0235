package storage

import (
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Guard proves that the transaction coordinator was asked about a transaction since it was last known here; 0 proves nothing.
type Guard uint64

// verification is what is known of a producer between the question whether a transaction includes this partition and the first batch
// of that transaction (KIP-890).
//
// The guard is new with each question, so that an answer that is overtaken does not count. Counter-example: the coordinator says yes,
// an abort marker comes, the producer's next transaction, without this partition, begins, and then the batch of the first is appended: no
// marker would ever end it.
type verification struct {
	guard          Guard
	startedMs      int64
	addsPartitions bool // transaction version 2: the answer is that the partition was added
	epoch          int16
	lowestSequence int32
}

// StartVerification is the guard of a batch, whose first sequence is given, that begins a transaction in this log, to be appended once
// the coordinator has agreed; 0 if the transaction has begun. INVALID_PRODUCER_EPOCH if a newer epoch is known, NOT_LEADER_OR_FOLLOWER
// while IsRebuilding.
func (l *Log) StartVerification(id int64, epoch int16, sequence int32, addsPartitions bool) (Guard, error) {
	if l.rebuilding {
		return 0, kerr.NotLeaderForPartition
	}
	s := &l.producers
	if p := s.states[id]; p != nil {
		if err := p.checkEpoch(epoch); err != nil || p.isIn(epoch) {
			return 0, err
		}
	}
	v := s.verifications[id]
	if v == nil {
		s.guards++
		v = &verification{s.guards, l.env.Loop.UnixMilli(), addsPartitions, epoch, sequence}
		if s.verifications == nil {
			s.verifications = map[int64]*verification{}
		}
		s.verifications[id] = v
	}
	v.note(epoch, sequence)
	return v.guard, nil
}

// note keeps the lowest sequence that was tried: were a higher one appended while it is refused for a while, it could never follow.
func (v *verification) note(epoch int16, sequence int32) {
	if epoch > v.epoch || epoch == v.epoch && sequence < v.lowestSequence {
		v.epoch, v.lowestSequence = epoch, sequence
	}
}

// isIn reports whether a transaction of that epoch is open in this log.
func (p *ProducerState) isIn(epoch int16) bool { return p.TxnFirstOffset >= 0 && p.Epoch == epoch }

// CheckVerified says whether a transactional batch may be appended: its transaction is open here, or guard is that of the last
// StartVerification. INVALID_TXN_STATE if not; INVALID_PRODUCER_EPOCH and OUT_OF_ORDER_SEQUENCE_NUMBER too. A batch that repeats one in
// the log passes.
func (l *Log) CheckVerified(b record.Batch, guard Guard) error {
	p := l.producers.get(b.ProducerID())
	if l.rebuilding || p.isIn(b.ProducerEpoch()) || p.duplicate(b.ProducerEpoch(), b.BaseSequence(), b.LastSequence()) != nil {
		return nil
	}
	if err := p.checkEpoch(b.ProducerEpoch()); err != nil {
		return err
	}
	v := l.producers.verifications[b.ProducerID()]
	switch {
	case v == nil || v.guard != guard:
		return kerr.InvalidTxnState
	case v.addsPartitions && b.BaseSequence() > 0 && p.count == 0, b.BaseSequence() > v.lowestSequence:
		return kerr.OutOfOrderSequenceNumber
	}
	return nil
}

// endVerification follows each batch of a transaction. A marker that comes with the epoch that is being verified ended the
// transaction before that one: with transaction version 2 it bears the epoch of the next.
func (s *producers) endVerification(b record.Batch) {
	if v := s.verifications[b.ProducerID()]; v != nil && !(v.addsPartitions && b.IsControl() && b.ProducerEpoch() == v.epoch) {
		delete(s.verifications, b.ProducerID())
	}
}
