package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteRecords (key 21), versions 0 to 2: the log start of partitions moves to an offset, -1 for the high watermark (KIP-107). The
// answer comes when the replicas on all living brokers have followed, and has the least log start. Refused for internal topics and for
// topics that are not to be deleted from (POLICY_VIOLATION).
func (k *call) deleteRecords() {
	req := k.req.Body.(*kmsg.DeleteRecordsRequest)
	d := deleteRecordsCall{call: k, open: 1} // until the loop below is through
	for i := range req.Topics {
		asked := &req.Topics[i]
		if len(asked.Partitions) == 0 {
			continue
		}
		told := make([]kmsg.DeleteRecordsResponseTopicPartition, len(asked.Partitions))
		d.resp.Topics = append(d.resp.Topics, kmsg.DeleteRecordsResponseTopic{Topic: asked.Topic, Partitions: told})
		for j := range asked.Partitions {
			told[j].Partition = asked.Partitions[j].Partition
			d.delete(asked.Topic, &asked.Partitions[j], req.TimeoutMillis, &told[j])
		}
	}
	d.finish()
}

// deleteRecordsCall is one DeleteRecords on its way.
type deleteRecordsCall struct {
	*call
	resp kmsg.DeleteRecordsResponse
	open int // partitions that are not answered
}

func (d *deleteRecordsCall) delete(topic string, asked *kmsg.DeleteRecordsRequestTopicPartition, timeoutMs int32, told *kmsg.DeleteRecordsResponseTopicPartition) {
	id := event.Partition{Topic: topic, Index: asked.Partition}
	if config.IsInternal(topic) && d.server.Image().Partition(id) != nil {
		told.ErrorCode, told.LowWatermark = wire.Code(kerr.InvalidTopicException), -1
		return
	}
	d.open++
	d.server.Replicas.DeleteRecords(id, asked.Offset, patience(timeoutMs), func(r replica.DeleteRecordsResult) {
		told.ErrorCode, told.LowWatermark = wire.Code(r.Err), r.LowWatermark
		d.finish()
	})
}

func (d *deleteRecordsCall) finish() {
	if d.open--; d.open == 0 {
		d.reply(&d.resp)
	}
}
