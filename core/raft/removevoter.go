package raft

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// HandleRemoveRaftVoter takes a voter out of the quorum (KIP-853), this leader too. done runs when the voters that are left have
// committed that.
func (n *Node) HandleRemoveRaftVoter(req *kmsg.RemoveRaftVoterRequest, done func(*kmsg.RemoveRaftVoterResponse)) {
	answer := func(err *kerr.Error, why string) {
		resp := kmsg.NewPtrRemoveRaftVoterResponse()
		resp.Version = req.Version
		resp.ErrorCode, resp.ErrorMessage = explain(err, why)
		n.say(func() { done(resp) })
	}
	n.step(func() { n.onRemoveRaftVoter(req, answer) })
}

func (n *Node) onRemoveRaftVoter(req *kmsg.RemoveRaftVoterRequest, answer func(*kerr.Error, string)) {
	k := voterKey{req.VoterID, req.VoterDirectoryID}
	s, err, why := n.leaderFor(req.ClusterID, k)
	if err == nil {
		err, why = s.mayChange()
	}
	if err == nil && (len(n.voters) == 1 || !isVoter(n.voters, k)) {
		err, why = kerr.VoterNotFound, fmt.Sprintf("%s is none of the voters %s, or the last of them", k, joinIDs(n.voters))
	}
	if err != nil {
		answer(err, why)
		return
	}
	s.appendVoters(s.beginChange(k, answer), withoutVoter(n.voters, k.id))
}
