package api

import (
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId (key 22), versions 0 to 5: an id for an idempotent producer, from a block that this broker took from the controller; one
// that has an id already gets another (KIP-360). With a transactional id the coordinator answers: the caller becomes its producer,
// the one before is fenced, and its transaction is aborted; the caller comes again until that is done. Before version 4
// PRODUCER_FENCED is INVALID_PRODUCER_EPOCH. Not supported: version 6, which is unstable (two-phase commit, KIP-939).
func (k *call) initProducerID() {
	req := k.req.Body.(*kmsg.InitProducerIDRequest)
	switch {
	case (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		k.replyProducer(txn.Producer{ID: -1, Epoch: -1}, kerr.InvalidRequest)
	case req.TransactionalID == nil:
		k.server.NextProducerID(func(id int64, err error) {
			if err != nil {
				id = -1
			}
			k.replyProducer(txn.Producer{ID: id, Epoch: int16(min(id, 0))}, err)
		})
	case req.ProducerID == -1:
		k.server.Transactions.InitProducerID(*req.TransactionalID, req.TransactionTimeoutMillis, nil, k.replyProducer)
	default:
		was := &txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
		k.server.Transactions.InitProducerID(*req.TransactionalID, req.TransactionTimeoutMillis, was, k.replyProducer)
	}
}

func (k *call) replyProducer(p txn.Producer, err error) {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch, resp.ErrorCode = p.ID, p.Epoch, k.fencedCode(err, 4)
	k.reply(resp)
}

// fencedCode is an error's code for a request whose clients know PRODUCER_FENCED from version since on.
func (k *call) fencedCode(err error, since int16) int16 {
	if err == kerr.ProducerFenced && k.req.Version < since {
		err = kerr.InvalidProducerEpoch
	}
	return wire.Code(err)
}

// producerIDs is the block of producer ids at hand (KIP-730) and who waits for the next one.
type producerIDs struct {
	next, end int64
	asking    bool
	waiting   []func(int64, error)
}

// NextProducerID gives a producer id that nobody else has, perhaps at once; without one the error is COORDINATOR_LOAD_IN_PROGRESS.
func (s *Server) NextProducerID(done func(int64, error)) {
	ids := &s.producerIDs
	if ids.next < ids.end {
		ids.next++
		done(ids.next-1, nil)
		return
	}
	ids.waiting = append(ids.waiting, done)
	if ids.asking {
		return
	}
	ids.asking = true
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID, req.BrokerEpoch = s.Config.NodeID, s.BrokerEpoch()
	s.AskController(req, s.onProducerIDs)
}

func (s *Server) onProducerIDs(resp kmsg.Response, err error) {
	ids := &s.producerIDs
	ids.asking = false
	if err == nil {
		block := resp.(*kmsg.AllocateProducerIDsResponse)
		err = kerr.ErrorForCode(block.ErrorCode)
		ids.next, ids.end = block.ProducerIDStart, block.ProducerIDStart+int64(block.ProducerIDLen)
	}
	waiting := ids.waiting
	ids.waiting = nil
	for _, done := range waiting {
		if err != nil {
			done(-1, kerr.CoordinatorLoadInProgress) // as Kafka says it: every client tries again
			continue
		}
		s.NextProducerID(done)
	}
}
