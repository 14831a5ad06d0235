package group

import (
	"cmp"
	"slices"
	"strings"
)

// span is how a topic is cut: each member in turn gets quota partitions, the first extra ones of them one more.
type span struct {
	next, quota, extra, end int
}

func (s *span) cut() (from, to int) {
	from, to = s.next, s.next+s.quota
	if s.extra > 0 {
		s.extra--
		to++
	}
	s.next = min(to, s.end)
	return from, s.next
}

// assignRange gives each member a range of each topic that it subscribes to, so that topics with as many partitions are cut alike
// and partitions of one number are one member's (Kafka's RangeAssignor). What members had does not matter. Static members come first:
// their place does not depend on their ids, which they draw anew.
func (a *assignment) assignRange() map[string]partitionSet {
	spans := make(map[[16]byte]*span, len(a.partitions))
	for topic, n := range a.partitions { // order: each on its own
		readers := 0
		for i := range a.subscribers {
			if a.subscribers[i].topics[topic] {
				readers++
			}
		}
		if readers > 0 {
			spans[topic] = &span{quota: n / readers, extra: n % readers, end: n}
		}
	}
	target := make(map[string]partitionSet, len(a.subscribers))
	for _, s := range staticFirst(a.subscribers) {
		got := partitionSet{}
		for topic := range s.topics { // order: each topic is cut on its own
			from, to := spans[topic].cut()
			for i := from; i < to; i++ {
				got[topicPartition{topic, int32(i)}] = 0
			}
		}
		target[s.id] = got
	}
	return target
}

func staticFirst(subscribers []subscriber) []subscriber {
	sorted := slices.Clone(subscribers)
	slices.SortFunc(sorted, func(a, b subscriber) int {
		switch {
		case a.instanceID != nil && b.instanceID != nil:
			return cmp.Or(strings.Compare(*a.instanceID, *b.instanceID), strings.Compare(a.id, b.id))
		case a.instanceID != nil:
			return -1
		case b.instanceID != nil:
			return 1
		}
		return strings.Compare(a.id, b.id)
	})
	return sorted
}
