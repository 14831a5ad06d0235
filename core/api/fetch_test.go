package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchRequest is a fetch without a session that does not wait.
func fetchRequest(version int16, topic string, id [16]byte, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.SessionEpoch = version, 1, 1<<20, -1
	req.Topics = append(req.Topics, fetchTopic(topic, id, partition, offset))
	return req
}

func fetchTopic(topic string, id [16]byte, partition int32, offset int64) kmsg.FetchRequestTopic {
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	t.Partitions = append(t.Partitions, p)
	return t
}

// fetched is what an answer holds: topic-partition → bytes.
func fetched(resp *kmsg.FetchResponse) map[string]int {
	m := map[string]int{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			m[fmt.Sprint(t.Topic, p.Partition)] += len(p.RecordBatches)
		}
	}
	return m
}

func TestFetchReturnsTheWholeBatchInEveryVersion(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.produce(13, -1, "t", id, plain("a", "b", "c"))
	size := len(plain("a", "b", "c"))
	for version := int16(4); version <= 18; version++ {
		resp := ask[*kmsg.FetchResponse](x, fetchRequest(version, "t", id, 0, 1))
		p := resp.Topics[0].Partitions[0]
		x.code("fetch", p.ErrorCode, nil)
		if len(p.RecordBatches) != size || p.HighWatermark != 3 || p.LastStableOffset != 3 || p.AbortedTransactions != nil || p.CurrentLeader.LeaderID != -1 || p.PreferredReadReplica != -1 {
			t.Errorf("v%d: %+v", version, p)
		}
	}
}

func TestFetchChecksOffsetsAndTopics(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.produce(13, -1, "t", id, plain("a"))
	epoch := func(epoch int32) *kmsg.FetchRequest {
		req := fetchRequest(13, "t", id, 0, 0)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		return req
	}
	for what, r := range map[string]struct {
		req  *kmsg.FetchRequest
		want *kerr.Error
	}{
		"the end":       {fetchRequest(13, "t", id, 0, 1), nil},
		"beyond":        {fetchRequest(13, "t", id, 0, 2), kerr.OffsetOutOfRange},
		"before":        {fetchRequest(13, "t", id, 0, -1), kerr.OffsetOutOfRange},
		"no partition":  {fetchRequest(13, "t", id, 1, 0), kerr.UnknownTopicOrPartition},
		"unknown id":    {fetchRequest(13, "t", [16]byte{1}, 0, 0), kerr.UnknownTopicID},
		"unknown name":  {fetchRequest(12, "u", id, 0, 0), kerr.UnknownTopicOrPartition},
		"newer epoch":   {epoch(99), kerr.UnknownLeaderEpoch},
		"current epoch": {epoch(0), nil},
	} {
		x.code(what, ask[*kmsg.FetchResponse](x, r.req).Topics[0].Partitions[0].ErrorCode, r.want)
	}
}

func TestFetchWaitsForMinBytes(t *testing.T) {
	c := start(t, 1)
	x, y := c.client(), c.client()
	id := x.topic("t", 1)
	req := fetchRequest(13, "t", id, 0, 0)
	req.MaxWaitMillis = 5000
	began := c.world.Now()
	if ask[*kmsg.FetchResponse](x, req); c.world.Now().Sub(began) < 5*time.Second {
		t.Errorf("an empty answer after %v", c.world.Now().Sub(began))
	}
	req.MinBytes = int32(len(plain("a")) + 1)
	began = c.world.Now()
	x.send(req)
	y.produce(13, -1, "t", id, plain("a"))
	y.produce(13, -1, "t", id, plain("b"))
	resp := x.next(req, x.sent-1).(*kmsg.FetchResponse)
	if n := fetched(resp)["0"]; n != 2*len(plain("a")) || c.world.Now().Sub(began) > time.Second {
		t.Errorf("%d bytes after %v", n, c.world.Now().Sub(began))
	}
}

func TestFetchServesPartitionsInOrderUpToMaxBytes(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 2)
	size := len(plain("a"))
	for i := range int32(2) {
		ask[*kmsg.ProduceResponse](x, produceRequest(13, -1, "t", id, i, plain("a")))
		ask[*kmsg.ProduceResponse](x, produceRequest(13, -1, "t", id, i, plain("b")))
	}
	req := fetchRequest(13, "t", id, 1, 0)
	req.Topics = append(req.Topics, fetchTopic("t", id, 0, 0))
	for max, want := range map[int]map[string]int{0: {"1": size, "0": 0}, 1: {"1": size, "0": 0}, 2 * size: {"1": 2 * size, "0": 0}, 4 * size: {"1": 2 * size, "0": 2 * size}} {
		req.MaxBytes = int32(max)
		if got := fetched(ask[*kmsg.FetchResponse](x, req)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("max %d: %v, want %v (KIP-74)", max, got, want)
		}
	}
}

// session opens a session of partitions 0 and 1 of topic t.
func (x *client) session(version int16, id [16]byte) (*kmsg.FetchRequest, int32) {
	x.Helper()
	req := fetchRequest(version, "t", id, 0, 0)
	req.SessionEpoch = 0
	req.Topics = append(req.Topics, fetchTopic("t", id, 1, 0))
	resp := ask[*kmsg.FetchResponse](x, req)
	x.code("open a session", resp.ErrorCode, nil)
	if resp.SessionID == 0 || len(fetched(resp)) != 2 {
		x.Errorf("session %d with %v", resp.SessionID, fetched(resp))
	}
	next := fetchRequest(version, "t", id, 0, 0)
	next.SessionID, next.SessionEpoch, next.Topics = resp.SessionID, 1, nil
	return next, resp.SessionID
}

func TestFetchSessionTellsOnlyWhatChanged(t *testing.T) {
	for _, version := range []int16{7, 12, 13, 18} {
		x := start(t, 1).client()
		id := x.topic("t", 2)
		req, _ := x.session(version, id)
		if got := fetched(ask[*kmsg.FetchResponse](x, req)); len(got) != 0 {
			t.Errorf("v%d: nothing changed, but %v is told", version, got)
		}
		req.SessionEpoch++
		ask[*kmsg.ProduceResponse](x, produceRequest(13, -1, "t", id, 1, plain("a")))
		if got := fetched(ask[*kmsg.FetchResponse](x, req)); len(got) != 1 {
			t.Errorf("v%d: partition 1 changed, told %v", version, got)
		}
		req.SessionEpoch++
		req.Topics = []kmsg.FetchRequestTopic{fetchTopic("t", id, 1, 1)}
		if got := fetched(ask[*kmsg.FetchResponse](x, req)); len(got) != 0 {
			t.Errorf("v%d: all is read, but %v is told", version, got)
		}
		req.SessionEpoch++
		req.Topics[0].Partitions[0].FetchOffset = 99
		for range 2 { // errors always
			if got := fetched(ask[*kmsg.FetchResponse](x, req)); len(got) != 1 {
				t.Errorf("v%d: an error was told as %v", version, got)
			}
			req.SessionEpoch++
			req.Topics = nil
		}
	}
}

func TestFetchSessionForgets(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 2)
	req, session := x.session(13, id)
	forget := kmsg.NewFetchRequestForgottenTopic()
	forget.TopicID, forget.Partitions = id, []int32{1, 7}
	req.ForgottenTopics = append(req.ForgottenTopics, forget)
	for i := range int32(2) {
		ask[*kmsg.ProduceResponse](x, produceRequest(13, -1, "t", id, i, plain("a")))
	}
	resp := ask[*kmsg.FetchResponse](x, req)
	if got := fetched(resp); len(got) != 1 || got["0"] == 0 || resp.SessionID != session {
		t.Errorf("told %v in session %d", got, resp.SessionID)
	}
	req.SessionEpoch++
	req.ForgottenTopics[0].Partitions = []int32{0}
	if resp := ask[*kmsg.FetchResponse](x, req); resp.SessionID != 0 || len(resp.Topics) != 0 {
		t.Errorf("a session of nothing goes on: %+v", resp)
	}
	req.SessionEpoch++
	x.code("after that", ask[*kmsg.FetchResponse](x, req).ErrorCode, kerr.FetchSessionIDNotFound)
}

func TestFetchSessionIsRefused(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 2)
	req, session := x.session(13, id)
	req.SessionEpoch = 5
	x.code("wrong epoch", ask[*kmsg.FetchResponse](x, req).ErrorCode, kerr.InvalidFetchSessionEpoch)
	req.SessionEpoch = -7
	x.code("negative epoch", ask[*kmsg.FetchResponse](x, req).ErrorCode, kerr.InvalidFetchSessionEpoch)
	req.SessionEpoch, req.Version = 1, 12
	x.code("names in a session of ids", ask[*kmsg.FetchResponse](x, req).ErrorCode, kerr.FetchSessionTopicIDError)
	req.Version, req.SessionID = 13, session+1
	x.code("unknown", ask[*kmsg.FetchResponse](x, req).ErrorCode, kerr.FetchSessionIDNotFound)
	req.SessionID = session
	x.code("the right one", ask[*kmsg.FetchResponse](x, req).ErrorCode, nil)
	req.SessionEpoch = -1
	if resp := ask[*kmsg.FetchResponse](x, req); resp.SessionID != 0 || resp.ErrorCode != 0 {
		t.Errorf("closing: %+v", resp)
	}
	req.SessionEpoch = 2
	x.code("a closed one", ask[*kmsg.FetchResponse](x, req).ErrorCode, kerr.FetchSessionIDNotFound)
}

func TestFetchSessionTakesAPartitionNamedTwiceOnce(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 2)
	req := fetchRequest(13, "t", id, 0, 0)
	req.SessionEpoch = 0
	for i := range int32(2) {
		req.Topics = append(req.Topics, fetchTopic("t", id, 0, 0), fetchTopic("t", id, i, 0), fetchTopic("", [16]byte{3}, 0, 0))
	}
	resp := ask[*kmsg.FetchResponse](x, req)
	n := 0
	for _, topic := range resp.Topics {
		n += len(topic.Partitions)
	}
	if n != 3 {
		t.Errorf("%d partitions, want three", n)
	}
}

func TestFetchSessionEndsWithItsConnection(t *testing.T) {
	c := start(t, 1)
	x, y := c.client(), c.client()
	id := x.topic("t", 2)
	req, _ := x.session(13, id)
	x.loop.After(0, func() { x.conn.Close() })
	x.expectClosed()
	c.wait(time.Second)
	c.code("elsewhere", ask[*kmsg.FetchResponse](y, req).ErrorCode, kerr.FetchSessionIDNotFound)
}

func TestFetchSessionsAreEvicted(t *testing.T) {
	c := start(t, 1, "max.incremental.fetch.session.cache.slots=2")
	x := c.client()
	id := x.topic("t", 2)
	x.session(13, id)
	x.session(13, id)
	req := fetchRequest(13, "t", id, 0, 0)
	req.SessionEpoch = 0
	if resp := ask[*kmsg.FetchResponse](x, req); resp.SessionID != 0 {
		t.Error("a session took the slot of one that is in use")
	}
	req.Version, req.ReplicaState.ID = 15, 2
	if resp := ask[*kmsg.FetchResponse](x, req); resp.SessionID == 0 {
		t.Error("a follower got no session")
	}
	c.wait(3 * time.Minute)
	req.ReplicaState.ID = -1
	if resp := ask[*kmsg.FetchResponse](x, req); resp.SessionID == 0 {
		t.Error("no session was evicted for being unused")
	}
}

func TestFetchSessionFindsATopicThatIsCreatedLater(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 2)
	req, _ := x.session(12, id)
	req.Topics = append(req.Topics, fetchTopic("u", [16]byte{}, 0, 0))
	x.code("not there yet", ask[*kmsg.FetchResponse](x, req).Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	x.topic("u", 1)
	req.SessionEpoch, req.Topics = 2, nil
	if resp := ask[*kmsg.FetchResponse](x, req); len(resp.Topics) != 1 || resp.Topics[0].Topic != "u" || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("told %+v", resp.Topics)
	}
}

func listOffset(version int16, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = version, -1
	topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = timestamp
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

func TestListOffsetsKnowsTheTimestampsOfItsVersion(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.produce(13, -1, "t", id, plain("a", "b", "c"))
	const base = 1_767_225_600_000
	for timestamp, want := range map[int64]struct {
		since     int16
		offset    int64
		timestamp int64
	}{
		-1: {1, 3, -1}, -2: {1, 0, -1}, -3: {7, 2, base + 2}, -4: {8, 0, -1}, -5: {9, -1, -1}, -6: {11, -1, -1}, -7: {99, 0, 0},
		0: {1, 0, base}, base + 1: {1, 1, base + 1}, base + 3: {1, -1, -1},
	} {
		for version := int16(1); version <= 11; version++ {
			p := ask[*kmsg.ListOffsetsResponse](x, listOffset(version, timestamp)).Topics[0].Partitions[0]
			what := fmt.Sprintf("v%d of %d", version, timestamp)
			if version < want.since {
				x.code(what, p.ErrorCode, kerr.UnsupportedVersion)
				continue
			}
			x.code(what, p.ErrorCode, nil)
			if p.Offset != want.offset || p.Timestamp != want.timestamp {
				t.Errorf("%s: offset %d, timestamp %d, want %d and %d", what, p.Offset, p.Timestamp, want.offset, want.timestamp)
			}
		}
	}
	twice := listOffset(11, -1)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	told := ask[*kmsg.ListOffsetsResponse](x, twice)
	if len(told.Topics) != 1 || len(told.Topics[0].Partitions) != 1 {
		t.Fatalf("a partition that is named twice is answered as %+v", told.Topics)
	}
	x.code("the same again", told.Topics[0].Partitions[0].ErrorCode, kerr.InvalidRequest)
	old := listOffset(11, -1)
	old.Topics[0].Partitions[0].CurrentLeaderEpoch = -5 // only -1 means that it is not said
	x.code("a negative epoch", ask[*kmsg.ListOffsetsResponse](x, old).Topics[0].Partitions[0].ErrorCode, kerr.FencedLeaderEpoch)
}

func TestOffsetForLeaderEpochTellsWhereAnEpochEnded(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.produce(13, -1, "t", id, plain("a", "b", "c"))
	epoch := x.nodes[0].broker.Replicas().Partition(event.Partition{Topic: "t"}).LeaderEpoch()
	for version := int16(2); version <= 4; version++ {
		for asked, want := range map[int32][2]int64{epoch: {int64(epoch), 3}, epoch + 1: {-1, -1}} {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			req.Version = version
			topic, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.LeaderEpoch = asked
			topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			got := ask[*kmsg.OffsetForLeaderEpochResponse](x, req).Topics[0].Partitions[0]
			x.code("epoch", got.ErrorCode, nil)
			if int64(got.LeaderEpoch) != want[0] || got.EndOffset != want[1] {
				t.Errorf("v%d of epoch %d: %d to %d, want %v", version, asked, got.LeaderEpoch, got.EndOffset, want)
			}
		}
	}
}
