package storage

import (
	"math"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
)

// AppendInfo says where an append went.
type AppendInfo struct {
	FirstOffset, NextOffset int64
	MaxTimestamp            int64
	// Duplicate: a batch appended before is repeated; the offsets are that batch's and nothing was appended.
	Duplicate bool
}

// AppendAsLeader appends a batch that ValidateProduce has passed: it gets the next offset and the epoch, in
// place. Also while the disk is full the error is KAFKA_STORAGE_ERROR, at which producers try again. An error (MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_PRODUCER_EPOCH,
// OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE, KAFKA_STORAGE_ERROR) is answered at once and nothing was
// appended; done is not called then. NOT_LEADER_OR_FOLLOWER asks to try again: producer states are being
// rebuilt after a truncation.
//
// done, if not nil, runs in a later turn: with nil when the batch (of a duplicate: the batch it
// repeats) is written, with FlushMessages 1 synced; with ErrTruncated or KAFKA_STORAGE_ERROR else. frame is retained as long as b is needed.
func (l *Log) AppendAsLeader(b record.Batch, epoch int32, frame *network.Frame, done func(error)) (AppendInfo, error) {
	if err := l.checkLeaderAppend(b); err != nil {
		return AppendInfo{}, err
	}
	if latest := l.epochs.latest().Epoch; epoch < latest { // guarded: boxing the arguments costs an allocation an append
		invariant.Check(false, "%s: append in epoch %d after %d", l.partition, epoch, latest)
	}
	if l.keepProducers && b.ProducerID() >= 0 {
		dup, err := l.producers.check(b)
		if err != nil {
			return AppendInfo{}, err
		}
		if dup != nil {
			return l.answerDuplicate(dup, done), nil
		}
	}
	return l.appendNext(b, epoch, frame, done), nil
}

// AppendMarker is AppendAsLeader of the end of a transaction of that transaction.version. Its errors are INVALID_PRODUCER_EPOCH, of a
// marker that is late, TRANSACTION_COORDINATOR_FENCED, of a coordinator that has a successor, KAFKA_STORAGE_ERROR and NOT_LEADER_OR_FOLLOWER.
func (l *Log) AppendMarker(b record.Batch, epoch int32, version int16, done func(error)) (AppendInfo, error) {
	if err := l.checkLeaderAppend(b); err != nil {
		return AppendInfo{}, err
	}
	if p := l.producers.states[b.ProducerID()]; p != nil {
		if err := p.checkMarker(b, version); err != nil {
			return AppendInfo{}, err
		}
	}
	return l.appendNext(b, epoch, nil, done), nil
}

// appendNext appends a batch that was checked.
func (l *Log) appendNext(b record.Batch, epoch int32, frame *network.Frame, done func(error)) AppendInfo {
	b.SetBaseOffset(l.next)
	b.SetLeaderEpoch(epoch)
	l.add(b, frame)
	l.queueBytes(b, 1, frame)
	l.pipeline.wait(l.next, done)
	return AppendInfo{FirstOffset: b.BaseOffset(), NextOffset: l.next, MaxTimestamp: b.MaxTimestamp()}
}

func (l *Log) checkLeaderAppend(b record.Batch) error {
	switch {
	case l.down() != nil:
		return l.down()
	case l.isFull() && !l.anyBatch: // the quorum's leader appends little, and must
		return ErrOffline
	case len(b) > int(l.config.MaxMessageBytes):
		return kerr.MessageTooLarge
	case len(b) > int(l.config.SegmentBytes) && !l.anyBatch:
		return kerr.RecordListTooLarge
	case l.rebuilding && b.ProducerID() >= 0:
		return kerr.NotLeaderForPartition
	}
	return nil
}

// answerDuplicate answers a retry with what it repeats, which may itself still be on its way to the disk.
func (l *Log) answerDuplicate(dup *ProducerBatch, done func(error)) AppendInfo {
	info := AppendInfo{FirstOffset: dup.FirstOffset(), NextOffset: dup.LastOffset + 1, MaxTimestamp: dup.Timestamp, Duplicate: true}
	switch {
	case done == nil:
	case info.NextOffset <= l.written:
		l.env.Loop.Defer(func() { done(nil) })
	default:
		l.pipeline.waitInOrder(info.NextOffset, done)
	}
	return info
}

// AppendAsFollower appends whole batches whose CRC was checked, unchanged. All is appended or nothing:
// ErrUnexpectedOffset if the first is below the log's end, ErrOffsetsOutOfOrder if the others go back (compaction
// leaves gaps),
// ErrEpochOutOfOrder if an epoch is below the one before, ErrFull if the disk has no space for now, CORRUPT_MESSAGE if there are other bytes than batches; done is not called then.
// A part of a batch at the end is ignored. done and frame as with AppendAsLeader.
func (l *Log) AppendAsFollower(batches []byte, frame *network.Frame, done func(error)) (AppendInfo, error) {
	if err := l.down(); err != nil {
		return AppendInfo{}, err
	}
	if l.isFull() {
		return AppendInfo{}, ErrFull
	}
	whole, err := l.checkFollowerAppend(batches)
	info := AppendInfo{FirstOffset: l.next, NextOffset: l.next, MaxTimestamp: -1}
	if err != nil || whole == 0 {
		if err == nil && done != nil {
			l.env.Loop.Defer(func() { done(nil) })
		}
		return info, err
	}
	l.addAll(batches[:whole], frame, &info)
	l.pipeline.wait(l.next, done)
	return info, nil
}

// checkFollowerAppend returns the size of the whole batches.
func (l *Log) checkFollowerAppend(batches []byte) (whole int, err error) {
	next, epoch := l.next, l.epochs.epochAt(l.next-1)
	for rest := batches; len(rest) > 0; {
		b, after, err := record.Parse(rest)
		switch {
		case err == record.ErrShort:
			return whole, nil
		case err != nil || b.LastOffsetDelta() < 0:
			return 0, kerr.CorruptMessage
		case b.BaseOffset() < next && whole == 0:
			return 0, ErrUnexpectedOffset
		case b.BaseOffset() < next:
			return 0, ErrOffsetsOutOfOrder
		case b.LeaderEpoch() < epoch:
			return 0, ErrEpochOutOfOrder
		}
		next, epoch = b.NextOffset(), b.LeaderEpoch()
		whole += len(b)
		rest = after
	}
	return whole, nil
}

// addAll appends checked batches, one write for each segment they go to.
func (l *Log) addAll(batches []byte, frame *network.Frame, info *AppendInfo) {
	start, count := 0, int64(0)
	for pos := 0; pos < len(batches); {
		b, _, _ := record.Parse(batches[pos:])
		b = batches[pos : pos+len(b)] // with its capacity, by which neighbours are told
		if seg := l.active; l.mustRoll(b) && count > 0 {
			l.queueBytesTo(seg, batches[start:pos], count, frame)
			start, count = pos, 0
		}
		l.add(b, frame)
		pos, count = pos+len(b), count+1
		info.MaxTimestamp = max(info.MaxTimestamp, b.MaxTimestamp())
	}
	l.queueBytes(batches[start:], count, frame)
	info.NextOffset = l.next
}

// add takes a batch into memory: epochs, producers, indexes, positions. It rolls first if it must.
func (l *Log) add(b record.Batch, frame *network.Frame) {
	if l.mustRoll(b) {
		l.leapGap(b)
		l.roll()
	}
	epoch, base, next := b.LeaderEpoch(), b.BaseOffset(), b.NextOffset()
	if latest := l.epochs.latest().Epoch; epoch != latest && epoch >= 0 {
		l.noteEpoch(epoch, l.next, latest)
	}
	l.updateProducers(b)
	seg, maxTimestamp := l.active, b.MaxTimestamp()
	if !seg.hasFirst {
		seg.hasFirst, seg.firstTimestamp = true, maxTimestamp
	}
	l.recent.push(b, seg, int32(seg.size), true, frame)
	seg.add(next-1, maxTimestamp, int64(len(b)), l.indexInterval())
	l.next = next
	l.emitBatch(event.Appended, epoch, base, next-base, b)
}

// leapGap has a new segment begin with a batch that follows so large a gap that no segment can hold both its ends.
func (l *Log) leapGap(b record.Batch) {
	if b.LastOffset()-l.next > math.MaxInt32 {
		l.next = b.BaseOffset()
	}
}

// noteEpoch takes a batch's new epoch, which begins where the log ended: the first batches of it may have been compacted away.
// Counter-example to the batch's own offset: A and C have 0 to 99 of epoch 1. C goes on to 119 of it, alone; A leads epoch 2 from 100 on, and
// cleans 100 to 149 away. B learns of epoch 2 from the batch at 150, leads, and tells C that epoch 1 ended at 150.
//
// It may be below the latest: a leader that was elected and
// ousted before it wrote left an entry at the log's end, which this batch contradicts (KAFKA-10706).
func (l *Log) noteEpoch(epoch int32, base int64, latest int32) {
	if epoch < latest {
		l.epochs.truncateFromEnd(base)
	}
	l.epochs.assign(epoch, base)
	l.queueEpochs()
}

func (l *Log) updateProducers(b record.Batch) {
	switch {
	case !l.keepProducers || b.ProducerID() < 0:
	case l.rebuilding:
		l.missed = append(l.missed, producerPart(b))
	default:
		l.applyToProducers(b)
	}
}

// applyToProducers takes a batch that is in the log, or about to be, into the producer states and the transaction index.
func (l *Log) applyToProducers(b record.Batch) {
	if t, aborted := l.producers.update(b); aborted {
		l.noteAborted(t)
	}
}

// producerPart is a copy of what producers.update reads of a batch.
func producerPart(b record.Batch) []byte {
	if !b.IsControl() {
		b = b[:record.HeaderSize]
	}
	return append([]byte(nil), b...)
}

// indexInterval is index.interval.bytes for the next batch.
func (l *Log) indexInterval() int32 {
	switch x := l.env.Buggify; {
	case x.Fires(buggify.IndexDense):
		return 0
	case x.Fires(buggify.IndexSparse):
		return math.MaxInt32
	}
	return l.config.IndexIntervalBytes
}

func (l *Log) mustRoll(b record.Batch) bool {
	return l.active.limit > 0 && l.active.size >= l.active.limit ||
		l.active.shouldRoll(b.LastOffset(), b.MaxTimestamp(), int64(len(b)), l.env.Loop.UnixMilli(), &l.config)
}

func (l *Log) queueBytes(b []byte, count int64, frame *network.Frame) {
	l.queueBytesTo(l.active, b, count, frame)
}

// queueBytesTo queues bytes that add has put at the end of seg.
func (l *Log) queueBytesTo(seg *segment, b []byte, count int64, frame *network.Frame) {
	l.pipeline.queueWrite(write{seg: seg, pos: seg.size - int64(len(b)), next: l.next, count: count, bytes: b, frame: frame})
}
