package group

import (
	"maps"
	"slices"
)

// AssignorUniform and AssignorRange are the server side assignors that there are, by Kafka's names.
const (
	AssignorUniform = "uniform"
	AssignorRange   = "range"
)

// subscriber is a member as an assignor sees it.
type subscriber struct {
	id         string
	instanceID *string
	topics     map[[16]byte]bool // that it subscribes to, of those that exist
	target     partitionSet      // that it has had until now
}

// assignment is what an assignor is asked: members by id, and how many partitions each topic has that one of them subscribes to.
type assignment struct {
	subscribers []subscriber
	partitions  map[[16]byte]int
	// alike: all members subscribe to the same topics.
	alike bool
}

// topics are the topics that somebody subscribes to, in order.
func (a *assignment) topics() [][16]byte {
	return slices.SortedFunc(maps.Keys(a.partitions), compareIDs)
}

func compareIDs(a, b [16]byte) int {
	return compareTopicPartitions(topicPartition{topic: a}, topicPartition{topic: b})
}

// assign computes who shall have which partitions, by member id. An assignor that is not known is the first.
func (a *assignment) assign(assignor string) map[string]partitionSet {
	switch {
	case len(a.subscribers) == 0 || len(a.partitions) == 0:
		return map[string]partitionSet{}
	case assignor == AssignorRange:
		return a.assignRange()
	case a.alike:
		return newUniform(a).assign()
	}
	return newBalancer(a).assign()
}
