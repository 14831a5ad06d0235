package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId (key 22), versions 0 to 5: an id for an idempotent producer, from a block that this broker
// took from the controller. A producer that has an id already gets another (KIP-360). Not supported: transactional ids.
func (k *call) initProducerID() {
	req := k.req.Body.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	switch {
	case req.TransactionalID != nil:
		resp.ErrorCode = wire.Code(errNoTransactions)
	case (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = kerr.InvalidRequest.Code
	default:
		k.server.nextProducerID(func(id int64, err error) {
			if resp.ErrorCode = wire.Code(err); err == nil {
				resp.ProducerID, resp.ProducerEpoch = id, 0
			}
			k.reply(resp)
		})
		return
	}
	k.reply(resp)
}

// producerIDs is the block of producer ids at hand (KIP-730) and who waits for the next one.
type producerIDs struct {
	next, end int64
	asking    bool
	waiting   []func(int64, error)
}

func (s *Server) nextProducerID(done func(int64, error)) {
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
		s.nextProducerID(done)
	}
}
