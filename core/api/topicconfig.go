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
	overrides := map[string]string{}
	for _, kv := range image.Config(int8(kmsg.ConfigResourceTypeTopic), topic) {
		overrides[kv.Key] = kv.Value
	}
	return c.TopicConfig(overrides)
}
