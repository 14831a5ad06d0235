package group

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestCommitIsToldWhenItIsCommittedAndKnownToASuccessor(t *testing.T) {
	w := newWorld(t)
	w.stuck = true
	c := &call[*kmsg.OffsetCommitResponse]{w: w, what: "commit"}
	w.machine.commitOffsets(commitRequest("", -1, 42), c.takeBoth)
	w.pass(time.Second)
	if !c.pending() {
		t.Fatal("answered before it was committed")
	}
	w.stuck = false
	w.answer(nil)
	w.code("commit", c.now().Topics[0].Partitions[0].ErrorCode, nil)
	for range 2 {
		if got := w.committed(true); got != 42 {
			t.Errorf("committed %d", got)
		}
		w.reload()
	}
}

func TestCommitThatIsRefusedChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.fails("commit", w.commitOffset(commitRequest("", -1, 1)), nil)
	w.refuse = kerr.CoordinatorNotAvailable
	w.fails("commit", w.commitOffset(commitRequest("", -1, 2)), kerr.CoordinatorNotAvailable)
	w.refuse = kerr.MessageTooLarge
	w.fails("commit", w.commitOffset(commitRequest("", -1, 2)), kerr.UnknownServerError)
	if got := w.committed(false); got != 1 {
		t.Errorf("committed %d", got)
	}
}

func TestOffsetRecordIsKafkas(t *testing.T) {
	w := newWorld(t)
	req := commitRequest("", -1, 5)
	req.Topics[0].Partitions[0].LeaderEpoch, req.Topics[0].Partitions[0].Metadata = 7, kmsg.StringPtr("m")
	w.fails("commit", w.commitOffset(req), nil)
	r := w.log[0]
	if want := "\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x00"; string(r.Key) != want {
		t.Errorf("key %q, want %q", r.Key, want)
	}
	want := append([]byte("\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x07\x02m"), bytes8(w.machine.now())...)
	want = append(append(want, "\x01\x00\x10\x01"...), make([]byte, 15)...)
	if !bytes.Equal(r.Value, want) {
		t.Errorf("value %q, want %q", r.Value, want)
	}
	req.Version, req.RetentionTimeMillis = 2, 1000
	w.fails("commit", w.commitOffset(req), nil)
	want = append([]byte("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01m"), bytes8(w.machine.now())...)
	want = append(want, bytes8(w.machine.now()+1000)...)
	if got := w.log[1].Value; !bytes.Equal(got, want) {
		t.Errorf("with a retention: %q, want %q", got, want)
	}
}

func bytes8(n int64) (b []byte) {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

func TestOffsetsOfOldVersionsAreRead(t *testing.T) {
	for _, c := range []struct {
		value             string
		epoch             int32
		metadata          string
		at, expires, want int64
	}{
		{"\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x01m" + "\x00\x00\x00\x00\x00\x00\x00\x09", -1, "m", 9, -1, 5},
		{"\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x01m" + "\x00\x00\x00\x00\x00\x00\x00\x09" + "\x00\x00\x00\x00\x00\x00\x00\x0a", -1, "m", 9, 10, 5},
		{"\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x01m" + "\x00\x00\x00\x00\x00\x00\x00\x09" + "\xff\xff\xff\xff\xff\xff\xff\xff", -1, "m", 9, -1, 5},
		{"\x00\x02" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x01m" + "\x00\x00\x00\x00\x00\x00\x00\x09", -1, "m", 9, -1, 5},
		{"\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x00\x00\x07" + "\x00\x01m" + "\x00\x00\x00\x00\x00\x00\x00\x09", 7, "m", 9, -1, 5},
		{"\x00\x04" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x00\x00\x00\x07" + "\x02m" + "\x00\x00\x00\x00\x00\x00\x00\x09" + "\x00", 7, "m", 9, -1, 5},
	} {
		o, err := readOffset([]byte(c.value), 3)
		if err != nil || o.offset != c.want || o.leaderEpoch != c.epoch || o.metadata != c.metadata || o.committedAt != c.at || o.expiresAt != c.expires || o.recordOffset != 3 {
			t.Errorf("%q: %+v, %v", c.value, o, err)
		}
	}
}

func TestMetadataThatIsTooLongIsRefusedForItsPartitionAlone(t *testing.T) {
	w := newWorld(t)
	for metadata, want := range map[string]*kerr.Error{
		strings.Repeat("x", 10): nil, strings.Repeat("x", 11): kerr.OffsetMetadataTooLarge, strings.Repeat("ü", 10): nil,
		strings.Repeat("\U0001f600", 5): nil, strings.Repeat("\U0001f600", 6): kerr.OffsetMetadataTooLarge,
	} {
		req := commitRequest("", -1, 1)
		req.Topics[0].Partitions[0].Metadata = &metadata
		w.fails(metadata, w.commitOffset(req), want)
	}
	req := commitRequest("", -1, 1)
	long := kmsg.NewOffsetCommitRequestTopicPartition()
	long.Partition, long.Metadata = 1, kmsg.StringPtr(strings.Repeat("x", 11))
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, long)
	w.fails("the other partition", w.commitOffset(req), nil)
}

func TestCommitOfAGenerationNeedsAGroup(t *testing.T) {
	w := newWorld(t)
	for version := int16(2); version <= 10; version++ {
		req := commitRequest("m", 3, 1)
		req.Version = version
		want := kerr.IllegalGeneration
		if version >= 9 {
			want = kerr.GroupIDNotFound
		}
		w.fails(fmt.Sprint("v", version), w.commitOffset(req), want)
	}
	if len(w.log) != 0 || len(w.machine.groups) != 0 {
		t.Error("a group was made")
	}
}

func TestCommitKeepsAMembersSession(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(1)
	for i := range int64(10) {
		w.pass(9 * time.Second)
		w.fails("commit", w.commitOffset(commitRequest(ids[0], generation, i)), nil)
	}
	w.state(stable)
}

func TestOffsetsAreToldByTopicIdAsLongAsItIsTheSameTopic(t *testing.T) {
	w := newWorld(t)
	w.fails("commit", w.commitOffset(commitRequest("", -1, 5)), nil) // of topic id 1
	for id, want := range map[byte]int64{0: 5, 1: 5, 2: -1} {
		req := kmsg.NewOffsetFetchRequestGroup()
		req.Group, req.Topics = "g", []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", TopicID: [16]byte{id}, Partitions: []int32{0, 9}}}
		resp, err := w.machine.fetchOffsets(&req, false)
		if err != nil || resp.Topics[0].Partitions[0].Offset != want || resp.Topics[0].Partitions[1].Offset != -1 || resp.Topics[0].Partitions[1].ErrorCode != 0 {
			t.Errorf("id %d: %+v, %v", id, resp, err)
		}
	}
}

// TestAllOffsetsAreOfTheTopicsThatThereAre: a topic was deleted and created anew while nobody had loaded the group.
func TestAllOffsetsAreOfTheTopicsThatThereAre(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	commit := commitRequest("", -1, 5)
	for i, id := range [][16]byte{{}, topicID("t", 1), topicID("t", 2)} {
		commit.Topics[0].TopicID, commit.Topics[0].Partitions[0].Partition = id, int32(i)
		w.fails("commit", w.commitOffset(commit), nil)
	}
	req := kmsg.NewOffsetFetchRequestGroup()
	req.Group = "g"
	resp, err := w.machine.fetchOffsets(&req, false)
	if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 2 || resp.Topics[0].Partitions[1].Partition != 1 {
		t.Errorf("all: %+v, %v", resp, err)
	}
}

// commitTransactional sends an offset of partition 0 of t in a transaction.
func (w *world) commitTransactional(producer int64, member string, generation int32, offset int64) error {
	w.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.Generation, req.ProducerID = 5, "g", member, generation, producer
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset = offset
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", TopicID: [16]byte{1}, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
	c := &call[*kmsg.TxnOffsetCommitResponse]{w: w, what: "transactional commit"}
	w.machine.commitTransactional(req, 0, c.takeBoth)
	resp := c.now()
	if c.err != nil {
		return c.err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func (w *world) expectOffsets(what string, unstable, stable int64) {
	w.Helper()
	for _, where := range []string{"", " after a reload"} {
		if a, b := w.committed(false), w.committed(true); a != unstable || b != stable {
			w.Errorf("%s%s: %d and %d, want %d and %d", what, where, a, b, unstable, stable)
		}
		w.reload()
	}
}

func TestOffsetsOfATransactionCountWhenItIsCommitted(t *testing.T) {
	w := newWorld(t)
	w.fails("commit", w.commitTransactional(7, "", -1, 5), nil)
	w.expectOffsets("while it is under way", -1, -2)
	w.marker(8, true)
	w.expectOffsets("after another's end", -1, -2)
	w.marker(7, true)
	w.expectOffsets("after its end", 5, 5)
	w.fails("commit", w.commitTransactional(7, "", -1, 6), nil)
	w.fails("commit", w.commitTransactional(9, "", -1, 7), nil)
	w.marker(7, false)
	w.expectOffsets("aborted, another under way", 5, -2)
	w.marker(9, false)
	w.expectOffsets("both aborted", 5, 5)
	if len(w.machine.transactions) != 0 || len(w.machine.groups["g"].pending) != 0 {
		t.Error("something is left of the transactions")
	}
}

// A commit outside of a transaction that comes after the transaction's own stays, whenever the transaction ends.
func TestLaterCommitOutsideOfATransactionWins(t *testing.T) {
	w := newWorld(t)
	w.fails("transactional", w.commitTransactional(7, "", -1, 5), nil)
	w.fails("plain", w.commitOffset(commitRequest("", -1, 9)), nil)
	w.marker(7, true)
	w.expectOffsets("after its end", 9, 9)
}

func TestTransactionalCommitsOfOthersAreRefused(t *testing.T) {
	w := newWorld(t)
	w.fails("no group", w.commitTransactional(7, "m", 1, 5), kerr.IllegalGeneration)
	ids, generation := w.stableGroup(1)
	w.fails("old generation", w.commitTransactional(7, ids[0], generation-1, 5), kerr.IllegalGeneration)
	w.fails("unknown member", w.commitTransactional(7, "m", generation, 5), kerr.UnknownMemberID)
	w.fails("a producer that knows no groups", w.commitTransactional(7, "", -1, 5), nil)
	w.fails("member", w.commitTransactional(7, ids[0], generation, 6), nil)
	w.join(ids[0], "range")
	w.fails("during a rebalance", w.commitTransactional(7, ids[0], w.machine.classic("g").generation, 6), nil)
}

func (w *world) deleteOffsets(group, topic string, partitions ...int32) (*kmsg.OffsetDeleteResponse, error) {
	w.Helper()
	req := kmsg.NewPtrOffsetDeleteRequest()
	t := kmsg.OffsetDeleteRequestTopic{Topic: topic}
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: p})
	}
	req.Group, req.Topics = group, []kmsg.OffsetDeleteRequestTopic{t}
	c := &call[*kmsg.OffsetDeleteResponse]{w: w, what: "delete offsets"}
	w.machine.deleteOffsets(req, c.takeBoth)
	resp := c.now()
	return resp, c.err
}

func TestOffsetsAreDeletedUnlessSomebodySubscribes(t *testing.T) {
	w := newWorld(t)
	_, err := w.deleteOffsets("g", "t", 0)
	w.fails("no group", err, kerr.GroupIDNotFound)
	w.fails("commit", w.commitOffset(commitRequest("", -1, 5)), nil)
	w.fails("transactional", w.commitTransactional(7, "", -1, 6), nil)
	_, err = w.deleteOffsets("g", "t", 0)
	w.fails("simple group", err, nil)
	w.expectOffsets("deleted, the pending one too", -1, -1)
	w.marker(7, true)
	w.expectOffsets("and after the transaction", -1, -1)

	ids, generation := w.stableGroup(1)
	w.fails("commit", w.commitOffset(commitRequest(ids[0], generation, 5)), nil)
	resp, err := w.deleteOffsets("g", "t", 0)
	w.fails("consumers", err, nil)
	w.code("subscribed", resp.Topics[0].Partitions[0].ErrorCode, kerr.GroupSubscribedToTopic)
	resp, _ = w.deleteOffsets("g", "other", 0)
	w.code("not subscribed", resp.Topics[0].Partitions[0].ErrorCode, nil)
	w.machine.classic("g").typ = "connect"
	_, err = w.deleteOffsets("g", "other", 0)
	w.fails("members that are no consumers", err, kerr.NonEmptyGroup)
}

func (w *world) deleteGroup(id string) error {
	w.Helper()
	c := &call[error]{w: w, what: "delete group"}
	w.machine.deleteGroup(id, c.take)
	return c.now()
}

func TestGroupIsDeletedWithItsOffsetsWhenItIsEmpty(t *testing.T) {
	w := newWorld(t)
	w.fails("no group", w.deleteGroup("g"), kerr.GroupIDNotFound)
	ids, generation := w.stableGroup(1)
	w.fails("commit", w.commitOffset(commitRequest(ids[0], generation, 5)), nil)
	w.fails("transactional", w.commitTransactional(7, ids[0], generation, 6), nil)
	w.fails("members", w.deleteGroup("g"), kerr.NonEmptyGroup)
	w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: ids[0]})
	w.fails("empty", w.deleteGroup("g"), nil)
	for range 2 {
		if len(w.machine.groups) != 0 {
			t.Errorf("there is %+v", w.machine.groups["g"])
		}
		w.marker(7, true)
		w.reload()
	}
}

func TestOffsetsExpire(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t)
	w.cfg.RetentionCheckInterval = time.Hour
	w.reload()
	w.fails("simple group's", w.commitOffset(commitRequest("", -1, 5)), nil)
	w.pass(7*day - 2*time.Hour)
	w.expectOffsets("before the retention", 5, 5)
	w.pass(4 * time.Hour)
	w.expectOffsets("after it", -1, -1)
	if len(w.machine.groups) != 0 {
		t.Error("the group is still there")
	}

	ids, generation := w.stableGroup(1)
	w.fails("a member's", w.commitOffset(commitRequest(ids[0], generation, 5)), nil)
	stay := func(d time.Duration) {
		for range d / (5 * time.Second) {
			w.pass(5 * time.Second)
			w.fails("heartbeat", w.heartbeat(ids[0], generation), nil)
		}
	}
	w.machine.coordinator.cfg.OffsetsRetention, w.machine.coordinator.cfg.RetentionCheckInterval = 3*time.Hour, time.Hour
	stay(6 * time.Hour)
	if got := w.committed(false); got != 5 {
		t.Errorf("while it is subscribed: %d", got)
	}
	w.machine.classic("g").topics = map[string]bool{"other": true}
	stay(2 * time.Hour)
	if got := w.committed(false); got != -1 {
		t.Errorf("not subscribed any more, and old: %d", got)
	}
	w.fails("commit", w.commitOffset(commitRequest(ids[0], generation, 6)), nil)
	w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: ids[0]})
	w.pass(2 * time.Hour)
	if got := w.committed(false); got != 6 {
		t.Errorf("empty for less than the retention: %d", got)
	}
	w.fails("transactional", w.commitTransactional(7, "", -1, 7), nil)
	w.pass(5 * time.Hour)
	if got := w.committed(false); got != 6 {
		t.Errorf("a transaction is under way: %d", got)
	}
	w.marker(7, false)
	w.pass(2 * time.Hour)
	if len(w.machine.groups) != 0 {
		t.Error("the group is still there")
	}
}

func TestExplicitRetentionOfOldRequestsIsObeyed(t *testing.T) {
	w := newWorld(t)
	req := commitRequest("", -1, 5)
	req.Version, req.RetentionTimeMillis = 3, time.Hour.Milliseconds()
	w.fails("commit", w.commitOffset(req), nil)
	w.pass(55 * time.Minute)
	w.expectOffsets("before", 5, 5)
	w.pass(20 * time.Minute)
	w.expectOffsets("after", -1, -1)
}

func TestTheLongestRetentionOfOldRequestsIsForEver(t *testing.T) {
	w := newWorld(t)
	req := commitRequest("", -1, 5)
	req.Version, req.RetentionTimeMillis = 3, math.MaxInt64
	w.fails("commit", w.commitOffset(req), nil)
	w.pass(8 * 24 * time.Hour) // more than the broker's own
	w.expectOffsets("for ever", 5, 5)
}

// KAFKA-8069: a successor took what it had loaded for expired. KAFKA-2163: it looked for what had expired before it had loaded all.
func TestLoadedOffsetsExpireNoSooner(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.RetentionCheckInterval = time.Hour })
	w.fails("commit", w.commitOffset(commitRequest("", -1, 1)), nil)
	w.pass(6*24*time.Hour + 23*time.Hour + 30*time.Minute)
	w.fails("commit", w.commitOffset(commitRequest("", -1, 2)), nil)
	w.epoch++
	w.machine.Unloaded()
	w.machine = newMachine(&Coordinator{cfg: w.cfg, rand: w.machine.coordinator.rand}, &shard{w, w.epoch})
	w.replay(0, w.log[0])
	w.pass(3 * time.Hour) // it loads slowly
	w.replay(1, w.log[1])
	w.machine.Loaded()
	w.pass(3 * time.Hour)
	if len(w.log) != 2 {
		t.Errorf("%d records were written", len(w.log)-2)
	}
	w.expectOffsets("loaded", 2, 2)
}

func TestOffsetsOfADeletedTopicGo(t *testing.T) {
	w := newWorld(t)
	w.fails("commit", w.commitOffset(commitRequest("", -1, 5)), nil)
	w.machine.forgetTopics([]metadata.TopicRef{{Name: "t", ID: [16]byte{2}}, {Name: "u", ID: [16]byte{1}}})
	w.expectOffsets("other topics went", 5, 5)
	w.fails("transactional", w.commitTransactional(7, "", -1, 6), nil)
	w.machine.forgetTopics([]metadata.TopicRef{{Name: "t", ID: [16]byte{1}}})
	w.marker(7, true)
	w.expectOffsets("the topic went", -1, -1)
}

func TestManyTombstonesAreAppendedInPieces(t *testing.T) {
	w := newWorld(t)
	name := strings.Repeat("x", 200)
	req := commitRequest("", -1, 5)
	for i := range int32(5000) {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition = i
		req.Topics[0].Topic, req.Topics[0].Partitions = name, append(req.Topics[0].Partitions, p)
	}
	w.fails("commit", w.commitOffset(req), nil)
	records := w.machine.groups["g"].offsetTombstones()
	pieces := 0
	for len(records) > 0 {
		n := pieceOf(records)
		if size := n * (len(records[0].Key)); size > maxPiece {
			t.Errorf("a piece of %d bytes", size)
		}
		records, pieces = records[n:], pieces+1
	}
	if pieces < 4 {
		t.Errorf("%d pieces", pieces)
	}
	if n := pieceOf([]coordinator.Record{{Key: make([]byte, 2*maxPiece)}, {}}); n != 1 {
		t.Errorf("a record that is larger than a piece: %d", n)
	}
	w.fails("delete", w.deleteGroup("g"), nil)
	if len(w.machine.groups) != 0 {
		t.Error("the group is still there")
	}
}

func TestCompactedLogLoadsAsTheWholeOne(t *testing.T) {
	for _, tombstones := range []bool{true, false} {
		w := newWorld(t)
		ids, generation := w.stableGroup(2)
		for i := range int64(3) {
			w.fails("commit", w.commitOffset(commitRequest(ids[0], generation, i)), nil)
		}
		w.machine.log.Append([]coordinator.Record{offsetTombstone("h", offsetKey{"t", 0}), groupTombstone("h")}, nil)
		w.compact(tombstones)
		w.reload()
		w.state(stable)
		w.expectOffsets("compacted", 2, 2)
	}
}
