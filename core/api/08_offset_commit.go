package api

import (
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetCommit (key 8), versions 2 to 10: how far a group has read. From version 10 topics are named by id. A partition that does
// not exist is refused alone; an error of the group is that of all others.
func (k *call) offsetCommit() {
	req := k.req.Body.(*kmsg.OffsetCommitRequest)
	good, resp := k.splitCommit(req)
	if len(good.Topics) == 0 {
		k.reply(resp)
		return
	}
	k.server.Groups.CommitOffsets(good, func(committed *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			committed = commitError(good, err)
		}
		merge(resp, committed)
		k.reply(resp)
	})
}

// splitCommit parts a request in what the coordinator may have and the answers to the rest.
func (k *call) splitCommit(req *kmsg.OffsetCommitRequest) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse) {
	good, resp := *req, kmsg.NewPtrOffsetCommitResponse()
	good.Topics = nil
	for _, asked := range req.Topics {
		t, err := k.namedTopic(asked.Topic, asked.TopicID, req.Version >= 10)
		known, refused := asked, kmsg.NewOffsetCommitResponseTopic()
		known.Partitions, refused.Topic, refused.TopicID = nil, asked.Topic, asked.TopicID
		if t != nil {
			known.Topic, known.TopicID = t.Name, t.ID
			refused.Topic, refused.TopicID = t.Name, t.ID
		}
		for _, p := range asked.Partitions {
			if t != nil && hasPartition(t, p.Partition) {
				known.Partitions = append(known.Partitions, p)
				continue
			}
			refused.Partitions = append(refused.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: wire.Code(err)})
		}
		if len(known.Partitions) > 0 {
			good.Topics = append(good.Topics, known)
		}
		if len(refused.Partitions) > 0 || t == nil {
			resp.Topics = append(resp.Topics, refused)
		}
	}
	return &good, resp
}

// namedTopic finds the topic that a group's request names; if there is none, or not that partition of it, err says how that is called.
func (k *call) namedTopic(name string, id [16]byte, byID bool) (t *metadata.Topic, err error) {
	if byID {
		if t = k.server.topicByID(id); t == nil {
			return nil, kerr.UnknownTopicID
		}
		return t, kerr.UnknownTopicOrPartition
	}
	return k.server.topicByName(name), kerr.UnknownTopicOrPartition
}

func hasPartition(t *metadata.Topic, index int32) bool {
	return index >= 0 && int(index) < len(t.Partitions) && t.Partitions[index] != nil
}

func commitError(req *kmsg.OffsetCommitRequest, err error) *kmsg.OffsetCommitResponse {
	resp := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, t.TopicID = req.Topics[i].Topic, req.Topics[i].TopicID
		for _, p := range req.Topics[i].Partitions {
			t.Partitions = append(t.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: wire.Code(err)})
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// merge adds the coordinator's answers, to those for the same topic where there are such.
func merge(resp, more *kmsg.OffsetCommitResponse) {
	at := make(map[topicRef]int, len(resp.Topics))
	for i := range resp.Topics {
		at[topicRef{id: resp.Topics[i].TopicID, name: resp.Topics[i].Topic}] = i
	}
	for _, t := range more.Topics {
		i, found := at[topicRef{id: t.TopicID, name: t.Topic}]
		if !found {
			resp.Topics = append(resp.Topics, t)
			continue
		}
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, t.Partitions...)
	}
}
