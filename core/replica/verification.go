package replica

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
)

// StartVerification is the guard with which a batch that begins a transaction in a partition may be appended once the coordinator
// has agreed; 0 if the transaction has begun there. addsPartitions: the coordinator is asked to add the partition, not whether it is part.
func (m *Manager) StartVerification(id event.Partition, topicID [16]byte, b record.Batch, addsPartitions bool) (storage.Guard, error) {
	p, err := m.leading(id, topicID, -1)
	if err != nil {
		return 0, err
	}
	return p.log.StartVerification(b, addsPartitions)
}

// check judges what the log does not: whether a transactional batch is part of a transaction that the coordinator knows of.
func (p *Partition) check(b record.Batch, guard storage.Guard) error {
	if !b.IsTransactional() || !p.m.cfg.TransactionVerification {
		return nil
	}
	return p.log.CheckVerified(b, guard)
}
