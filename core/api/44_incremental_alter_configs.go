package api

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// IncrementalAlterConfigs (key 44), versions 0 and 1: decided by the active controller, to which brokers forward it. A broker's configs
// are altered through that broker, and the answer for its logger, which has no levels to choose from, is given there too.
func (k *call) incrementalAlterConfigs() {
	if k.controllerSide {
		k.answerAsController()
		return
	}
	req := k.req.Body.(*kmsg.IncrementalAlterConfigsRequest)
	faults := k.server.configFaults(len(req.Resources), func(i int) configResource {
		return configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}
	})
	rest := kmsg.NewPtrIncrementalAlterConfigsRequest()
	rest.Version, rest.ValidateOnly = req.Version, req.ValidateOnly
	for i := range req.Resources {
		if r := &req.Resources[i]; faults[i] == nil && r.ResourceType == kmsg.ConfigResourceTypeBrokerLogger {
			faults[i] = loggerFault(r)
		} else if faults[i] == nil {
			rest.Resources = append(rest.Resources, *r)
		}
	}
	k.forwardRest(rest, len(rest.Resources), func(resp kmsg.Response) {
		k.reply(mergeIncrementalAlterConfigs(req, faults, resp.(*kmsg.IncrementalAlterConfigsResponse)))
	})
}

// mergeIncrementalAlterConfigs puts the faults found here between the controller's answers, in the order of the request.
func mergeIncrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest, faults []error, answered *kmsg.IncrementalAlterConfigsResponse) *kmsg.IncrementalAlterConfigsResponse {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.ThrottleMillis = answered.ThrottleMillis
	next := 0
	for i := range req.Resources {
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
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

// configFaults says of each of n resources why a broker does not ask the controller to alter its configs; nil: it does.
func (s *Server) configFaults(n int, resource func(i int) configResource) []error {
	named := make(map[configResource]int, n)
	for i := range n {
		named[resource(i)]++
	}
	faults := make([]error, n)
	for i := range n {
		faults[i] = s.configFault(resource(i), named[resource(i)])
	}
	return faults
}

func (s *Server) configFault(r configResource, times int) error {
	switch {
	case times > 1:
		return fmt.Errorf("each resource must appear at most once: %w", kerr.InvalidRequest)
	case !isConfigResource(r.kind):
		return fmt.Errorf("resources of type %d have no configs: %w", r.kind, kerr.InvalidRequest)
	case r.kind == kmsg.ConfigResourceTypeBroker && r.name != "", r.kind == kmsg.ConfigResourceTypeBrokerLogger:
		return s.checkNodeName(r.name)
	}
	return nil
}

// rootLogger is the logger that all others inherit from: the only one.
const rootLogger = "root"

func loggerFault(r *kmsg.IncrementalAlterConfigsRequestResource) error {
	if other := slices.IndexFunc(r.Configs, func(c kmsg.IncrementalAlterConfigsRequestResourceConfig) bool { return c.Name != rootLogger }); other >= 0 {
		return fmt.Errorf("there is no logger %q: %w", r.Configs[other].Name, kerr.InvalidConfig)
	}
	if slices.ContainsFunc(r.Configs, func(c kmsg.IncrementalAlterConfigsRequestResourceConfig) bool {
		return c.Op != kmsg.IncrementalAlterConfigOpSet
	}) {
		return fmt.Errorf("a logger's level can only be set: %w", kerr.InvalidRequest)
	}
	return fmt.Errorf("the logger has one level, which cannot be altered: %w", kerr.InvalidConfig)
}

// forwardRest hands what is left of a request to the controller, if anything is.
func (k *call) forwardRest(rest kmsg.Request, left int, done func(kmsg.Response)) {
	if left == 0 {
		done(rest.ResponseKind())
		return
	}
	k.server.forward(rest, k, func(resp kmsg.Response, err error) {
		if err != nil {
			resp = errorResponse(rest, err)
		}
		done(resp)
	})
}
