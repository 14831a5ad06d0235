package api

import (
	"strconv"
	"time"

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

// GroupConfig is the times that a group obeys, by key: its own, or this node's.
func GroupConfig(c *config.Config, image *metadata.Image, group string) func(key string) time.Duration {
	own, dynamic := configsOf(image, kmsg.ConfigResourceTypeGroupConfig, group), DynamicConfig(c, image)
	return func(key string) time.Duration {
		n, _ := strconv.ParseInt(c.GroupChain(key, own, dynamic)[0].Value, 10, 64) // checked when it was set
		return time.Duration(n) * time.Millisecond
	}
}

func configsOf(image *metadata.Image, kind kmsg.ConfigResourceType, name string) map[string]string {
	configs := map[string]string{}
	for _, kv := range image.Config(int8(kind), name) {
		configs[kv.Key] = kv.Value
	}
	return configs
}
