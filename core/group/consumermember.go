package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// memberState is how far a member of a consumer group has followed its target assignment, as Kafka numbers it.
type memberState int8

const (
	memberStable memberState = 0 // it has what it may have in its epoch
	unrevoked    memberState = 1 // it must give up partitions before it goes on
	unreleased   memberState = 2 // partitions that it is to have are others' yet
	stateUnknown memberState = 127
)

func memberStateOf(v int8) memberState {
	if v < 0 || v > int8(unreleased) {
		return stateUnknown
	}
	return memberState(v)
}

const (
	leaveEpoch       = -1 // a member leaves for good
	leaveStaticEpoch = -2 // a static member leaves and will be back
)

// consumerMember is a member of a consumer group. It is not changed: what happens to it makes another.
type consumerMember struct {
	id               string
	epoch            int32
	previousEpoch    int32 // which it comes with if the answer with epoch was lost
	state            memberState
	instanceID       *string
	rackID           *string
	client           Client
	rebalanceTimeout int32    // ms; -1: not told
	topics           []string // that it subscribes to by name, sorted, each once
	regex            string   // of the topics that it subscribes to besides; empty: none
	assignor         *string  // that it wants
	classic          *classicSide
	assigned         partitionSet
	revoking         partitionSet // that it must give up, and may still have
}

// classicSide is what a member has that speaks the classic protocol: JoinGroup, SyncGroup, Heartbeat.
type classicSide struct {
	sessionTimeout int32 // ms
	protocols      []protocol
}

// newConsumerMember is a member before its first heartbeat.
func newConsumerMember(id string) *consumerMember {
	return &consumerMember{id: id, previousEpoch: -1, rebalanceTimeout: -1, assigned: partitionSet{}, revoking: partitionSet{}}
}

func (mb *consumerMember) isClassic() bool { return mb.classic != nil }

func (mb *consumerMember) isReconciledTo(epoch int32) bool {
	return mb.state == memberStable && mb.epoch == epoch
}

// sameMetadata compares what members have said about themselves.
func (mb *consumerMember) sameMetadata(o *consumerMember) bool {
	return sameString(mb.instanceID, o.instanceID) && sameString(mb.rackID, o.rackID) && mb.client == o.client &&
		mb.rebalanceTimeout == o.rebalanceTimeout && slices.Equal(mb.topics, o.topics) && mb.regex == o.regex &&
		sameString(mb.assignor, o.assignor) && mb.classic.equal(o.classic)
}

// sameAssignment compares how far members are.
func (mb *consumerMember) sameAssignment(o *consumerMember) bool {
	return mb.epoch == o.epoch && mb.previousEpoch == o.previousEpoch && mb.state == o.state && mb.assigned.equal(o.assigned) && mb.revoking.equal(o.revoking)
}

func (c *classicSide) equal(o *classicSide) bool {
	if c == nil || o == nil {
		return c == o
	}
	return c.sessionTimeout == o.sessionTimeout && (&member{protocols: c.protocols}).matches(o.protocols)
}

func sameString(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// said is the member with what a heartbeat says about it; what is null has not changed.
func (mb *consumerMember) said(req *kmsg.ConsumerGroupHeartbeatRequest, client Client) *consumerMember {
	u := *mb
	u.client, u.classic = client, nil
	u.instanceID, u.rackID, u.assignor = orString(req.InstanceID, u.instanceID), orString(req.RackID, u.rackID), orString(req.ServerAssignor, u.assignor)
	if req.RebalanceTimeoutMillis != -1 {
		u.rebalanceTimeout = req.RebalanceTimeoutMillis
	}
	if req.SubscribedTopicNames != nil {
		u.topics = distinct(req.SubscribedTopicNames)
	}
	if req.SubscribedTopicRegex != nil {
		u.regex = *req.SubscribedTopicRegex
	}
	return &u
}

func orString(s, other *string) *string {
	if s != nil {
		return s
	}
	return other
}

// distinct are the names in order, each once.
func distinct(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// as is the member under another id, which starts with no epoch: a static member that is back.
func (mb *consumerMember) as(id string) *consumerMember {
	u := *mb
	u.id, u.epoch, u.previousEpoch = id, 0, 0
	return &u
}

// away is a static member that has left and will be back: what it has stays its own.
func (mb *consumerMember) away() *consumerMember {
	u := *mb
	u.epoch, u.revoking, u.assigned = leaveStaticEpoch, partitionSet{}, mb.assigned.sinceZero()
	return &u
}

// moved is the member in an epoch and state, with these partitions.
func (mb *consumerMember) moved(epoch int32, state memberState, assigned, revoking partitionSet) *consumerMember {
	u := *mb
	u.previousEpoch, u.epoch, u.state, u.assigned, u.revoking = mb.epoch, epoch, state, assigned, revoking
	return &u
}
