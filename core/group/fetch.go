package group

import (
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FetchOffsets tells how far a group has read (key 9), of one group of a request; Topics null asks for all. Topics have both their name and, if it is
// known, their id. With requireStable a partition for which a transaction is under way answers UNSTABLE_OFFSET_COMMIT. An unknown group or
// partition has offset -1, which is no error.
func (c *Coordinator) FetchOffsets(req *kmsg.OffsetFetchRequestGroup, requireStable bool, done func(*kmsg.OffsetFetchResponseGroup, error)) {
	m, err := c.machineOf(req.Group)
	if err != nil {
		done(nil, err)
		return
	}
	resp, err := m.fetchOffsets(req, requireStable)
	if err != nil {
		done(nil, err)
		return
	}
	m.log.WhenCommitted(func(err error) {
		if err == kerr.CoordinatorNotAvailable {
			err = kerr.NotCoordinator // old consumers know what to do then
		}
		done(resp, err)
	})
}

func (m *machine) fetchOffsets(req *kmsg.OffsetFetchRequestGroup, requireStable bool) (*kmsg.OffsetFetchResponseGroup, error) {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = req.Group
	g := m.groups[req.Group]
	if g == nil {
		g = &Group{} // without offsets
	} else if err := g.members.checkFetch(req.MemberID, req.MemberEpoch); err != nil {
		return nil, err
	}
	if req.Topics == nil {
		resp.Topics = g.allOffsets(m.coordinator.image(), requireStable)
		return &resp, nil
	}
	for _, t := range req.Topics {
		told := kmsg.NewOffsetFetchResponseGroupTopic()
		told.Topic, told.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			told.Partitions = append(told.Partitions, g.tellOffset(offsetKey{t.Topic, p}, t.TopicID, requireStable))
		}
		resp.Topics = append(resp.Topics, told)
	}
	return &resp, nil
}

// allOffsets leaves out those of a topic that has a successor of its name: a coordinator that has loaded them after the deletion has them still.
func (g *Group) allOffsets(image *metadata.Image, requireStable bool) (topics []kmsg.OffsetFetchResponseGroupTopic) {
	for _, at := range g.offsets.sorted() {
		if topic := image.Topic(at.topic); topic != nil && !g.offsets[at].isOfTopic(topic.ID) {
			continue
		}
		if n := len(topics); n == 0 || topics[n-1].Topic != at.topic {
			t := kmsg.NewOffsetFetchResponseGroupTopic()
			t.Topic = at.topic
			topics = append(topics, t)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, g.tellOffset(at, [16]byte{}, requireStable))
	}
	return topics
}

func (g *Group) tellOffset(at offsetKey, topicID [16]byte, requireStable bool) kmsg.OffsetFetchResponseGroupTopicPartition {
	told := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	told.Partition, told.Offset, told.LeaderEpoch, told.Metadata = at.partition, -1, -1, kmsg.StringPtr("")
	o := g.offsets[at]
	switch {
	case requireStable && g.isPending(at):
		told.ErrorCode = kerr.UnstableOffsetCommit.Code
	case o != nil && o.isOfTopic(topicID):
		told.Offset, told.LeaderEpoch, told.Metadata = o.offset, o.leaderEpoch, &o.metadata
	}
	return told
}

// checkFetch implements members: offsets of a classic group are no secret.
func (c *classic) checkFetch(*string, int32) error { return nil }
