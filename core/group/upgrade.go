package group

import (
	"fmt"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// upgrade makes a consumer group of a classic one that has members, for one of the consumer protocol who joins (KIP-848, "Consumer Group Migration").
// Nobody loses anything: members keep their ids and partitions, the generation is the group's epoch and theirs, and they go on by JoinGroup,
// SyncGroup and Heartbeat (classicside.go). records get what makes the group; it is not stored yet.
func (m *machine) upgrade(old *classic, records *[]coordinator.Record) (*consumerGroup, error) {
	if why := old.cannotUpgrade(); why != "" {
		return nil, refusal{kerr.GroupIDNotFound, fmt.Sprintf("classic group %q cannot become a consumer group: %s", old.group.id, why)}
	}
	c := newConsumerGroup(m, &Group{id: old.group.id})
	c.epoch, c.assignmentEpoch = old.generation, old.generation
	for _, mb := range old.members {
		upgraded, ok := old.upgraded(mb, c.image())
		if !ok {
			return nil, refusal{kerr.GroupIDNotFound, fmt.Sprintf("what member %s of classic group %q says or has cannot be read, or is for an assignor of its own", mb.id, old.group.id)}
		}
		c.leaveToOwners(upgraded)
		c.set(upgraded)
		c.target[mb.id] = upgraded.assigned
	}
	c.metadataHash = c.subscriptions(nil).hash()
	*records = append(append(*records, old.tombstones()...), c.allRecords()...)
	return c, nil
}

func (c *classic) cannotUpgrade() string {
	cfg := &c.machine.coordinator.cfg
	switch {
	case !cfg.MigrationPolicy.Upgrade:
		return "group.consumer.migration.policy forbids it"
	case c.typ != consumerType:
		return "its members are no consumers"
	case len(c.members) > cfg.ConsumerMaxSize:
		return "it has too many members"
	}
	return ""
}

// leaveToOwners takes from a new member what others have. A partition that two members were given, by an assignor that made a mistake, is the
// first one's.
func (c *consumerGroup) leaveToOwners(mb *consumerMember) {
	for p := range mb.assigned { // order: each on its own
		if _, owned := c.owners[p]; owned {
			delete(mb.assigned, p)
		}
	}
}

// upgraded is a member as one of a consumer group.
func (c *classic) upgraded(old *member, image *metadata.Image) (*consumerMember, bool) {
	name := c.protocol
	if name == nil {
		chosen := c.choose()
		name = &chosen
	}
	said, ok := readConsumer(old.metadata(*name))
	assigned, readable := readAssignment(old.assignment, image)
	if !ok || !readable {
		return nil, false
	}
	mb := newConsumerMember(old.id)
	mb.epoch, mb.previousEpoch = c.generation, c.generation
	mb.instanceID, mb.rackID, mb.client = old.instanceID, notEmpty(said.Rack), old.client
	mb.rebalanceTimeout = int32(old.rebalanceTimeout.Milliseconds())
	mb.topics = distinct(said.Topics)
	for p := range assigned { // order: each on its own
		mb.assigned[p] = c.generation
	}
	mb.classic = &classicSide{sessionTimeout: int32(old.sessionTimeout.Milliseconds()), protocols: old.protocols}
	return mb, true
}

// readConsumer is what a member of the classic protocol says as a consumer.
func readConsumer(b []byte) (*kmsg.ConsumerMemberMetadata, bool) {
	said := kmsg.NewConsumerMemberMetadata()
	if said.ReadFrom(b) != nil || said.Version < 0 {
		return nil, false
	}
	return &said, true
}

// readAssignment is what a consumer was assigned by another; empty: nothing yet. It cannot be read if an assignor has said more than partitions,
// which would be lost.
func readAssignment(b []byte, image *metadata.Image) (partitionSet, bool) {
	assigned := partitionSet{}
	if len(b) == 0 {
		return assigned, true
	}
	a := kmsg.NewConsumerMemberAssignment()
	if a.ReadFrom(b) != nil || a.Version < 0 || len(a.UserData) > 0 {
		return nil, false
	}
	for _, t := range a.Topics {
		if topic := image.Topic(t.Topic); topic != nil {
			for _, p := range t.Partitions {
				assigned[topicPartition{topic.ID, p}] = 0
			}
		}
	}
	return assigned, true
}

func notEmpty(s *string) *string {
	if s == nil || *s == "" {
		return nil
	}
	return s
}

// allRecords are those that make the group as it is.
func (c *consumerGroup) allRecords() (records []coordinator.Record) {
	members := c.sorted()
	for _, mb := range members {
		records = append(records, c.memberRecord(mb))
	}
	records = append(records, c.epochRecord(c.epoch, c.metadataHash))
	for _, mb := range members {
		records = append(records, c.targetRecord(mb.id, c.target[mb.id]))
	}
	records = append(records, c.targetMetadataRecord(c.assignmentEpoch, c.assignedAt))
	for _, mb := range members {
		records = append(records, c.currentRecord(mb))
	}
	return records
}

// interrupt has all whose requests wait here join again: the group is about to be one of another kind.
func (c *classic) interrupt() {
	for _, mb := range c.members {
		c.answerJoin(mb, joinError(mb.id, kerr.RebalanceInProgress))
		answerSync(mb, syncError(kerr.RebalanceInProgress))
	}
}
