package raft

import "time"

// unattached knows the epoch but no leader it could follow. It looks for one by asking the voters, and as
// a voter it waits for a candidate, until its election timeout.
type unattached struct{ n *Node }

func (s *unattached) name() string { return "unattached" }
func (s *unattached) leave()       {}

func (n *Node) newUnattached(timeout time.Duration) state {
	n.armToStand(timeout)
	return &unattached{n}
}

// becomeUnattached enters a newer epoch without knowing its leader, or gives up a pre-vote.
//
// A running election timeout goes on: otherwise a voter whose log is too old to win could hold up
// all others by raising the epoch again and again.
func (n *Node) becomeUnattached(epoch int32) {
	timeout := n.randomElectionTimeout()
	switch s := n.state.(type) {
	case *unattached, *candidate, *resigned:
		timeout = n.remaining()
	case *prospective:
		if !s.ballot.lost() {
			timeout = n.remaining()
		}
	}
	leader := none
	if epoch == n.election.epoch {
		leader = n.election.leader
	}
	n.enterEpoch(epoch, leader)
	n.become(n.newUnattached(timeout))
}

// enterEpoch moves to an epoch and its leader. The vote of an epoch is kept as long as the epoch.
func (n *Node) enterEpoch(epoch, leader int32) {
	if epoch != n.election.epoch {
		n.election = electionState{epoch: epoch, leader: leader, voted: none}
		return
	}
	if n.election.leader != leader {
		n.election.leader = leader
	}
}

func (s *unattached) canGrantVote(c voterKey, upToDate, preVote bool) bool {
	return s.n.mayVoteWithoutLeader(c, upToDate, preVote)
}

// mayVoteWithoutLeader is the rule of unattached and prospective: one vote an epoch, none once a leader is known, and only
// for logs at least as long as ours.
func (n *Node) mayVoteWithoutLeader(c voterKey, upToDate, preVote bool) bool {
	e := n.election
	switch {
	case preVote:
		return upToDate
	case e.voted != none:
		return e.voted == c.id && matchesDirectory(e.votedDir, c.dir)
	case e.leader != none:
		return false
	default:
		return upToDate
	}
}

func (s *unattached) onTimeout() { s.n.stand() }
