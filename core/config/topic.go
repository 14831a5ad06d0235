package config

import (
	"strconv"
)

// Source says where a config's value comes from, with the numbers of DescribeConfigs.
type Source int8

// The sources.
const (
	SourceTopic          Source = 1
	SourceDynamicDefault Source = 3 // set for all brokers, in the metadata
	SourceStaticBroker   Source = 4
	SourceDefault        Source = 5
)

// Entry is one value that a key has from one source.
type Entry struct {
	Name, Value string
	Null        bool
	Source      Source
}

// TopicConfig is a topic's configuration: its overrides over the cluster's and the broker's defaults.
type TopicConfig struct {
	config    *Config
	overrides map[string]string
	cluster   map[string]string
}

// TopicConfig combines a topic's overrides and what is set for all brokers by broker keys, both checked before, with this
// node's defaults.
func (c *Config) TopicConfig(overrides, cluster map[string]string) TopicConfig {
	return TopicConfig{c, overrides, cluster}
}

// FindDefault returns the broker key of that name if it is the default of a topic key, or nil. Those may be set for all
// brokers while they run.
func FindDefault(name string) *Key {
	for i := range TopicKeys {
		for _, s := range TopicKeys[i].Synonyms {
			if s.Name == name {
				return FindBroker(name)
			}
		}
	}
	return nil
}

// Chain lists all values that key has, the effective one first: the override, what is set for all brokers, the broker's
// static settings, the default.
func (t TopicConfig) Chain(key string) []Entry {
	k := FindTopic(key)
	var chain []Entry
	if v, ok := t.overrides[key]; ok {
		chain = append(chain, Entry{key, v, false, SourceTopic})
	}
	for _, s := range k.Synonyms {
		if v, ok := t.cluster[s.Name]; ok {
			chain = append(chain, Entry{s.Name, v, false, SourceDynamicDefault})
		}
	}
	for _, s := range k.Synonyms {
		if v, ok := t.config.values[s.Name]; ok {
			chain = append(chain, Entry{s.Name, v, false, SourceStaticBroker})
		}
	}
	name := key
	if len(k.Synonyms) > 0 {
		name = k.Synonyms[len(k.Synonyms)-1].Name
	}
	return append(chain, Entry{name, k.Default, k.Null, SourceDefault})
}

// Value is the effective value of key in the key's own unit.
func (t TopicConfig) Value(key string) string {
	entry := t.Chain(key)[0]
	if entry.Source != SourceStaticBroker && entry.Source != SourceDynamicDefault {
		return entry.Value
	}
	for _, s := range FindTopic(key).Synonyms {
		if s.Name == entry.Name && s.Factor != 1 {
			n, _ := strconv.ParseInt(entry.Value, 10, 64) // checked by Parse
			if n < 0 {
				return entry.Value // -1 is "unlimited" in any unit
			}
			return strconv.FormatInt(n*s.Factor, 10)
		}
	}
	return entry.Value
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
