package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListOffsets (key 2), versions 1 to 11: the latest (-1; with read_committed the last stable), earliest (-2) and
// largest-timestamp (-3) offsets, and the first record at or after a timestamp. There is no tiered storage: -4 is the earliest, -5
// and -6 are unknown.
func (k *call) listOffsets() {
	req := k.req.Body.(*kmsg.ListOffsetsRequest)
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Version = req.Version
	open := 1 // until the loop below is through
	finish := func() {
		if open--; open == 0 {
			k.reply(resp)
		}
	}
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	for i := range req.Topics {
		asked, told := &req.Topics[i], &resp.Topics[i]
		told.Topic = asked.Topic
		told.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(asked.Partitions))
		for j := range asked.Partitions {
			open++
			p := &asked.Partitions[j]
			k.listOffset(event.Partition{Topic: asked.Topic, Index: p.Partition}, p, &told.Partitions[j], finish)
		}
	}
	finish()
}

func (k *call) listOffset(partition event.Partition, asked *kmsg.ListOffsetsRequestTopicPartition, told *kmsg.ListOffsetsResponseTopicPartition, finish func()) {
	req := k.req.Body.(*kmsg.ListOffsetsRequest)
	told.Default()
	told.Partition = asked.Partition
	q := replica.ListOffsetQuery{
		Timestamp:          asked.Timestamp,
		CurrentLeaderEpoch: asked.CurrentLeaderEpoch,
		ReplicaID:          req.ReplicaID,
		ReadCommitted:      req.IsolationLevel == 1,
	}
	k.server.Replicas.ListOffset(partition, q, func(r replica.ListOffsetResult) {
		told.ErrorCode = wire.Code(r.Err)
		if r.Err == kerr.OffsetNotAvailable && req.Version < 5 {
			told.ErrorCode = kerr.LeaderNotAvailable.Code // KIP-207's code is unknown to older clients
		}
		if r.Err == nil {
			told.Offset, told.Timestamp, told.LeaderEpoch = r.Offset, r.Timestamp, r.LeaderEpoch
		}
		finish()
	})
}
