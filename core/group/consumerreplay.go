package group

import (
	"github.com/lockstep/lockstep/core/coordinator"
)

// replayConsumer applies a record of a consumer group. Whatever order compaction has left, it is right when the whole log has been applied: each record is about
// one thing and says all of it, and what deletes something that is not there deletes nothing.
func (m *machine) replayConsumer(kind int16, r coordinator.Replayed) {
	group, member, ok := readKey(r.Key)
	if !ok {
		return
	}
	if c := m.replayedConsumer(group, r.Value != nil); c != nil && r.Value != nil {
		c.replay(kind, member, r.Value)
	} else if c != nil {
		c.replayTombstone(kind, member)
	}
}

// replayedConsumer is the group that a record is about; it is made if create says so. One that has offsets and nothing else is no group yet.
func (m *machine) replayedConsumer(id string, create bool) *consumerGroup {
	g := m.groups[id]
	if g == nil {
		if !create {
			return nil
		}
		g = m.create(id)
	}
	if c, ok := g.members.(*classic); ok && create && c.isSimple() {
		g.members = newConsumerGroup(m, g)
	}
	c, _ := g.members.(*consumerGroup)
	return c
}

func (c *consumerGroup) replay(kind int16, member string, value []byte) {
	switch kind {
	case keyConsumerGroup:
		if epoch, hash, ok := readEpochRecord(value); ok {
			c.epoch, c.metadataHash = epoch, hash
		}
	case keyPartitionMetadata:
		c.oldMetadata = true
	case keyMemberMetadata:
		if mb, ok := c.memberOrNew(member).readMember(value); ok {
			c.set(mb)
		}
	case keyTargetAssignmentMetadata:
		if epoch, at, ok := readTargetMetadata(value); ok {
			c.assignmentEpoch, c.assignedAt = epoch, at
		}
	case keyTargetAssignmentMember:
		if target, ok := readTarget(value); ok {
			c.target[member] = target
		}
	case keyCurrentAssignment:
		if mb, ok := c.memberOrNew(member).readCurrent(value); ok {
			c.set(mb)
		}
	case keyRegularExpression:
		if r, ok := readRegex(value); ok {
			c.regexes[member] = r
		}
	}
}

func (c *consumerGroup) memberOrNew(id string) *consumerMember {
	if mb := c.members[id]; mb != nil {
		return mb
	}
	return newConsumerMember(id)
}

func (c *consumerGroup) replayTombstone(kind int16, member string) {
	switch kind {
	case keyConsumerGroup:
		c.machine.remove(c.group.id)
	case keyPartitionMetadata:
		c.oldMetadata = false
	case keyMemberMetadata:
		c.drop(member)
	case keyTargetAssignmentMetadata:
		c.assignmentEpoch, c.assignedAt = -1, 0
	case keyTargetAssignmentMember:
		delete(c.target, member)
	case keyCurrentAssignment:
		if mb := c.members[member]; mb != nil {
			c.set(mb.moved(leaveEpoch, mb.state, partitionSet{}, partitionSet{}))
		}
	case keyRegularExpression:
		delete(c.regexes, member)
	}
}
