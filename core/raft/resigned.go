package raft

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// resigned was leader of the epoch and never will be again: it gave up (check-quorum, Resign,
// Shutdown) or restarted. It tells the voters, waits for a successor, and after an election
// timeout leaves the epoch.
type resigned struct {
	n          *Node
	successors []*replica // empty after a restart
	left       bool
}

func (s *resigned) name() string { return "resigned" }
func (s *resigned) leave()       { s.left = true }

func (n *Node) newResigned(successors []*replica) *resigned {
	n.arm(n.randomElectionTimeout())
	return &resigned{n: n, successors: successors}
}

// becomeResigned ends a leadership.
func (n *Node) becomeResigned() {
	s := n.newResigned(n.state.(*leader).successors())
	n.become(s)
	for _, r := range s.successors {
		n.say(func() { s.end(r) })
	}
}

// end asks one voter to elect a successor, until it hears.
func (s *resigned) end(r *replica) {
	if s.left {
		return
	}
	n := s.n
	n.peers.send(r.addr.Addr, n.endRequest(s.successors), n.cfg.RequestTimeout, func(a reply, err error) {
		if err != nil {
			n.env.Loop.AfterFunc(retryBackoff, func() { n.step(func() { s.end(r) }) })
			return
		}
		resp, ok := a.body.(*kmsg.EndQuorumEpochResponse)
		a.release()
		if ok && resp.ErrorCode == 0 && len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == 1 {
			p := resp.Topics[0].Partitions[0]
			at := nodeAt(resp.NodeEndpoints, p.LeaderID, endNode)
			n.step(func() { n.learn(p.LeaderID, p.LeaderEpoch, p.ErrorCode, at) })
		}
	})
}

// canGrantVote refuses: the epoch had its leader, us.
func (s *resigned) canGrantVote(_ voterKey, upToDate, preVote bool) bool { return preVote && upToDate }

// onTimeout moves on to a newer epoch: in this one the node would have to follow itself.
func (s *resigned) onTimeout() {
	n := s.n
	n.enterEpoch(n.election.epoch+1, none)
	n.become(n.newUnattached(n.randomElectionTimeout()))
	if n.isOnlyVoter() {
		n.becomeProspective()
	}
}
