package raft

// follower fetches from the leader of the epoch. A voter that hears nothing from it for a fetch
// timeout asks for an election.
type follower struct {
	n       *Node
	fetched bool // at least once from this leader
}

func (s *follower) name() string { return "follower" }
func (s *follower) leave()       {}

func (n *Node) newFollower() *follower {
	n.armToStand(n.cfg.FetchTimeout)
	return &follower{n: n}
}

// becomeFollower follows the leader of the current or a newer epoch.
func (n *Node) becomeFollower(epoch, leader int32) {
	n.enterEpoch(epoch, leader)
	n.become(n.newFollower())
}

// canGrantVote refuses while the leader is heard (KIP-996): only before the first fetch can it be
// that the others know better.
func (s *follower) canGrantVote(_ voterKey, upToDate, preVote bool) bool {
	return preVote && !s.fetched && upToDate
}

func (s *follower) onTimeout() { s.n.stand() }

// onHeard notes an answer of the leader.
func (s *follower) onHeard() {
	s.fetched = true
	if s.n.mayStand() {
		s.n.arm(s.n.cfg.FetchTimeout)
	}
}
