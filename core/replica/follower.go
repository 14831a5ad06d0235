package replica

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// followState is what a following partition is about.
type followState int8

const (
	fetching  followState = iota
	delayed               // backs off after an error
	resetting             // asks the leader where its log begins and ends
	fenced                // the leader knows a newer epoch: waits for metadata
)

// following is a partition's part in the fetcher of its leader.
type following struct {
	p       *Partition
	fetcher *fetcher // nil: none
	state   followState
	expiry  expiry // of a delay
	dirty   bool   // in fetcher.dirty

	// What the session with the leader has of this partition.
	inSession bool
	sent      fetchPosition

	leaderHW int64 // from the last answer
}

// fetchPosition is what a fetch says of a partition.
type fetchPosition struct {
	offset           int64
	logStartOffset   int64
	leaderEpoch      int32
	lastFetchedEpoch int32
}

func (f *following) init(p *Partition) {
	f.p, f.leaderHW = p, unknownOffset
	f.expiry = expiry{pos: notWaiting, onExpire: f.resume}
}

// becomeFollower starts to follow in a leader epoch.
//
// Nothing is truncated here, least of all to the high watermark (KIP-101): ours lags behind the leader's, so
// records above it may be committed, and this replica may be the last to have them. Where our log and the
// leader's part is found out by the fetches (KIP-595).
func (p *Partition) becomeFollower(reg *metadata.Partition) {
	p.m.unfollow(p)
	p.tellResigned()
	p.lead = nil
	p.leaderID, p.leaderEpoch, p.partitionEpoch = reg.Leader, reg.LeaderEpoch, reg.PartitionEpoch
	p.follow.leaderHW = unknownOffset
	p.emit(event.BecameFollower, reg.Leader, -1, "")
	p.failWaiting(p.refusal())
	if reg.Leader >= 0 {
		p.m.follow(p, reg.Leader)
	}
}

// isReady reports whether the partition may be fetched now. Its log must be quiet: what this broker accepted as
// leader and is still writing would be overtaken.
func (f *following) isReady() bool {
	p := f.p
	return f.state == fetching && !p.held && p.isOnline() && p.log.NextOffset() == p.log.LogEndOffset()
}

// position is where to go on. The last fetched epoch always comes from the log: remembered from the last response it would
// be lost by an empty one, and the divergence that shows later would go unseen (KAFKA-15510). A log that retention emptied has it
// still: without it a leader that never had those records would take us for caught up.
func (f *following) position() fetchPosition {
	log := f.p.log
	end := log.LogEndOffset()
	return fetchPosition{offset: end, logStartOffset: log.LogStartOffset(), leaderEpoch: f.p.leaderEpoch, lastFetchedEpoch: log.EpochAt(end - 1)}
}

// changed has the fetcher look at the partition before its next request.
func (f *following) changed() {
	if f.fetcher != nil {
		f.fetcher.touch(f)
	}
}

// newsDelay is how long to give a leader that has not heard of its election yet: we learned of it from the same
// log. A whole backoff would hold up every acks=all produce of the new epoch.
const newsDelay = 20 * time.Millisecond

// delay takes the partition out of the fetches for a while; the leader's other partitions go on.
func (f *following) delay(d time.Duration) {
	f.state = delayed
	f.p.m.purgatory.remove(&f.expiry)
	f.p.m.purgatory.add(&f.expiry, d)
	f.changed()
}

// resume fetches again, after a delay or a reset.
func (f *following) resume() {
	f.state = fetching
	f.changed()
}

// onError handles the leader's error for this partition alone.
func (f *following) onError(code int16) {
	switch code {
	case kerr.OffsetOutOfRange.Code:
		f.reset()
	case kerr.FencedLeaderEpoch.Code: // there is a newer epoch, of which the metadata log will tell
		f.state = fenced
		f.changed()
	case kerr.UnknownLeaderEpoch.Code, kerr.UnknownTopicID.Code:
		f.delay(min(newsDelay, f.p.m.cfg.FetchBackoff))
	default: // it does not lead any more, or its disk failed
		f.delay(f.p.m.cfg.FetchBackoff)
	}
}

// onAnswer takes what the leader answered to the fetch at sent.
func (f *following) onAnswer(a *kmsg.FetchResponseTopicPartition, frame *network.Frame) {
	p := f.p
	if !f.isReady() || f.sent != f.position() {
		f.changed()
		return // truncated, re-elected or delayed meanwhile
	}
	switch {
	case a.ErrorCode != 0:
		f.onError(a.ErrorCode)
	case a.DivergingEpoch.EndOffset >= 0 && a.DivergingEpoch.Epoch >= 0:
		f.truncate(wire.EpochEnd{Epoch: a.DivergingEpoch.Epoch, EndOffset: a.DivergingEpoch.EndOffset}, a.LogStartOffset)
	default:
		if p.m.env.Buggify.Fires(buggify.FollowerHWLate) {
			f.fetcher.session.restart() // whose answer tells it again
		} else {
			f.leaderHW = a.HighWatermark
		}
		if len(a.RecordBatches) > 0 {
			f.append(upToEpoch(a.RecordBatches, p.leaderEpoch), frame)
		}
		f.onProgress(a.LogStartOffset)
	}
}

// upToEpoch cuts off the batches of a later epoch than the fetch was made in: the leader may have been ousted, have truncated and
// have taken other records while it answered, and then those at the offsets before are not the ones we have (KAFKA-18723).
func upToEpoch(batches []byte, epoch int32) []byte {
	for rest := batches; len(rest) > 0; {
		b, next, err := record.Parse(rest)
		if err != nil {
			return batches // the log judges
		}
		if b.LeaderEpoch() > epoch {
			return batches[:len(batches)-len(rest)]
		}
		rest = next
	}
	return batches
}

func (f *following) append(batches []byte, frame *network.Frame) {
	if len(batches) == 0 {
		f.changed()
		return
	}
	a := f.p.m.newFollowerAppend(f)
	a.fetcher.writing++
	if _, err := f.p.log.AppendAsFollower(batches, frame, a.onWritten); err != nil {
		a.fetcher.writing--
		a.free()
		f.delay(f.p.m.cfg.FetchBackoff) // not a continuation of our log: the leader is to be asked again
	}
}

// onProgress takes what the leader says is committed, as far as we have it, and its log start.
//
// It is never taken back: what was committed stays so. A new leader may know less of it than we do.
func (f *following) onProgress(leaderLogStart int64) {
	p := f.p
	if hw := min(f.leaderHW, p.log.LogEndOffset()); hw > p.log.HighWatermark() {
		p.log.SetHighWatermark(hw)
		p.emit(event.HighWatermark, -1, hw, "")
		p.consumerFetches.wake(hw, p.log.LastStableOffset())
	}
	if start := min(leaderLogStart, p.log.HighWatermark()); start > p.log.LogStartOffset() {
		p.log.AdvanceLogStart(start)
		f.changed()
	}
}

// truncate cuts off what the leader does not have, as far as one answer tells; the next fetch finds out the rest (KIP-279).
//
// A leader that has forgotten the epoch says that it ended where its log starts. Where it really ended nobody knows: of ours, what
// comes before the log start may be other records, and other producers' sequences, than the leader's were. So all goes.
func (f *following) truncate(leader wire.EpochEnd, leaderLogStart int64) {
	p := f.p
	p.emit(event.Diverged, p.leaderID, leader.EndOffset, "")
	if leaderLogStart > 0 && leader.EndOffset <= leaderLogStart {
		f.startAt(leaderLogStart)
		return
	}
	own, ownEnd := p.log.EndOffsetForEpoch(leader.Epoch)
	f.truncateTo(truncationOffset(leader, wire.EpochEnd{Epoch: own, EndOffset: ownEnd}, p.log.LogEndOffset()))
}

// truncationOffset is where to cut a log that ends at leo. leader is the leader's largest epoch not above our last
// one, and where it ends; own is our largest epoch not above that, and where it ends.
//
// If own is that epoch, the logs agree up to the lesser end. If own is smaller, we have nothing of the leader's epoch: all
// after own goes, and own's end at the leader is for the next round to ask (KIP-279: one round is not enough after two
// fast elections). If we have no epoch that old, the leader's end is all there is to go by.
func truncationOffset(leader, own wire.EpochEnd, leo int64) int64 {
	switch {
	case own.Epoch < 0:
		return min(leader.EndOffset, leo)
	case own.Epoch != leader.Epoch:
		return min(own.EndOffset, leo)
	}
	return min(own.EndOffset, leader.EndOffset, leo)
}

func (f *following) truncateTo(offset int64) {
	f.p.log.TruncateTo(offset, f.truncated())
	f.changed()
}

// startAt drops the whole log and goes on at offset. The high watermark goes there too (KAFKA-9491): left behind, it would be
// below the log start of what may be the next leader.
func (f *following) startAt(offset int64) {
	f.p.log.TruncateFullyAndStartAt(offset, f.truncated())
	f.p.log.SetHighWatermark(offset)
	f.changed()
}

// truncated is called when a truncation ends, which need not be waited for: the log's ends have moved already, and its disk operations
// keep their order.
func (f *following) truncated() func(error) {
	log := f.p.log
	return func(err error) { f.p.onLogError(log, err) }
}
