package api

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigs (key 32), versions 1 to 4: every key of a topic, of this broker, of a group and of a client metrics subscription, with
// its source, default and, on request, synonyms and documentation. Another broker's settings are in its own file, so that is
// refused. A broker without a name stands for what is set for all of them while they run. There is one logger, and it has one level.
func (k *call) describeConfigs() {
	req := k.req.Body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	unknown := slices.IndexFunc(req.Resources, func(r kmsg.DescribeConfigsRequestResource) bool { return !isConfigResource(r.ResourceType) })
	left := maxDescribed
	seen := make(map[configResource]bool, len(req.Resources))
	for i := range req.Resources {
		asked := &req.Resources[i]
		// Each is answered once: the answer is a thousand times the size of the question.
		if r := (configResource{asked.ResourceType, asked.ResourceName}); !seen[r] {
			seen[r] = true
			resp.Resources = append(resp.Resources, k.describeResource(req, asked, left, unknown >= 0))
			left -= len(resp.Resources[len(resp.Resources)-1].Configs)
		}
	}
	k.reply(resp)
}

// maxDescribed bounds the configs in one answer: every name is that of a group, or of a subscription.
const maxDescribed = 50_000

type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

func isConfigResource(kind kmsg.ConfigResourceType) bool {
	switch kind {
	case kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig:
		return true
	}
	return false
}

// describeResource answers for one resource, if there is something left that may be told. One of a type that is unknown spoils the whole request.
func (k *call) describeResource(req *kmsg.DescribeConfigsRequest, asked *kmsg.DescribeConfigsRequestResource, left int, spoilt bool) kmsg.DescribeConfigsResponseResource {
	told := kmsg.NewDescribeConfigsResponseResource()
	told.ResourceType, told.ResourceName = asked.ResourceType, asked.ResourceName
	d := describer{req: req, asked: asked}
	err := error(kerr.InvalidRequest)
	switch {
	case spoilt:
	case left <= 0:
		err = fmt.Errorf("too many resources in one request: %w", kerr.PolicyViolation)
	default:
		err = d.describe(k.server)
	}
	if err != nil {
		told.ErrorCode = wire.Code(err)
		if err != kerr.UnknownTopicOrPartition { // for which Kafka has no words
			told.ErrorMessage = messageOf(err)
		}
		return told
	}
	told.ErrorMessage = new(string) // as Kafka
	told.Configs = d.configs
	return told
}

// describer gathers the configs of one resource.
type describer struct {
	req     *kmsg.DescribeConfigsRequest
	asked   *kmsg.DescribeConfigsRequestResource
	configs []kmsg.DescribeConfigsResponseResourceConfig
}

func (d *describer) describe(s *Server) error {
	name := d.asked.ResourceName
	switch d.asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		return d.topic(s)
	case kmsg.ConfigResourceTypeBroker:
		if name == "" {
			d.allBrokers(s)
			return nil
		}
		if err := s.checkNodeName(name); err != nil {
			return err
		}
		d.broker(s)
	case kmsg.ConfigResourceTypeBrokerLogger:
		if err := s.checkNodeName(name); err != nil {
			return err
		}
		d.logger()
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return fmt.Errorf("a client metrics resource is the name of a subscription: %w", kerr.InvalidRequest)
		}
		d.clientMetrics(s)
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return fmt.Errorf("a group resource is the name of a group: %w", kerr.InvalidRequest)
		}
		d.group(s)
	}
	return nil
}

// checkNodeName refuses all nodes but this one.
func (s *Server) checkNodeName(name string) error {
	if id, err := strconv.ParseInt(name, 10, 32); err != nil || int32(id) != s.Config.NodeID {
		return fmt.Errorf("this is node %d, not %q: %w", s.Config.NodeID, name, kerr.InvalidRequest)
	}
	return nil
}

func (d *describer) topic(s *Server) error {
	name := d.asked.ResourceName
	if why := metadata.TopicNameFault(name); why != "" {
		return fmt.Errorf("%s: %w", why, kerr.InvalidTopicException)
	}
	if s.Image().Topic(name) == nil {
		return kerr.UnknownTopicOrPartition
	}
	effective := s.TopicConfig(name)
	for i := range config.TopicKeys {
		if key := &config.TopicKeys[i]; d.wants(key.Name) {
			value := effective.Value(key.Name)
			d.add(key, &value, effective.Told(key.Name), false)
		}
	}
	return nil
}

// allBrokers lists what is set, and no more.
func (d *describer) allBrokers(s *Server) {
	for _, e := range s.Image().Config(metadata.ResourceBroker, "") {
		d.addSet(e, config.SourceDynamicDefault)
	}
}

// addSet adds a broker's key with the one value that it has been set to.
func (d *describer) addSet(e metadata.ConfigEntry, source config.Source) {
	if !d.wants(e.Key) {
		return
	}
	key := config.FindSettable(e.Key)
	if key == nil {
		key = &config.Key{Name: e.Key, Type: config.Password} // unknown: it may be a secret
	}
	d.add(key, &e.Value, []config.Entry{{Name: e.Key, Value: e.Value, Source: source}}, !config.IsDynamic(e.Key))
	if config.FindSettable(e.Key) == nil {
		unknown := &d.configs[len(d.configs)-1]
		unknown.ConfigType, unknown.Documentation = 0, nil
	}
}

func (d *describer) broker(s *Server) {
	dynamic := DynamicConfig(s.Config, s.Image())
	for _, key := range config.DescribedBrokerKeys() {
		if !d.wants(key.Name) {
			continue
		}
		var value *string
		if v, ok := s.Config.BrokerValue(key.Name, dynamic); ok {
			v = key.Normal(v)
			value = &v
		}
		d.add(key, value, config.Told(s.Config.BrokerChain(key.Name, dynamic), key.Name), !config.IsDynamic(key.Name))
	}
	for _, e := range s.Image().Config(metadata.ResourceBroker, s.nodeName) {
		if config.DescribedBroker(e.Key) == nil {
			d.addSet(e, config.SourceDynamicBroker)
		}
	}
}

// logger tells of the one there is: everything that happens is logged at one level.
func (d *describer) logger() {
	if !d.wants(rootLogger) {
		return
	}
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	level := "INFO"
	c.Name, c.Value, c.Source, c.ReadOnly = rootLogger, &level, kmsg.ConfigSource(config.SourceBrokerLogger), true
	d.configs = append(d.configs, c)
}

func (d *describer) clientMetrics(s *Server) {
	for i := range config.ClientMetricsKeys {
		key := &config.ClientMetricsKeys[i]
		if !d.wants(key.Name) {
			continue
		}
		value, isSet := s.Image().ConfigValue(metadata.ResourceClientMetrics, d.asked.ResourceName, key.Name)
		var chain []config.Entry
		if !isSet {
			value = key.Default
		} else {
			chain = []config.Entry{{Name: key.Name, Value: key.Normal(value), Source: config.SourceClientMetrics}}
		}
		value = key.Normal(value)
		d.add(key, &value, chain, false)
	}
}

func (d *describer) group(s *Server) {
	dynamic := DynamicConfig(s.Config, s.Image())
	set := configsOf(s.Image(), kmsg.ConfigResourceTypeGroupConfig, d.asked.ResourceName)
	for i := range config.GroupKeys {
		if key := &config.GroupKeys[i]; d.wants(key.Name) {
			chain := s.Config.GroupChain(key.Name, set, dynamic)
			value := key.Normal(chain[0].Value)
			d.add(key, &value, chain, false)
		}
	}
}

// wants reports whether a key was asked for: all are if none is named.
func (d *describer) wants(key string) bool {
	return len(d.asked.ConfigNames) == 0 || slices.Contains(d.asked.ConfigNames, key)
}

func (d *describer) add(key *config.Key, value *string, chain []config.Entry, readOnly bool) {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.ReadOnly, c.IsSensitive = key.Name, shown(key, value), readOnly, key.Sensitive()
	c.Source = kmsg.ConfigSource(sourceOf(chain))
	c.ConfigType = kmsg.ConfigType(key.Type)
	if d.req.IncludeSynonyms {
		for _, e := range chain {
			c.ConfigSynonyms = append(c.ConfigSynonyms, kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{Name: e.Name, Value: shown(key, &e.Value), Source: kmsg.ConfigSource(e.Source)})
		}
	}
	if d.req.IncludeDocumentation {
		doc := key.Documentation()
		c.Documentation = &doc
	}
	d.configs = append(d.configs, c)
}

// shown is a value, unless it is a secret.
func shown(key *config.Key, value *string) *string {
	if key.Sensitive() {
		return nil
	}
	return value
}

// sourceOf is where the effective value of a chain comes from.
func sourceOf(chain []config.Entry) config.Source {
	if len(chain) == 0 {
		return config.SourceDefault
	}
	return chain[0].Source
}
