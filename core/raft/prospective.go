package raft

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
)

// prospective asks the voters whether they would vote for it, before it disturbs the epoch
// (pre-vote, KIP-996). It may still vote for others.
type prospective struct {
	n      *Node
	ballot ballot
}

func (s *prospective) name() string { return "prospective" }
func (s *prospective) leave()       { s.ballot.close() }

// mayStand reports whether this node may ask for votes: a voter, or one that was removed by a record that is not known to be committed.
//
// Counter-example without the latter: 1 leads voters 1 and 2 and removes itself, which it has on its own disk alone, and is killed. 2
// takes 1 for a voter and needs its vote, which a log that is shorter than its own does not get; and 1 would never ask for 2's.
// Raft lets it stand, without a vote of its own (Ongaro's thesis, 4.2.2). Kafka's does not, and its quorum would be stuck.
func (n *Node) mayStand() bool {
	return n.isVoter || n.cfg.CanBecomeVoter && n.history.removedAfter(n.cfg.key(), n.hw)
}

// armToStand has the node stand for election after a while without a leader, if it may.
func (n *Node) armToStand(d time.Duration) {
	if n.mayStand() {
		n.arm(d)
	} else {
		n.disarm()
	}
}

// stand asks for votes, unless the node has heard meanwhile that it is no voter any more.
func (n *Node) stand() {
	if n.mayStand() {
		n.becomeProspective()
	}
}

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
