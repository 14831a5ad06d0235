package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The types of coordinators.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

// FindCoordinator (key 10), versions 0 to 6: the broker that leads the partition of __consumer_offsets that a group belongs to, or of
// __transaction_state for a transactional id; from version 4 many keys at once (KIP-699). The topic is created when it is
// needed first; until it has a leader, and for ever if there are too few brokers for its replication factor, the answer is
// COORDINATOR_NOT_AVAILABLE. Not supported: share groups' coordinators (type 2, KIP-932).
func (k *call) findCoordinator() {
	req := k.req.Body.(*kmsg.FindCoordinatorRequest)
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version < 4 {
		c := k.coordinator(req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
		k.reply(resp)
		return
	}
	resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, 0, len(req.CoordinatorKeys))
	for _, key := range req.CoordinatorKeys {
		c := k.coordinator(req.CoordinatorType, key)
		if req.CoordinatorType >= 0 && req.CoordinatorType <= shareCoordinator {
			c.ErrorMessage = kmsg.StringPtr("") // as Kafka says it
		}
		resp.Coordinators = append(resp.Coordinators, c)
	}
	k.reply(resp)
}

// coordinator answers for one key.
func (k *call) coordinator(kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	b, err := k.findCoordinatorOf(kind, key)
	if err != nil {
		c.ErrorCode, c.ErrorMessage = wire.Code(err), messageOf(err)
		return c
	}
	at, _ := b.Endpoint(k.listener)
	c.NodeID, c.Host, c.Port, c.ErrorMessage = b.ID, at.Host, int32(at.Port), kmsg.StringPtr("NONE") // as Kafka says it
	return c
}

func (k *call) findCoordinatorOf(kind int8, key string) (*metadata.Broker, error) {
	topic := ""
	switch kind {
	case groupCoordinator:
		topic = config.ConsumerOffsets
	case transactionCoordinator:
		topic = config.TransactionState
	default:
		return nil, kerr.InvalidRequest
	}
	t := k.server.Image().Topic(topic)
	if t == nil {
		k.server.autoCreate([]string{topic}, "")
		return nil, kerr.CoordinatorNotAvailable
	}
	p := t.Partitions[coordinator.PartitionFor(key, len(t.Partitions))]
	if p == nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	leader, err := k.leader(p)
	if err != nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	return k.server.Image().Broker(leader), nil
}
