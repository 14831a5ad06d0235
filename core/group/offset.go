package group

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// offset is how far a group has read a partition.
type offset struct {
	offset       int64
	leaderEpoch  int32 // -1: not told
	metadata     string
	committedAt  int64    // ms
	expiresAt    int64    // ms; -1: as the broker's retention says (requests of versions 2 to 4 may say otherwise)
	topicID      [16]byte // zero in old records
	recordOffset int64    // where the commit is in the log
}

// offsetKey is a partition that a group reads.
type offsetKey struct {
	topic     string
	partition int32
}

func compareKeys(a, b offsetKey) int {
	return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

type offsetTable map[offsetKey]*offset

// sorted are the partitions of the table, in order.
func (t offsetTable) sorted() []offsetKey { return slices.SortedFunc(maps.Keys(t), compareKeys) }

// isOfTopic reports whether the offset is of that incarnation of its topic; old records and old clients do not say.
func (o *offset) isOfTopic(id [16]byte) bool {
	return o.topicID == [16]byte{} || id == [16]byte{} || o.topicID == id
}
