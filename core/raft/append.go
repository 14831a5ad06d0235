package raft

import (
	"errors"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataLog is what a node needs of its *storage.Log.
type metadataLog interface {
	AppendAsLeader(b record.Batch, epoch int32, frame *network.Frame, done func(error)) (storage.AppendInfo, error)
	AppendAsFollower(batches []byte, frame *network.Frame, done func(error)) (storage.AppendInfo, error)
	LogStartOffset() int64
	LogEndOffset() int64 // written
	NextOffset() int64   // assigned
	SetHighWatermark(hw int64)
	EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64)
	EpochAt(offset int64) int32
	LatestEpoch() int32
	AssignEpoch(epoch int32, start int64)
	TruncateTo(offset int64, done func(error))
	TruncateFullyAndStartAt(offset int64, done func(error))
	AdvanceLogStart(offset int64)
	DeleteOldSegments(done func(error))
	Read(r storage.ReadRequest, done func(storage.Slice, error)) (storage.Slice, error)
	Flush(done func(error))
	Size() int64
	Close(done func(error))
}

var _ metadataLog = (*storage.Log)(nil)

// Append writes records as one batch, which commits whole or not at all, and returns the offset
// after it. They are committed when the listener gets them. kerr.NotController unless this node
// leads the epoch and its LeaderChange record has committed.
func (n *Node) Append(epoch int32, records [][]byte) (next int64, err error) {
	s, ok := n.state.(*leader)
	if !ok || n.gone || n.election.epoch != epoch || s.hw < 0 {
		return 0, kerr.NotController
	}
	now := n.env.Loop.UnixMilli()
	b := record.NewBuilder(nil, record.BatchOptions{LeaderEpoch: epoch, ProducerID: record.NoProducerID, BaseTimestamp: now})
	for _, r := range records {
		b.Append(now, nil, r)
	}
	return n.appendBatch(b.Build())
}

// appendControls gives a batch of control records to the log; what they say of the voters counts at once.
func (n *Node) appendControls(records ...controlRecord) (offset int64, err error) {
	b := controlBatch(n.log.NextOffset(), n.election.epoch, n.env.Loop.UnixMilli(), records...)
	f, err := findControls(b, n.cfg.ListenerName)
	if err != nil {
		return 0, err
	}
	offset = b.BaseOffset()
	if _, err := n.appendBatch(b); err != nil {
		return 0, err
	}
	n.foundControls(f)
	return offset, nil
}

// appendBatch gives a batch of the leader to the log.
func (n *Node) appendBatch(b record.Batch) (next int64, err error) {
	info, err := n.log.AppendAsLeader(b, n.election.epoch, nil, n.onAppended)
	return info.NextOffset, err
}

// onAppended runs when bytes of a leader or follower append are written.
func (n *Node) onAppended(err error) {
	n.step(func() {
		if n.isLogError(err) {
			n.fail(err)
			return
		}
		n.onWritten()
	})
}

// isLogError tells a failure from an append that a truncation took away.
func (n *Node) isLogError(err error) bool { return err != nil && !errors.Is(err, storage.ErrTruncated) }

// onWritten runs when the log's end may have moved.
func (n *Node) onWritten() {
	if s, ok := n.state.(*leader); ok {
		s.purgatory.onAppend(n.log.LogEndOffset())
	}
	n.followHighWatermark()
	if n.mustSync() {
		n.sync()
	}
	n.fetcher.proceed()
}

// mustSync reports whether others count on what this node has: they may do so before it knows that it is a voter.
func (n *Node) mustSync() bool { return n.isVoter || n.cfg.CanBecomeVoter }

// sync makes all that is written durable; one flush at a time carries what came meanwhile.
func (n *Node) sync() {
	end := n.log.LogEndOffset()
	if n.syncing || n.synced >= end {
		return
	}
	n.syncing = true
	truncations := n.fetcher.truncations
	n.log.Flush(func(err error) {
		n.step(func() {
			n.syncing = false
			if err != nil {
				n.fail(err)
				return
			}
			if truncations == n.fetcher.truncations { // else what was synced may be gone
				n.synced = max(n.synced, end)
			}
			n.onSynced()
		})
	})
}

// onSynced runs when this node can promise more than before.
func (n *Node) onSynced() {
	if s, ok := n.state.(*leader); ok {
		s.maybeAdvanceHighWatermark()
	}
	n.sync()
	n.fetcher.proceed()
}

// epochBefore is the epoch of the record before offset, -1 if there is none. At the end of a
// snapshot the log may hold no record any more; the snapshot's name has the epoch.
func (n *Node) epochBefore(offset int64) int32 {
	if s := n.snapshots.latest; s.EndOffset == offset && offset > 0 {
		return s.Epoch
	}
	if offset <= n.log.LogStartOffset() {
		return none
	}
	return n.log.EpochAt(offset - 1)
}

// leaderChange is the first record of an epoch: it names the leader and who voted for it, and
// as the epoch's first commit it commits all before it.
func (n *Node) leaderChange(granting []int32) controlRecord {
	m := kmsg.NewLeaderChangeMessage()
	m.LeaderID = n.cfg.NodeID
	for _, v := range n.voters {
		m.Voters = append(m.Voters, leaderChangeVoter(v.ID))
	}
	for _, id := range granting {
		m.GrantingVoters = append(m.GrantingVoters, leaderChangeVoter(id))
	}
	return controlRecord{controlLeaderChange, m.AppendTo(nil)}
}

func leaderChangeVoter(id int32) kmsg.LeaderChangeMessageVoter {
	v := kmsg.NewLeaderChangeMessageVoter()
	v.VoterID = id
	return v
}
