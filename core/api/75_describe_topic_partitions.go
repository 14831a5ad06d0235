package api

import (
	"github.com/lockstep/lockstep/core/config"
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const maxPartitionsPerPage = 2000 // as Kafka's max.request.partition.size.limit

// DescribeTopicPartitions (key 75), version 0: topics with their eligible leader replicas, in pages in the order of topic names
// (KIP-966). A cursor names where the page begins; no topics asked for means all.
func (k *call) describeTopicPartitions() {
	req := k.req.Body.(*kmsg.DescribeTopicPartitionsRequest)
	page := topicPage{call: k, all: len(req.Topics) == 0, resp: kmsg.NewPtrDescribeTopicPartitionsResponse()}
	page.room = max(1, min(int(req.ResponsePartitionLimit), maxPartitionsPerPage))
	if req.Cursor != nil {
		page.fromTopic, page.fromPartition = req.Cursor.Topic, req.Cursor.Partition
	}
	names := page.names(req)
	if req.Cursor != nil && (page.fromPartition < 0 || !page.all && (len(names) == 0 || names[0] != page.fromTopic)) {
		page.refuse(req)
		return
	}
	for _, name := range names {
		if !page.add(name) {
			break
		}
	}
	k.reply(page.resp)
}

// topicPage fills one answer.
type topicPage struct {
	*call
	resp          *kmsg.DescribeTopicPartitionsResponse
	all           bool // no topics were named
	room          int  // partitions that still fit
	fromTopic     string
	fromPartition int32
}

// names lists the topics asked for from the cursor on, in order.
func (p *topicPage) names(req *kmsg.DescribeTopicPartitionsRequest) (names []string) {
	add := func(name string) {
		if name >= p.fromTopic {
			names = append(names, name)
		}
	}
	for i := range req.Topics {
		add(req.Topics[i].Topic)
	}
	if p.all {
		p.server.Image().Topics(func(t *metadata.Topic) bool {
			add(t.Name)
			return true
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// refuse answers a cursor that points nowhere. The answer has room for an error only in its topics.
func (p *topicPage) refuse(req *kmsg.DescribeTopicPartitionsRequest) {
	for i := range req.Topics {
		told := kmsg.NewDescribeTopicPartitionsResponseTopic()
		told.Topic, told.ErrorCode = &req.Topics[i].Topic, kerr.InvalidRequest.Code
		p.resp.Topics = append(p.resp.Topics, told)
	}
	p.reply(p.resp)
}

// add puts a topic on the page; false: the page is full and the cursor says where to go on.
func (p *topicPage) add(name string) bool {
	if p.room == 0 {
		p.goOnAt(name, 0)
		return false
	}
	topic := p.server.Image().Topic(name)
	if topic == nil {
		p.addMissing(name)
		return true
	}
	told := kmsg.NewDescribeTopicPartitionsResponseTopic()
	told.Topic, told.TopicID, told.IsInternal = &topic.Name, topic.ID, config.IsInternal(name)
	told.AuthorizedOperations = topicOperations
	first := 0
	if name == p.fromTopic {
		first = int(p.fromPartition)
	}
	end := min(first+p.room, len(topic.Partitions))
	for i := first; i < end; i++ {
		if part := topic.Partition(int32(i)); part != nil {
			told.Partitions = append(told.Partitions, p.partition(part))
		}
	}
	p.resp.Topics = append(p.resp.Topics, told)
	p.room -= len(told.Partitions)
	if end < len(topic.Partitions) {
		p.goOnAt(name, int32(end))
		return false
	}
	return true
}

func (p *topicPage) goOnAt(topic string, partition int32) {
	p.resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: topic, Partition: partition}
}

func (p *topicPage) addMissing(name string) {
	told := kmsg.NewDescribeTopicPartitionsResponseTopic()
	told.Topic, told.ErrorCode = &name, kerr.UnknownTopicOrPartition.Code
	told.AuthorizedOperations = topicOperations
	if !metadata.ValidTopicName(name) {
		told.ErrorCode = kerr.InvalidTopicException.Code
	}
	p.resp.Topics = append(p.resp.Topics, told)
}

func (p *topicPage) partition(part *metadata.Partition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	told := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	told.Partition, told.LeaderEpoch = part.Index, part.LeaderEpoch
	told.LeaderID, _ = p.leader(part)
	told.Replicas, told.ISR = part.Replicas, part.ISR
	told.EligibleLeaderReplicas, told.LastKnownELR = notNull(part.ELR), notNull(part.LastKnownELR)
	told.OfflineReplicas = p.offline(part)
	return told
}

// notNull: Kafka's admin client does not expect null here.
func notNull(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}
