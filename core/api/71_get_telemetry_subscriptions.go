package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// GetTelemetrySubscriptions (key 71), version 0 (KIP-714): which metrics a client shall push, and how often. A client without an id gets one.
func (k *call) getTelemetrySubscriptions() {
	req := k.req.Body.(*kmsg.GetTelemetrySubscriptionsRequest)
	resp := kmsg.NewPtrGetTelemetrySubscriptionsResponse()
	t := &k.server.telemetry
	id := req.ClientInstanceID
	if id == ([16]byte{}) {
		id = t.newID()
	}
	i := t.instance(id, k)
	if err := i.admitGet(k.server.Env.Loop.Now()); err != nil {
		resp.ErrorCode = wire.Code(err)
		k.reply(resp)
		return
	}
	resp.ClientInstanceID, resp.SubscriptionID = id, i.subscriptionID
	resp.AcceptedCompressionTypes = []int8{4, 3, 1, 2} // zstd, lz4, gzip, snappy
	resp.PushIntervalMillis, resp.TelemetryMaxBytes, resp.DeltaTemporality = i.intervalMs, k.server.Config.TelemetryMaxBytes, true
	resp.RequestedMetrics = i.metrics
	k.reply(resp)
}
