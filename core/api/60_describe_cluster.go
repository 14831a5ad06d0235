package api

import (
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
	resp.Version = req.Version
	resp.ClusterID = k.server.ClusterID
	resp.ClusterAuthorizedOperations = unknownOperations
	resp.EndpointType = endpointBrokers
	if req.Version >= 1 {
		resp.EndpointType = req.EndpointType
	}
	switch asksControllers := resp.EndpointType == endpointControllers; {
	case asksControllers != k.controllerSide:
		resp.ErrorCode = kerr.MismatchedEndpointType.Code
	case asksControllers:
		k.describeControllers(resp)
	default:
		k.describeBrokers(resp, req.IncludeFencedBrokers)
	}
	k.reply(resp)
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
	resp.ControllerID, _ = k.server.Quorum.LeaderAndEpoch()
	for _, v := range k.server.Config.Voters {
		resp.Brokers = append(resp.Brokers, kmsg.DescribeClusterResponseBroker{NodeID: v.ID, Host: v.Host, Port: int32(v.Port)})
	}
}
