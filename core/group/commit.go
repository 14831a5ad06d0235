package group

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CommitOffsets stores how far a group has read (key 8), for partitions that exist: topics have both their name and, if it is known, their id. An error
// is for all partitions; else resp has an answer for each.
func (c *Coordinator) CommitOffsets(req *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse, error)) {
	m, err := c.machineOf(req.Group)
	if err != nil {
		done(nil, err)
		return
	}
	m.commitOffsets(req, done)
}

func (m *machine) commitOffsets(req *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse, error)) {
	by := committer{memberID: req.MemberID, instanceID: req.InstanceID, generation: req.Generation, version: req.Version}
	if err := m.checkCommit(req.Group, by); err != nil {
		done(nil, err)
		return
	}
	b := m.newCommit(req.Group, by)
	if req.RetentionTimeMillis >= 0 && req.Version >= 2 && req.Version <= 4 {
		b.expiresAt = config.Later(b.now, req.RetentionTimeMillis)
	}
	resp := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		told := kmsg.NewOffsetCommitResponseTopic()
		told.Topic, told.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewOffsetCommitResponseTopicPartition()
			part.Partition = p.Partition
			part.ErrorCode = codeOf(b.add(offsetKey{t.Topic, p.Partition}, t.TopicID, p.Offset, p.LeaderEpoch, p.Metadata))
			told.Partitions = append(told.Partitions, part)
		}
		resp.Topics = append(resp.Topics, told)
	}
	err := m.log.Append(b.records, func(err error) { done(resp, appendError(err)) })
	if err != nil {
		done(nil, appendError(err))
	}
}

// checkCommit is why a commit is refused, or nil. Somebody who manages partitions by itself, and says no generation, makes the group.
func (m *machine) checkCommit(id string, by committer) error {
	g := m.groups[id]
	switch {
	case g != nil:
		return g.members.checkCommit(by)
	case by.generation < 0:
		return nil
	case by.version >= 9 && !by.transactional:
		return kerr.GroupIDNotFound
	}
	return kerr.IllegalGeneration
}

// commit gathers the records of one.
type commit struct {
	group     string
	by        committer
	members   members // nil: there is no group yet
	now       int64
	expiresAt int64 // -1: as the broker's retention says
	maxBytes  int   // of metadata
	records   []coordinator.Record
}

func (m *machine) newCommit(group string, by committer) *commit {
	b := &commit{group: group, by: by, now: m.now(), expiresAt: -1, maxBytes: m.coordinator.cfg.OffsetMetadataMaxBytes}
	if g := m.groups[group]; g != nil {
		b.members = g.members
	}
	return b
}

func (b *commit) add(at offsetKey, topicID [16]byte, next int64, leaderEpoch int32, metadata *string) error {
	if b.members != nil {
		if err := b.members.checkCommitOf(b.by, topicPartition{topicID, at.partition}); err != nil {
			return err
		}
	}
	o := &offset{offset: next, leaderEpoch: max(leaderEpoch, -1), committedAt: b.now, expiresAt: b.expiresAt, topicID: topicID}
	if metadata != nil {
		o.metadata = *metadata
	}
	if lengthInJava(o.metadata) > b.maxBytes {
		return kerr.OffsetMetadataTooLarge
	}
	b.records = append(b.records, offsetRecord(b.group, at, o))
	return nil
}

// lengthInJava counts UTF-16 code units, as Kafka does for a limit in bytes.
func lengthInJava(s string) (n int) {
	for _, r := range s {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

// checkCommit implements members.
func (c *classic) checkCommit(by committer) error {
	if by.generation < 0 && c.state == empty {
		return nil
	}
	if by.generation >= 0 || by.memberID != "" || by.instanceID != nil {
		if err := c.check(by.memberID, by.instanceID); err != nil {
			return err
		}
		if by.generation != c.generation {
			return kerr.IllegalGeneration
		}
	} else if !by.transactional {
		return kerr.UnknownMemberID
	}
	if by.transactional {
		return nil // the state does not matter: the transaction would have to be aborted
	}
	if c.state == completingRebalance {
		return kerr.RebalanceInProgress
	}
	c.heard(c.byID[by.memberID])
	return nil
}

// checkCommitOf implements members: a generation has one answer for all partitions.
func (c *classic) checkCommitOf(committer, topicPartition) error { return nil }

// CommitTransactional stores how far a group has read as a part of a producer's transaction (key 28), which the caller has verified: it does
// not count until Machine.ReplayMarker commits it, and who wants stable offsets gets UNSTABLE_OFFSET_COMMIT till then. Topics and answers are as
// for CommitOffsets. The log checks the producer's epoch, and guard.
func (c *Coordinator) CommitTransactional(req *kmsg.TxnOffsetCommitRequest, guard storage.Guard, done func(*kmsg.TxnOffsetCommitResponse, error)) {
	m, err := c.machineOf(req.Group)
	if req.Group == "" {
		err = kerr.InvalidGroupID
	}
	if err != nil {
		done(nil, err)
		return
	}
	m.commitTransactional(req, guard, done)
}

func (m *machine) commitTransactional(req *kmsg.TxnOffsetCommitRequest, guard storage.Guard, done func(*kmsg.TxnOffsetCommitResponse, error)) {
	by := committer{memberID: req.MemberID, instanceID: req.InstanceID, generation: req.Generation, transactional: true, version: req.Version}
	if err := m.checkCommit(req.Group, by); err != nil {
		done(nil, err)
		return
	}
	b := m.newCommit(req.Group, by)
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		told := kmsg.NewTxnOffsetCommitResponseTopic()
		told.Topic, told.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			part.Partition = p.Partition
			part.ErrorCode = codeOf(b.add(offsetKey{t.Topic, p.Partition}, t.TopicID, p.Offset, p.LeaderEpoch, p.Metadata))
			told.Partitions = append(told.Partitions, part)
		}
		resp.Topics = append(resp.Topics, told)
	}
	tx := coordinator.Transaction{ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch, Guard: guard}
	err := m.log.AppendToTransaction(tx, b.records, func(err error) { done(resp, appendError(err)) })
	if err != nil {
		done(nil, appendError(err))
	}
}
