package replica

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/twmb/franz-go/pkg/kerr"
)

// StartVerification is the guard with which a batch that begins a transaction in a partition may be appended once the coordinator
// has agreed; 0 if the transaction has begun there. addsPartitions: the coordinator is asked to add the partition, not whether it is part.
func (m *Manager) StartVerification(id event.Partition, topicID [16]byte, producerID int64, epoch int16, sequence int32, addsPartitions bool) (storage.Guard, error) {
	p, err := m.leading(id, topicID, -1)
	if err != nil {
		return 0, err
	}
	if !addsPartitions && !m.verifies {
		return 0, nil
	}
	return p.log.StartVerification(producerID, epoch, sequence, addsPartitions)
}

// Producers are those that this broker's replica knows of, by id. As in Kafka a follower tells, too: who looks for hanging transactions asks one
// broker about all that it has, and gives up at the first error.
func (m *Manager) Producers(id event.Partition) ([]storage.ProducerState, error) {
	p := m.byID.get(id)
	switch {
	case p == nil:
		return nil, m.notHosted(id)
	case p.offline:
		return nil, kerr.KafkaStorageError
	case p.log == nil:
		return nil, kerr.NotLeaderForPartition
	}
	return p.log.Producers(), nil
}

// check judges what the log does not: whether a transactional batch is part of a transaction that the coordinator knows of.
func (p *Partition) check(b record.Batch, guard storage.Guard) error {
	if !b.IsTransactional() || !p.m.verifies {
		return nil
	}
	return p.log.CheckVerified(b, guard)
}
