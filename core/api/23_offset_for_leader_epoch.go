package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetForLeaderEpoch (key 23), versions 2 to 4: where an epoch ended in this leader's log, so that consumers and followers
// notice truncation (KIP-101, KIP-279, KIP-320).
func (k *call) offsetForLeaderEpoch() {
	req := k.req.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	resp.Version = req.Version
	for i := range req.Topics {
		asked := &req.Topics[i]
		told := kmsg.NewOffsetForLeaderEpochResponseTopic()
		told.Topic = asked.Topic
		for j := range asked.Partitions {
			p := &asked.Partitions[j]
			answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			answer.Partition = p.Partition
			partition := event.Partition{Topic: asked.Topic, Index: p.Partition}
			epoch, end, err := k.server.Replicas.OffsetForLeaderEpoch(partition, p.CurrentLeaderEpoch, p.LeaderEpoch)
			answer.ErrorCode, answer.LeaderEpoch, answer.EndOffset = wire.Code(err), epoch, end
			told.Partitions = append(told.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, told)
	}
	k.reply(resp)
}
