package api

import "github.com/twmb/franz-go/pkg/kmsg"

// RemoveRaftVoter (key 81), version 0: a controller stops being a voter (KIP-853), the leader too. Brokers forward.
func (k *call) removeRaftVoter() {
	if !k.controllerSide {
		k.forwardToController()
		return
	}
	k.server.Quorum.HandleRemoveRaftVoter(k.req.Body.(*kmsg.RemoveRaftVoterRequest), replyTo[*kmsg.RemoveRaftVoterResponse](k))
}
