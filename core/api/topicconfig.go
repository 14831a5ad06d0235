package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicConfig is a topic's effective configuration on this node.
func (s *Server) TopicConfig(topic string) config.TopicConfig {
	return TopicConfig(s.Config, s.Image(), topic)
}

// TopicConfig combines the overrides in an image with a node's defaults.
func TopicConfig(c *config.Config, image *metadata.Image, topic string) config.TopicConfig {
	return c.TopicConfig(configsOf(image, kmsg.ConfigResourceTypeTopic, topic), clusterDefaults(image))
}

// clusterDefaults are the configs of the broker resource without a name: what is set for all brokers.
func clusterDefaults(image *metadata.Image) map[string]string {
	return configsOf(image, kmsg.ConfigResourceTypeBroker, "")
}

func configsOf(image *metadata.Image, kind kmsg.ConfigResourceType, name string) map[string]string {
	configs := map[string]string{}
	for _, kv := range image.Config(int8(kind), name) {
		configs[kv.Key] = kv.Value
	}
	return configs
}
