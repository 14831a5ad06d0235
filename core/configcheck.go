package core

import (
	"fmt"
	"strconv"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
)

// validateConfigs says why a resource may not be set to what is new among all its configs, with the code that Kafka has for it. It runs on
// the active controller.
func (b *Broker) validateConfigs(resource metadata.ResourceKey, set []metadata.ConfigEntry, all map[string]string) error {
	switch resource.Type {
	case metadata.ResourceTopic:
		return b.validateTopicConfigs(resource.Name, set, all)
	case metadata.ResourceBroker:
		return validateBrokerConfigs(set)
	case metadata.ResourceGroup:
		return b.validateGroupConfigs(resource.Name, set, all)
	case metadata.ResourceClientMetrics:
		return validateClientMetrics(resource.Name, set)
	}
	return fmt.Errorf("resources of type %d have no configs that could be altered: %w", resource.Type, kerr.InvalidRequest)
}

func (b *Broker) validateTopicConfigs(topic string, set []metadata.ConfigEntry, all map[string]string) error {
	if topic == "" {
		return fmt.Errorf("a topic resource is the name of a topic: %w", kerr.InvalidRequest)
	}
	if why := metadata.TopicNameFault(topic); why != "" {
		return fmt.Errorf("%s: %w", why, kerr.InvalidTopicException)
	}
	for _, e := range set {
		if err := checkKey(config.FindTopic(e.Key), "topic", e); err != nil {
			return err
		}
	}
	return b.cfg.CheckTopic(all)
}

// checkKey judges a value by its key alone. kind is for messages.
func checkKey(key *config.Key, kind string, e metadata.ConfigEntry) error {
	if key == nil {
		return fmt.Errorf("unknown %s config %q", kind, e.Key)
	}
	return key.Check(e.Value)
}

func validateBrokerConfigs(set []metadata.ConfigEntry) error {
	for _, e := range set {
		if err := config.CheckDynamic(e.Key, e.Value); err != nil {
			return fmt.Errorf("%w: %w", err, kerr.InvalidRequest)
		}
	}
	return nil
}

func (b *Broker) validateGroupConfigs(group string, set []metadata.ConfigEntry, all map[string]string) error {
	if group == "" {
		return fmt.Errorf("a group resource is the name of a group: %w", kerr.InvalidRequest)
	}
	for _, e := range set {
		if err := checkKey(config.FindGroup(e.Key), "group", e); err != nil {
			return err
		}
	}
	return b.cfg.CheckGroup(all)
}

func validateClientMetrics(subscription string, set []metadata.ConfigEntry) error {
	if subscription == "" {
		return fmt.Errorf("a client metrics resource is the name of a subscription: %w", kerr.InvalidRequest)
	}
	for _, e := range set {
		key := config.FindClientMetrics(e.Key)
		if key == nil {
			return fmt.Errorf("unknown client metrics config %q: %w", e.Key, kerr.InvalidRequest)
		}
		if err := checkClientMetrics(key, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// checkClientMetrics: a number out of range is a bad request, and no number a bad value.
func checkClientMetrics(key *config.Key, value string) error {
	if key.Name == "match" {
		_, err := config.ParseClientMatch(value)
		return err
	}
	err := key.Check(value)
	if _, isNumber := strconv.ParseInt(key.Normal(value), 10, 32); err != nil && isNumber == nil {
		return fmt.Errorf("%w: %w", err, kerr.InvalidRequest)
	}
	return err
}

// findConfig is the key of a config that can be set while brokers run; nil if there is none.
func findConfig(resourceType int8, key string) *config.Key {
	switch resourceType {
	case metadata.ResourceTopic:
		return config.FindTopic(key)
	case metadata.ResourceBroker:
		return config.FindSettable(key)
	case metadata.ResourceGroup:
		return config.FindGroup(key)
	}
	return nil // in Kafka no list of a client metrics subscription can be appended to either
}

func isListConfig(resourceType int8, key string) bool {
	k := findConfig(resourceType, key)
	return k != nil && k.Type == config.List
}

// configDefault is the value that APPEND and SUBTRACT of a list that is not set start from: the default of the key, whatever
// brokers were told of it.
func configDefault(resourceType int8, key string) string {
	if k := findConfig(resourceType, key); k != nil {
		return k.Default
	}
	return ""
}
