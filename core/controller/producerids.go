package controller

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
)

// producerIDBlock is how many producer ids a broker gets at once (KIP-730).
const producerIDBlock = 1000

// AllocateProducerIds hands a broker the next block of producer ids. No id is ever handed out twice,
// so an answer that is lost wastes a block.
func (c *Controller) AllocateProducerIds(req *kmsg.AllocateProducerIDsRequest, done func(*kmsg.AllocateProducerIDsResponse)) {
	if !c.Active() {
		done(producerIDsError(kerr.NotController))
		return
	}
	err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch)
	first := c.img.NextProducerID()
	if err == nil && first > math.MaxInt64-producerIDBlock {
		err = kerr.UnknownServerError
	}
	if err != nil {
		answer(c, nil, producerIDsError(err), producerIDsError, done)
		return
	}
	resp := kmsg.NewPtrAllocateProducerIDsResponse()
	resp.ProducerIDStart, resp.ProducerIDLen = first, producerIDBlock
	record := &metadata.ProducerIdsRecord{BrokerID: req.BrokerID, BrokerEpoch: req.BrokerEpoch, NextProducerID: first + producerIDBlock}
	answer(c, []metadata.Record{record}, resp, producerIDsError, done)
}

func producerIDsError(err *kerr.Error) *kmsg.AllocateProducerIDsResponse {
	resp := kmsg.NewPtrAllocateProducerIDsResponse()
	resp.ErrorCode = err.Code
	return resp
}
