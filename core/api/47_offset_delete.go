package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetDelete (key 47), version 0: forgets how far a group has read partitions that its members do not subscribe to (KIP-496).
func (k *call) offsetDelete() {
	req := k.req.Body.(*kmsg.OffsetDeleteRequest)
	good, resp := k.splitOffsetDelete(req)
	k.server.Groups.DeleteOffsets(good, func(deleted *kmsg.OffsetDeleteResponse, err error) {
		if err != nil {
			failed := kmsg.NewPtrOffsetDeleteResponse()
			failed.ErrorCode = wire.Code(err)
			k.reply(failed)
			return
		}
		mergeDeleted(resp, deleted)
		k.reply(resp)
	})
}

// splitOffsetDelete parts a request in what the coordinator may have and the answers to the rest.
func (k *call) splitOffsetDelete(req *kmsg.OffsetDeleteRequest) (*kmsg.OffsetDeleteRequest, *kmsg.OffsetDeleteResponse) {
	good, resp := *req, kmsg.NewPtrOffsetDeleteResponse()
	good.Topics = nil
	for _, asked := range req.Topics {
		t := k.server.topicByName(asked.Topic)
		known, refused := asked, kmsg.NewOffsetDeleteResponseTopic()
		known.Partitions, refused.Topic = nil, asked.Topic
		for _, p := range asked.Partitions {
			if t != nil && hasPartition(t, p.Partition) {
				known.Partitions = append(known.Partitions, p)
				continue
			}
			refused.Partitions = append(refused.Partitions, kmsg.OffsetDeleteResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.UnknownTopicOrPartition.Code})
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

func mergeDeleted(resp, more *kmsg.OffsetDeleteResponse) {
	at := make(map[string]int, len(resp.Topics))
	for i := range resp.Topics {
		at[resp.Topics[i].Topic] = i
	}
	for _, t := range more.Topics {
		i, found := at[t.Topic]
		if !found {
			resp.Topics = append(resp.Topics, t)
			continue
		}
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, t.Partitions...)
	}
}
