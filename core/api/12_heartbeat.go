package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Heartbeat (key 12), versions 0 to 4: a member of a classic group lives. While the coordinator loads that is believed.
func (k *call) heartbeat() {
	k.server.Groups.Heartbeat(k.req.Body.(*kmsg.HeartbeatRequest), func(err error) {
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = wire.Code(err)
		k.reply(resp)
	})
}
