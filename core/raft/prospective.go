package raft

import "github.com/lockstep/lockstep/core/buggify"

// prospective asks the voters whether they would vote for it, before it disturbs the epoch
// (pre-vote, KIP-996). It may still vote for others.
type prospective struct {
	n      *Node
	ballot ballot
}

func (s *prospective) name() string { return "prospective" }
func (s *prospective) leave()       { s.ballot.close() }

func (n *Node) becomeProspective() {
	s := &prospective{n: n, ballot: newBallot(n, true)}
	n.become(s)
	n.arm(n.randomElectionTimeout())
	s.ballot.open(s.decide)
}

func (s *prospective) canGrantVote(c voterKey, upToDate, preVote bool) bool {
	return s.n.mayVoteWithoutLeader(c, upToDate, preVote)
}

func (s *prospective) decide() {
	switch {
	case s.ballot.won() && s.n.env.Buggify.Fires(buggify.PreVoteAgain):
		s.n.becomeProspective()
	case s.ballot.won():
		s.n.becomeCandidate()
	case s.ballot.lost():
		s.giveUp()
	}
}

func (s *prospective) onTimeout() { s.giveUp() }

// giveUp goes back to the leader if one is known: the others still hear it.
func (s *prospective) giveUp() {
	n := s.n
	if leader := n.election.leader; leader != none && leader != n.cfg.NodeID && n.peer(leader) != nil {
		n.becomeFollower(n.election.epoch, leader)
		return
	}
	n.becomeUnattached(n.election.epoch)
}
