package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateTopics (key 19), versions 2 to 7: decided by the active controller, to which brokers forward it. From version
// 5 the answer holds the effective configuration of each new topic (KIP-525).
func (k *call) createTopics() { k.forwardToController() }

// addConfigs fills in the configuration of the topics that were created, or would have been.
func (s *Server) addConfigs(req *kmsg.CreateTopicsRequest, resp *kmsg.CreateTopicsResponse) {
	if req.Version < 5 {
		return
	}
	asked := make(map[string][]kmsg.CreateTopicsRequestTopicConfig, len(req.Topics))
	for i := range req.Topics {
		asked[req.Topics[i].Topic] = req.Topics[i].Configs
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.ErrorCode == 0 {
			t.Configs = s.createdConfigs(asked[t.Topic])
		}
	}
}

func (s *Server) createdConfigs(asked []kmsg.CreateTopicsRequestTopicConfig) []kmsg.CreateTopicsResponseTopicConfig {
	overrides := make(map[string]string, len(asked))
	for i := range asked {
		overrides[asked[i].Name] = *asked[i].Value // the controller refuses null
	}
	effective := s.Config.TopicConfig(overrides, DynamicConfig(s.Config, s.Image()))
	told := make([]kmsg.CreateTopicsResponseTopicConfig, 0, len(config.TopicKeys))
	for i := range config.TopicKeys {
		name := config.TopicKeys[i].Name
		value := effective.Value(name)
		told = append(told, kmsg.CreateTopicsResponseTopicConfig{Name: name, Value: &value, Source: int8(sourceOf(effective.Told(name)))})
	}
	return told
}
