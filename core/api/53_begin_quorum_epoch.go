package api

import "github.com/twmb/franz-go/pkg/kmsg"

// BeginQuorumEpoch (key 53), versions 0 and 1: a new leader makes itself known (KIP-595).
func (k *call) beginQuorumEpoch() {
	k.server.Quorum.HandleBeginQuorumEpoch(k.req.Body.(*kmsg.BeginQuorumEpochRequest), replyTo[*kmsg.BeginQuorumEpochResponse](k))
}
