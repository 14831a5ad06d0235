package api

import (
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterConfigs (key 33), versions 0 to 2: all configs of each resource are replaced. As IncrementalAlterConfigs else; the configs of
// loggers cannot be replaced.
func (k *call) alterConfigs() {
	if k.controllerSide {
		k.answerAsController()
		return
	}
	req := k.req.Body.(*kmsg.AlterConfigsRequest)
	faults := k.server.configFaults(len(req.Resources), func(i int) configResource {
		return configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}
	})
	rest := kmsg.NewPtrAlterConfigsRequest()
	rest.Version, rest.ValidateOnly = req.Version, req.ValidateOnly
	for i := range req.Resources {
		if faults[i] == nil {
			rest.Resources = append(rest.Resources, req.Resources[i])
		}
	}
	k.forwardRest(rest, len(rest.Resources), func(resp kmsg.Response) {
		k.reply(mergeAlterConfigs(req, faults, resp.(*kmsg.AlterConfigsResponse)))
	})
}

// mergeAlterConfigs puts the faults found here between the controller's answers, in the order of the request.
func mergeAlterConfigs(req *kmsg.AlterConfigsRequest, faults []error, answered *kmsg.AlterConfigsResponse) *kmsg.AlterConfigsResponse {
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.ThrottleMillis = answered.ThrottleMillis
	next := 0
	for i := range req.Resources {
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = req.Resources[i].ResourceType, req.Resources[i].ResourceName
		switch {
		case faults[i] != nil:
			rr.ErrorCode, rr.ErrorMessage = wire.Code(faults[i]), messageOf(faults[i])
		case next < len(answered.Resources):
			rr.ErrorCode, rr.ErrorMessage = answered.Resources[next].ErrorCode, answered.Resources[next].ErrorMessage
			next++
		}
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}
