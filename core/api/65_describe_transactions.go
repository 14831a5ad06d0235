package api

import (
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeTransactions (key 65), version 0: what the coordinator knows of transactional ids (KIP-664).
func (k *call) describeTransactions() {
	req := k.req.Body.(*kmsg.DescribeTransactionsRequest)
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	resp.TransactionStates = make([]kmsg.DescribeTransactionsResponseTransactionState, len(req.TransactionalIDs))
	open := 1
	finish := func() {
		if open--; open == 0 {
			k.reply(resp)
		}
	}
	for i, id := range req.TransactionalIDs {
		open++
		k.server.Transactions.Describe(id, func(d txn.Description, err error) {
			resp.TransactionStates[i] = describedTransaction(id, &d, err)
			finish()
		})
	}
	finish()
}

func describedTransaction(id string, d *txn.Description, err error) kmsg.DescribeTransactionsResponseTransactionState {
	told := kmsg.NewDescribeTransactionsResponseTransactionState()
	told.TransactionalID = id
	if err != nil {
		told.ErrorCode = wire.Code(err)
		return told
	}
	told.State, told.TimeoutMillis, told.StartTimestamp = d.State.String(), d.TimeoutMs, d.StartedMs
	told.ProducerID, told.ProducerEpoch = d.Producer.ID, d.Producer.Epoch
	for _, p := range d.Partitions {
		if n := len(told.Topics); n == 0 || told.Topics[n-1].Topic != p.Topic {
			told.Topics = append(told.Topics, kmsg.DescribeTransactionsResponseTransactionStateTopic{Topic: p.Topic})
		}
		last := &told.Topics[len(told.Topics)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
	return told
}
