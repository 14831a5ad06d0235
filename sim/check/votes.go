package check

import "encoding/json"

// I10, durable votes: a voter answers when its vote is synced, so that it never votes twice in an epoch. Therefore, when somebody
// becomes leader, a majority of the voters have on their disks, whatever a power loss takes, that they voted for it, or that they are
// in a newer epoch.

// quorumState is what matters of Kafka's quorum-state file.
type quorumState struct {
	LeaderID    int32 `json:"leaderId"`
	LeaderEpoch int32 `json:"leaderEpoch"`
	VotedID     int32 `json:"votedId"`
}

// checkVotes judges the votes for a new leader of the quorum.
func (s *State) checkVotes(r *replica, epoch int32) {
	voters := s.votersOf(r.node)
	votes, n := 0, len(voters)
	for _, id := range voters {
		if s.hasVoted(id, r, epoch) {
			votes++
		}
	}
	if 2*votes <= n && n > 0 && !s.hasLostDisk(voters) {
		s.violate("P4", "I10", s.did(r.node.id, "became leader"), "node %d leads the quorum in epoch %d, but only %d of %d voters have synced their votes", r.node.id, epoch, votes, n)
	}
}

// hasVoted reports whether a voter will not vote for anybody else in an epoch.
func (s *State) hasVoted(id int32, leader *replica, epoch int32) bool {
	q := quorumState{LeaderEpoch: none}
	b := s.in.Durable(id, s.metadata.topicID, s.metadata.dir+"quorum-state")
	if json.Unmarshal(b, &q) != nil {
		return false
	}
	return q.LeaderEpoch > epoch || q.LeaderEpoch == epoch && (q.VotedID == leader.node.id || q.LeaderID == leader.node.id)
}
