package group

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// topicPartition is a partition by its topic's id: a topic that is deleted and created anew is another.
type topicPartition struct {
	topic [16]byte
	index int32
}

func compareTopicPartitions(a, b topicPartition) int {
	return cmp.Or(bytes.Compare(a.topic[:], b.topic[:]), cmp.Compare(a.index, b.index))
}

// partitionSet is partitions, each with the member epoch in which it was assigned; of a target assignment those are of no use. A set that a
// member or a group holds is not changed, only replaced.
type partitionSet map[topicPartition]int32

// sorted are the partitions of the set, by topic and index.
func (s partitionSet) sorted() []topicPartition {
	return slices.SortedFunc(maps.Keys(s), compareTopicPartitions)
}

func (s partitionSet) has(p topicPartition) bool {
	_, ok := s[p]
	return ok
}

func (s partitionSet) equal(t partitionSet) bool { return maps.Equal(s, t) }

// samePartitions compares two sets without their epochs.
func (s partitionSet) samePartitions(t partitionSet) bool {
	if len(s) != len(t) {
		return false
	}
	for p := range s { // order: all are compared
		if !t.has(p) {
			return false
		}
	}
	return true
}

// intersects reports whether the sets have a partition in common.
func (s partitionSet) intersects(t partitionSet) bool {
	for p := range s { // order: any will do
		if t.has(p) {
			return true
		}
	}
	return false
}

// split is the partitions of s that f does not name, and those that it does.
func (s partitionSet) split(f func(topicPartition) bool) (rest, named partitionSet) {
	rest, named = partitionSet{}, partitionSet{}
	for p, epoch := range s { // order: each on its own
		if f(p) {
			named[p] = epoch
		} else {
			rest[p] = epoch
		}
	}
	return rest, named
}

// union is both sets; epochs of t count where both have a partition.
func (s partitionSet) union(t partitionSet) partitionSet {
	u := maps.Clone(s)
	if u == nil {
		u = partitionSet{}
	}
	maps.Copy(u, t)
	return u
}

// sinceZero is the set with all epochs 0.
func (s partitionSet) sinceZero() partitionSet {
	u := make(partitionSet, len(s))
	for p := range s { // order: each on its own
		u[p] = 0
	}
	return u
}

// topicPartitions is the part of a set that is of one topic, in order: how requests, answers and records have it.
type topicPartitions struct {
	topic      [16]byte
	partitions []int32
	epochs     []int32
}

// byTopic is the set in order.
func (s partitionSet) byTopic() (topics []topicPartitions) {
	for _, p := range s.sorted() {
		if n := len(topics); n == 0 || topics[n-1].topic != p.topic {
			topics = append(topics, topicPartitions{topic: p.topic})
		}
		t := &topics[len(topics)-1]
		t.partitions, t.epochs = append(t.partitions, p.index), append(t.epochs, s[p])
	}
	return topics
}
