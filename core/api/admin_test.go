package api_test

import (
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/config"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// follower is a node that is not the active controller.
func (c *cluster) follower() *node {
	for _, n := range c.nodes {
		if !n.broker.Controller().Active() {
			return n
		}
	}
	return nil
}

func (c *cluster) active() *node {
	for _, n := range c.nodes {
		if n.broker.Controller().Active() {
			return n
		}
	}
	return nil
}

func TestTopicsAreManagedThroughAnyBroker(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, clientPort)
	id := x.topicOf("t", 2, 3)

	more := kmsg.NewPtrCreatePartitionsRequest()
	more.Version = 3
	more.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 4}, {Topic: "nobody", Count: 2}}
	added := ask[*kmsg.CreatePartitionsResponse](x, more)
	x.code("add partitions", added.Topics[0].ErrorCode, nil)
	x.code("add partitions to nothing", added.Topics[1].ErrorCode, kerr.UnknownTopicOrPartition)
	if len(c.active().broker.Image().Topic("t").Partitions) != 4 {
		t.Error("no partitions were added")
	}

	again := kmsg.NewPtrCreateTopicsRequest()
	again.Version = 7
	again.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}, {Topic: "u", NumPartitions: 1, ReplicationFactor: 4}}
	created := ask[*kmsg.CreateTopicsResponse](x, again)
	x.code("create what is there", created.Topics[0].ErrorCode, kerr.TopicAlreadyExists)
	x.code("more replicas than brokers", created.Topics[1].ErrorCode, kerr.InvalidReplicationFactor)

	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Version = 6
	byID := kmsg.NewDeleteTopicsRequestTopic()
	byID.TopicID = id
	remove.Topics = append(remove.Topics, byID)
	x.code("delete by id", ask[*kmsg.DeleteTopicsResponse](x, remove).Topics[0].ErrorCode, nil)
	x.code("delete again", ask[*kmsg.DeleteTopicsResponse](x, remove).Topics[0].ErrorCode, kerr.UnknownTopicID)
}

func TestForwardedRequestWaitsForAController(t *testing.T) {
	c := start(t, 3)
	x, gone := c.dial(c.follower().id, clientPort), c.active()
	gone.loop.Kill()
	gone.host.Crash(false)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}
	x.code("create", ask[*kmsg.CreateTopicsResponse](x, req).Topics[0].ErrorCode, nil)
}

func TestForwardedRequestTimesOutWithoutAController(t *testing.T) {
	c := start(t, 3)
	x, stays := c.dial(c.follower().id, clientPort), c.follower()
	for _, n := range c.nodes {
		if n != stays {
			n.loop.Kill()
			n.host.Crash(false)
		}
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 5
	req.TopicNames = []string{"t"}
	asked := c.world.Now()
	resp := ask[*kmsg.DeleteTopicsResponse](x, req)
	x.code("delete", resp.Topics[0].ErrorCode, kerr.RequestTimedOut)
	if resp.Topics[0].ErrorMessage == nil || *resp.Topics[0].Topic != "t" {
		t.Errorf("answer %+v", resp.Topics[0])
	}
	if took := c.world.Now().Sub(asked).Seconds(); took < 29 || took > 31 {
		t.Errorf("took %.1f s, want request.timeout.ms", took)
	}
}

func TestControllerThatIsNotActiveSaysSo(t *testing.T) {
	c := start(t, 3)
	x := c.dial(c.follower().id, controllerPort)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{1}}}
	x.code("not the controller", ask[*kmsg.DeleteTopicsResponse](x, req).Topics[0].ErrorCode, kerr.NotController)
	envelope := kmsg.NewPtrEnvelopeRequest()
	envelope.RequestData, envelope.ClientHostAddress = encode(req, 1<<30), []byte{127, 0, 0, 1}
	x.code("envelope", ask[*kmsg.EnvelopeResponse](x, envelope).ErrorCode, kerr.NotController)
}

func TestEnvelopeHoldsAdministrationOnly(t *testing.T) {
	x := start(t, 1).controllerClient()
	envelope := kmsg.NewPtrEnvelopeRequest()
	envelope.ClientHostAddress = []byte{127, 0, 0, 1}
	for _, inner := range []kmsg.Request{kmsg.NewPtrEnvelopeRequest(), kmsg.NewPtrFetchRequest(), kmsg.NewPtrVoteRequest(), kmsg.NewPtrApiVersionsRequest()} {
		inner.SetVersion(inner.MaxVersion())
		envelope.RequestData = encode(inner, 1)
		x.code(kmsg.NameForKey(inner.Key()), ask[*kmsg.EnvelopeResponse](x, envelope).ErrorCode, kerr.InvalidRequest)
	}
}

func TestCreateTopicsAnswersWithTheEffectiveConfig(t *testing.T) {
	x := start(t, 1, "log.retention.hours=1").client()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly = true
	value := "2048"
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: -1, ReplicationFactor: -1, Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "segment.bytes", Value: &value}}}}
	for req.Version = 2; req.Version <= 7; req.Version++ {
		topic := ask[*kmsg.CreateTopicsResponse](x, req).Topics[0]
		x.code("validate", topic.ErrorCode, nil)
		if req.Version < 5 {
			continue
		}
		got := map[string]kmsg.CreateTopicsResponseTopicConfig{}
		for _, c := range topic.Configs {
			got[c.Name] = c
		}
		if topic.NumPartitions != 1 || topic.ReplicationFactor != 1 || len(got) != len(config.TopicKeys) {
			t.Errorf("v%d: %d partitions, factor %d, %d configs", req.Version, topic.NumPartitions, topic.ReplicationFactor, len(got))
		}
		if c := got["segment.bytes"]; *c.Value != "2048" || c.Source != 1 {
			t.Errorf("segment.bytes: %+v", c)
		}
		if c := got["retention.ms"]; *c.Value != "3600000" || c.Source != 5 {
			t.Errorf("retention.ms: %+v", c)
		}
		if c := got["flush.ms"]; c.Source != 5 || c.ReadOnly {
			t.Errorf("flush.ms: %+v", c)
		}
	}
}

func describeConfigs(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	return req
}

func TestDescribeConfigsTellsEveryKeyAndWhereItComesFrom(t *testing.T) {
	x := start(t, 1, "log.retention.hours=1").client()
	x.topic("t", 1, "retention.ms=5000")
	all := ask[*kmsg.DescribeConfigsResponse](x, describeConfigs(kmsg.ConfigResourceTypeTopic, "t")).Resources[0]
	if len(all.Configs) != len(config.TopicKeys) {
		t.Errorf("%d keys of %d", len(all.Configs), len(config.TopicKeys))
	}
	for _, c := range all.Configs {
		if c.Documentation == nil || *c.Documentation == "" || c.ConfigType == 0 || c.ReadOnly || len(c.ConfigSynonyms) > 0 && c.Source != c.ConfigSynonyms[0].Source {
			t.Errorf("%+v", c)
		}
	}
	one := ask[*kmsg.DescribeConfigsResponse](x, describeConfigs(kmsg.ConfigResourceTypeTopic, "t", "retention.ms")).Resources[0]
	if len(one.Configs) != 1 || *one.Configs[0].Value != "5000" || one.Configs[0].Source != 1 {
		t.Fatalf("retention.ms: %+v", one)
	}
	var chain []string
	for _, s := range one.Configs[0].ConfigSynonyms {
		chain = append(chain, s.Name)
	}
	if got := strings.Join(chain, " "); got != "retention.ms" {
		t.Errorf("synonyms of retention.ms: %s", got)
	}
	broker := ask[*kmsg.DescribeConfigsResponse](x, describeConfigs(kmsg.ConfigResourceTypeBroker, "1")).Resources[0]
	if len(broker.Configs) < 340 || !broker.Configs[0].ReadOnly {
		t.Errorf("broker: %d keys", len(broker.Configs))
	}
	for _, c := range broker.Configs {
		secret := strings.Contains(c.Name, "password") || c.Name == "sasl.jaas.config"
		if c.Documentation == nil || *c.Documentation == "" || c.ConfigType == 0 || secret && (c.Value != nil || !c.IsSensitive) {
			t.Errorf("%+v", c)
		}
	}
}

func TestDescribeConfigsRefusesWhatIsNotThere(t *testing.T) {
	x := start(t, 1).client()
	for _, c := range []struct {
		kind kmsg.ConfigResourceType
		name string
		want *kerr.Error
	}{
		{kmsg.ConfigResourceTypeTopic, "nobody", kerr.UnknownTopicOrPartition},
		{kmsg.ConfigResourceTypeTopic, "a/b", kerr.InvalidTopicException},
		{kmsg.ConfigResourceTypeBroker, "2", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBroker, "", nil},
		{kmsg.ConfigResourceTypeBrokerLogger, "1", nil},
		{kmsg.ConfigResourceTypeBrokerLogger, "2", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeGroupConfig, "", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeGroupConfig, "g", nil},
		{kmsg.ConfigResourceTypeClientMetrics, "", kerr.InvalidRequest},
		{kmsg.ConfigResourceTypeClientMetrics, "m", nil},
		{77, "1", kerr.InvalidRequest},
	} {
		resp := ask[*kmsg.DescribeConfigsResponse](x, describeConfigs(c.kind, c.name)).Resources[0]
		x.code(c.name, resp.ErrorCode, c.want)
		if c.want != nil && ((resp.ErrorMessage == nil) != (c.want == kerr.UnknownTopicOrPartition) || len(resp.Configs) > 0) {
			t.Errorf("%q: %+v", c.name, resp)
		}
	}
}

func alterConfig(name, key, value string, op kmsg.IncrementalAlterConfigOp) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name,
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Op: op, Value: &value}}}}
	return req
}

func TestConfigsAreAlteredAndDescribed(t *testing.T) {
	x := start(t, 1).client()
	x.topic("t", 1)
	value := func(key string) string {
		return *ask[*kmsg.DescribeConfigsResponse](x, describeConfigs(kmsg.ConfigResourceTypeTopic, "t", key)).Resources[0].Configs[0].Value
	}
	alter := func(key, v string, op kmsg.IncrementalAlterConfigOp) kmsg.IncrementalAlterConfigsResponseResource {
		return ask[*kmsg.IncrementalAlterConfigsResponse](x, alterConfig("t", key, v, op)).Resources[0]
	}
	x.code("set", alter("retention.ms", "7", kmsg.IncrementalAlterConfigOpSet).ErrorCode, nil)
	x.code("append", alter("cleanup.policy", "compact", kmsg.IncrementalAlterConfigOpAppend).ErrorCode, nil)
	if a, b := value("retention.ms"), value("cleanup.policy"); a != "7" || b != "delete,compact" {
		t.Errorf("set to %q, appended to %q", a, b)
	}
	x.code("subtract", alter("cleanup.policy", "delete", kmsg.IncrementalAlterConfigOpSubtract).ErrorCode, nil)
	x.code("delete", alter("retention.ms", "", kmsg.IncrementalAlterConfigOpDelete).ErrorCode, nil)
	if a, b := value("retention.ms"), value("cleanup.policy"); a != "604800000" || b != "compact" {
		t.Errorf("deleted to %q, subtracted to %q", a, b)
	}
	unknown := alter("retention.seconds", "7", kmsg.IncrementalAlterConfigOpSet)
	x.code("unknown key", unknown.ErrorCode, kerr.InvalidConfig)
	if unknown.ErrorMessage == nil || !strings.Contains(*unknown.ErrorMessage, "retention.seconds") {
		t.Errorf("unknown key: %v", unknown.ErrorMessage)
	}
	x.code("bad value", alter("retention.ms", "soon", kmsg.IncrementalAlterConfigOpSet).ErrorCode, kerr.InvalidConfig)
	x.code("append to a number", alter("retention.ms", "7", kmsg.IncrementalAlterConfigOpAppend).ErrorCode, kerr.InvalidConfig)
}
