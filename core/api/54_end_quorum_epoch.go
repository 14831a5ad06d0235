package api

import "github.com/twmb/franz-go/pkg/kmsg"

// EndQuorumEpoch (key 54), versions 0 and 1: a leader that steps down names its successors (KIP-595).
func (k *call) endQuorumEpoch() {
	k.server.Quorum.HandleEndQuorumEpoch(k.req.Body.(*kmsg.EndQuorumEpochRequest), replyTo[*kmsg.EndQuorumEpochResponse](k))
}
