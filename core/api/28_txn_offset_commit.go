package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TxnOffsetCommit (key 28), versions 0 to 5: how far a group has read, to count when a transaction is committed. The partition of
// __consumer_offsets must be part of the transaction; from version 5 on this makes it so (transaction.version 2). Before version 4
// TRANSACTION_ABORTABLE is INVALID_TXN_STATE, and before 2 a coordinator that loads is not available.
func (k *call) txnOffsetCommit() {
	req := k.req.Body.(*kmsg.TxnOffsetCommitRequest)
	good, resp := k.splitTxnCommit(req)
	if len(good.Topics) == 0 {
		k.reply(resp)
		return
	}
	refuse := func(err error) {
		resp.Topics = append(resp.Topics, k.txnCommitError(good, err).Topics...)
		k.reply(resp)
	}
	groups := k.server.Groups.Runtime()
	if req.Group == "" {
		refuse(kerr.InvalidGroupID)
		return
	}
	if _, err := groups.Shard(req.Group); err != nil {
		refuse(err)
		return
	}
	v := &verification{
		id: req.TransactionalID, producer: txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, mode: modeOf(req.Version, 4, 5),
		parts: []verified{{partition: event.Partition{Topic: config.ConsumerOffsets, Index: groups.PartitionFor(req.Group)}, sequence: -1}},
	}
	v.done = func() {
		if err := v.parts[0].err; err != nil {
			refuse(coordinatorsWord(err))
			return
		}
		k.server.Groups.CommitTransactional(good, v.parts[0].guard, func(committed *kmsg.TxnOffsetCommitResponse, err error) {
			if err != nil {
				refuse(err)
				return
			}
			resp.Topics = append(resp.Topics, committed.Topics...)
			k.reply(resp)
		})
	}
	k.server.verify(v)
}

// splitTxnCommit parts a request in what the coordinator may have and the answers to the rest.
func (k *call) splitTxnCommit(req *kmsg.TxnOffsetCommitRequest) (*kmsg.TxnOffsetCommitRequest, *kmsg.TxnOffsetCommitResponse) {
	good, resp := *req, kmsg.NewPtrTxnOffsetCommitResponse()
	good.Topics = nil
	for _, asked := range req.Topics {
		t := k.server.topicByName(asked.Topic)
		known, refused := asked, kmsg.NewTxnOffsetCommitResponseTopic()
		known.Partitions, refused.Topic = nil, asked.Topic
		if t != nil {
			known.TopicID = t.ID
		}
		for _, p := range asked.Partitions {
			if t != nil && hasPartition(t, p.Partition) {
				known.Partitions = append(known.Partitions, p)
				continue
			}
			refused.Partitions = append(refused.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.UnknownTopicOrPartition.Code})
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

// coordinatorsWord is an error of a partition as a client of its coordinator knows it.
func coordinatorsWord(err error) error {
	switch err {
	case kerr.NetworkException: // old clients would not come again
		return kerr.CoordinatorLoadInProgress
	case kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut:
		return kerr.CoordinatorNotAvailable
	case kerr.NotLeaderForPartition, kerr.KafkaStorageError:
		return kerr.NotCoordinator
	}
	return err
}

func (k *call) txnCommitError(req *kmsg.TxnOffsetCommitRequest, err error) *kmsg.TxnOffsetCommitResponse {
	if err == kerr.CoordinatorLoadInProgress && req.Version < 2 {
		err = kerr.CoordinatorNotAvailable // old clients crash (KAFKA-7296)
	}
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	for i := range req.Topics {
		t := kmsg.NewTxnOffsetCommitResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			t.Partitions = append(t.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: wire.Code(err)})
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}
