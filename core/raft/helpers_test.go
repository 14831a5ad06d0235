package raft

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func TestMajorityReachedIsWhatAMajorityReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-1, 8), 1, 7).Draw(t, "values")
		best := int64(-1)
		for candidate := int64(-1); candidate <= 8; candidate++ {
			reached := 0
			for _, v := range values {
				if v >= candidate {
					reached++
				}
			}
			if 2*reached > len(values) {
				best = candidate
			}
		}
		if got := majorityReached(slices.Clone(values)); got != best {
			t.Fatalf("majorityReached(%v) = %d, want %d", values, got, best)
		}
	})
}

// newTestLeader leads epoch 3 of three voters, whose LeaderChange record is at 10.
func newTestLeader() *leader {
	w := virtual.New(1)
	n := &Node{env: &env.Env{Loop: w.Node(0), Event: event.Discard}, cfg: Config{NodeID: 0}.withDefaults(), election: electionState{epoch: 3}}
	dead := false
	n.log = newFakeLog(w.Node(0), &platter{}, &dead)
	s := &leader{n: n, hw: -1, epochStart: 10}
	s.purgatory.n = n
	for id := range int32(3) {
		s.voters = append(s.voters, &replica{voterKey: voterKey{id: id}, isVoter: true, end: -1})
	}
	return s
}

func TestNothingCommitsBeforeARecordOfTheEpoch(t *testing.T) {
	s := newTestLeader()
	s.n.synced, s.voters[1].end = 11, 10
	if s.maybeAdvanceHighWatermark() || s.n.hw != 0 {
		t.Fatalf("records of earlier epochs committed by counting: high watermark %d", s.n.hw)
	}
	s.voters[1].end = 11
	if !s.maybeAdvanceHighWatermark() || s.hw != 11 {
		t.Fatalf("high watermark %d, want 11", s.hw)
	}
	s.voters[1].end, s.voters[2].end = 5, 5
	if s.maybeAdvanceHighWatermark() || s.hw != 11 {
		t.Fatalf("the high watermark went back to %d", s.hw)
	}
}

func TestLeaderCountsItselfOnlyWhenSynced(t *testing.T) {
	s := newTestLeader()
	s.n.synced, s.voters[1].end = 9, 12
	if s.maybeAdvanceHighWatermark() {
		t.Fatalf("committed %d with one synced voter of three", s.hw)
	}
}

func TestValidateOffsetAndEpoch(t *testing.T) {
	// Epoch 1: 0-4, epoch 3: 5-9.
	ends := func(epoch int32) (int32, int64) {
		switch {
		case epoch < 1:
			return -1, -1
		case epoch < 3:
			return 1, 5
		default:
			return 3, 10
		}
	}
	base := SnapshotID{4, 1}
	for _, c := range []struct {
		name       string
		offset     int64
		epoch      int32
		start      int64
		want       validity
		divergesAt SnapshotID
	}{
		{"from nothing", 0, 0, 0, valid, SnapshotID{}},
		{"within an epoch", 3, 1, 0, valid, SnapshotID{}},
		{"at an epoch's end", 5, 1, 0, valid, SnapshotID{}},
		{"beyond an epoch's end", 7, 1, 0, diverging, SnapshotID{5, 1}},
		{"in an epoch we never had", 7, 2, 0, diverging, SnapshotID{5, 1}},
		{"beyond our end", 12, 3, 0, diverging, SnapshotID{10, 3}},
		{"in an epoch before all of ours", 2, 0, 0, diverging, SnapshotID{0, 0}},
		{"below the log start", 3, 1, 4, snapshotted, SnapshotID{}},
		{"at the log start", 4, 1, 4, valid, SnapshotID{}},
		{"at the log start in another epoch", 4, 0, 4, snapshotted, SnapshotID{}},
		{"above the log start in an epoch before it", 6, 0, 4, snapshotted, SnapshotID{}},
	} {
		b := SnapshotID{}
		if c.start > 0 {
			b = base
		}
		got, at := validateOffsetAndEpoch(c.offset, c.epoch, c.start, 10, b, base, ends)
		if got != c.want || got == diverging && at != c.divergesAt {
			t.Errorf("%s: %d at %v, want %d at %v", c.name, got, at, c.want, c.divergesAt)
		}
	}
}

func TestTruncationPoint(t *testing.T) {
	ends := func(epoch int32) (int32, int64) {
		switch {
		case epoch < 2:
			return -1, -1
		case epoch < 4:
			return 2, 6
		default:
			return 4, 9
		}
	}
	for _, c := range []struct {
		leader SnapshotID
		want   int64
	}{{SnapshotID{4, 2}, 4}, {SnapshotID{8, 2}, 6}, {SnapshotID{8, 3}, 6}, {SnapshotID{20, 4}, 9}, {SnapshotID{3, 1}, 1}} {
		if got := truncationPoint(c.leader, 1, 9, ends); got != c.want {
			t.Errorf("leader ends at %v: truncate to %d, want %d", c.leader, got, c.want)
		}
	}
}

func TestUpToDateComparesEpochsFirst(t *testing.T) {
	mine := SnapshotID{10, 3}
	for _, c := range []struct {
		candidate SnapshotID
		want      bool
	}{{SnapshotID{10, 3}, true}, {SnapshotID{9, 3}, false}, {SnapshotID{1, 4}, true}, {SnapshotID{99, 2}, false}} {
		if isUpToDate(c.candidate, mine) != c.want {
			t.Errorf("%v against %v: want %v", c.candidate, mine, c.want)
		}
	}
}

func TestElectionBackoffFavoursTheFirstSuccessor(t *testing.T) {
	for _, c := range []struct {
		position, total int
		want            time.Duration
	}{{0, 3, 0}, {1, 3, time.Second / 2}, {2, 3, time.Second}, {3, 3, time.Second}, {0, 0, 0}} {
		if got := electionBackoff(c.position, c.total, time.Second); got != c.want {
			t.Errorf("%d of %d waits %v, want %v", c.position, c.total, got, c.want)
		}
	}
}

func TestRequestsOfAnotherClusterOrEpochAreRefused(t *testing.T) {
	c := newCluster(t, 11, 3, 0)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	other := "other"
	var foreign, old, future, follower *kmsg.FetchResponse
	ask := func(at *proc, epoch int32, cluster *string, into **kmsg.FetchResponse) {
		r := at.raft.fetchRequest().(*kmsg.FetchRequest)
		r.ReplicaState.ID, r.ClusterID, r.MaxWaitMillis = 7, cluster, 0
		r.Topics[0].Partitions[0].CurrentLeaderEpoch, r.Topics[0].Partitions[0].LastFetchedEpoch = epoch, 0
		at.handle(r, func(b kmsg.Response) { *into = b.(*kmsg.FetchResponse) })
	}
	ask(p, p.epoch, &other, &foreign)
	ask(p, p.epoch-1, nil, &old)
	ask(p, p.epoch+1, nil, &future)
	ask(c.machines[(p.m.id+1)%3].proc, p.epoch, nil, &follower)
	c.run(10 * time.Millisecond)
	if foreign.ErrorCode != kerr.InconsistentClusterID.Code {
		t.Errorf("another cluster: %d", foreign.ErrorCode)
	}
	for _, x := range []struct {
		resp *kmsg.FetchResponse
		want *kerr.Error
	}{{old, kerr.FencedLeaderEpoch}, {future, kerr.UnknownLeaderEpoch}, {follower, kerr.NotLeaderForPartition}} {
		q := x.resp.Topics[0].Partitions[0]
		if q.ErrorCode != x.want.Code || q.CurrentLeader.LeaderID != p.m.id || q.CurrentLeader.LeaderEpoch != p.epoch {
			t.Errorf("want %v and the leader, got %+v", x.want, q)
		}
	}
}

func TestDescribeQuorumShowsVotersAndObservers(t *testing.T) {
	c := newCluster(t, 12, 3, 1)
	p := c.awaitLeader()
	c.awaitCaughtUp()
	c.run(2 * time.Second)
	q := kmsg.NewPtrDescribeQuorumRequest()
	qt := kmsg.NewDescribeQuorumRequestTopic()
	qt.Topic, qt.Partitions = metadataTopic, append(qt.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	q.Version, q.Topics = 2, append(q.Topics, qt)
	var resp *kmsg.DescribeQuorumResponse
	p.raft.HandleDescribeQuorum(q, func(r *kmsg.DescribeQuorumResponse) { resp = r })
	c.run(10 * time.Millisecond)
	got := resp.Topics[0].Partitions[0]
	if got.LeaderID != p.m.id || len(got.CurrentVoters) != 3 || len(got.Observers) != 1 || got.HighWatermark != c.end {
		t.Fatalf("%+v", got)
	}
	for _, r := range append(got.CurrentVoters, got.Observers...) {
		if r.LogEndOffset != c.end || r.LastCaughtUpTimestamp <= 0 {
			t.Errorf("replica %d: %+v", r.ReplicaID, r)
		}
	}
}

func TestQuorumStateIsKafkasAndComesBack(t *testing.T) {
	e := electionState{epoch: 4, leader: 2, voted: none}
	b := appendQuorumState(nil, e, quorum{voters: []Voter{{ID: 1}, {ID: 2}}})
	want := `{"clusterId":"","leaderId":2,"leaderEpoch":4,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}`
	if string(b) != want {
		t.Fatalf("%s", b)
	}
	if got, err := parseQuorumState(b); err != nil || got != e {
		t.Fatalf("%+v, %v", got, err)
	}
	v1 := `{"leaderId":-1,"leaderEpoch":2,"votedId":1,"votedDirectoryId":"J8aAPcfLQt2bqs1JT_rMgQ","data_version":1}`
	if got, err := parseQuorumState([]byte(v1)); err != nil || got.voted != 1 || got.votedDir == [16]byte{} {
		t.Fatalf("%+v, %v", got, err)
	}
}

func FuzzParseQuorumState(f *testing.F) {
	f.Add(appendQuorumState(nil, electionState{epoch: 4, leader: 2, voted: 1}, quorum{voters: []Voter{{ID: 1}}}))
	f.Add([]byte(`{"leaderId":-1,"leaderEpoch":2,"votedId":1,"votedDirectoryId":"J8aAPcfLQt2bqs1JT_rMgQ","data_version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseQuorumState(b)
		if err != nil {
			return
		}
		e.votedDir = [16]byte{} // version 0 has none
		if again, err := parseQuorumState(appendQuorumState(nil, e, quorum{})); err != nil || again != e {
			t.Fatalf("%+v became %+v, %v", e, again, err)
		}
	})
}

func TestSnapshotComesBackAndNoCutOneDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 50), 0, 50).Draw(t, "records")
		id := SnapshotID{rapid.Int64Range(1, 1<<40).Draw(t, "offset"), rapid.Int32Range(0, 1<<30).Draw(t, "epoch")}
		b := appendSnapshot(nil, id, controls{}, records, 1)
		got, err := parseSnapshot(b)
		if err != nil || !slices.EqualFunc(got, records, bytes.Equal) {
			t.Fatalf("%v: %q, want %q", err, got, records)
		}
		if _, err := parseSnapshot(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("a cut snapshot was taken for whole")
		}
		if back, ok := parseSnapshotName(id.fileName()); !ok || back != id {
			t.Fatalf("%s is %v", id.fileName(), back)
		}
	})
}

func TestLargeSnapshotHasManyBatches(t *testing.T) {
	var records [][]byte
	for range 100 {
		records = append(records, make([]byte, 10_000))
	}
	b := appendSnapshot(nil, SnapshotID{1, 1}, controls{}, records, 1)
	if got, err := parseSnapshot(b); err != nil || len(got) != 100 {
		t.Fatalf("%d records, %v", len(got), err)
	}
}

func FuzzParseSnapshot(f *testing.F) {
	f.Add(appendSnapshot(nil, SnapshotID{5, 1}, controls{}, [][]byte{[]byte("a"), []byte("b")}, 1))
	f.Add(appendSnapshot(nil, SnapshotID{5, 1}, controls{}, nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) { parseSnapshot(b) })
}

func FuzzParseSnapshotName(f *testing.F) {
	f.Add("00000000000000000005-0000000001.checkpoint")
	f.Fuzz(func(t *testing.T, name string) {
		if id, ok := parseSnapshotName(name); ok && id.fileName() != name {
			t.Fatalf("%q is %v, which is %q", name, id, id.fileName())
		}
	})
}

func TestWhoMayVoteInWhichState(t *testing.T) {
	free := &Node{cfg: Config{NodeID: 0}, election: electionState{epoch: 3, leader: none, voted: none}}
	voted := &Node{election: electionState{epoch: 3, leader: none, voted: 1}}
	led := &Node{election: electionState{epoch: 3, leader: 2, voted: none}}
	for _, c := range []struct {
		name                        string
		s                           state
		from                        int32
		upToDate, preVote, expected bool
	}{
		{"unattached", &unattached{free}, 1, true, false, true},
		{"unattached, old log", &unattached{free}, 1, false, false, false},
		{"unattached, pre-vote of an old log", &unattached{free}, 1, false, true, false},
		{"unattached, asked again by its choice", &unattached{voted}, 1, true, false, true},
		{"unattached, asked by another", &unattached{voted}, 2, true, false, false},
		{"prospective that knows a leader", &prospective{n: led}, 1, true, false, false},
		{"prospective that knows a leader, pre-vote", &prospective{n: led}, 1, true, true, true},
		{"candidate", &candidate{n: free}, 1, true, false, false},
		{"candidate, pre-vote", &candidate{n: free}, 1, true, true, true},
		{"follower before its first fetch, pre-vote", &follower{n: led}, 1, true, true, true},
		{"follower that hears its leader, pre-vote", &follower{n: led, fetched: true}, 1, true, true, false},
		{"follower", &follower{n: led}, 1, true, false, false},
		{"leader, pre-vote", &leader{n: led}, 1, true, true, false},
		{"resigned", &resigned{n: led}, 1, true, false, false},
		{"resigned, pre-vote", &resigned{n: led}, 1, true, true, true},
	} {
		if got := c.s.canGrantVote(voterKey{id: c.from}, c.upToDate, c.preVote); got != c.expected {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
