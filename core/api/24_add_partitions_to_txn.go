package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AddPartitionsToTxn (key 24), versions 0 to 5: makes partitions part of a transaction, all or none. No client may add internal topics, which
// offsets commits do by themselves. From version 4 on it comes from
// brokers, for many transactions, some of which only want to know whether the partitions are part of it (KIP-890). Before version
// 2 PRODUCER_FENCED is INVALID_PRODUCER_EPOCH.
func (k *call) addPartitionsToTxn() {
	req := k.req.Body.(*kmsg.AddPartitionsToTxnRequest)
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	if req.Version < 4 {
		k.addToTxn(oldTransaction(req), func(topics []kmsg.AddPartitionsToTxnResponseTransactionTopic) {
			resp.Topics = oldTopics(topics)
			k.reply(resp)
		})
		return
	}
	open := len(req.Transactions)
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, open)
	for i := range req.Transactions {
		told := &resp.Transactions[i]
		told.TransactionalID = req.Transactions[i].TransactionalID
		k.addToTxn(&req.Transactions[i], func(topics []kmsg.AddPartitionsToTxnResponseTransactionTopic) {
			told.Topics = topics
			if open--; open == 0 {
				k.reply(resp)
			}
		})
	}
	if len(req.Transactions) == 0 {
		k.reply(resp)
	}
}

// oldTransaction is the one transaction of a request before version 4.
func oldTransaction(req *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnRequestTransaction {
	t := kmsg.NewAddPartitionsToTxnRequestTransaction()
	t.TransactionalID, t.ProducerID, t.ProducerEpoch = req.TransactionalID, req.ProducerID, req.ProducerEpoch
	for _, topic := range req.Topics {
		t.Topics = append(t.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: topic.Topic, Partitions: topic.Partitions})
	}
	return &t
}

func oldTopics(topics []kmsg.AddPartitionsToTxnResponseTransactionTopic) (old []kmsg.AddPartitionsToTxnResponseTopic) {
	for _, t := range topics {
		o := kmsg.AddPartitionsToTxnResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			o.Partitions = append(o.Partitions, kmsg.AddPartitionsToTxnResponseTopicPartition{Partition: p.Partition, ErrorCode: p.ErrorCode})
		}
		old = append(old, o)
	}
	return old
}

// addToTxn adds or verifies the partitions of one transaction. A partition that does not exist fails them all.
func (k *call) addToTxn(t *kmsg.AddPartitionsToTxnRequestTransaction, done func([]kmsg.AddPartitionsToTxnResponseTransactionTopic)) {
	codes := map[event.Partition]int16{}
	answer := func() { done(addedTopics(t, codes)) }
	partitions, exist := k.namedInTxn(t, codes)
	if !exist {
		answer()
		return
	}
	set := func(err error) {
		for _, p := range partitions {
			codes[p] = k.fencedCode(err, 2)
		}
	}
	p := txn.Producer{ID: t.ProducerID, Epoch: t.ProducerEpoch}
	if !t.VerifyOnly {
		k.server.Transactions.AddPartitions(t.TransactionalID, p, partitions, k.spokenInTxn(4), func(err error) {
			set(err)
			answer()
		})
		return
	}
	k.server.Transactions.Verify(t.TransactionalID, p, partitions, func(verdicts []error, err error) {
		set(err)
		for i := range verdicts {
			if err == nil {
				codes[partitions[i]] = wire.Code(verdicts[i])
			}
		}
		answer()
	})
}

// namedInTxn is the partitions of a transaction, each once. If some do not exist for the client it notes their codes, and those of the others.
func (k *call) namedInTxn(t *kmsg.AddPartitionsToTxnRequestTransaction, codes map[event.Partition]int16) (partitions []event.Partition, exist bool) {
	exist = true
	for _, topic := range t.Topics {
		for _, index := range topic.Partitions {
			id := event.Partition{Topic: topic.Topic, Index: index}
			if _, seen := codes[id]; seen {
				continue
			}
			switch {
			case k.req.Version < 4 && config.IsInternal(id.Topic):
				codes[id], exist = kerr.TopicAuthorizationFailed.Code, false
			case k.server.Image().Partition(id) == nil:
				codes[id], exist = kerr.UnknownTopicOrPartition.Code, false
			default:
				codes[id] = kerr.OperationNotAttempted.Code
				partitions = append(partitions, id)
			}
		}
	}
	return partitions, exist
}

// spokenInTxn is the transaction.version that the sender of a request speaks: 2 if the request's is since or later.
func (k *call) spokenInTxn(since int16) int16 {
	if k.req.Version >= since {
		return 2
	}
	return 0
}

// addedTopics is the answer about all partitions of a transaction.
func addedTopics(t *kmsg.AddPartitionsToTxnRequestTransaction, codes map[event.Partition]int16) (topics []kmsg.AddPartitionsToTxnResponseTransactionTopic) {
	for _, asked := range t.Topics {
		told := kmsg.AddPartitionsToTxnResponseTransactionTopic{Topic: asked.Topic}
		for _, index := range asked.Partitions {
			told.Partitions = append(told.Partitions, kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{
				Partition: index, ErrorCode: codes[event.Partition{Topic: asked.Topic, Index: index}],
			})
		}
		topics = append(topics, told)
	}
	return topics
}
