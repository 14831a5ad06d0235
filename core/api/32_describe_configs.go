package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigs (key 32), versions 1 to 4: every key of a topic or of this broker with its source, default and, on
// request, synonyms and documentation. Another broker's settings are in its own file, so that is refused. A broker without a name stands
// for what is set for all of them while they run.
func (k *call) describeConfigs() {
	req := k.req.Body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	seen := make(map[configResource]bool, len(req.Resources))
	for i := range req.Resources {
		asked := &req.Resources[i]
		// Each is answered once: the answer is a thousand times the size of the question.
		if r := (configResource{asked.ResourceType, asked.ResourceName}); !seen[r] {
			seen[r] = true
			resp.Resources = append(resp.Resources, k.describeResource(req, asked))
		}
	}
	k.reply(resp)
}

type configResource struct {
	kind kmsg.ConfigResourceType
	name string
}

func (k *call) describeResource(req *kmsg.DescribeConfigsRequest, asked *kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	told := kmsg.NewDescribeConfigsResponseResource()
	told.ResourceType, told.ResourceName = asked.ResourceType, asked.ResourceName
	d := describer{req: req, asked: asked}
	if err := d.describe(k.server); err != nil {
		told.ErrorCode, told.ErrorMessage = wire.Code(err), messageOf(err)
	}
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
		if why := metadata.TopicNameFault(name); why != "" {
			return fmt.Errorf("%s: %w", why, kerr.InvalidTopicException)
		}
		if s.Image().Topic(name) == nil {
			return fmt.Errorf("no topic is named %q: %w", name, kerr.UnknownTopicOrPartition)
		}
		d.topic(s)
		return nil
	case kmsg.ConfigResourceTypeBroker:
		if name == "" {
			d.allBrokers(s)
			return nil
		}
		if s.Replicas == nil || name != strconv.Itoa(int(s.Config.NodeID)) {
			return fmt.Errorf("this is node %d; only itself as a broker and the brokers' default (no name) are known here, not %q: %w", s.Config.NodeID, name, kerr.InvalidRequest)
		}
		d.broker(s)
		return nil
	}
	return fmt.Errorf("only topics and brokers have configs here, not resources of type %d: %w", d.asked.ResourceType, kerr.InvalidRequest)
}

func (d *describer) topic(s *Server) {
	effective := s.TopicConfig(d.asked.ResourceName)
	for i := range config.TopicKeys {
		key := &config.TopicKeys[i]
		d.add(key, effective.Value(key.Name), effective.Chain(key.Name), false)
	}
}

// allBrokers lists what is set, and no more.
func (d *describer) allBrokers(s *Server) {
	for _, kv := range s.Image().Config(int8(kmsg.ConfigResourceTypeBroker), "") {
		if key := config.FindBroker(kv.Key); key != nil {
			d.add(key, kv.Value, []config.Entry{{Name: kv.Key, Value: kv.Value, Source: config.SourceDynamicDefault}}, false)
		}
	}
}

func (d *describer) broker(s *Server) {
	cluster := clusterDefaults(s.Image())
	for i := range config.BrokerKeys {
		key := &config.BrokerKeys[i]
		if strings.HasPrefix(key.Name, "internal.") {
			continue
		}
		value, ok := s.Config.Value(key.Name)
		var chain []config.Entry
		if v, ok := cluster[key.Name]; ok {
			chain = append(chain, config.Entry{Name: key.Name, Value: v, Source: config.SourceDynamicDefault})
		}
		if s.Config.IsSet(key.Name) {
			chain = append(chain, config.Entry{Name: key.Name, Value: value, Source: config.SourceStaticBroker})
		}
		chain = append(chain, config.Entry{Name: key.Name, Value: key.Default, Null: key.Null, Source: config.SourceDefault})
		if chain[0].Source == config.SourceDynamicDefault {
			value, ok = chain[0].Value, true
		}
		chain[0].Null = !ok
		d.add(key, value, chain, config.FindDefault(key.Name) == nil)
	}
}

func (d *describer) add(key *config.Key, value string, chain []config.Entry, readOnly bool) {
	if len(d.asked.ConfigNames) > 0 && !slices.Contains(d.asked.ConfigNames, key.Name) {
		return
	}
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.ReadOnly = key.Name, readOnly
	c.Value = nullable(value, chain[0].Null)
	c.Source = kmsg.ConfigSource(chain[0].Source)
	c.ConfigType = kmsg.ConfigType(key.Type)
	if d.req.IncludeSynonyms {
		for _, e := range chain {
			c.ConfigSynonyms = append(c.ConfigSynonyms, kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{Name: e.Name, Value: nullable(e.Value, e.Null), Source: kmsg.ConfigSource(e.Source)})
		}
	}
	if d.req.IncludeDocumentation {
		c.Documentation = &key.Doc
	}
	d.configs = append(d.configs, c)
}

func nullable(value string, null bool) *string {
	if null {
		return nil
	}
	return &value
}
