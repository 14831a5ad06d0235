package api

import "github.com/twmb/franz-go/pkg/kmsg"

// Vote (key 52), versions 0 to 2: a candidate asks for a vote, or whether it would get one (KIP-595, KIP-996).
func (k *call) vote() {
	k.server.Quorum.HandleVote(k.req.Body.(*kmsg.VoteRequest), replyTo[*kmsg.VoteResponse](k))
}
