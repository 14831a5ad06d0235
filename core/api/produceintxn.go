package api

import (
	"fmt"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What a Produce does that is part of a transaction.

func (p *produceCall) isTransactional() bool {
	for i := range p.entries {
		if p.entries[i].Batch.IsTransactional() {
			return true
		}
	}
	return false
}

// transactionRefusal is why the request is refused as a whole: its records are part of a transaction, but not of one.
func (p *produceCall) transactionRefusal() error {
	first := true
	var of txn.Producer
	for i := range p.req.Produce.Topics {
		for j := range p.req.Produce.Topics[i].Partitions {
			b := p.req.Produce.Topics[i].Partitions[j].Batch
			if b == nil || !b.IsTransactional() {
				continue
			}
			who := txn.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch()}
			switch {
			case p.req.Produce.TransactionalID == nil:
				return kerr.TransactionalIDAuthorizationFailed
			case !first && who != of:
				return kerr.InvalidProducerIDMapping
			}
			first, of = false, who
		}
	}
	return nil
}

// verify appends what there is to append once the transaction's coordinator agrees.
func (p *produceCall) verify() {
	v := &verification{id: *p.req.Produce.TransactionalID, mode: modeOf(p.req.Version, 11, 12)}
	for i := range p.entries {
		if e := &p.entries[i]; e.Batch.IsTransactional() {
			v.producer = txn.Producer{ID: e.Batch.ProducerID(), Epoch: e.Batch.ProducerEpoch()}
			v.parts = append(v.parts, verified{partition: e.Partition, topicID: e.TopicID, sequence: e.Batch.BaseSequence()})
		}
	}
	v.done = func() {
		p.take(v)
		p.append()
	}
	p.server.verify(v)
}

// take gives the entries their guards and drops those that are refused.
func (p *produceCall) take(v *verification) {
	kept, part := 0, 0
	for i := range p.entries {
		e, slot := p.entries[i], p.slots[i]
		if e.Batch.IsTransactional() {
			verdict := &v.parts[part]
			part++
			if verdict.err != nil {
				p.refuse(slot, e.Partition, v.producersWord(verdict.err))
				continue
			}
			e.Guard = verdict.guard
		}
		p.entries[kept], p.slots[kept] = e, slot
		kept++
	}
	clear(p.entries[kept:])
	p.entries, p.slots = p.entries[:kept], p.slots[:kept]
}

func (p *produceCall) refuse(slot int, id event.Partition, err error) {
	p.results[slot].Err = err
	p.pointToLeader(&p.results[slot], id)
}

// producersWord is a verdict as producers know it. Old ones would give up where they should come again, which NOT_ENOUGH_REPLICAS has them do
// without a look at the metadata.
func (v *verification) producersWord(err error) error {
	switch err {
	case kerr.InvalidTxnState:
		return fmt.Errorf("the partition was not added to the transaction: %w", err)
	case kerr.NetworkException, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator:
		return unverified(err)
	case kerr.ConcurrentTransactions:
		if v.mode != addPartition {
			return unverified(err)
		}
	}
	return err
}

func unverified(why error) error {
	return fmt.Errorf("cannot find out whether the partition was added to the transaction, because of %v: %w", why, kerr.NotEnoughReplicas)
}
