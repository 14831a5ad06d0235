package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Source says where a config's value comes from, with the numbers of DescribeConfigs.
type Source int8

// The sources.
const (
	SourceTopic          Source = 1
	SourceDynamicBroker  Source = 2 // set for this broker, in the metadata
	SourceDynamicDefault Source = 3 // set for all brokers, in the metadata
	SourceStaticBroker   Source = 4
	SourceDefault        Source = 5
	SourceBrokerLogger   Source = 6
	SourceClientMetrics  Source = 7
	SourceGroup          Source = 8
)

// Entry is one value that a key has from one source.
type Entry struct {
	Name, Value string
	Source      Source
}

// synonymsOf are the broker keys that say the same in other units, most specific first: a key itself if it has none.
func synonymsOf(name string) []string {
	for _, group := range [][]string{
		{"log.roll.ms", "log.roll.hours"},
		{"log.roll.jitter.ms", "log.roll.jitter.hours"},
		{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
	} {
		if slices.Contains(group, name) {
			return group
		}
	}
	if name == "log.flush.interval.ms" {
		return []string{name, "log.flush.scheduler.interval.ms"}
	}
	return []string{name}
}

// BrokerChain lists all values that a broker key and its synonyms have, the effective one first: set for this broker, set for
// all, static, default.
func (c *Config) BrokerChain(key string, dynamic Dynamic) (chain []Entry) {
	names := synonymsOf(key)
	for _, layer := range []struct {
		values map[string]string
		source Source
	}{{dynamic.Broker, SourceDynamicBroker}, {dynamic.Cluster, SourceDynamicDefault}, {c.values, SourceStaticBroker}} {
		for _, name := range names {
			if v, ok := layer.values[name]; ok {
				chain = append(chain, Entry{name, v, layer.source})
			}
		}
	}
	for _, name := range names {
		if k := DescribedBroker(name); k != nil && !k.Null {
			chain = append(chain, Entry{name, k.Default, SourceDefault})
		}
	}
	return chain
}

// Told is a chain as Kafka tells it: from the key itself on. What a coarser synonym says above it is left out.
func Told(chain []Entry, key string) []Entry {
	at := slices.IndexFunc(chain, func(e Entry) bool { return e.Name == key })
	if at < 0 {
		return nil
	}
	return chain[at:]
}

// BrokerValue is the effective value of a broker key; ok is false if it has none.
func (c *Config) BrokerValue(key string, dynamic Dynamic) (value string, ok bool) {
	for _, e := range c.BrokerChain(key, dynamic) {
		if e.Name == key {
			return e.Value, true
		}
	}
	return "", false
}

// TopicConfig is a topic's configuration: its overrides over the cluster's and the broker's defaults.
type TopicConfig struct {
	config    *Config
	overrides map[string]string
	dynamic   Dynamic
}

// TopicConfig combines a topic's overrides and what is set by broker keys while brokers run, all checked before, with this
// node's defaults.
func (c *Config) TopicConfig(overrides map[string]string, dynamic Dynamic) TopicConfig {
	return TopicConfig{c, overrides, dynamic}
}

// Chain lists all values that key has, the effective one first: the override, then the broker's.
func (t TopicConfig) Chain(key string) []Entry {
	k := FindTopic(key)
	var chain []Entry
	if v, ok := t.overrides[key]; ok {
		chain = append(chain, Entry{key, v, SourceTopic})
	}
	if len(k.Synonyms) == 0 {
		return chain
	}
	return append(chain, t.config.BrokerChain(k.Synonyms[0].Name, t.dynamic)...)
}

// Told is Chain as Kafka tells it.
func (t TopicConfig) Told(key string) []Entry {
	chain := t.Chain(key)
	if len(chain) > 0 && chain[0].Source == SourceTopic {
		own := Entry{key, FindTopic(key).Normal(chain[0].Value), SourceTopic}
		return append([]Entry{own}, Told(chain[1:], firstSynonym(key))...)
	}
	return Told(chain, firstSynonym(key))
}

func firstSynonym(key string) string {
	if s := FindTopic(key).Synonyms; len(s) > 0 {
		return s[0].Name
	}
	return ""
}

// Value is the effective value of key in the key's own unit.
func (t TopicConfig) Value(key string) string {
	k := FindTopic(key)
	chain := t.Chain(key)
	if len(chain) == 0 || chain[0].Source == SourceDefault {
		return k.Default
	}
	for _, s := range k.Synonyms {
		if s.Name == chain[0].Name && s.Factor != 1 && chain[0].Source != SourceTopic {
			n, _ := strconv.ParseInt(k.Normal(chain[0].Value), 10, 64) // checked by Parse
			if n < 0 {
				return "-1" // that is "unlimited" in any unit
			}
			return strconv.FormatInt(n*s.Factor, 10)
		}
	}
	return k.Normal(chain[0].Value)
}

// Long is the effective value of a numeric key.
func (t TopicConfig) Long(key string) int64 {
	n, err := strconv.ParseInt(t.Value(key), 10, 64)
	if err != nil {
		panic("config: " + key + " was not checked: " + t.Value(key))
	}
	return n
}

// Bool is the effective value of a boolean key.
func (t TopicConfig) Bool(key string) bool { return t.Value(key) == "true" }

// CheckTopic says what is wrong with all configs of a topic together, each of which was checked.
func (c *Config) CheckTopic(configs map[string]string) error {
	if FindTopic("remote.storage.enable").Normal(configs["remote.storage.enable"]) == "true" {
		return errors.New("remote.storage.enable: there is no tiered storage here")
	}
	for _, key := range []string{"follower.replication.throttled.replicas", "leader.replication.throttled.replicas"} {
		if err := checkThrottledReplicas(key, configs[key]); err != nil {
			return err
		}
	}
	t := TopicConfig{c, configs, Dynamic{}}
	if least, most := t.Long("min.compaction.lag.ms"), t.Long("max.compaction.lag.ms"); least > most {
		return fmt.Errorf("min.compaction.lag.ms: %d is above max.compaction.lag.ms, %d", least, most)
	}
	return nil
}

// checkThrottledReplicas: * or partition:broker,...
func checkThrottledReplicas(key, value string) error {
	items := SplitList(value)
	if len(items) == 1 && items[0] == "*" {
		return nil
	}
	for _, item := range items {
		partition, broker, _ := strings.Cut(item, ":")
		_, err1 := strconv.ParseUint(partition, 10, 31)
		_, err2 := strconv.ParseUint(broker, 10, 31)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("%s: %q is neither * nor a list of partition:broker", key, value)
		}
	}
	return nil
}

// GroupChain lists the values that a group key has, the effective one first: the group's own, then the broker's.
func (c *Config) GroupChain(key string, group map[string]string, dynamic Dynamic) (chain []Entry) {
	k := FindGroup(key)
	if v, ok := group[key]; ok {
		chain = append(chain, Entry{key, k.Normal(v), SourceGroup})
	}
	if len(k.Synonyms) == 0 {
		return append(chain, Entry{key, k.Default, SourceDefault})
	}
	return append(chain, c.BrokerChain(k.Synonyms[0].Name, dynamic)...)
}
