package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Envelope (key 58), version 0: a client's request that a broker passes on to the active controller
// (KIP-590). There are no principals yet, so the one it carries is not looked at.
func (k *call) envelope() {
	req := k.req.Body.(*kmsg.EnvelopeRequest)
	resp := kmsg.NewPtrEnvelopeResponse()
	if !k.server.activeHere() {
		resp.ErrorCode = kerr.NotController.Code
		k.reply(resp)
		return
	}
	k.server.serveEnveloped(req.RequestData, func(data []byte, err error) {
		resp.ResponseData, resp.ErrorCode = data, wire.Code(err)
		k.reply(resp)
	})
}
