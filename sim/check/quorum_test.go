package check

import (
	"fmt"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
)

var meta = event.MetadataPartition

// quorumOf is leader 1 of epoch 1 with two committed records on all voters.
func quorumOf(t *testing.T) *fake {
	f := newFake(t, safe)
	f.votes = true
	for _, id := range f.Nodes() {
		f.logs[id][meta] = &fakeLog{}
		f.emit(id, event.Event{Kind: event.Recovered, Partition: meta, Epoch: -1})
	}
	f.raft(1, "leader", 1)
	f.metadata(write(1, 0, "a"), 1, 2, 3)
	f.metadata(write(1, 1, "b"), 1, 2)
	f.raftCommit(2, 1, 2)
	f.silent()
	return f
}

func (f *fake) raft(id int32, state string, epoch int32) {
	if state == "leader" && f.votes {
		f.vote(id, epoch, f.Nodes()...)
	}
	f.emit(id, event.Event{Kind: event.RaftBecame, Partition: meta, Peer: id, Epoch: epoch, Note: state})
}

// vote puts votes on disks.
func (f *fake) vote(id, epoch int32, voters ...int32) {
	for _, voter := range voters {
		f.disks[voter]["__cluster_metadata-0/quorum-state"] = fmt.Appendf(nil, `{"leaderId":-1,"leaderEpoch":%d,"votedId":%d,"data_version":0}`, epoch, id)
	}
}

func (f *fake) metadata(b []byte, nodes ...int32) {
	for _, id := range nodes {
		f.appendTo(id, meta, b)
	}
}

func (f *fake) raftCommit(hw int64, nodes ...int32) {
	for _, id := range nodes {
		f.logs[id][meta].hw = hw
		f.emit(id, event.Event{Kind: event.RaftHighWatermark, Partition: meta, Epoch: 1, Offset: hw})
	}
}

func TestQuorumIsSilent(t *testing.T) {
	f := quorumOf(t)
	f.raft(2, "leader", 2)
	f.metadata(write(2, 2, "c"), 2)
	f.metadata(write(1, 1, "b"), 3)
	f.metadata(write(2, 2, "c"), 3)
	f.raftCommit(3, 2, 3)
	f.silent()
}

func TestQuorumViolationsFire(t *testing.T) {
	for _, c := range []struct {
		name, words string
		do          func(f *fake)
	}{
		{"two leaders", "two leaders in epoch 1, nodes 1 and 3", func(f *fake) { f.raft(3, "leader", 1) }},
		{"two votes", "voted for both 1 and 2 in epoch 4", func(f *fake) { // M31
			f.emit(3, event.Event{Kind: event.RaftVoted, Partition: meta, Peer: 1, Epoch: 4})
			f.s.Crashed(3, true, f.now)
			f.s.Restarted(3, f.now)
			f.emit(3, event.Event{Kind: event.RaftVoted, Partition: meta, Peer: 2, Epoch: 4})
		}},
		{"leader without the committed", "record __cluster_metadata-0@1 (committed in epoch 1) is gone from leader 3's log", func(f *fake) {
			f.raft(3, "leader", 2)
		}},
		{"truncation of the committed", "truncates the metadata log to 1, below the committed 2", func(f *fake) { // M26
			f.emit(2, event.Event{Kind: event.RaftTruncated, Partition: meta, Epoch: 2, Offset: 1})
		}},
		{"truncation below its own high watermark", "truncates the metadata log to 1, below the committed 2", func(f *fake) {
			f.emit(2, event.Event{Kind: event.RaftTruncated, Partition: meta, Epoch: 0, Offset: 1})
		}},
		{"no majority", "which only 1 of 3 voters have", func(f *fake) {
			f.metadata(write(1, 2, "c"), 1)
			f.raftCommit(3, 1)
		}},
		{"unsynced majority", "which only 1 of 3 voters have synced", func(f *fake) {
			f.metadata(write(1, 2, "c"), 1, 2)
			f.synced[1] = map[string][]byte{} // it is in the page cache
			f.raftCommit(3, 1)
		}},
		{"follower ahead", "beyond all leaders' 2", func(f *fake) {
			f.metadata(write(1, 2, "c"), 1, 2)
			f.raftCommit(3, 2)
		}},
		{"same epoch resumed", "is not the same on broker 1", func(f *fake) { // M25
			f.metadata(write(1, 2, "c"), 1)
			f.emit(1, event.Event{Kind: event.Truncated, Partition: meta, Offset: 2})
			f.metadata(write(1, 2, "d"), 1)
		}},
		{"vote that is not synced", "node 2 leads the quorum in epoch 2, but only 1 of 3 voters have synced their votes", func(f *fake) { // M31
			f.votes = false
			f.vote(2, 2, 2, 3)
			f.synced[3] = map[string][]byte{} // it is in the page cache
			f.raft(2, "leader", 2)
		}},
		{"start without a snapshot", "no snapshot reaches there", func(f *fake) { // M28
			f.logs[1][meta].start = 2
			f.emit(1, event.Event{Kind: event.LogStartMoved, Partition: meta, Offset: 2})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := quorumOf(t)
			c.do(f)
			f.fires("I10", "P4", c.words)
		})
	}
}

func TestANodeThatHasNotHeardOfAnEpochMayTruncateWhatIsCommittedInIt(t *testing.T) {
	f := quorumOf(t)
	f.metadata(write(1, 1, "b"), 3)
	f.metadata(write(1, 2, "c"), 1, 2, 3)
	f.raft(1, "leader", 3)
	f.metadata(write(3, 3, "d"), 1, 3)
	f.raftCommit(4, 1, 3)
	f.emit(2, event.Event{Kind: event.RaftTruncated, Partition: meta, Epoch: 2, Offset: 2})
	f.silent()
}

func TestVoterOfANewerEpochMayHaveForgottenItsVote(t *testing.T) {
	f := quorumOf(t)
	f.votes = false
	f.vote(2, 2, 2)
	f.vote(1, 3, 3)
	f.raft(2, "leader", 2)
	f.silent()
}

func TestMetadataAppliedBeforeItIsCommittedFires(t *testing.T) { // K06
	f := quorumOf(t)
	f.emit(2, event.Event{Kind: event.MetadataApplied, Offset: 2, Len: 7})
	f.silent()
	f.metadata(write(1, 2, "c"), 1)
	f.emit(1, event.Event{Kind: event.MetadataApplied, Offset: 3, Len: 8})
	f.fires("I15", "P4", "node 1 applied the metadata below 3, of which only what is below 2 is committed")
}

func TestLogStartAtASnapshotIsSilent(t *testing.T) {
	f := quorumOf(t)
	f.disks[1]["__cluster_metadata-0/00000000000000000002-0000000001.checkpoint"] = []byte{1}
	f.logs[1][meta].start, f.logs[1][meta].epochs = 2, []storage.EpochEntry{{Epoch: 1, Start: 2}}
	f.emit(1, event.Event{Kind: event.LogStartMoved, Partition: meta, Offset: 2})
	f.silent()
}

func TestInstalledSnapshotReplacesADivergentLog(t *testing.T) {
	for _, end := range []int64{3, 4, 9} { // within the log, at its end, beyond it
		f := quorumOf(t)
		f.metadata(write(1, 1, "b"), 3)
		f.metadata(write(1, 2, "never committed"), 1)
		f.metadata(write(1, 3, "never committed"), 1)
		f.raft(2, "leader", 2)
		for offset := int64(2); offset < end; offset++ {
			f.metadata(write(2, offset, "c"), 2, 3)
		}
		f.raftCommit(end, 2, 3)
		f.raft(1, "follower", 2)
		f.disks[1]["__cluster_metadata-0/00000000000000000009-0000000002.checkpoint"] = []byte{1}
		delete(f.disks[1], "__cluster_metadata-0/00000000000000000000.log")
		*f.logs[1][meta] = fakeLog{start: end, hw: end, end: end}
		f.emit(1, event.Event{Kind: event.Truncated, Partition: meta, Offset: end})
		f.emit(1, event.Event{Kind: event.LogStartMoved, Partition: meta, Offset: end, Note: "emptied"})
		f.raftCommit(end, 1)
		f.metadata(write(2, end, "d"), 2, 1)
		f.raftCommit(end+1, 2, 1)
		f.silent()
	}
}
