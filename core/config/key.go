// Package config is what server.properties and a topic's configs say, typed and checked: Kafka's
// keys, Kafka's defaults, Kafka's synonyms.
package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Type is the type of a key's value, with the numbers that DescribeConfigs uses.
type Type int8

// The types.
const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

func (t Type) String() string {
	return [...]string{"unknown", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"}[t]
}

// Key describes one configuration key.
type Key struct {
	Name    string
	Type    Type
	Default string // "" with Null: no default
	Null    bool
	Min     int64    // for numbers; checked if Max >= Min and one of them is not 0
	Max     int64    // for numbers
	Values  []string // the only values allowed, if any
	Not     []int64  // numbers between Min and Max that are not allowed either
	Doc     string
	Inert   bool // accepted, checked and described, and without effect yet; so is every key without Doc
	// Synonyms of a topic key: the broker keys that give its default, most specific first.
	Synonyms []Synonym
}

// Synonym is a broker key whose value, times Factor, is the value of another key.
type Synonym struct {
	Name   string
	Factor int64
}

// Check says what is wrong with a value of this key, naming key and value.
func (k *Key) Check(value string) error {
	v := strings.TrimSpace(value)
	switch k.Type {
	case Boolean:
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return fmt.Errorf("%s: %q is neither true nor false", k.Name, value)
		}
	case Int, Short, Long:
		return k.checkNumber(v)
	case Double:
		return k.checkDouble(v)
	case List:
		for _, item := range SplitList(v) {
			if len(k.Values) > 0 && !slices.Contains(k.Values, item) {
				return fmt.Errorf("%s: %q is not one of %s", k.Name, item, strings.Join(k.Values, ", "))
			}
		}
	case String:
		if len(k.Values) > 0 && !slices.Contains(k.Values, v) {
			return fmt.Errorf("%s: %q is not one of %s", k.Name, value, strings.Join(k.Values, ", "))
		}
	}
	return nil
}

func (k *Key) checkNumber(v string) error {
	bits := map[Type]int{Int: 32, Short: 16, Long: 64}[k.Type]
	n, err := strconv.ParseInt(v, 10, bits)
	if err != nil {
		return fmt.Errorf("%s: %q is not a number of type %s", k.Name, v, k.Type)
	}
	if bounded := k.Min != 0 || k.Max != 0; bounded && n < k.Min {
		return fmt.Errorf("%s: %d is below its least value %d", k.Name, n, k.Min)
	}
	if k.Max != 0 && n > k.Max {
		return fmt.Errorf("%s: %d is above its greatest value %d", k.Name, n, k.Max)
	}
	if slices.Contains(k.Not, n) {
		return fmt.Errorf("%s: %d is not allowed", k.Name, n)
	}
	return nil
}

// checkDouble: all doubles of a known range are shares.
func (k *Key) checkDouble(v string) error {
	share, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return fmt.Errorf("%s: %q is not a number", k.Name, v)
	}
	if k.Max != 0 && !(share >= float64(k.Min) && share <= float64(k.Max)) { // float: parsing rounds alike everywhere, and small integers are exact
		return fmt.Errorf("%s: %s is not between %d and %d", k.Name, v, k.Min, k.Max)
	}
	return nil
}

// Normal is a value that Check has passed, as its type writes it: without blanks, and a list without items that it has already.
func (k *Key) Normal(value string) string {
	switch k.Type {
	case Boolean:
		return strings.ToLower(strings.TrimSpace(value))
	case List:
		var items []string
		for _, item := range SplitList(value) {
			if !slices.Contains(items, item) {
				items = append(items, item)
			}
		}
		return strings.Join(items, ",")
	case Password:
		return value
	}
	return strings.TrimSpace(value)
}

// Documentation is what the key does here.
func (k *Key) Documentation() string {
	switch {
	case k.Doc == "":
		return inertDoc
	case k.Inert:
		return k.Doc + " It has no effect here yet."
	}
	return k.Doc
}

// Sensitive reports whether a value must not be shown.
func (k *Key) Sensitive() bool { return k.Type == Password }

// SplitList splits a list value at its commas; blanks around items do not count.
func SplitList(v string) []string {
	var items []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// find looks a name up in keys sorted by name.
func find(keys []Key, name string) *Key {
	i, ok := slices.BinarySearchFunc(keys, name, func(k Key, n string) int { return strings.Compare(k.Name, n) })
	if !ok {
		return nil
	}
	return &keys[i]
}

// FindBroker returns the broker key of that name, or nil.
func FindBroker(name string) *Key { return find(BrokerKeys, name) }

// FindTopic returns the topic key of that name, or nil.
func FindTopic(name string) *Key { return find(TopicKeys, name) }

// FindGroup returns the group key of that name, or nil.
func FindGroup(name string) *Key { return find(GroupKeys, name) }

// FindClientMetrics returns the client metrics key of that name, or nil.
func FindClientMetrics(name string) *Key { return find(ClientMetricsKeys, name) }

// DescribedBroker returns the broker key of that name, with an effect or without, or nil.
func DescribedBroker(name string) *Key {
	if k := FindBroker(name); k != nil {
		return k
	}
	return find(inertShapes, name)
}

// DescribedBrokerKeys are all broker keys that are shown to clients, sorted by name.
func DescribedBrokerKeys() (keys []*Key) {
	for i := range BrokerKeys {
		if k := &BrokerKeys[i]; !strings.HasPrefix(k.Name, "internal.") && k.Name != "group.consumer.regex.refresh.interval.ms" {
			keys = append(keys, k)
		}
	}
	for i := range inertShapes {
		if FindBroker(inertShapes[i].Name) == nil {
			keys = append(keys, &inertShapes[i])
		}
	}
	slices.SortFunc(keys, func(a, b *Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}
