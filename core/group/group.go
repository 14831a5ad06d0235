package group

import (
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is a group's offsets and members.
type Group struct {
	id      string
	offsets offsetTable
	pending map[offsetKey][]int64 // producers with a transaction under way that has an offset for the partition
	members members
}

// members are those of a group, of one kind, and how they share the partitions.
type members interface {
	// kind is the group's type as ListGroups tells it: "classic", "consumer".
	kind() string
	// stateName is the group's state as Kafka names it.
	stateName() string
	// protocolType is "consumer", "connect" or whatever the members said; empty if nobody did yet.
	protocolType() string
	// isEmpty: nobody is in the group.
	isEmpty() bool
	// checkCommit is why a commit by that member is refused, or nil; for a good one the member's session goes on.
	checkCommit(c committer) error
	// checkCommitOf is why a good one is refused for a partition, or nil.
	checkCommitOf(c committer, at topicPartition) error
	// checkFetch is why offsets are not told to that member, or nil.
	checkFetch(memberID *string, memberEpoch int32) error
	// checkDeleteOffsets is why no offset may be deleted, or nil.
	checkDeleteOffsets() error
	// isSubscribed reports whether the members read a topic, as far as the group knows.
	isSubscribed(topic string) bool
	// offsetsAge is since when (ms) an offset has not been of use; ok is false while none may expire (KIP-211).
	offsetsAge(o *offset) (since int64, ok bool)
	// tombstones are the records that delete the group; it is empty.
	tombstones() []coordinator.Record
	// describe answers DescribeGroups.
	describe(to *kmsg.DescribeGroupsResponseGroup)
	// load starts the timers of a group that has been replayed.
	load()
	// unload stops all timers, and answers with err whoever waits.
	unload(err error)
}

// committer is who commits offsets.
type committer struct {
	memberID      string
	instanceID    *string
	generation    int32 // or member epoch
	transactional bool
	version       int16 // of the request
}
