package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mayDowngrade reports whether the group is to be a classic one when some members have gone: when those that are left all speak that protocol.
func (c *consumerGroup) mayDowngrade(gone []*consumerMember) bool {
	left, classicLeft := len(c.members)-len(gone), c.numClassic()
	for _, mb := range gone {
		if mb.isClassic() {
			classicLeft--
		}
	}
	cfg := &c.machine.coordinator.cfg
	return left > 0 && classicLeft == left && cfg.MigrationPolicy.Downgrade && left <= cfg.MaxSize
}

// mayDowngradeFor is the same for a classic member that takes the place of a static one of the consumer protocol.
func (c *consumerGroup) mayDowngradeFor(replaced *consumerMember) bool {
	cfg := &c.machine.coordinator.cfg
	return replaced != nil && !replaced.isClassic() && c.numClassic() == len(c.members)-1 && cfg.MigrationPolicy.Downgrade && len(c.members) <= cfg.MaxSize
}

// downgrade makes a classic group of the members that are left, and joined if it is not nil, which all speak that protocol. They keep what they are
// to have; if that is not what is due they are to join again. answer is called when it is committed.
func (c *consumerGroup) downgrade(gone []*consumerMember, joined *consumerMember, rebalance bool, answer func(error)) error {
	s := c.subscriptions(joined, gone...)
	d := newClassic(c.machine, c.group)
	d.typ, d.generation, d.state, d.previous = consumerType, c.epoch, stable, completingRebalance
	for _, mb := range s.members {
		d.add(mb.downgraded())
	}
	chosen := d.choose()
	d.protocol = &chosen
	for _, mb := range d.members {
		target := c.target[mb.id]
		if joined != nil && mb.id == joined.id && len(gone) > 0 {
			target = c.target[gone[0].id]
		}
		mb.assignment = c.writeAssignment(target, mb.metadata(chosen))
	}
	d.topics = d.subscribedTopics()
	g := c.group
	if err := c.machine.log.Append(append(c.tombstones(), d.record()), answer); err != nil {
		return err
	}
	// The records have deleted the consumer group; of a classic one a record tells nothing that the machine does not know.
	c.machine.groups[g.id], g.members = g, d
	d.load()
	if rebalance {
		d.prepareRebalance()
	}
	return nil
}

// downgraded is the member as one of a classic group.
func (mb *consumerMember) downgraded() *member {
	return &member{
		id: mb.id, instanceID: mb.instanceID, client: mb.client, rebalanceTimeout: millis(mb.rebalanceTimeout),
		sessionTimeout: millis(mb.classic.sessionTimeout), protocols: mb.classic.protocols,
	}
}

// writeAssignment is partitions as consumers of the classic protocol read them, in the version of what one says of itself.
func (c *consumerGroup) writeAssignment(assigned partitionSet, said []byte) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	if consumer, ok := readConsumer(said); ok {
		a.Version = min(consumer.Version, maxAssignmentVersion)
	}
	for _, t := range assigned.byTopic() {
		if topic := c.image().TopicByID(t.topic); topic != nil {
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: topic.Name, Partitions: t.partitions})
		}
	}
	return a.AppendTo(nil)
}

// maxAssignmentVersion is the newest version of a consumer's assignment.
const maxAssignmentVersion = 3

// becomeClassic deletes a consumer group without members, and makes a classic one in its place.
func (c *consumerGroup) becomeClassic() error {
	g := c.group
	d := newClassic(c.machine, g)
	if err := c.machine.log.Append(append(c.tombstones(), d.record()), nil); err != nil {
		return err
	}
	c.machine.groups[g.id], g.members = g, d
	return nil
}
