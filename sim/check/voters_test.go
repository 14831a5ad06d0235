package check

import (
	"encoding/binary"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

// voterBatch is a batch of one KRaftVoters record (type 6) of voters without endpoints.
func voterBatch(epoch int32, offset int64, ids ...int32) []byte {
	value := []byte{0, 0, byte(len(ids) + 1)}
	for _, id := range ids {
		value = binary.BigEndian.AppendUint32(value, uint32(id))
		value = append(value, make([]byte, 16)...) // directory
		value = append(value, 1, 0, 0, 0, 1, 0, 0) // no endpoints, kraft.version 0 to 1, tags
	}
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: offset, LeaderEpoch: epoch, ProducerID: record.NoProducerID, Control: true, BaseTimestamp: 1})
	b.Append(1, []byte{0, 0, 0, 6}, append(value, 0))
	return b.Build()
}

func (f *fake) counts(id int32, offset int64, note string) {
	f.emit(id, event.Event{Kind: event.RaftVoters, Partition: meta, Offset: offset, Note: note})
}

// changingQuorum is quorumOf, where the voters are formatted and 1 has committed in epoch 1.
func changingQuorum(t *testing.T) *fake {
	f := quorumOf(t)
	for _, id := range f.Nodes() {
		f.counts(id, -1, "1,2,3")
	}
	f.silent()
	return f
}

func TestVotersThatChangeOneAtATimeAreSilent(t *testing.T) {
	f := changingQuorum(t)
	f.metadata(write(1, 1, "b"), 3)
	for step, ids := range [][]int32{{1, 2}, {1, 2, 3}, {2, 3}} {
		offset := int64(2 + step)
		f.metadata(voterBatch(1, offset, ids...), 1, 2, 3)
		f.raftCommit(offset+1, 1, 2, 3)
	}
	f.counts(1, 4, "2,3")
	f.voters = []int32{2, 3}
	f.raft(1, "resigned", 1)
	f.silent()
}

// Of two voters one is not the majority that it is of three.
func TestMajorityIsThatOfTheVotersInTheLog(t *testing.T) {
	f := changingQuorum(t)
	f.metadata(voterBatch(1, 2, 2, 3), 1, 2)
	f.raftCommit(3, 1)
	f.fires("I10", "P4", "which only 1 of 2 voters have")
}

func TestTruncatedVotersDoNotCount(t *testing.T) {
	f := changingQuorum(t)
	f.metadata(voterBatch(1, 2, 2, 3), 1)
	f.emit(1, event.Event{Kind: event.RaftTruncated, Partition: meta, Epoch: 2, Offset: 2})
	f.emit(1, event.Event{Kind: event.Truncated, Partition: meta, Offset: 2})
	f.voters = []int32{2, 3}
	f.raft(1, "follower", 2)
	f.fires("I10", "P4", "node 1 counts the voters [2 3], its log has [1 2 3] at -1")
}

func TestChangesOfVotersFire(t *testing.T) {
	for _, c := range []struct {
		name, words string
		do          func(f *fake)
	}{
		{"two at once", "changes the voters from [1 2 3] to [1] at once", func(f *fake) {
			f.metadata(voterBatch(1, 2, 1), 1)
		}},
		{"before the one before", "changes the voters from [1 2] to [1 2 3] before the change at 2 is committed", func(f *fake) {
			f.metadata(voterBatch(1, 2, 1, 2), 1)
			f.metadata(voterBatch(1, 3, 1, 2, 3), 1)
		}},
		{"before the epoch commits", "changes the voters from [1 2 3] to [1 2] before a record of its epoch 2 is committed", func(f *fake) {
			f.raft(2, "leader", 2)
			f.metadata(voterBatch(2, 2, 1, 2), 2)
		}},
		{"others than the log's", "node 2 counts the voters [1 2], its log has [1 2 3] at -1", func(f *fake) {
			f.counts(2, -1, "1,2")
		}},
		{"of a record that is not there", "node 2 counts the voters [1 2] of 7, its log has [1 2 3] at -1", func(f *fake) {
			f.counts(2, 7, "1,2")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := changingQuorum(t)
			c.do(f)
			f.fires("I10", "P4", c.words)
		})
	}
}

func TestVotersOfASnapshotAreSilent(t *testing.T) {
	f := changingQuorum(t)
	f.disks[3]["__cluster_metadata-0/00000000000000000008-0000000001.checkpoint"] = []byte{1}
	f.counts(3, 7, "1,2")
	f.silent()
}
