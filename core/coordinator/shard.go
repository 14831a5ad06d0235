package coordinator

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Shard is a partition of the topic in one leader epoch of this broker, and its machine.
type Shard struct {
	runtime   *Runtime
	partition *replica.Partition
	machine   Machine
	epoch     int32
	loaded    bool
	gone      bool
	next      int64      // the offset after the last record that the machine has applied
	waiting   []deferred // in the order of their offsets
	expiry    scheduler.Timer
}

// deferred is an answer that waits until all below offset is committed.
type deferred struct {
	offset   int64
	deadline scheduler.Instant
	answer   func(error)
}

func newShard(r *Runtime, p *replica.Partition) *Shard {
	s := &Shard{runtime: r, partition: p, epoch: p.LeaderEpoch(), next: p.Log().LogStartOffset()}
	s.machine = r.cfg.NewMachine(s)
	return s
}

// Machine is the shard's state.
func (s *Shard) Machine() Machine { return s.machine }

// Partition is the index of the topic's partition.
func (s *Shard) Partition() int32 { return s.partition.ID().Index }

// Epoch is the leader epoch, which is the coordinator's epoch.
func (s *Shard) Epoch() int32 { return s.epoch }

// Loop has the time and timers of the machine.
func (s *Shard) Loop() scheduler.Loop { return s.runtime.env.Loop }

// Transaction is what records are part of. Guard is that of replica.Manager.StartVerification, if it gave one.
type Transaction struct {
	ProducerID    int64
	ProducerEpoch int16
	Guard         storage.Guard
}

// Append appends records as one batch, has the machine apply them at once, and calls answer when they are committed, with nil, or
// when nobody knows whether they ever will be: NOT_COORDINATOR if the leader epoch ended, COORDINATOR_NOT_AVAILABLE if it took too
// long; then the machine has applied them all the same, and they may be committed yet. answer never runs within the call; it may be nil.
//
// An error means that nothing was appended nor applied: COORDINATOR_NOT_AVAILABLE while the ISR is below
// min.insync.replicas, NOT_COORDINATOR, or the log's own: MESSAGE_TOO_LARGE, INVALID_PRODUCER_EPOCH and its like.
func (s *Shard) Append(records []Record, answer func(error)) error {
	return s.append(records, nil, answer)
}

// AppendToTransaction is Append of records that count when the transaction is committed.
func (s *Shard) AppendToTransaction(t Transaction, records []Record, answer func(error)) error {
	return s.append(records, &t, answer)
}

func (s *Shard) append(records []Record, t *Transaction, answer func(error)) error {
	if s.gone {
		return kerr.NotCoordinator
	}
	if len(records) == 0 {
		s.WhenCommitted(answer)
		return nil
	}
	now := s.Loop().UnixMilli()
	entry := replica.ProduceEntry{Batch: build(records, t, now, s.runtime.cfg.Codec)}
	if t != nil {
		entry.Guard = t.Guard
	}
	info, err := s.partition.Append(entry)
	if err != nil {
		return coordinatorError(err)
	}
	producer := Transaction{ProducerID: record.NoProducerID, ProducerEpoch: -1}
	if t != nil {
		producer = *t
	}
	for i, r := range records {
		s.machine.Replay(Replayed{
			Record: r, Offset: info.FirstOffset + int64(i), Timestamp: now, ProducerID: producer.ProducerID, ProducerEpoch: producer.ProducerEpoch,
		})
	}
	s.applied(info.NextOffset)
	s.WhenCommitted(answer)
	return nil
}

func build(records []Record, t *Transaction, now int64, codec record.Codec) record.Batch {
	o := record.BatchOptions{Codec: codec, LeaderEpoch: -1, ProducerID: record.NoProducerID, BaseTimestamp: now}
	if t != nil {
		o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = t.ProducerID, t.ProducerEpoch, -1, true
	}
	b := record.NewBuilder(nil, o)
	for _, r := range records {
		b.Append(now, r.Key, r.Value)
	}
	return b.Build()
}

// AppendMarker ends a transaction, of that transaction.version, in this partition: see Append. A marker of a transaction that is over
// already does no harm.
func (s *Shard) AppendMarker(marker record.Batch, version int16, answer func(error)) error {
	if s.gone {
		return kerr.NotCoordinator
	}
	info, err := s.partition.Append(replica.ProduceEntry{Batch: marker, TransactionVersion: version})
	if err != nil {
		return coordinatorError(err)
	}
	if m, ok := record.ParseMarker(marker); ok {
		s.machine.ReplayMarker(marker.ProducerID(), marker.ProducerEpoch(), m.Commit)
	}
	s.applied(info.NextOffset)
	s.WhenCommitted(answer)
	return nil
}

func (s *Shard) applied(next int64) { s.next = next }

// WhenCommitted calls answer when all that the machine has applied so far is committed: the time for an answer that tells of
// the machine's state. It never runs within the call; see Append for what it gets.
func (s *Shard) WhenCommitted(answer func(error)) {
	if answer == nil {
		return
	}
	if s.gone {
		s.Loop().Defer(func() { answer(kerr.NotCoordinator) })
		return
	}
	deadline := s.Loop().Now().Add(s.runtime.cfg.WriteTimeout)
	s.waiting = append(s.waiting, deferred{s.next, deadline, answer})
	if len(s.waiting) > 1 {
		return
	}
	s.arm(deadline)
	if s.next <= s.partition.HighWatermark() {
		s.Loop().Defer(func() { s.onCommitted(s.partition.HighWatermark()) })
	}
}

// onCommitted answers what waited for the high watermark. An answer may append more.
func (s *Shard) onCommitted(hw int64) {
	for len(s.waiting) > 0 && !s.gone && s.waiting[0].offset <= hw {
		s.pop()(nil)
	}
}

func (s *Shard) pop() (answer func(error)) {
	answer = s.waiting[0].answer
	s.waiting[0].answer = nil
	s.waiting = s.waiting[1:]
	return answer
}

func (s *Shard) arm(deadline scheduler.Instant) {
	d := deadline.Sub(s.Loop().Now())
	if s.expiry == nil {
		s.expiry = s.Loop().AfterFunc(d, s.onExpiry)
		return
	}
	s.expiry.Reset(d)
}

// onExpiry answers those that have waited too long. One timer serves all: deadlines come in order.
func (s *Shard) onExpiry() {
	now := s.Loop().Now()
	for len(s.waiting) > 0 && !s.gone && s.waiting[0].deadline <= now {
		s.pop()(kerr.CoordinatorNotAvailable)
	}
	if len(s.waiting) > 0 && !s.gone {
		s.arm(s.waiting[0].deadline)
	}
}

func (s *Shard) unload() {
	s.gone = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	if s.loaded {
		s.runtime.emit(event.CoordinatorUnloaded, s.partition, -1)
	}
	s.machine.Unloaded()
	for len(s.waiting) > 0 {
		s.pop()(kerr.NotCoordinator)
	}
}

// coordinatorError is what a client of a coordinator is told when its partition refuses an append.
func coordinatorError(err error) error {
	switch err {
	case kerr.NotEnoughReplicas, kerr.UnknownTopicOrPartition, kerr.RequestTimedOut:
		return kerr.CoordinatorNotAvailable
	case kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.FencedLeaderEpoch:
		return kerr.NotCoordinator
	}
	return err
}
