package api

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeProducers (key 61), version 0: what a replica of a partition, leader or not, knows of the producers that write to it, and where their
// open transactions begin (KIP-664).
func (k *call) describeProducers() {
	req := k.req.Body.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	for _, asked := range req.Topics {
		told := kmsg.DescribeProducersResponseTopic{Topic: asked.Topic}
		for _, index := range asked.Partitions {
			told.Partitions = append(told.Partitions, k.describeProducersOf(event.Partition{Topic: asked.Topic, Index: index}))
		}
		resp.Topics = append(resp.Topics, told)
	}
	k.reply(resp)
}

func (k *call) describeProducersOf(id event.Partition) kmsg.DescribeProducersResponseTopicPartition {
	told := kmsg.DescribeProducersResponseTopicPartition{Partition: id.Index}
	producers, err := k.producersOf(id)
	if err != nil {
		told.ErrorCode = wire.Code(err)
		if k.server.topicByName(id.Topic) == nil {
			told.ErrorMessage = messageOf(err)
		}
		return told
	}
	for i := range producers {
		p := &producers[i]
		told.ActiveProducers = append(told.ActiveProducers, kmsg.DescribeProducersResponseTopicPartitionActiveProducer{
			ProducerID: p.ProducerID, ProducerEpoch: int32(p.Epoch), LastSequence: p.LastSequence(), LastTimestamp: p.LastTimestamp,
			CoordinatorEpoch: p.CoordinatorEpoch, CurrentTxnStartOffset: p.TxnFirstOffset,
		})
	}
	return told
}

func (k *call) producersOf(id event.Partition) ([]storage.ProducerState, error) {
	if !metadata.ValidTopicName(id.Topic) {
		return nil, kerr.InvalidTopicException
	}
	return k.server.Replicas.Producers(id)
}
