package api_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quotaEntity reads "user=a,client-id": a type without a name is the default.
func quotaEntity(text string) (entity []kmsg.AlterClientQuotasRequestEntryEntity) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		kind, name, named := strings.Cut(part, "=")
		e := kmsg.AlterClientQuotasRequestEntryEntity{Type: kind}
		if named {
			e.Name = &name
		}
		entity = append(entity, e)
	}
	return entity
}

func (x *client) setQuota(entity, key string, value float64) int16 {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Version = 1
	op := kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value, Remove: value == 0}
	req.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: quotaEntity(entity), Ops: []kmsg.AlterClientQuotasRequestEntryOp{op}}}
	return ask[*kmsg.AlterClientQuotasResponse](x, req).Entries[0].ErrorCode
}

// Each of these was asked of Apache Kafka 4.4.0.
func TestQuotasAreJudgedAsKafkaJudgesThem(t *testing.T) {
	x := start(t, 1).client()
	for _, test := range []struct {
		entity, key string
		value       float64
		want        *kerr.Error
	}{
		{"user=a", "producer_byte_rate", 1000, nil},
		{"user=a,client-id", "consumer_byte_rate", 1000, nil},
		{"client-id", "request_percentage", 0.5, nil},
		{"client-id=c", "controller_mutation_rate", 1.5, nil},
		{"ip=10.0.0.1", "connection_creation_rate", 5, nil},
		{"ip", "connection_creation_rate", 5, nil},
		{"ip=nowhere at all", "connection_creation_rate", 5, kerr.InvalidRequest},
		{"ip=10.0.0.1,user=a", "connection_creation_rate", 5, kerr.InvalidRequest},
		{"ip=10.0.0.1", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"user=a", "connection_creation_rate", 5, kerr.InvalidRequest},
		{"user=", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"what=a", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"user=a,user=b", "producer_byte_rate", 5, nil}, // of b
		{"", "producer_byte_rate", 5, kerr.InvalidRequest},
		{"user=a", "nosuch", 5, kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", -1, kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", 1.5, kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", math.NaN(), kerr.InvalidRequest},
		{"user=a", "producer_byte_rate", 1e30, kerr.InvalidRequest},
		{"user=b", "producer_byte_rate", 0, nil},
	} {
		x.code(fmt.Sprintf("%s %s=%v", test.entity, test.key, test.value), x.setQuota(test.entity, test.key, test.value), test.want)
	}
	describe := func(strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) string {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Version, req.Strict, req.Components = 1, strict, components
		resp := ask[*kmsg.DescribeClientQuotasResponse](x, req)
		line := fmt.Sprint(resp.ErrorCode)
		for _, e := range resp.Entries {
			line += " "
			for _, part := range e.Entity {
				line += part.Type
				if part.Name != nil {
					line += "=" + *part.Name
				}
				line += ","
			}
			for _, v := range e.Values {
				line += fmt.Sprintf("%.1s=%v", v.Key, v.Value)
			}
		}
		return line
	}
	component := func(kind string, match kmsg.QuotasMatchType, name ...string) kmsg.DescribeClientQuotasRequestComponent {
		c := kmsg.DescribeClientQuotasRequestComponent{EntityType: kind, MatchType: match}
		if len(name) > 0 {
			c.Match = &name[0]
		}
		return c
	}
	for _, test := range []struct{ got, want string }{
		{describe(false), "0 client-id,r=0.5 client-id,user=a,c=1000 client-id=c,c=1.5 ip,c=5 ip=10.0.0.1,c=5 user=a,p=1000"},
		{describe(true), "0"},
		{describe(false, component("user", 0, "a")), "0 client-id,user=a,c=1000 user=a,p=1000"},
		{describe(true, component("user", 0, "a")), "0 user=a,p=1000"},
		{describe(false, component("client-id", 1)), "0 client-id,r=0.5 client-id,user=a,c=1000"},
		{describe(true, component("client-id", 2)), "0 client-id,r=0.5 client-id=c,c=1.5"},
		{describe(true, component("client-id", 2), component("user", 2)), "0 client-id,user=a,c=1000"},
		{describe(false, component("user", 0)), "42"},
		{describe(false, component("user", 1, "a")), "42"},
		{describe(false, component("user", 7)), "42"},
		{describe(false, component("", 1)), "42"},
		{describe(false, component("what", 1)), "35"},
		{describe(false, component("user", 1), component("user", 2)), "42"},
		{describe(false, component("user", 1), component("ip", 2)), "42"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
	x.code("remove", x.setQuota("user=a", "producer_byte_rate", 0), nil)
	if got := describe(true, component("user", 0, "a")); got != "0" {
		t.Errorf("after the removal: %s", got)
	}
}

// Clients that obey are held to their rate: the answer comes at once and says for how long the next request waits.
func TestAProducerIsThrottled(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.code("quota", x.setQuota("client-id=test", "producer_byte_rate", 1000), nil)
	body := plain(strings.Repeat("x", 5000))
	produce := func(acks int16) int32 {
		return ask[*kmsg.ProduceResponse](x, produceRequest(13, acks, "t", id, 0, body)).ThrottleMillis
	}
	if ms := produce(-1); ms != 0 {
		t.Errorf("within the windows: %d ms", ms)
	}
	asked := x.world.Now()
	ms := produce(-1)
	ms = produce(-1)
	if ms < 4000 || ms > 7000 {
		t.Fatalf("16 kB of 1 kB/s over 10 s: %d ms", ms)
	}
	if x.answers.Sub(asked) > time.Second {
		t.Error("the answer waited")
	}
	asked = x.world.Now()
	if ms := produce(-1); ms == 0 {
		t.Error("not throttled again")
	}
	if waited := x.answers.Sub(asked); waited < time.Duration(ms-100)*time.Millisecond {
		t.Errorf("the next request was read after %v of %d ms", waited, ms)
	}
	other := x.client()
	asked = x.world.Now()
	ask[*kmsg.ApiVersionsResponse](other, kmsg.NewPtrApiVersionsRequest())
	if x.world.Now().Sub(asked) > time.Second {
		t.Error("another connection waits too")
	}
}

func TestAConsumerIsThrottledAndAFollowerIsNot(t *testing.T) {
	c := start(t, 3)
	x := c.client()
	x.assigned("t", 1, 2, 3)
	id := c.nodes[0].broker.Image().Topic("t").ID
	x.code("quota", x.setQuota("client-id", "consumer_byte_rate", 1000), nil)
	for range 3 {
		x.code("produce", x.produce(13, -1, "t", id, plain(strings.Repeat("x", 8000))).ErrorCode, nil)
	}
	first := ask[*kmsg.FetchResponse](x, fetchRequest(13, "t", id, 0, 0))
	if n := len(first.Topics[0].Partitions[0].RecordBatches); first.ThrottleMillis != 0 || n < 8000 || n > 10_000 {
		t.Errorf("the first fetch gets all that the windows allow: %d bytes, %d ms", n, first.ThrottleMillis)
	}
	x.until("another fetch is throttled", func() bool {
		resp := ask[*kmsg.FetchResponse](x, fetchRequest(13, "t", id, 0, 1))
		if resp.ThrottleMillis > 0 && len(resp.Topics) > 0 {
			t.Error("throttled, and records all the same")
		}
		return resp.ThrottleMillis > 0
	})
}

func TestRequestTimeIsThrottled(t *testing.T) {
	x := start(t, 1).client()
	x.code("quota", x.setQuota("user=ANONYMOUS", "request_percentage", 0.001), nil)
	x.until("throttled", func() bool {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = 12
		ms := ask[*kmsg.MetadataResponse](x, req).ThrottleMillis
		if ms > 1000 {
			t.Errorf("%d ms: more than a window", ms)
		}
		return ms > 0
	})
	x.code("removal", x.setQuota("user=ANONYMOUS", "request_percentage", 0), nil)
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	if ms := ask[*kmsg.MetadataResponse](x, req).ThrottleMillis; ms != 0 {
		t.Errorf("%d ms without a quota", ms)
	}
}

func TestMutationsAreRefusedOrThrottled(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	x.code("quota", x.setQuota("client-id=test", "controller_mutation_rate", 1), nil)
	create := func(version int16, name string, partitions int32) *kmsg.CreateTopicsResponse {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = version, 10_000
		req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}}
		return ask[*kmsg.CreateTopicsResponse](x, req)
	}
	x.code("a burst", create(7, "a", 15).Topics[0].ErrorCode, nil)
	over := create(7, "b", 1)
	x.code("overdrawn", over.Topics[0].ErrorCode, kerr.ThrottlingQuotaExceeded)
	if over.ThrottleMillis < 3000 || over.ThrottleMillis > 4000 {
		t.Errorf("overdrawn by 4 of 1 a second: %d ms", over.ThrottleMillis)
	}
	asked := x.world.Now()
	x.code("in time", create(7, "c", 2).Topics[0].ErrorCode, nil)
	if waited := x.answers.Sub(asked); waited < 2900*time.Millisecond {
		t.Errorf("read after %v", waited)
	}
	old := create(5, "d", 2)
	x.code("an older client", old.Topics[0].ErrorCode, nil)
	if old.ThrottleMillis == 0 {
		t.Error("an older client is not throttled")
	}
}

// TestAnswerThatWaitedIsCountedForItsClient though the bytes of the request are another's by then.
func TestAnswerThatWaitedIsCountedForItsClient(t *testing.T) {
	x := quickGroups(t, 1)
	x.code("quota", x.setQuota("client-id=test", "request_percentage", 0.0001), nil)
	x.wait(time.Second) // until the broker knows
	joined := x.join(9)
	if joined.ThrottleMillis == 0 {
		t.Error("the join was free")
	}
	if synced := ask[*kmsg.SyncGroupResponse](x, syncRequest(5, joined, "all")); synced.ThrottleMillis == 0 {
		t.Error("the sync was free")
	}
}
