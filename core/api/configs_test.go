package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	ofTopic   = kmsg.ConfigResourceTypeTopic
	ofBroker  = kmsg.ConfigResourceTypeBroker
	ofLogger  = kmsg.ConfigResourceTypeBrokerLogger
	ofMetrics = kmsg.ConfigResourceTypeClientMetrics
	ofGroup   = kmsg.ConfigResourceTypeGroupConfig
)

// alteration is a change of one resource: "SET key=value", "DELETE key".
func alteration(kind kmsg.ConfigResourceType, name string, ops ...string) kmsg.IncrementalAlterConfigsRequestResource {
	r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for _, op := range ops {
		verb, rest, _ := strings.Cut(op, " ")
		key, value, hasValue := strings.Cut(rest, "=")
		c := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: key, Op: map[string]kmsg.IncrementalAlterConfigOp{"SET": 0, "DELETE": 1, "APPEND": 2, "SUBTRACT": 3, "OTHER": 9}[verb]}
		if hasValue {
			c.Value = &value
		}
		r.Configs = append(r.Configs, c)
	}
	return r
}

func (x *client) alter(resources ...kmsg.IncrementalAlterConfigsRequestResource) []kmsg.IncrementalAlterConfigsResponseResource {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.Resources = 1, resources
	return ask[*kmsg.IncrementalAlterConfigsResponse](x, req).Resources
}

// described is a config as one line: value, source, synonyms.
func (x *client) described(kind kmsg.ConfigResourceType, name, key string) string {
	x.Helper()
	resp := ask[*kmsg.DescribeConfigsResponse](x, describeConfigs(kind, name, key)).Resources[0]
	if resp.ErrorCode != 0 || len(resp.Configs) != 1 {
		x.Fatalf("%s of %s: %+v", key, name, resp)
	}
	text := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	c := resp.Configs[0]
	line := fmt.Sprintf("%s %d", text(c.Value), c.Source)
	for _, s := range c.ConfigSynonyms {
		line += fmt.Sprintf(" %s=%s/%d", s.Name, text(s.Value), s.Source)
	}
	return line
}

// Each of these was asked of Apache Kafka 4.4.0.
func TestAlteredConfigsAreJudgedAsKafkaJudgesThem(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1)
	for _, test := range []struct {
		kind kmsg.ConfigResourceType
		name string
		ops  string
		want *kerr.Error
	}{
		{ofTopic, "t", "SET retention.ms=abc", kerr.InvalidConfig},
		{ofTopic, "t", "SET nosuch=1", kerr.InvalidConfig},
		{ofTopic, "t", "SET retention.ms", kerr.InvalidRequest},
		{ofTopic, "t", "SET retention.ms=5|SET retention.ms=6", kerr.InvalidRequest},
		{ofTopic, "t", "OTHER retention.ms=5", kerr.InvalidRequest}, // UNKNOWN_SERVER_ERROR in Kafka
		{ofTopic, "t", "APPEND retention.ms=5", kerr.InvalidConfig},
		{ofTopic, "t", "APPEND cleanup.policy=compact", nil},
		{ofTopic, "t", "SUBTRACT cleanup.policy=delete", nil},
		{ofTopic, "t", "SUBTRACT cleanup.policy=compact", nil},
		{ofTopic, "t", "DELETE nosuch", nil},
		{ofTopic, "t", "SET cleanup.policy=delete,delete", nil},
		{ofTopic, "t", "SET cleanup.policy=what", kerr.InvalidConfig},
		{ofTopic, "t", "SET remote.storage.enable=true", kerr.InvalidConfig},
		{ofTopic, "t", "SET min.compaction.lag.ms=10|SET max.compaction.lag.ms=5", kerr.InvalidConfig},
		{ofTopic, "t", "SET min.cleanable.dirty.ratio=1.5", kerr.InvalidConfig},
		{ofTopic, "t", "SET min.cleanable.dirty.ratio=NaN", kerr.InvalidConfig},
		{ofTopic, "t", "SET compression.gzip.level=0", kerr.InvalidConfig},
		{ofTopic, "t", "SET preallocate=TRUE", nil},
		{ofTopic, "t", "SET follower.replication.throttled.replicas=a", kerr.InvalidConfig},
		{ofTopic, "t", "SET follower.replication.throttled.replicas=0:1", nil},
		{ofTopic, "t", "SET follower.replication.throttled.replicas=*", nil},
		{ofTopic, "t", "APPEND follower.replication.throttled.replicas=0:1", kerr.InvalidConfig},
		{ofTopic, "t", "SET retention.ms= 7 |SET segment.bytes=2000000", nil},
		{ofTopic, "missing", "SET retention.ms=5", kerr.UnknownTopicOrPartition},
		{ofTopic, "missing", "SET retention.ms=x", kerr.InvalidConfig},
		{ofTopic, "", "SET retention.ms=5", kerr.InvalidRequest},
		{ofTopic, "a/b", "SET retention.ms=5", kerr.InvalidTopicException},
		{ofBroker, "1", "SET node.id=5", kerr.InvalidRequest},
		{ofBroker, "", "SET auto.create.topics.enable=false", kerr.InvalidRequest},
		{ofBroker, "", "SET nosuch=5", nil},
		{ofBroker, "1", "SET log.retention.ms=x", kerr.InvalidRequest},
		{ofBroker, "1", "APPEND log.retention.ms=5", kerr.InvalidConfig},
		{ofBroker, "", "APPEND log.cleanup.policy=compact", nil},
		{ofBroker, "", "DELETE log.cleanup.policy", nil},
		{ofBroker, "1", "SET min.insync.replicas=2", kerr.InvalidConfig},
		{ofBroker, "", "DELETE min.insync.replicas", kerr.InvalidConfig},
		{ofBroker, "1", "SET ssl.keystore.password=x", kerr.InvalidRequest},
		{ofBroker, "1", "SET leader.replication.throttled.rate=1000", nil},
		{ofBroker, "2", "SET compression.type=lz4", kerr.InvalidRequest},
		{ofBroker, "x", "SET compression.type=lz4", kerr.InvalidRequest},
		{0, "x", "SET compression.type=lz4", kerr.InvalidRequest},
		{99, "x", "SET compression.type=lz4", kerr.InvalidRequest},
		{ofGroup, "g", "SET consumer.session.timeout.ms=5", kerr.InvalidConfig},
		{ofGroup, "g", "SET consumer.session.timeout.ms=46000", nil},
		{ofGroup, "g", "SET nosuch=4", kerr.InvalidConfig},
		{ofGroup, "", "SET consumer.session.timeout.ms=46000", kerr.InvalidRequest},
		{ofMetrics, "m", "SET interval.ms=5", kerr.InvalidRequest},
		{ofMetrics, "m", "SET interval.ms=x", kerr.InvalidConfig},
		{ofMetrics, "m", "SET interval.ms=5000|SET metrics=a.,b.|SET match=client_id=foo.*", nil},
		{ofMetrics, "m", "APPEND metrics=c.", kerr.InvalidConfig},
		{ofMetrics, "m", "SET match=what=1", kerr.InvalidConfig},
		{ofMetrics, "m", "SET match=client_id=[", kerr.InvalidConfig},
		{ofMetrics, "m", "SET nosuch=4", kerr.InvalidRequest},
		{ofMetrics, "", "SET interval.ms=5000", kerr.InvalidRequest},
		{ofLogger, "1", "SET root=DEBUG", kerr.InvalidConfig}, // allowed in Kafka: its loggers have levels
		{ofGroup, "g", "SET share.auto.offset.reset=foo", kerr.InvalidConfig},
		{ofLogger, "1", "DELETE root", kerr.InvalidRequest},
		{ofLogger, "1", "APPEND root=INFO", kerr.InvalidRequest},
		{ofLogger, "1", "SET nosuch=INFO", kerr.InvalidConfig},
		{ofLogger, "2", "SET root=INFO", kerr.InvalidRequest},
	} {
		got := x.alter(alteration(test.kind, test.name, strings.Split(test.ops, "|")...))
		x.code(fmt.Sprint(test.kind, " ", test.name, ": ", test.ops), got[0].ErrorCode, test.want)
	}
	for _, test := range []struct {
		kind            kmsg.ConfigResourceType
		name, key, want string
	}{
		{ofTopic, "t", "retention.ms", "7 1 retention.ms=7/1"},
		{ofTopic, "t", "preallocate", "true 1 preallocate=true/1 log.preallocate=false/5"},
		{ofTopic, "t", "cleanup.policy", "delete 1 cleanup.policy=delete/1 log.cleanup.policy=delete/5"},
		{ofTopic, "t", "min.insync.replicas", "1 3 min.insync.replicas=1/3 min.insync.replicas=1/5"},
		{ofBroker, "", "nosuch", "null 3 nosuch=null/3"},
		{ofBroker, "1", "leader.replication.throttled.rate", "1000 2 leader.replication.throttled.rate=1000/2"},
		{ofBroker, "1", "ssl.keystore.password", "null 5"},
		{ofGroup, "g", "consumer.session.timeout.ms", "46000 8 consumer.session.timeout.ms=46000/8 group.consumer.session.timeout.ms=45000/5"},
		{ofMetrics, "m", "interval.ms", "5000 7 interval.ms=5000/7"},
		{ofMetrics, "other", "interval.ms", "300000 5"},
		{ofLogger, "1", "root", "INFO 6"},
	} {
		if got := x.described(test.kind, test.name, test.key); got != test.want {
			t.Errorf("%s of %q: %s, want %s", test.key, test.name, got, test.want)
		}
	}
}

func TestEachResourceIsAlteredOnItsOwn(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	x.topicOf("t", 1, 3)
	x.topicOf("u", 1, 3)
	other := fmt.Sprint(c.active().id)
	got := x.alter(
		alteration(ofTopic, "t", "SET retention.ms=7"),
		alteration(ofBroker, other, "SET compression.type=lz4"),
		alteration(ofTopic, "u", "SET retention.ms=x", "SET flush.ms=1"),
		alteration(ofTopic, "twice", "SET retention.ms=7"),
		alteration(ofLogger, fmt.Sprint(c.follower().id), "SET root=INFO"),
		alteration(ofTopic, "twice", "SET retention.ms=7"),
		alteration(ofGroup, "g", "SET consumer.session.timeout.ms=47000"),
	)
	for i, want := range []*kerr.Error{nil, kerr.InvalidRequest, kerr.InvalidConfig, kerr.InvalidRequest, kerr.InvalidConfig, kerr.InvalidRequest, nil} {
		x.code(fmt.Sprint("resource ", i), got[i].ErrorCode, want)
	}
	if got[6].ResourceName != "g" || got[1].ResourceName != other {
		t.Errorf("in another order: %+v", got)
	}
	x.until("committed here", func() bool { return x.described(ofTopic, "t", "retention.ms")[0] == '7' })
	if got := x.described(ofTopic, "u", "flush.ms"); strings.HasPrefix(got, "1 ") {
		t.Errorf("half of u was changed: %s", got)
	}
}

func TestValidateOnlyChangesNothing(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1)
	before := x.nodes[0].broker.Image().Hash()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = true
	req.Resources = append(req.Resources, alteration(ofTopic, "t", "SET retention.ms=7"), alteration(ofTopic, "t2", "SET retention.ms=7"))
	resp := ask[*kmsg.IncrementalAlterConfigsResponse](x, req)
	x.code("valid", resp.Resources[0].ErrorCode, nil)
	x.code("no such topic", resp.Resources[1].ErrorCode, kerr.UnknownTopicOrPartition)
	if x.nodes[0].broker.Image().Hash() != before {
		t.Error("the metadata changed")
	}
}

func TestAlterConfigsReplacesAll(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1, "flush.ms=5", "retention.ms=6")
	value := "7"
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Resources = []kmsg.AlterConfigsRequestResource{
		{ResourceType: ofTopic, ResourceName: "t", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}},
		{ResourceType: ofTopic, ResourceName: "u", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms"}}},
		{ResourceType: ofLogger, ResourceName: "1"},
		{ResourceType: ofBroker, ResourceName: ""},
		{ResourceType: ofBroker, ResourceName: "9"},
	}
	for req.Version = 0; req.Version <= 2; req.Version++ {
		resp := ask[*kmsg.AlterConfigsResponse](x, req)
		for i, want := range []*kerr.Error{nil, kerr.InvalidRequest, kerr.InvalidRequest, kerr.InvalidConfig, kerr.InvalidRequest} { // ELR keeps min.insync.replicas of all brokers
			x.code(resp.Resources[i].ResourceName, resp.Resources[i].ErrorCode, want)
		}
	}
	if a, b := x.described(ofTopic, "t", "retention.ms"), x.described(ofTopic, "t", "flush.ms"); a != "7 1 retention.ms=7/1" || b != "9223372036854775807 5" {
		t.Errorf("%s; %s", a, b)
	}
}

func TestNoAnswerIsMuchLargerThanItsQuestion(t *testing.T) {
	x := start(t, 1).client()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeDocumentation = 4, true
	for i := range 20_000 {
		req.Resources = append(req.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: ofGroup, ResourceName: fmt.Sprint("g", i)})
	}
	resp := ask[*kmsg.DescribeConfigsResponse](x, req)
	told := 0
	for _, r := range resp.Resources {
		told += len(r.Configs)
	}
	last := resp.Resources[len(resp.Resources)-1]
	x.code("the last one", last.ErrorCode, kerr.PolicyViolation)
	if told > 51_000 || len(resp.Resources) != 20_000 {
		t.Errorf("%d configs of %d resources", told, len(resp.Resources))
	}
}

func TestConfigResourcesAreListed(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1)
	x.alter(alteration(ofGroup, "g", "SET consumer.session.timeout.ms=47000"), alteration(ofMetrics, "m", "SET interval.ms=1000"))
	list := func(version int16, kinds ...int8) string {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.Version, req.ResourceTypes = version, kinds
		resp := ask[*kmsg.ListConfigResourcesResponse](x, req)
		line := fmt.Sprint(resp.ErrorCode)
		for _, r := range resp.ConfigResources {
			line += fmt.Sprintf(" %s/%d", r.Name, r.Type)
		}
		return line
	}
	for _, test := range []struct{ got, want string }{
		{list(0), "0 m/16"}, {list(1), "0 g/32 m/16 1/8 1/4 t/2"}, {list(1, 2, 32), "0 g/32 t/2"}, {list(1, 99), "35"},
	} {
		if strings.Replace(test.got, "m/0", "m/16", 1) != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}
