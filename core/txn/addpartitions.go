package txn

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
)

// AddPartitions makes partitions part of a producer's transaction, which begins with them if none is open. version is the
// transaction.version that the client speaks. done may run at once.
func (c *Coordinator) AddPartitions(id string, p Producer, partitions []event.Partition, version int16, done func(error)) {
	m, t, err := c.find(id)
	if err != nil {
		done(err)
		return
	}
	switch {
	case t != nil && t.state.isPrepared(): // before all else: the producer may be the one that follows at the end
		done(kerr.ConcurrentTransactions)
	case t == nil || t.producer.ID != p.ID:
		m.answer(kerr.InvalidProducerIDMapping, done)
	case t.producer.Epoch != p.Epoch:
		m.answer(kerr.ProducerFenced, done)
	case t.state == Ongoing && t.has(partitions):
		m.answer(nil, done)
	default:
		if err := m.write(t.with(partitions, version, m.nowMs()), done); err != nil {
			done(err)
		}
	}
}

// Verify says of partitions whether each is part of a producer's open transaction: nil or TRANSACTION_ABORTABLE, in their order; or why
// that cannot be said (KIP-890). done may run at once.
func (c *Coordinator) Verify(id string, p Producer, partitions []event.Partition, done func([]error, error)) {
	m, t, err := c.find(id)
	if err == nil {
		err = t.verdict(p)
	}
	if m == nil || err == kerr.ConcurrentTransactions {
		done(nil, err)
		return
	}
	var verdicts []error
	for _, partition := range partitions {
		if err == nil && !t.includes(partition) {
			verdicts = append(verdicts, kerr.TransactionAbortable)
		} else {
			verdicts = append(verdicts, nil)
		}
	}
	m.answer(err, func(err error) { done(verdicts, err) })
}

// verdict is why nothing can be said of a producer's transaction.
func (t *transaction) verdict(p Producer) error {
	switch {
	case t == nil || t.producer.ID != p.ID:
		return kerr.InvalidProducerIDMapping
	case t.producer.Epoch != p.Epoch:
		return kerr.ProducerFenced
	case t.state.isPrepared():
		return kerr.ConcurrentTransactions
	}
	return nil
}
