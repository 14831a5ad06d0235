package api

import (
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const maxPartitionsPerPage = 2000 // as Kafka's max.request.partition.size.limit

// DescribeTopicPartitions (key 75), version 0: topics with their eligible leader replicas, in pages in the order of topic names
// (KIP-966). A cursor names where the page begins; no topics asked for means all.
func (k *call) describeTopicPartitions() {
	req := k.req.Body.(*kmsg.DescribeTopicPartitionsRequest)
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	page := topicPage{call: k, resp: resp, room: maxPartitionsPerPage}
	if limit := int(req.ResponsePartitionLimit); limit > 0 {
		page.room = min(limit, maxPartitionsPerPage)
	}
	if req.Cursor != nil {
		page.fromTopic, page.fromPartition = req.Cursor.Topic, req.Cursor.Partition
	}
	for _, name := range k.topicsAsked(req) {
		if !page.add(name) {
			break
		}
	}
	k.reply(resp)
}

func (k *call) topicsAsked(req *kmsg.DescribeTopicPartitionsRequest) (names []string) {
	for _, t := range req.Topics {
		names = append(names, t.Topic)
	}
	if len(names) == 0 {
		k.server.Image().Topics(func(t *metadata.Topic) bool {
			names = append(names, t.Name)
			return true
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// topicPage fills one answer.
type topicPage struct {
	*call
	resp          *kmsg.DescribeTopicPartitionsResponse
	room          int // partitions that still fit
	fromTopic     string
	fromPartition int32
}

// add puts a topic on the page; false: the page is full and the cursor says where to go on.
func (p *topicPage) add(name string) bool {
	first := int32(0)
	switch strings.Compare(name, p.fromTopic) {
	case -1:
		return true
	case 0:
		first = p.fromPartition
	}
	told := kmsg.NewDescribeTopicPartitionsResponseTopic()
	told.Topic, told.AuthorizedOperations = &name, unknownOperations
	topic := p.server.Image().Topic(name)
	if topic == nil {
		told.ErrorCode = kerr.UnknownTopicOrPartition.Code
		p.resp.Topics = append(p.resp.Topics, told)
		return true
	}
	told.TopicID = topic.ID
	next := p.fill(&told, topic, first)
	if len(told.Partitions) > 0 {
		p.resp.Topics = append(p.resp.Topics, told)
	}
	if int(next) < len(topic.Partitions) {
		p.resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: next}
		return false
	}
	return true
}

func (p *topicPage) fill(told *kmsg.DescribeTopicPartitionsResponseTopic, topic *metadata.Topic, first int32) (next int32) {
	for next = max(first, 0); int(next) < len(topic.Partitions) && p.room > 0; next++ {
		if part := topic.Partition(next); part != nil {
			told.Partitions = append(told.Partitions, p.partition(part))
			p.room--
		}
	}
	return next
}

func (p *topicPage) partition(part *metadata.Partition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	told := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	told.Partition, told.LeaderID, told.LeaderEpoch = part.Index, part.Leader, part.LeaderEpoch
	told.Replicas, told.ISR = part.Replicas, part.ISR
	told.EligibleLeaderReplicas, told.LastKnownELR = part.ELR, part.LastKnownELR
	told.OfflineReplicas = p.server.offline(part.Replicas)
	if part.Leader < 0 || slices.Contains(told.OfflineReplicas, part.Leader) {
		told.LeaderID, told.ErrorCode = -1, kerr.LeaderNotAvailable.Code
	}
	return told
}
