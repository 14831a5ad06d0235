package raft

// candidate has opened an epoch, voted for itself and asks the other voters to do so.
type candidate struct {
	n      *Node
	ballot ballot
}

func (s *candidate) name() string { return "candidate" }
func (s *candidate) leave()       { s.ballot.close() }

// becomeCandidate votes for itself in the next epoch. The vote is durable before anybody is asked.
func (n *Node) becomeCandidate() {
	n.election = electionState{epoch: n.election.epoch + 1, leader: none, voted: n.cfg.NodeID, votedDir: n.cfg.DirectoryID}
	s := &candidate{n: n, ballot: newBallot(n, false)}
	n.become(s)
	n.arm(n.randomElectionTimeout())
	s.ballot.open(s.decide)
}

// canGrantVote refuses: it voted for itself. A pre-vote costs nothing.
func (s *candidate) canGrantVote(_ voterKey, upToDate, preVote bool) bool { return preVote && upToDate }

func (s *candidate) decide() {
	if s.ballot.won() {
		s.n.becomeLeader(s.ballot.granting())
	} // else wait for the timeout: a lost election is not repeated at once
}

func (s *candidate) onTimeout() { s.n.becomeProspective() }
