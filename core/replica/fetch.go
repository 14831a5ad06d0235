package replica

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
)

// FetchParams is a fetch request, its session (if any) resolved to the partitions.
type FetchParams struct {
	ReplicaID     int32 // the follower that fetches; -1: a consumer
	ReplicaEpoch  int64 // its broker epoch; -1: not said
	MaxWait       time.Duration
	MinBytes      int
	MaxBytes      int
	ReadCommitted bool
	AnyReplica    bool         // of a consumer: it may read from a follower, or be sent to one (KIP-392)
	Rack          string       // where the consumer is; empty: not said
	ByID          bool         // topics are named by id: an entry without a topic is one whose id is not known
	Entries       []FetchEntry // kept until done has run
}

func (p *FetchParams) isFollower() bool { return p.ReplicaID >= 0 }

// FetchEntry is one partition of a fetch. NewFetchEntry fills what versions before 5, 9 and 12 do not say.
type FetchEntry struct {
	Partition          event.Partition
	TopicID            [16]byte // zero: fetched by name
	Offset             int64
	LastFetchedEpoch   int32 // -1: not said
	CurrentLeaderEpoch int32 // -1: not said
	LogStartOffset     int64 // of a follower; -1
	MaxBytes           int
}

// NewFetchEntry is an entry that says nothing of epochs.
func NewFetchEntry(p event.Partition, offset int64, maxBytes int) FetchEntry {
	return FetchEntry{Partition: p, Offset: offset, MaxBytes: maxBytes, LastFetchedEpoch: -1, CurrentLeaderEpoch: -1, LogStartOffset: -1}
}

// Fetch reads from partitions that this broker leads and calls done once, with an answer per entry in request order.
//
// It answers at once if MinBytes are there, or any partition has an error or tells a follower to truncate, or the
// request does not wait; else when one of its partitions moves, or after MaxWait. A follower's offsets
// are taken note of, once, when it asks. done may run before Fetch returns. The chunks are valid until release
// is called, which must happen once, when they are no longer in use.
func (m *Manager) Fetch(params FetchParams, done func(parts []wire.FetchPartition, release func())) {
	op := m.newFetch(params, done)
	op.read(true)
	if op.isSatisfied() || params.MaxWait <= 0 || len(params.Entries) == 0 {
		op.maybeAnswer()
		return
	}
	op.drop()
	op.park()
}

func (op *delayedFetch) isSatisfied() bool {
	return op.urgent || op.reading > 0 || op.bytes >= op.params.MinBytes
}

// read looks at every entry, in order: an earlier one takes its share of MaxBytes first. first is whether the
// request has just come.
func (op *delayedFetch) read(first bool) {
	n := len(op.params.Entries)
	if cap(op.parts) < n {
		op.parts = make([]wire.FetchPartition, n)
	}
	op.parts, op.bytes, op.stale = op.parts[:n], 0, op.isStale()
	op.reading++ // ours: whatever ends meanwhile, the answer waits for all entries
	for i := range op.params.Entries {
		if err := op.readPartition(i, first); err != nil {
			op.fail(i, err)
		}
	}
	op.reading--
}

// readMoved is read for a fetch that was parked and not found urgent meanwhile: nothing but an append or the high watermark
// has moved, and there is only something to read where the fetch was told so.
func (op *delayedFetch) readMoved() {
	op.bytes, op.stale = 0, op.isStale()
	op.reading++
	for i := range op.waits {
		w := &op.waits[i]
		if !w.moved && !op.stale && op.mayRead(w.p) && w.p.isOnline() {
			op.parts[i] = wire.NewFetchPartition(w.p.id.Index)
			op.describe(&op.parts[i], w.p)
		} else if err := op.readPartition(i, false); err != nil {
			op.fail(i, err)
		}
	}
	op.reading--
}

// mayRead reports whether this broker may answer, as far as its role goes.
func (op *delayedFetch) mayRead(p *Partition) bool { return p.lead != nil || op.params.AnyReplica }

// isStale reports whether the follower that asks has registered anew since.
func (op *delayedFetch) isStale() bool {
	if !op.params.isFollower() || op.params.ReplicaEpoch < 0 {
		return false
	}
	b := op.m.broker(op.params.ReplicaID)
	return b != nil && op.params.ReplicaEpoch < b.epoch
}

func (op *delayedFetch) fail(i int, err error) {
	op.urgent = true
	part := &op.parts[i]
	*part = wire.NewFetchPartition(part.Index)
	part.ErrorCode = wire.Code(err)
	if err == kerr.NotLeaderForPartition || err == kerr.FencedLeaderEpoch {
		part.CurrentLeader = op.m.leaderOf(op.params.Entries[i].Partition)
	}
}

// readPartition answers entry i, or returns why not.
func (op *delayedFetch) readPartition(i int, first bool) error {
	e, part := &op.params.Entries[i], &op.parts[i]
	*part = wire.NewFetchPartition(e.Partition.Index)
	if op.params.ByID && e.Partition.Topic == "" {
		return kerr.UnknownTopicID
	}
	serve := op.m.leading
	if op.params.AnyReplica {
		serve = op.m.readable
	}
	p, err := serve(e.Partition, e.TopicID, e.CurrentLeaderEpoch)
	if err != nil {
		return err
	}
	if op.params.AnyReplica {
		if part.PreferredReadReplica = p.preferredReplica(op.params.Rack, e.Offset); part.PreferredReadReplica != noReplica {
			op.urgent = true
			op.describe(part, p)
			return nil
		}
	}
	var f *follower
	if op.params.isFollower() {
		if f, err = op.follower(p, e); err != nil {
			return err
		}
	}
	part.DivergingEpoch, err = p.checkDivergence(e)
	if err != nil {
		return err
	}
	if f != nil && p.cannotVouchFor(e) {
		part.DivergingEpoch = wire.EpochEnd{Epoch: e.LastFetchedEpoch, EndOffset: e.Offset}
	}
	if part.DivergingEpoch.EndOffset != unknownOffset {
		op.urgent = true
		op.describe(part, p)
		return nil // the fetch is not noted: what it names will be truncated
	}
	leo := p.log.LogEndOffset()
	if e.Offset < p.log.LogStartOffset() || e.Offset > leo {
		return kerr.OffsetOutOfRange
	}
	if f != nil && first {
		p.onFollowerFetch(f, e.Offset, e.LogStartOffset, op.params.ReplicaEpoch)
	}
	op.describe(part, p)
	return op.readLog(i, p, op.upTo(part, leo, f != nil))
}

// describe fills in the partition's offsets. They are read once, before the records (KAFKA-9807): a high
// watermark read anew for the records would let some above the last stable offset through.
func (op *delayedFetch) describe(part *wire.FetchPartition, p *Partition) {
	part.HighWatermark, part.LastStableOffset = p.log.HighWatermark(), p.log.LastStableOffset()
	part.LogStartOffset = p.log.LogStartOffset()
	if op.params.ReadCommitted {
		part.AbortedTransactions = noneAborted
	}
}

// upTo is the end of what may be read: a follower gets everything, a consumer what is committed.
func (op *delayedFetch) upTo(part *wire.FetchPartition, leo int64, isFollower bool) int64 {
	switch {
	case isFollower:
		return leo
	case op.params.ReadCommitted:
		return part.LastStableOffset
	}
	return part.HighWatermark
}

// readLog reads records for entry i. The first records of a response may exceed its limits (KIP-74): a batch
// larger than the limit would otherwise never be read.
func (op *delayedFetch) readLog(i int, p *Partition, upTo int64) error {
	e := &op.params.Entries[i]
	room := min(e.MaxBytes, op.params.MaxBytes-op.bytes)
	if e.Offset >= upTo || room <= 0 && op.bytes > 0 {
		return nil
	}
	switch x := op.m.env.Buggify; {
	case op.bytes > 0 && x.Fires(buggify.OnePartition):
		return nil
	case x.Fires(buggify.OneBatch):
		room = min(room, 1)
	}
	read := storage.ReadRequest{Offset: e.Offset, MaxBytes: max(room, 0), UpTo: upTo, MinOneBatch: op.bytes == 0}
	slice := op.nextSlice()
	err := p.log.ReadInto(slice, read)
	switch {
	case err == storage.ErrPending:
		op.readDisk(i, p, read)
		op.bytes += max(room, 1) // probably; at worst the answer is smaller than it could be
	case err != nil:
		return err
	case slice.Len > 0:
		op.bytes += slice.Len
		op.slices = op.slices[:len(op.slices)+1]
		op.fill(i, p, slice)
	}
	return nil
}

// nextSlice is the slice after the last one, with the memory of one that was released if there is any.
func (op *delayedFetch) nextSlice() *storage.Slice {
	n := len(op.slices)
	if n == cap(op.slices) {
		op.slices = append(op.slices, storage.Slice{})
	}
	op.slices = op.slices[:n]
	return &op.slices[:n+1][n]
}

func (op *delayedFetch) readDisk(i int, p *Partition, read storage.ReadRequest) {
	op.reading++
	epoch, log := p.leaderEpoch, p.log
	s, err := log.Read(read, func(s storage.Slice, err error) {
		if err != nil && p.log != log && p.isOnline() { // another has taken its place meanwhile
			op.reading--
			op.readDisk(i, p, read)
			return
		}
		op.onRead(i, p, epoch, s, err)
	})
	if err != storage.ErrPending { // it looks in memory first, and may have better luck there
		op.onRead(i, p, epoch, s, err)
	}
}

// noneAborted is the list of a reader that wants to know, where there is nothing to tell. One that does not want to gets null.
var noneAborted = []wire.AbortedTransaction{}

// fill gives entry i its records, and a read_committed consumer the aborted transactions that it may meet among them.
func (op *delayedFetch) fill(i int, p *Partition, s *storage.Slice) {
	part := &op.parts[i]
	part.Records, part.RecordsLen = s.Chunks, s.Len
	if part.AbortedTransactions == nil {
		return
	}
	for _, t := range p.log.AbortedTxns(op.params.Entries[i].Offset, s.UpperBound) {
		part.AbortedTransactions = append(part.AbortedTransactions, wire.AbortedTransaction{ProducerID: t.ProducerID, FirstOffset: t.FirstOffset})
	}
}

// onRead gets what had to come from the disk. If we stopped leading meanwhile, the records may be gone.
func (op *delayedFetch) onRead(i int, p *Partition, epoch int32, s storage.Slice, err error) {
	op.reading--
	switch {
	case err != nil:
		op.fail(i, appendError(err))
	case !op.mayRead(p) || p.leaderEpoch != epoch:
		s.Release()
		op.fail(i, p.refusal())
	default:
		op.slices = append(op.slices, s)
		op.fill(i, p, &op.slices[len(op.slices)-1])
	}
	op.maybeAnswer()
}

// leading returns the partition if this broker leads it; see Partition.serving.
func (m *Manager) leading(id event.Partition, topicID [16]byte, epoch int32) (*Partition, error) {
	p := m.byID.get(id)
	if p == nil {
		return nil, m.notHosted(id)
	}
	if topicID != ([16]byte{}) && topicID != p.topicID {
		return p, kerr.InconsistentTopicID
	}
	return p, p.serving(epoch)
}

// notHosted is the error for a partition that this broker does not have.
func (m *Manager) notHosted(id event.Partition) error {
	if m.image == nil || m.image.Partition(id) == nil {
		return kerr.UnknownTopicOrPartition
	}
	return kerr.NotLeaderForPartition
}

// leaderOf is what to tell a client that came to the wrong broker (KIP-951).
func (m *Manager) leaderOf(id event.Partition) wire.Leader {
	if m.image != nil {
		if reg := m.image.Partition(id); reg != nil {
			return wire.Leader{ID: reg.Leader, Epoch: reg.LeaderEpoch}
		}
	}
	return wire.Leader{ID: -1, Epoch: -1}
}

// follower returns the assigned replica that fetches. One that is not assigned, as far as we know, may
// be being added: it is asked to come again, if it knows our epoch. One of an earlier incarnation is refused (KIP-903).
func (op *delayedFetch) follower(p *Partition, e *FetchEntry) (*follower, error) {
	f := p.lead.follower(op.params.ReplicaID)
	switch {
	case f == nil && e.CurrentLeaderEpoch != noEpoch:
		return nil, kerr.UnknownLeaderEpoch
	case f == nil || op.stale:
		return nil, kerr.NotLeaderForPartition
	}
	return f, nil
}

// checkDivergence compares where the fetcher says its log stands with ours (KIP-595). The result's end
// offset is -1 if the logs agree.
func (p *Partition) checkDivergence(e *FetchEntry) (wire.EpochEnd, error) {
	none := wire.EpochEnd{Epoch: -1, EndOffset: unknownOffset}
	if e.LastFetchedEpoch < 0 {
		return none, nil
	}
	epoch, end := p.log.EndOffsetForEpoch(e.LastFetchedEpoch)
	if epoch < 0 || end < 0 || e.Offset < p.log.LogStartOffset() {
		return none, kerr.OffsetOutOfRange
	}
	if epoch < e.LastFetchedEpoch || end < e.Offset {
		return wire.EpochEnd{Epoch: epoch, EndOffset: end}, nil
	}
	return none, nil
}

// cannotVouchFor reports whether a follower is where our log was begun, after records of an epoch before it. Whether those are what
// other leaders committed there we do not know, only that they are gone since: it has to begin there too.
func (p *Partition) cannotVouchFor(e *FetchEntry) bool {
	start := p.log.LogStartOffset()
	return e.Offset == start && p.log.EpochAt(start-1) < 0 && e.LastFetchedEpoch >= 0 && e.LastFetchedEpoch < p.log.EarliestEpoch()
}
