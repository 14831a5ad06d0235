package metadata

import (
	"cmp"
	"slices"
	"strings"
)

// MetadataVersion is the feature that names the version of the records themselves.
const MetadataVersion = "metadata.version"

// Feature is a finalized feature.
type Feature struct {
	Name  string
	Level int16
}

// ResourceKey names what can have configs.
type ResourceKey struct {
	Type int8
	Name string
}

// Compare orders by type, then name.
func (k ResourceKey) Compare(o ResourceKey) int {
	if c := cmp.Compare(k.Type, o.Type); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// ConfigEntry is one config that is set.
type ConfigEntry struct{ Key, Value string }

// ConfigResource is what is set for one resource. One without entries does not exist.
type ConfigResource struct {
	Type    int8
	Name    string
	Entries []ConfigEntry // sorted by key

	hash uint64
}

func (c *ConfigResource) key() ResourceKey { return ResourceKey{c.Type, c.Name} }

// Value returns one config, and whether it is set.
func (c *ConfigResource) Value(key string) (string, bool) {
	n, ok := findEntry(c.Entries, key)
	if !ok {
		return "", false
	}
	return c.Entries[n].Value, true
}

func findEntry(entries []ConfigEntry, key string) (int, bool) {
	return slices.BinarySearchFunc(entries, key, func(e ConfigEntry, k string) int { return strings.Compare(e.Key, k) })
}

// with returns the resource after a record.
func (c *ConfigResource) with(key string, value *string) *ConfigResource {
	n, found := findEntry(c.Entries, key)
	entries := slices.Clone(c.Entries)
	switch {
	case value == nil && found:
		entries = slices.Delete(entries, n, n+1)
	case value != nil && found:
		entries[n].Value = *value
	case value != nil:
		entries = slices.Insert(entries, n, ConfigEntry{key, *value})
	}
	return &ConfigResource{Type: c.Type, Name: c.Name, Entries: entries}
}
