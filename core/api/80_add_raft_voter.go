package api

import "github.com/twmb/franz-go/pkg/kmsg"

// AddRaftVoter (key 80), versions 0 and 1: a controller becomes a voter (KIP-853). Only the leader can do that; brokers forward.
// A quorum with static voters (kraft.version 0) answers UNSUPPORTED_VERSION and, unlike Kafka's, its brokers do not
// advertise the key.
func (k *call) addRaftVoter() {
	if !k.controllerSide {
		k.forwardToController()
		return
	}
	k.server.Quorum.HandleAddRaftVoter(k.req.Body.(*kmsg.AddRaftVoterRequest), replyTo[*kmsg.AddRaftVoterResponse](k))
}
