package group

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/lockstep/lockstep/scheduler"
)

// subscribedTopics are the topics that the members of a consumer group want, as they said for the chosen protocol; nil if one
// of them said it in a way that makes no sense here, or if they are no consumers.
func (c *classic) subscribedTopics() map[string]bool {
	if c.typ != consumerType || len(c.members) > 0 && c.protocol == nil {
		return nil
	}
	topics := map[string]bool{}
	for _, mb := range c.members {
		if !readSubscription(mb.metadata(*c.protocol), topics) {
			return nil
		}
	}
	return topics
}

// readSubscription adds the topics of a consumer's metadata. Every version begins with those of version 0: the topics and
// what the assignor wants to say.
func readSubscription(b []byte, topics map[string]bool) bool {
	if len(b) < 6 || int16(binary.BigEndian.Uint16(b)) < 0 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	if n < 0 {
		return false
	}
	for ; n > 0; n-- {
		if len(b) < 2 {
			return false
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		if b = b[2:]; size < 0 || len(b) < size {
			return false
		}
		topics[string(b[:size])] = true
		b = b[size:]
	}
	if len(b) < 4 {
		return false
	}
	userData := int64(int32(binary.BigEndian.Uint32(b)))
	return userData <= int64(len(b)-4)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func stopAll(timers ...scheduler.Timer) {
	for _, t := range timers {
		if t != nil {
			t.Stop()
		}
	}
}
