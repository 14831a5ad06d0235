package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListTransactions (key 66), versions 0 to 2: the transactional ids that this broker coordinates, by producer, state, from version 1 the
// time that the transaction is open (KIP-994), from 2 a pattern of the id (KIP-1152), which may not be as large as Kafka's: it is matched on the loop.
func (k *call) listTransactions() {
	req := k.req.Body.(*kmsg.ListTransactionsRequest)
	resp := kmsg.NewPtrListTransactionsResponse()
	f := txn.Filter{Producers: req.ProducerIDFilters, States: req.StateFilters, DurationMs: -1}
	if req.Version >= 1 {
		f.DurationMs = req.DurationFilterMillis
	}
	var err error
	if req.Version >= 2 && req.TransactionalIDPattern != nil && *req.TransactionalIDPattern != "" {
		if f.Pattern, err = config.CompileRegex(*req.TransactionalIDPattern, config.MaxLoopRegex); err != nil {
			resp.ErrorCode = kerr.InvalidRegularExpression.Code
			k.reply(resp)
			return
		}
	}
	all, err := k.server.Transactions.List(&f)
	if err != nil {
		resp.ErrorCode = wire.Code(err)
		k.reply(resp)
		return
	}
	resp.UnknownStateFilters = f.UnknownStates()
	for i := range all {
		resp.TransactionStates = append(resp.TransactionStates, kmsg.ListTransactionsResponseTransactionState{
			TransactionalID: all[i].ID, ProducerID: all[i].Producer.ID, TransactionState: all[i].State.String(),
		})
	}
	k.reply(resp)
}
