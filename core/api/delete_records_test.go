package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func deleteRecordsRequest(version int16, topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = version, 3000
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func (x *client) deleteRecords(topic string, partition int32, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
	x.Helper()
	return ask[*kmsg.DeleteRecordsResponse](x, deleteRecordsRequest(2, topic, partition, offset)).Topics[0].Partitions[0]
}

func TestDeleteRecordsMovesTheLogStartInEveryVersion(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.produce(9, -1, "t", id, plain("a", "b", "c", "d", "e", "f"))
	for version := int16(0); version <= 2; version++ {
		resp := ask[*kmsg.DeleteRecordsResponse](x, deleteRecordsRequest(version, "t", 0, int64(version)+2))
		p := resp.Topics[0].Partitions[0]
		x.code(fmt.Sprint("v", version), p.ErrorCode, nil)
		if p.LowWatermark != int64(version)+2 || resp.Topics[0].Topic != "t" {
			t.Errorf("v%d: low watermark %d", version, p.LowWatermark)
		}
	}
	earliest := ask[*kmsg.ListOffsetsResponse](x, listOffset(9, -2)).Topics[0].Partitions[0]
	if earliest.Offset != 4 {
		t.Errorf("the log starts at %d", earliest.Offset)
	}
	below := ask[*kmsg.FetchResponse](x, fetchRequest(12, "t", id, 0, 3)).Topics[0].Partitions[0]
	x.code("a fetch below the log start", below.ErrorCode, kerr.OffsetOutOfRange)
	if p := x.deleteRecords("t", 0, 1); p.ErrorCode != 0 || p.LowWatermark != 4 {
		t.Errorf("what is gone: %+v", p)
	}
	if p := x.deleteRecords("t", 0, -1); p.ErrorCode != 0 || p.LowWatermark != 6 {
		t.Errorf("up to the high watermark: %+v", p)
	}
}

func TestDeleteRecordsIsRefused(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1)
	x.topic("compacted", 1, "cleanup.policy=compact")
	x.topic("__consumer_offsets", 1)
	for what, c := range map[string]struct {
		topic     string
		partition int32
		offset    int64
		want      *kerr.Error
	}{ // order: independent cases
		"beyond the high watermark": {"t", 0, 1, kerr.OffsetOutOfRange},
		"a negative offset":         {"t", 0, -2, kerr.OffsetOutOfRange},
		"an unknown partition":      {"t", 9, 0, kerr.UnknownTopicOrPartition},
		"an unknown topic":          {"u", 0, 0, kerr.UnknownTopicOrPartition},
		"a compacted topic":         {"compacted", 0, 0, kerr.PolicyViolation},
		"an internal topic":         {"__consumer_offsets", 0, 0, kerr.InvalidTopicException},
		"not even an internal one":  {"__consumer_offsets", 9, 0, kerr.UnknownTopicOrPartition},
	} {
		p := x.deleteRecords(c.topic, c.partition, c.offset)
		x.code(what, p.ErrorCode, c.want)
		if p.LowWatermark != -1 {
			t.Errorf("%s: low watermark %d", what, p.LowWatermark)
		}
	}
}

func TestDeleteRecordsWaitsForLivingReplicas(t *testing.T) {
	c := start(t, 3, "broker.session.timeout.ms=6000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=60000")
	id := c.client().topicOf("t", 1, 3)
	leader := c.nodes[0].broker.Image().Topic("t").Partitions[0].Leader
	x := c.dial(leader, clientPort)
	x.produce(9, -1, "t", id, plain("a", "b", "c", "d"))
	starts := func() (all []int64) {
		for _, n := range c.nodes {
			all = append(all, n.broker.Replicas().Partition(event.Partition{Topic: "t"}).Log().LogStartOffset())
		}
		return all
	}
	if p := x.deleteRecords("t", 0, 2); p.ErrorCode != 0 || p.LowWatermark != 2 || fmt.Sprint(starts()) != "[2 2 2]" {
		t.Errorf("%+v, log starts %v", p, starts())
	}
	wrong := c.dial(leader%3+1, clientPort).deleteRecords("t", 0, 3)
	c.code("a follower", wrong.ErrorCode, kerr.NotLeaderForPartition)

	dead := c.nodes[leader%3]
	dead.loop.Pause()
	p := x.deleteRecords("t", 0, 3)
	c.code("with a replica that is not heard of", p.ErrorCode, kerr.RequestTimedOut)
	if p.LowWatermark != 2 {
		t.Errorf("low watermark %d", p.LowWatermark)
	}
	c.wait(8 * time.Second)
	if p := x.deleteRecords("t", 0, 3); p.ErrorCode != 0 || p.LowWatermark != 3 {
		t.Errorf("when it is fenced: %+v", p)
	}
}
