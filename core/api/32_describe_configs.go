package api

import (
	"slices"
	"strconv"

	"github.com/lockstep/lockstep/core/config"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigs (key 32), versions 1 to 4: every key of a topic or of this broker with its source, default and, on
// request, synonyms and documentation. Another broker's settings are in its own file, so that is refused.
func (k *call) describeConfigs() {
	req := k.req.Body.(*kmsg.DescribeConfigsRequest)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	resp.Version = req.Version
	for i := range req.Resources {
		resp.Resources = append(resp.Resources, k.describeResource(req, &req.Resources[i]))
	}
	k.reply(resp)
}

func (k *call) describeResource(req *kmsg.DescribeConfigsRequest, asked *kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	told := kmsg.NewDescribeConfigsResponseResource()
	told.ResourceType, told.ResourceName = asked.ResourceType, asked.ResourceName
	d := describer{req: req, asked: asked}
	var err *kerr.Error
	message := ""
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		err, message = d.topic(k.server)
	case kmsg.ConfigResourceTypeBroker:
		err, message = d.broker(k.server)
	default:
		err, message = kerr.InvalidRequest, "only topics and brokers have configs here"
	}
	if err != nil {
		told.ErrorCode, told.ErrorMessage = err.Code, &message
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

func (d *describer) topic(s *Server) (*kerr.Error, string) {
	if s.Image().Topic(d.asked.ResourceName) == nil {
		return kerr.UnknownTopicOrPartition, "no topic named " + d.asked.ResourceName
	}
	effective := s.TopicConfig(d.asked.ResourceName)
	for i := range config.TopicKeys {
		key := &config.TopicKeys[i]
		d.add(key, effective.Value(key.Name), effective.Chain(key.Name), false)
	}
	return nil, ""
}

func (d *describer) broker(s *Server) (*kerr.Error, string) {
	if d.asked.ResourceName != strconv.Itoa(int(s.Config.NodeID)) {
		return kerr.InvalidRequest, "this is broker " + strconv.Itoa(int(s.Config.NodeID)) + ", not " + strconv.Quote(d.asked.ResourceName)
	}
	for i := range config.BrokerKeys {
		key := &config.BrokerKeys[i]
		value, ok := s.Config.Value(key.Name)
		var chain []config.Entry
		if s.Config.IsSet(key.Name) {
			chain = append(chain, config.Entry{Name: key.Name, Value: value, Source: config.SourceStaticBroker})
		}
		chain = append(chain, config.Entry{Name: key.Name, Value: key.Default, Null: key.Null, Source: config.SourceDefault})
		chain[0].Null = !ok
		d.add(key, value, chain, true)
	}
	return nil, ""
}

func (d *describer) add(key *config.Key, value string, chain []config.Entry, readOnly bool) {
	if d.asked.ConfigNames != nil && !slices.Contains(d.asked.ConfigNames, key.Name) {
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
