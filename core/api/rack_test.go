package api_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (x *client) fetchFrom(version int16, rack, topic string, id [16]byte, offset int64) kmsg.FetchResponseTopicPartition {
	x.Helper()
	req := fetchRequest(version, topic, id, 0, offset)
	req.Rack = rack
	return ask[*kmsg.FetchResponse](x, req).Topics[0].Partitions[0]
}

func TestConsumerIsSentToAReplicaInItsRack(t *testing.T) {
	c := start(t, 3, "broker.rack=r{id}", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector")
	id := c.client().topicOf("t", 1, 3)
	leader := c.nodes[0].broker.Image().Topic("t").Partitions[0].Leader
	other := leader%3 + 1
	x, y := c.dial(leader, clientPort), c.dial(other, clientPort)
	x.produce(9, -1, "t", id, plain("a"))
	x.produce(9, -1, "t", id, plain("b"))
	c.wait(time.Second) // for the follower to hear of the high watermark
	rack := func(node int32) string { return "r" + string(rune('0'+node)) }

	sent := x.fetchFrom(12, rack(other), "t", id, 0)
	if sent.ErrorCode != 0 || sent.PreferredReadReplica != other || len(sent.RecordBatches) > 0 || sent.HighWatermark != 2 {
		t.Errorf("to the leader: %+v", sent)
	}
	for _, rack := range []string{rack(leader), "elsewhere", ""} {
		if p := x.fetchFrom(12, rack, "t", id, 0); p.PreferredReadReplica != -1 || len(p.RecordBatches) == 0 {
			t.Errorf("of rack %q: %+v", rack, p)
		}
	}
	if p := x.fetchFrom(12, rack(other), "t", id, 3); p.PreferredReadReplica != -1 || p.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("of what is nowhere: %+v", p)
	}
	if p := y.fetchFrom(12, rack(other), "t", id, 0); p.ErrorCode != 0 || len(p.RecordBatches) == 0 || p.PreferredReadReplica != -1 {
		t.Errorf("to the follower: %+v", p)
	}
	c.code("an old consumer at the follower", y.fetchFrom(10, "", "t", id, 0).ErrorCode, kerr.NotLeaderForPartition)
	c.code("beyond the follower's end", y.fetchFrom(12, rack(other), "t", id, 3).ErrorCode, kerr.OffsetOutOfRange)
	stale := fetchRequest(12, "t", id, 0, 0)
	stale.Topics[0].Partitions[0].CurrentLeaderEpoch = 99
	c.code("an epoch that the follower does not know", ask[*kmsg.FetchResponse](y, stale).Topics[0].Partitions[0].ErrorCode, kerr.UnknownLeaderEpoch)
}

func TestFetchFromAFollowerWaitsForItsHighWatermark(t *testing.T) {
	c := start(t, 3)
	id := c.client().topicOf("t", 1, 3)
	leader := c.nodes[0].broker.Image().Topic("t").Partitions[0].Leader
	x, y := c.dial(leader, clientPort), c.dial(leader%3+1, clientPort)
	req := fetchRequest(12, "t", id, 0, 0)
	req.MaxWaitMillis, req.MinBytes = 20_000, 1
	asked := y.sent
	y.send(req)
	c.wait(time.Second)
	if len(y.frames) > 0 {
		t.Fatal("answered before there was anything")
	}
	began := c.world.Now()
	x.produce(9, -1, "t", id, plain("a"))
	p := y.next(req, asked).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if took := y.answers.Sub(began); took > 2*time.Second || p.HighWatermark != 1 || len(p.RecordBatches) == 0 {
		t.Errorf("after %v: %+v", took, p)
	}
}
