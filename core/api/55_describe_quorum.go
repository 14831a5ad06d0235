package api

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeQuorum (key 55), versions 0 to 2: voters, observers and how far each is (KIP-836). Only the
// leader knows; brokers forward.
func (k *call) describeQuorum() {
	if !k.controllerSide {
		k.forwardToController()
		return
	}
	k.server.Quorum.HandleDescribeQuorum(k.req.Body.(*kmsg.DescribeQuorumRequest), replyTo[*kmsg.DescribeQuorumResponse](k))
}
