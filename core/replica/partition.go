package replica

import (
	"errors"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Partition is a hosted partition. It leads (lead != nil), follows, or waits: for its log to be opened, or for a leader.
type Partition struct {
	m       *Manager
	id      event.Partition
	topicID [16]byte
	log     *storage.Log // nil until opened
	removed bool         // no longer hosted; callbacks may still come
	offline bool         // its log directory failed
	isNew   bool         // it has no log yet, in no directory but perhaps one that failed since the start

	reg            *metadata.Partition // the newest registration accepted; taken on once the log is open
	leaderID       int32               // taken on; -1: none
	leaderEpoch    int32               // Invariant: never goes back
	partitionEpoch int32               // Invariant: never goes back
	minISR         int                 // effective
	seenLEO        int64               // the log end offset that the leader has acted upon

	lead    *leader // nil: not leading
	watcher Watcher // nil: nobody's business
	follow  following

	produces        produceList    // wait for the high watermark
	consumerFetches fetchList      // wait for the high watermark
	followerFetches fetchList      // wait for the log end offset
	preparing       []*preparation // wait to be appended, in order
	held            bool           // all batches wait but this broker's own
	holds           int            // how often they had to
	move            *move          // to another log directory; nil: none
	deletions       []*deletion    // wait for the replicas' log starts

	event        event.Event // the latest
	onOwnWritten func(error) // bound at its first use
}

func newPartition(m *Manager, id event.Partition, topicID [16]byte) *Partition {
	p := &Partition{m: m, id: id, topicID: topicID, leaderID: -1, leaderEpoch: -1, partitionEpoch: -1, minISR: 1, watcher: m.watchers[id.Topic]}
	p.follow.init(p)
	return p
}

// ID names the partition.
func (p *Partition) ID() event.Partition { return p.id }

// TopicID is the incarnation of the topic that this is a partition of.
func (p *Partition) TopicID() [16]byte { return p.topicID }

// IsLeader reports whether this broker leads the partition and its log is ready.
func (p *Partition) IsLeader() bool { return p.lead != nil }

// Leader is the leader's id as far as this replica took it on; -1 if none.
func (p *Partition) Leader() int32 { return p.leaderID }

// LeaderEpoch is the leader epoch that this replica took on; -1 before the first.
func (p *Partition) LeaderEpoch() int32 { return p.leaderEpoch }

// PartitionEpoch is the newest partition epoch known, from metadata or from AlterPartition.
func (p *Partition) PartitionEpoch() int32 { return p.partitionEpoch }

// Replicas is the assignment, preferred leader first.
func (p *Partition) Replicas() []int32 {
	if p.reg == nil {
		return nil
	}
	return p.reg.Replicas
}

// ISR is the committed ISR as the leader knows it, sorted; nil unless leading.
func (p *Partition) ISR() []int32 {
	if p.lead == nil {
		return nil
	}
	return p.lead.isr.committed
}

// MaximalISR is what the high watermark waits for: the ISR with a pending addition; nil unless leading.
func (p *Partition) MaximalISR() []int32 {
	if p.lead == nil {
		return nil
	}
	return p.lead.isr.maximal()
}

// Log is nil until it is open.
func (p *Partition) Log() *storage.Log { return p.log }

// FutureLog is the copy that is being made in another log directory; nil if there is none.
func (p *Partition) FutureLog() *storage.Log {
	if p.move == nil {
		return nil
	}
	return p.move.future
}

// HighWatermark is -1 until the log is open.
func (p *Partition) HighWatermark() int64 {
	if p.log == nil {
		return unknownOffset
	}
	return p.log.HighWatermark()
}

// RemoteLEO is the log end offset of another replica as its fetches tell the leader; -1 if unknown.
func (p *Partition) RemoteLEO(id int32) int64 {
	if p.lead == nil {
		return unknownOffset
	}
	if f := p.lead.follower(id); f != nil {
		return f.logEndOffset
	}
	return unknownOffset
}

// MinISR is min.insync.replicas, at most the replication factor.
func (p *Partition) MinISR() int { return p.minISR }

// IsUnderMinISR reports whether the committed ISR is smaller than MinISR; false unless leading.
func (p *Partition) IsUnderMinISR() bool {
	return p.lead != nil && len(p.lead.isr.committed) < p.minISR
}

func (p *Partition) isOnline() bool { return p.log != nil && !p.offline && !p.removed }

func (p *Partition) currentLeader() wire.Leader {
	if p.removed {
		return p.m.leaderOf(p.id)
	}
	return wire.Leader{ID: p.leaderID, Epoch: p.leaderEpoch}
}

// apply takes a registration from the image. It is taken on at once, or when the log is open.
func (p *Partition) apply(reg *metadata.Partition) {
	if reg.LeaderEpoch < p.leaderEpoch || reg.PartitionEpoch < p.partitionEpoch {
		return // we are ahead: an AlterPartition response told us more than this image knows
	}
	p.reg = reg
	p.refreshMinISR()
	if p.isOnline() {
		p.takeOn()
	}
	p.m.assign.submit(p)
	if p.move != nil {
		p.move.poke()
	}
}

func (p *Partition) refreshMinISR() {
	minISR := p.m.cfg.DefaultMinISR
	if f := p.m.cfg.TopicMinISR; f != nil {
		if n := f(p.id.Topic); n > 0 {
			minISR = n
		}
	}
	p.minISR = effectiveMinISR(minISR, len(p.reg.Replicas))
}

// onConfigChanged re-reads the topic's configuration. A lower min.insync.replicas may let the high watermark go on.
func (p *Partition) onConfigChanged() {
	if p.reg != nil {
		p.refreshMinISR()
	}
	if p.isOnline() {
		p.log.SetConfig(p.m.cfg.LogConfig(p.id))
	}
	if p.lead != nil {
		p.maybeAdvanceHighWatermark()
	}
}

// onLogOpen gets the log from storage: new, or from before a restart with the high watermark that was checkpointed. One from
// before a restart was opened without knowing the topic's configuration, which only the image has.
func (p *Partition) onLogOpen(l *storage.Log) {
	p.log = l
	l.OnFailure(func(err error) { p.m.onFailure(l.LogDir(), err) })
	l.SetConfig(p.m.cfg.LogConfig(p.id))
	if p.reg != nil {
		p.takeOn()
		p.m.assign.submit(p)
	}
	p.resumeMove()
}

// takeOn becomes what the registration says.
func (p *Partition) takeOn() {
	reg := p.reg
	newEpoch := reg.LeaderEpoch > p.leaderEpoch
	switch {
	case reg.Leader == p.m.cfg.NodeID && (newEpoch || p.lead == nil):
		p.becomeLeader(reg)
	case reg.Leader == p.m.cfg.NodeID:
		p.updateISR(reg)
	case newEpoch || p.lead != nil || reg.Leader != p.leaderID:
		p.becomeFollower(reg)
	default:
		p.partitionEpoch = reg.PartitionEpoch // the fetchers go on: only the ISR or the assignment changed
	}
}

// remove ends everything that goes on; the manager deletes the log.
func (p *Partition) remove() {
	p.removed = true
	p.resign()
}

// resign stops leading and following and answers what waits.
func (p *Partition) resign() {
	p.tellResigned()
	p.lead = nil
	p.m.unfollow(p)
	if p.move != nil {
		p.move.end()
	}
	p.failWaiting(p.refusal())
}

func (p *Partition) onOffline() {
	p.offline = true
	p.resign()
	p.m.assign.submit(p)
}

// refusal is why this replica does not serve as leader now.
func (p *Partition) refusal() error {
	switch {
	case p.offline:
		return kerr.KafkaStorageError
	case p.removed:
		return p.m.notHosted(p.id) // deleted, or moved to other brokers
	}
	return kerr.NotLeaderForPartition
}

// failWaiting answers every produce that waits with err, also for its batch to be prepared, and has every waiting fetch look again.
func (p *Partition) failWaiting(err error) {
	for _, x := range p.preparing {
		x.w.settle(err)
	}
	for w := p.produces.first; w != nil; w = p.produces.first {
		w.settle(err)
	}
	p.failDeletions(err)
	p.consumerFetches.wakeAll()
	p.followerFetches.wakeAll()
}

// noEpoch is the leader epoch of who does not say which it knows.
const noEpoch = -1

// serving checks that this replica may answer as leader for a client or follower that knows epoch, or noEpoch.
//
// Who lags behind us must not be answered (KIP-320): a fetch sent in the old epoch, delivered late, would move the high
// watermark by an offset that means other records now (KAFKA-7395). Who is ahead of us knows a leader that we do not.
func (p *Partition) serving(epoch int32) error {
	switch {
	case p.offline:
		return kerr.KafkaStorageError
	case epoch != noEpoch && epoch < p.leaderEpoch:
		return kerr.FencedLeaderEpoch
	case epoch > p.leaderEpoch:
		return kerr.UnknownLeaderEpoch
	case p.lead == nil:
		return kerr.NotLeaderForPartition
	}
	return nil
}

func (p *Partition) emit(kind event.Kind, peer int32, offset int64, note string) {
	e := &p.event
	e.Kind, e.Partition, e.TopicID, e.Peer, e.Epoch, e.Offset, e.Note = kind, p.id, p.topicID, peer, p.leaderEpoch, offset, note
	p.m.env.Event.Emit(e)
}

// onLogError takes the error of a change of the log. One that is removed, or that another takes the place of, ends what is under way with
// an error that says nothing of the disk.
func (p *Partition) onLogError(log *storage.Log, err error) {
	if err != nil && !p.removed && p.log == log && !errors.Is(err, storage.ErrTruncated) {
		p.m.onFailure(log.LogDir(), err)
	}
}

func contains(sortedIDs []int32, id int32) bool {
	_, found := slices.BinarySearch(sortedIDs, id)
	return found
}
