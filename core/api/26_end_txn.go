package api

import (
	"github.com/lockstep/lockstep/core/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// EndTxn (key 26), versions 0 to 5: commits or aborts a transaction. It is answered when that is decided; the markers follow. From
// version 5 on, which is transaction.version 2, the producer gets its next epoch with the answer, and sometimes another id (KIP-890).
// Before version 2 PRODUCER_FENCED is INVALID_PRODUCER_EPOCH.
func (k *call) endTxn() {
	req := k.req.Body.(*kmsg.EndTxnRequest)
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	k.server.Transactions.End(req.TransactionalID, p, req.Commit, k.spokenInTxn(5), func(next txn.Producer, err error) {
		resp := kmsg.NewPtrEndTxnResponse()
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = k.fencedCode(err, 2), next.ID, next.Epoch
		k.reply(resp)
	})
}
