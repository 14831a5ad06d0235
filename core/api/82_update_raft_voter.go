package api

import "github.com/twmb/franz-go/pkg/kmsg"

// UpdateRaftVoter (key 82), version 0: a voter tells the leader where it listens by now (KIP-853).
func (k *call) updateRaftVoter() {
	k.server.Quorum.HandleUpdateRaftVoter(k.req.Body.(*kmsg.UpdateRaftVoterRequest), replyTo[*kmsg.UpdateRaftVoterResponse](k))
}
