package api

import (
	"fmt"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// DescribeCluster (key 60), versions 0 to 2, from the committed image: the brokers on the broker's listener, the voters on
// the controller's (KIP-919); fenced brokers on request from version 2 (KIP-1073).
func (k *call) describeCluster() {
	req := k.req.Body.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.ControllerID = -1
	resp.ClusterAuthorizedOperations = unknownOperations
	if err, why := k.checkEndpointType(req); err != nil {
		resp.ErrorCode, resp.ErrorMessage = err.Code, &why
		k.reply(resp)
		return
	}
	resp.ClusterID, resp.EndpointType = k.server.ClusterID, req.EndpointType
	resp.ClusterAuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, clusterOperations)
	if k.controllerSide {
		k.describeControllers(resp)
	} else {
		k.describeBrokers(resp, req.IncludeFencedBrokers)
	}
	k.reply(resp)
}

// checkEndpointType refuses a client that wants to see the other side of the cluster.
func (k *call) checkEndpointType(req *kmsg.DescribeClusterRequest) (err *kerr.Error, why string) {
	here := int8(endpointBrokers)
	if k.controllerSide {
		here = endpointControllers
	}
	switch wanted := req.EndpointType; {
	case wanted == here:
		return nil, ""
	case wanted != endpointBrokers && wanted != endpointControllers:
		err, why = kerr.UnsupportedEndpointType, fmt.Sprintf("unsupported endpoint type %d", wanted)
	default:
		err, why = kerr.MismatchedEndpointType, fmt.Sprintf("the request came to an endpoint of type %d, but asked for type %d (1: brokers, 2: controllers)", here, wanted)
	}
	if req.Version == 0 {
		err = kerr.InvalidRequest
	}
	return err, why
}

func (k *call) describeBrokers(resp *kmsg.DescribeClusterResponse, fencedToo bool) {
	resp.ControllerID = k.server.anyBroker()
	k.server.Image().Brokers(func(b *metadata.Broker) bool {
		if at, ok := b.Endpoint(k.listener); ok && (!b.Fenced || fencedToo) {
			resp.Brokers = append(resp.Brokers, kmsg.DescribeClusterResponseBroker{NodeID: b.ID, Host: at.Host, Port: int32(at.Port), Rack: rackOf(b), IsFenced: b.Fenced})
		}
		return true
	})
}

func (k *call) describeControllers(resp *kmsg.DescribeClusterResponse) {
	leader, _ := k.server.Quorum.LeaderAndEpoch()
	for _, v := range k.server.controllers() {
		if v.ID == leader {
			resp.ControllerID = leader
		}
		resp.Brokers = append(resp.Brokers, kmsg.DescribeClusterResponseBroker{NodeID: v.ID, Host: v.Host, Port: int32(v.Port)})
	}
}

// controllers are the voters: as configured, or as the metadata log has them.
func (s *Server) controllers() (controllers []config.Voter) {
	if !s.Quorum.IsDynamic() {
		return s.Config.Voters
	}
	for _, v := range s.Quorum.Voters() {
		host, port := v.Endpoint()
		controllers = append(controllers, config.Voter{ID: v.ID, Host: host, Port: int(port)})
	}
	return controllers
}
