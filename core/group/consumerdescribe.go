package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConsumerGroup tells a consumer group's state and members (key 69, of which this is one group).
func (c *Coordinator) DescribeConsumerGroup(id string, done func(kmsg.ConsumerGroupDescribeResponseGroup)) {
	refuse := func(err error) {
		told := kmsg.NewConsumerGroupDescribeResponseGroup()
		told.Group, told.ErrorCode = id, codeOf(err)
		if _, plain := err.(*kerr.Error); !plain {
			told.ErrorMessage = kmsg.StringPtr(textOf(err)) // there is more to say than the code does
		}
		done(told)
	}
	if id == "" {
		told := kmsg.NewConsumerGroupDescribeResponseGroup()
		told.ErrorCode = kerr.InvalidGroupID.Code
		done(told)
		return
	}
	m, err := c.machineOf(id)
	if err != nil {
		refuse(err)
		return
	}
	g := m.consumer(id)
	if g == nil {
		err = refusal{kerr.GroupIDNotFound, fmt.Sprintf("there is no group %q of the consumer protocol", id)}
		m.log.WhenCommitted(func(failed error) {
			if failed != nil {
				err = failed
			}
			refuse(err)
		})
		return
	}
	told := g.tell()
	m.log.WhenCommitted(func(err error) {
		if err != nil {
			refuse(err)
			return
		}
		done(told)
	})
}

func (c *consumerGroup) tell() kmsg.ConsumerGroupDescribeResponseGroup {
	told := kmsg.NewConsumerGroupDescribeResponseGroup()
	told.Group, told.State, told.Epoch, told.AssignmentEpoch = c.group.id, c.stateName(), c.epoch, c.assignmentEpoch
	told.AssignorName = c.subscriptions(nil).preferredAssignor(c.machine.coordinator.cfg.Assignors[0])
	for _, mb := range c.sorted() {
		told.Members = append(told.Members, c.tellMember(mb))
	}
	return told
}

// The types of members that ConsumerGroupDescribe tells.
const (
	classicMemberType  = 0
	consumerMemberType = 1
)

// tellMember tells of partitions that a member must give up as its own: it is still responsible for them.
func (c *consumerGroup) tellMember(mb *consumerMember) kmsg.ConsumerGroupDescribeResponseGroupMember {
	m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	m.MemberID, m.InstanceID, m.RackID, m.MemberEpoch, m.ClientID, m.ClientHost = mb.id, mb.instanceID, mb.rackID, mb.epoch, mb.client.ID, mb.client.Host
	m.SubscribedTopics, m.SubscribedTopicRegex = mb.topics, &mb.regex
	m.Assignment.TopicPartitions = c.tellPartitions(mb.assigned.union(mb.revoking))
	m.TargetAssignment.TopicPartitions = c.tellPartitions(c.target[mb.id])
	m.MemberType = consumerMemberType
	if mb.isClassic() {
		m.MemberType = classicMemberType
	}
	return m
}

func (c *consumerGroup) tellPartitions(s partitionSet) (told []kmsg.AssignmentTopicPartition) {
	for _, t := range s.byTopic() {
		if topic := c.image().TopicByID(t.topic); topic != nil {
			told = append(told, kmsg.AssignmentTopicPartition{TopicID: t.topic, Topic: topic.Name, Partitions: t.partitions})
		}
	}
	return told
}
