package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AddOffsetsToTxn (key 25), versions 0 to 4: makes a group's partition of __consumer_offsets part of a transaction, for a TxnOffsetCommit to
// follow. Before version 2 PRODUCER_FENCED is INVALID_PRODUCER_EPOCH.
func (k *call) addOffsetsToTxn() {
	req := k.req.Body.(*kmsg.AddOffsetsToTxnRequest)
	reply := func(err error) {
		resp := kmsg.NewPtrAddOffsetsToTxnResponse()
		resp.ErrorCode = k.fencedCode(err, 2)
		k.reply(resp)
	}
	offsets := event.Partition{Topic: config.ConsumerOffsets, Index: k.server.Groups.Runtime().PartitionFor(req.Group)}
	if offsets.Index < 0 {
		k.server.autoCreate([]string{config.ConsumerOffsets}, "")
		reply(kerr.CoordinatorNotAvailable) // until there is one
		return
	}
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	k.server.Transactions.AddPartitions(req.TransactionalID, p, []event.Partition{offsets}, 0, reply)
}
