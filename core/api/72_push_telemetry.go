package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// PushTelemetry (key 72), version 0 (KIP-714): a client's metrics are taken and, as there is nobody to export them to, dropped.
func (k *call) pushTelemetry() {
	resp := kmsg.NewPtrPushTelemetryResponse()
	if err := k.server.telemetry.push(k.req.Body.(*kmsg.PushTelemetryRequest), k); err != nil {
		resp.ErrorCode = wire.Code(err)
	}
	k.reply(resp)
}
