package api_test

import (
	"fmt"
	"testing"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// smallInternalTopics keep a test's world small.
func smallInternalTopics(factor int) []string {
	return []string{
		"offsets.topic.num.partitions=4", fmt.Sprint("offsets.topic.replication.factor=", factor),
		"transaction.state.log.num.partitions=4", fmt.Sprint("transaction.state.log.replication.factor=", factor), fmt.Sprint("transaction.state.log.min.isr=", factor),
	}
}

func findCoordinatorRequest(version int16, kind int8, keys ...string) *kmsg.FindCoordinatorRequest {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = version, kind, keys[0], keys
	return req
}

// awaitCoordinator waits until a coordinator is there and returns the node.
func (x *client) awaitCoordinator(kind int8, key string) int32 {
	x.Helper()
	req := findCoordinatorRequest(3, kind, key)
	var resp *kmsg.FindCoordinatorResponse
	x.until("a coordinator for "+key, func() bool {
		resp = ask[*kmsg.FindCoordinatorResponse](x, req)
		if resp.ErrorCode != 0 {
			x.code("find", resp.ErrorCode, kerr.CoordinatorNotAvailable)
		}
		return resp.ErrorCode == 0
	})
	return resp.NodeID
}

func TestCoordinatorIsTheLeaderOfTheKeysPartition(t *testing.T) {
	c := start(t, 3, smallInternalTopics(3)...)
	x := c.client()
	for kind, topic := range map[int8]string{0: "__consumer_offsets", 1: "__transaction_state"} {
		x.awaitCoordinator(kind, "first")
		x.until(topic+" is up", func() bool { return x.isUp(topic) })
		var keys []string
		for i := range 20 {
			keys = append(keys, fmt.Sprint("key-", i))
		}
		partitions := c.nodes[0].broker.Image().Topic(topic).Partitions
		for version := int16(kind); version <= 6; version++ {
			if version < 4 {
				resp := ask[*kmsg.FindCoordinatorResponse](x, findCoordinatorRequest(version, kind, keys[0]))
				want := partitions[coordinator.PartitionFor(keys[0], 4)].Leader
				if resp.ErrorCode != 0 || resp.NodeID != want || resp.Host != fmt.Sprint("n", want) || resp.Port != clientPort {
					t.Errorf("v%d: %+v, want node %d", version, resp, want)
				}
				continue
			}
			resp := ask[*kmsg.FindCoordinatorResponse](x, findCoordinatorRequest(version, kind, keys...))
			for i, answer := range resp.Coordinators {
				want := partitions[coordinator.PartitionFor(keys[i], 4)].Leader
				if answer.ErrorCode != 0 || answer.Key != keys[i] || answer.NodeID != want || answer.Host != fmt.Sprint("n", want) {
					t.Errorf("v%d: %+v, want node %d", version, answer, want)
				}
			}
			if len(resp.Coordinators) != len(keys) {
				t.Errorf("v%d: %d answers of %d", version, len(resp.Coordinators), len(keys))
			}
		}
	}
}

func TestInternalTopicsAreCompactedTakeNoRecordsAndSayWhatTheyAre(t *testing.T) {
	x := start(t, 1, smallInternalTopics(1)...).client()
	x.awaitCoordinator(0, "g")
	x.until("the topic is up", func() bool { return x.isUp("__consumer_offsets") })
	topic := ask[*kmsg.MetadataResponse](x, metadataRequest(9, "__consumer_offsets")).Topics[0]
	if !topic.IsInternal || len(topic.Partitions) != 4 {
		t.Errorf("%+v", topic)
	}
	configs := map[string]string{}
	for _, kv := range x.nodes[0].broker.Image().Config(int8(kmsg.ConfigResourceTypeTopic), "__consumer_offsets") {
		configs[kv.Key] = kv.Value
	}
	if configs["cleanup.policy"] != "compact" || configs["segment.bytes"] != "104857600" || configs["compression.type"] != "producer" {
		t.Errorf("configs: %v", configs)
	}
	x.code("produce", x.produce(9, -1, "__consumer_offsets", [16]byte{}, plain("v")).ErrorCode, kerr.InvalidTopicException)
}

func TestCoordinatorIsNotAvailableWhileThereAreTooFewBrokers(t *testing.T) {
	x := start(t, 1, smallInternalTopics(3)...).client()
	for range 3 {
		x.code("find", ask[*kmsg.FindCoordinatorResponse](x, findCoordinatorRequest(2, 0, "g")).ErrorCode, kerr.CoordinatorNotAvailable)
		x.wait(1e9)
	}
	if x.nodes[0].broker.Image().Topic("__consumer_offsets") != nil {
		t.Error("the topic was created with fewer replicas than it shall have")
	}
}

func TestCoordinatorsOfOtherTypesAreRefused(t *testing.T) {
	x := start(t, 1).client()
	for _, kind := range []int8{2, 3, -1} {
		resp := ask[*kmsg.FindCoordinatorResponse](x, findCoordinatorRequest(6, kind, "g", "h"))
		for _, c := range resp.Coordinators {
			x.code(fmt.Sprint("type ", kind), c.ErrorCode, kerr.InvalidRequest)
		}
		if len(resp.Coordinators) != 2 {
			t.Errorf("%d answers", len(resp.Coordinators))
		}
	}
}
