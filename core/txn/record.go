package txn

import (
	"errors"
	"slices"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// record is a transaction's record as Kafka has it in __transaction_state. Version 1 of the value, from transaction.version 1 on, adds
// tagged fields.
func (t *transaction) record(transactionVersion int16) coordinator.Record {
	v := kmsg.NewTxnMetadataValue()
	v.Version = min(transactionVersion, 1)
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis, v.State = t.producer.ID, t.producer.Epoch, t.timeoutMs, kmsg.TransactionState(t.state)
	v.LastUpdateTimestamp, v.StartTimestamp = t.updatedMs, t.startedMs
	if v.Version >= 1 {
		v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = t.previousID, t.nextID, t.version
	}
	if t.state != Empty { // then null
		v.Topics = byTopic(t.partitions)
	}
	return coordinator.Record{Key: key(t.id), Value: v.AppendTo(nil)}
}

func key(id string) []byte {
	k := kmsg.NewTxnMetadataKey()
	k.TransactionalID = id
	return k.AppendTo(nil)
}

func byTopic(partitions []event.Partition) []kmsg.TxnMetadataValueTopic {
	topics := []kmsg.TxnMetadataValueTopic{}
	for _, p := range partitions {
		if n := len(topics); n == 0 || topics[n-1].Topic != p.Topic {
			topics = append(topics, kmsg.TxnMetadataValueTopic{Topic: p.Topic})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
	return topics
}

var errUnknownRecord = errors.New("txn: a record of another version")

// parse reads a record. t is nil if it is a tombstone. What a newer release left behind is to be ignored.
func parse(r coordinator.Record) (id string, t *transaction, err error) {
	var k kmsg.TxnMetadataKey
	if len(r.Key) < 2 || r.Key[0] != 0 || r.Key[1] != 0 {
		return "", nil, errUnknownRecord
	}
	if err := k.ReadFrom(r.Key); err != nil || r.Value == nil {
		return k.TransactionalID, nil, err
	}
	v := kmsg.NewTxnMetadataValue()
	if len(r.Value) < 2 || r.Value[0] != 0 || r.Value[1] > 1 {
		return "", nil, errUnknownRecord
	}
	if err := v.ReadFrom(r.Value); err != nil {
		return "", nil, err
	}
	if v.State < 0 || State(v.State) > CompleteAbort {
		return "", nil, errUnknownRecord
	}
	t = &transaction{
		id: k.TransactionalID, producer: Producer{v.ProducerID, v.ProducerEpoch}, previousID: v.PreviousProducerID, nextID: v.NextProducerID,
		timeoutMs: v.TimeoutMillis, state: State(v.State), updatedMs: v.LastUpdateTimestamp, startedMs: v.StartTimestamp,
		version: v.ClientTransactionVersion, lastEpoch: -1,
	}
	for _, topic := range v.Topics {
		for _, index := range topic.Partitions {
			t.partitions = append(t.partitions, event.Partition{Topic: topic.Topic, Index: index})
		}
	}
	slices.SortFunc(t.partitions, comparePartitions)
	return t.id, t, nil
}
