package replica

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ListOffsetQuery asks for one offset of a partition.
type ListOffsetQuery struct {
	Timestamp          int64 // in ms, or one of Kafka's negative ones
	CurrentLeaderEpoch int32 // -1: not said
	ReplicaID          int32 // -1: a consumer
	ReadCommitted      bool
}

// consumerID is the replica id of who is none.
const consumerID = -1

// ListOffsetResult answers a ListOffsetQuery; -1 where there is none.
type ListOffsetResult struct {
	Err         error
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

func noOffset(err error) ListOffsetResult {
	return ListOffsetResult{Err: err, Timestamp: -1, Offset: unknownOffset, LeaderEpoch: -1}
}

// ListOffset answers a query about a partition that this broker leads. done runs once, perhaps before it returns.
//
// A new leader may not yet know how much is committed. Until its high watermark has reached the start of its
// epoch, a consumer that asks for the end is told OFFSET_NOT_AVAILABLE: the end that it would be told
// may be below one that it was told before (KIP-207).
func (m *Manager) ListOffset(id event.Partition, q ListOffsetQuery, done func(ListOffsetResult)) {
	p, err := m.leading(id, [16]byte{}, q.CurrentLeaderEpoch)
	if err != nil {
		done(noOffset(err))
		return
	}
	switch q.Timestamp {
	case latestTimestamp:
		done(p.latestOffset(&q))
	case earliestTimestamp, earliestLocalTimestamp:
		start := p.log.LogStartOffset()
		done(ListOffsetResult{Timestamp: -1, Offset: start, LeaderEpoch: p.log.EpochAt(start)})
	case maxTimestamp:
		p.log.MaxTimestampOffset(p.readableEnd(&q), p.onLookup(q, done))
	case latestTieredTimestamp, earliestPendingUploadTS:
		done(noOffset(nil)) // there is no tiered storage
	default:
		if q.Timestamp < 0 {
			done(noOffset(kerr.UnsupportedVersion))
			return
		}
		p.log.OffsetForTimestamp(q.Timestamp, p.readableEnd(&q), p.onLookup(q, done))
	}
}

// isEndKnown is false after an election until the high watermark reaches the epoch's start, and for who reads what is decided
// while the log finds out which transactions are open.
func (p *Partition) isEndKnown(q *ListOffsetQuery) bool {
	return p.log.HighWatermark() >= p.lead.epochStart && !(q.ReadCommitted && p.log.IsRebuilding())
}

// readableEnd is the end of what the asker may read.
func (p *Partition) readableEnd(q *ListOffsetQuery) int64 {
	switch {
	case q.ReplicaID != consumerID:
		return p.log.LogEndOffset()
	case q.ReadCommitted:
		return p.log.LastStableOffset()
	}
	return p.log.HighWatermark()
}

func (p *Partition) latestOffset(q *ListOffsetQuery) ListOffsetResult {
	if q.ReplicaID == consumerID && !p.isEndKnown(q) {
		return noOffset(kerr.OffsetNotAvailable)
	}
	return ListOffsetResult{Timestamp: -1, Offset: p.readableEnd(q), LeaderEpoch: p.leaderEpoch}
}

// onLookup makes the answer of a lookup by timestamp. What was found at or above the readable end is not there yet for
// this asker, and if the end is not known, neither is that.
func (p *Partition) onLookup(q ListOffsetQuery, done func(ListOffsetResult)) func(offset, timestamp int64, epoch int32, err error) {
	leaderEpoch := p.leaderEpoch
	return func(offset, timestamp int64, epoch int32, err error) {
		switch {
		case err != nil:
			done(noOffset(appendError(err)))
		case p.lead == nil || p.leaderEpoch != leaderEpoch:
			done(noOffset(p.refusal()))
		case offset >= 0 && offset < p.readableEnd(&q):
			done(ListOffsetResult{Timestamp: timestamp, Offset: offset, LeaderEpoch: epoch})
		case q.ReplicaID == consumerID && !p.isEndKnown(&q):
			done(noOffset(kerr.OffsetNotAvailable))
		default:
			done(noOffset(nil))
		}
	}
}

// OffsetForLeaderEpoch is the largest epoch known that is not above epoch, and where it ends; -1 and -1 if there is none. The
// caller knows currentLeaderEpoch as the leader's (-1: does not say). Only leaders answer (KIP-101, KIP-279, KIP-320).
func (m *Manager) OffsetForLeaderEpoch(id event.Partition, currentLeaderEpoch, epoch int32) (foundEpoch int32, endOffset int64, err error) {
	p, err := m.leading(id, [16]byte{}, currentLeaderEpoch)
	if err != nil {
		return -1, unknownOffset, err
	}
	foundEpoch, endOffset = p.log.EndOffsetForEpoch(epoch)
	return foundEpoch, endOffset, nil
}
