package group

import (
	"slices"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerGroup is the members of a group of the consumer protocol (KIP-848): each sends heartbeats, the coordinator assigns, and each member
// follows on its own. It is Kafka's ConsumerGroup.
//
// All of it but timers and what is said so is in records: a request decides, appends records, and Replay changes the group. So a successor
// goes on exactly where this one was.
//
// Invariant: a partition has at most one owner, in members' assigned or revoking.
type consumerGroup struct {
	machine *machine
	group   *Group

	epoch           int32 // rises when an assignment is due
	metadataHash    uint64
	assignmentEpoch int32 // the group's epoch for which the target was computed
	assignedAt      int64 // ms, when that was; 0: nobody knows
	oldMetadata     bool  // there is a record of ConsumerGroupPartitionMetadata, which Kafka 4.1 gave up

	members map[string]*consumerMember
	static  map[string]string       // member ids by instance id
	target  map[string]partitionSet // by member id
	owners  map[topicPartition]string
	regexes map[string]*resolvedRegex
	matched map[string]int // members by the regular expression that they subscribe to

	// What follows is in no record.
	timers    map[string]*consumerTimers
	checkedAt int64 // the version of the topics with which metadataHash was last compared
	resolving bool  // regular expressions are being resolved
	gone      bool  // the group is of another kind now, or another broker's
}

// firstEpoch is that of a group before anybody has joined, and that of its empty assignment.
const firstEpoch = 1

func newConsumerGroup(m *machine, g *Group) *consumerGroup {
	return &consumerGroup{
		machine: m, group: g, epoch: firstEpoch, assignmentEpoch: firstEpoch, checkedAt: -1,
		members: map[string]*consumerMember{}, static: map[string]string{}, target: map[string]partitionSet{}, owners: map[topicPartition]string{},
		regexes: map[string]*resolvedRegex{}, matched: map[string]int{}, timers: map[string]*consumerTimers{},
	}
}

// consumer is the group's members if they are of the consumer protocol; else, or if there is no group, nil.
func (m *machine) consumer(id string) *consumerGroup {
	g := m.groups[id]
	if g == nil {
		return nil
	}
	c, _ := g.members.(*consumerGroup)
	return c
}

// set puts a member in the place of the one with its id.
func (c *consumerGroup) set(mb *consumerMember) {
	c.forget(c.members[mb.id])
	c.members[mb.id] = mb
	if mb.instanceID != nil {
		c.static[*mb.instanceID] = mb.id
	}
	if mb.regex != "" {
		c.matched[mb.regex]++
	}
	for p := range mb.assigned { // order: each on its own
		c.owners[p] = mb.id
	}
	for p := range mb.revoking { // order: each on its own
		c.owners[p] = mb.id
	}
}

// forget takes a member out of what is kept beside the members.
func (c *consumerGroup) forget(mb *consumerMember) {
	if mb == nil {
		return
	}
	if mb.instanceID != nil && c.static[*mb.instanceID] == mb.id {
		delete(c.static, *mb.instanceID)
	}
	if mb.regex != "" {
		if c.matched[mb.regex]--; c.matched[mb.regex] == 0 {
			delete(c.matched, mb.regex)
		}
	}
	for p := range mb.assigned { // order: each on its own
		c.release(p, mb.id)
	}
	for p := range mb.revoking { // order: each on its own
		c.release(p, mb.id)
	}
}

func (c *consumerGroup) release(p topicPartition, id string) {
	if c.owners[p] == id {
		delete(c.owners, p)
	}
}

// drop takes a member out of the group; it knows nothing of it yet.
func (c *consumerGroup) drop(id string) {
	c.forget(c.members[id])
	delete(c.members, id)
	c.stopTimers(id)
}

// sorted are the members by id.
func (c *consumerGroup) sorted() []*consumerMember { return sortedMembers(c.members) }

func sortedMembers(members map[string]*consumerMember) []*consumerMember {
	sorted := make([]*consumerMember, 0, len(members))
	for _, id := range sortedKeys(members) {
		sorted = append(sorted, members[id])
	}
	return sorted
}

// staticMember is the member of an instance id, or nil.
func (c *consumerGroup) staticMember(instanceID *string) *consumerMember {
	if instanceID == nil {
		return nil
	}
	return c.members[c.static[*instanceID]]
}

// numClassic is how many members speak the classic protocol.
func (c *consumerGroup) numClassic() (n int) {
	for _, mb := range c.members { // order: a count
		if mb.isClassic() {
			n++
		}
	}
	return n
}

func (c *consumerGroup) image() *metadata.Image { return c.machine.coordinator.image() }

// kind implements members.
func (c *consumerGroup) kind() string { return "consumer" }

func (c *consumerGroup) protocolType() string { return consumerType }

func (c *consumerGroup) isEmpty() bool { return len(c.members) == 0 }

// stateName implements members.
func (c *consumerGroup) stateName() string {
	switch {
	case len(c.members) == 0:
		return "Empty"
	case c.epoch > c.assignmentEpoch:
		return "Assigning"
	}
	for _, mb := range c.members { // order: any will do
		if !mb.isReconciledTo(c.assignmentEpoch) {
			return "Reconciling"
		}
	}
	return "Stable"
}

// checkCommit implements members. A member that speaks the consumer protocol has to know that its epoch is checked: from version 9 on.
func (c *consumerGroup) checkCommit(by committer) error {
	if by.generation < 0 && len(c.members) == 0 {
		return nil
	}
	if by.transactional && by.generation == -1 && by.memberID == "" && by.instanceID == nil {
		return nil
	}
	mb := c.members[by.memberID]
	switch {
	case mb == nil:
		return kerr.UnknownMemberID
	case !by.transactional && !mb.isClassic() && by.version < 9:
		return kerr.UnsupportedVersion
	case by.generation > mb.epoch:
		return mb.wrongEpoch(by.transactional)
	}
	return nil
}

// checkCommitOf implements members: a member may commit with an epoch before its own for a partition that it has had since (KIP-1251).
func (c *consumerGroup) checkCommitOf(by committer, at topicPartition) error {
	mb := c.members[by.memberID]
	if mb == nil || by.generation == mb.epoch {
		return nil
	}
	since, ok := mb.assigned[at]
	if !ok {
		since, ok = mb.revoking[at]
	}
	if !ok || by.generation < since {
		return mb.wrongEpoch(by.transactional)
	}
	return nil
}

// wrongEpoch is what a request with another epoch is told. Transactional ones do not know STALE_MEMBER_EPOCH.
func (mb *consumerMember) wrongEpoch(transactional bool) error {
	if mb.isClassic() || transactional {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

// checkFetch implements members.
func (c *consumerGroup) checkFetch(memberID *string, memberEpoch int32) error {
	if memberID == nil && memberEpoch < 0 {
		return nil
	}
	mb := (*consumerMember)(nil)
	if memberID != nil {
		mb = c.members[*memberID]
	}
	switch {
	case mb == nil:
		return kerr.UnknownMemberID
	case memberEpoch != mb.epoch:
		return mb.wrongEpoch(false)
	}
	return nil
}

// checkDeleteOffsets implements members: it is known what they read.
func (c *consumerGroup) checkDeleteOffsets() error { return nil }

// isSubscribed implements members.
func (c *consumerGroup) isSubscribed(topic string) bool {
	for _, mb := range c.members { // order: any will do
		if _, found := slices.BinarySearch(mb.topics, topic); found {
			return true
		}
	}
	for _, r := range c.regexes { // order: any will do
		if _, found := slices.BinarySearch(r.topics, topic); found {
			return true
		}
	}
	return false
}

// offsetsAge implements members.
func (c *consumerGroup) offsetsAge(o *offset) (since int64, ok bool) { return o.committedAt, true }

// tombstones implements members; it deletes members too, when the group becomes one of another kind.
func (c *consumerGroup) tombstones() (records []coordinator.Record) {
	id, members := c.group.id, c.sorted()
	for _, mb := range members {
		records = append(records, tombstone(memberKey(keyCurrentAssignment, id, mb.id)))
	}
	for _, mb := range members {
		records = append(records, tombstone(memberKey(keyTargetAssignmentMember, id, mb.id)))
	}
	records = append(records, tombstone(consumerKey(keyTargetAssignmentMetadata, id)))
	for _, mb := range members {
		records = append(records, tombstone(memberKey(keyMemberMetadata, id, mb.id)))
	}
	for _, regex := range sortedKeys(c.regexes) {
		records = append(records, tombstone(memberKey(keyRegularExpression, id, regex)))
	}
	return append(records, tombstone(consumerKey(keyPartitionMetadata, id)), tombstone(consumerKey(keyConsumerGroup, id)))
}

// describe implements members. Kafka tells nothing of such a group to those who ask for classic ones, and DescribeGroup does not come here.
func (c *consumerGroup) describe(to *kmsg.DescribeGroupsResponseGroup) { to.State = deadState }
