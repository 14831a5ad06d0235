package api

import (
	"strconv"

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
	return c.TopicConfig(configsOf(image, kmsg.ConfigResourceTypeTopic, topic), DynamicConfig(c, image))
}

// DynamicConfig is what is set by broker keys while brokers run, for this node and for all.
func DynamicConfig(c *config.Config, image *metadata.Image) config.Dynamic {
	return config.Dynamic{
		Broker:  configsOf(image, kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(c.NodeID))),
		Cluster: configsOf(image, kmsg.ConfigResourceTypeBroker, ""),
	}
}

func configsOf(image *metadata.Image, kind kmsg.ConfigResourceType, name string) map[string]string {
	configs := map[string]string{}
	for _, kv := range image.Config(int8(kind), name) {
		configs[kv.Key] = kv.Value
	}
	return configs
}
