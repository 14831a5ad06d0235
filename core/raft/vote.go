package raft

import (
	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const metadataTopic = "__cluster_metadata"

// HandleVote answers a candidate (KIP-595), or a prospective one (KIP-996). The answer leaves
// when the vote is synced.
func (n *Node) HandleVote(req *kmsg.VoteRequest, done func(*kmsg.VoteResponse)) {
	n.step(func() {
		resp := n.onVote(req)
		n.say(func() {
			if x := n.env.Buggify; x.Fires(buggify.VoteLate) {
				n.env.Loop.AfterFunc(x.Delay(buggify.VoteLate, n.cfg.ElectionTimeout), func() { done(resp) })
				return
			}
			done(resp)
		})
	})
}

func (n *Node) onVote(req *kmsg.VoteRequest) *kmsg.VoteResponse {
	if !n.isOurCluster(req.ClusterID) {
		return &kmsg.VoteResponse{Version: req.Version, ErrorCode: kerr.InconsistentClusterID.Code}
	}
	if len(req.Topics) != 1 || req.Topics[0].Topic != metadataTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		return &kmsg.VoteResponse{Version: req.Version, ErrorCode: kerr.InvalidRequest.Code}
	}
	granted, code := n.vote(req.VoterID, req.Version, &req.Topics[0].Partitions[0])
	return n.voteResponse(req.Version, granted, code)
}

// vote decides on a request of one partition and changes the node accordingly.
func (n *Node) vote(voterID int32, version int16, p *kmsg.VoteRequestTopicPartition) (granted bool, code int16) {
	if p.LastOffset < 0 || p.LastOffsetEpoch < 0 || p.LastOffsetEpoch > p.CandidateEpoch ||
		!p.PreVote && p.LastOffsetEpoch == p.CandidateEpoch {
		return false, kerr.InvalidRequest.Code
	}
	if code := n.checkVoterRequest(p.CandidateID, p.CandidateEpoch); code != 0 {
		return false, code
	}
	if p.CandidateEpoch > n.election.epoch {
		n.becomeUnattached(p.CandidateEpoch)
	}
	if version >= 1 && !n.isOurVoterKey(voterID, p.VoterDirectoryID) {
		return false, kerr.InvalidVoterKey.Code
	}
	candidate := voterKey{p.CandidateID, p.CandidateDirectoryID}
	upToDate := isUpToDate(SnapshotID{p.LastOffset, p.LastOffsetEpoch}, n.promised())
	if !n.mayVote() || !n.state.canGrantVote(candidate, upToDate, p.PreVote) {
		return false, 0
	}
	if !p.PreVote && n.election.voted == none {
		n.castVote(candidate)
	}
	return true, 0
}

// mayVote: who is asked may be a voter by a log that is longer than its own (KIP-853).
func (n *Node) mayVote() bool { return n.isVoter || n.cfg.CanBecomeVoter }

// castVote records the vote and gives the candidate time: it is at least as good a leader as we are.
func (n *Node) castVote(c voterKey) {
	n.election.voted, n.election.votedDir = c.id, c.dir
	n.arm(n.randomElectionTimeout())
}

// isUpToDate compares the ends of two logs: the later epoch wins, then the longer log (Raft 5.4.1).
func isUpToDate(candidate, mine SnapshotID) bool {
	if candidate.Epoch != mine.Epoch {
		return candidate.Epoch > mine.Epoch
	}
	return candidate.EndOffset >= mine.EndOffset
}

// promised is the end of the log as far as this node may be held to it: what is synced.
func (n *Node) promised() SnapshotID {
	return SnapshotID{n.synced, max(0, n.epochBefore(n.synced))}
}

func (n *Node) voteResponse(version int16, granted bool, code int16) *kmsg.VoteResponse {
	leader, epoch := n.leaderHint()
	p := kmsg.NewVoteResponseTopicPartition()
	p.ErrorCode, p.LeaderID, p.LeaderEpoch, p.VoteGranted = code, leader, epoch, granted
	t := kmsg.NewVoteResponseTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrVoteResponse()
	r.Version, r.Topics = version, append(r.Topics, t)
	if v := n.peer(leader); v != nil && version >= 1 {
		e := kmsg.NewVoteResponseNodeEndpoint()
		e.NodeID = leader
		e.Host, e.Port = v.Endpoint()
		r.NodeEndpoints = append(r.NodeEndpoints, e)
	}
	return r
}

// leaderHint is what answers say of the leader. A resigned one does not name itself, so that
// nobody follows it.
func (n *Node) leaderHint() (leader, epoch int32) {
	if _, resigned := n.state.(*resigned); resigned {
		return none, n.election.epoch
	}
	return n.election.leader, n.election.epoch
}

func (n *Node) isOurCluster(id *string) bool { return id == nil || *id == n.cfg.ClusterID }

// isOurVoterKey reports whether a request meant this voter and this directory.
func (n *Node) isOurVoterKey(id int32, dir [16]byte) bool {
	return id < 0 || id == n.cfg.NodeID && matchesDirectory(dir, n.cfg.DirectoryID)
}

// checkVoterRequest validates what one voter says to others: Vote, BeginQuorumEpoch, EndQuorumEpoch.
func (n *Node) checkVoterRequest(from, epoch int32) int16 {
	switch {
	case epoch < n.election.epoch:
		return kerr.FencedLeaderEpoch.Code
	case from < 0:
		return kerr.InvalidRequest.Code
	case from == n.cfg.NodeID:
		return kerr.InvalidRequest.Code // somebody else runs under our id
	default:
		return 0
	}
}

// learn takes the leader and epoch of an answer, and where the leader is, "" if it does not say. It reports whether the answer
// needs no more attention, because it is old or has changed where we stand.
func (n *Node) learn(leader, epoch int32, code int16, at network.Addr) (handled bool) {
	switch {
	case epoch < n.election.epoch || code == kerr.UnknownLeaderEpoch.Code:
		return true
	case epoch > n.election.epoch || code == kerr.FencedLeaderEpoch.Code || code == kerr.NotLeaderForPartition.Code:
		n.follow(leader, epoch, at)
		return true
	case leader != none && n.seeks(leader):
		n.follow(leader, epoch, at)
		return code != 0
	}
	return false
}

// follow moves to what somebody says of the current or a newer epoch. A claim that contradicts
// what is known is ignored: it comes from bytes, and two leaders of one epoch cannot be.
func (n *Node) follow(leader, epoch int32, at network.Addr) {
	if epoch > n.election.epoch || epoch == n.election.epoch && (n.seeks(leader) || n.election.leader == leader && n.fetcher.astray) {
		n.noteLeader(leader, at)
	}
	known := leader != none && leader != n.cfg.NodeID && n.peer(leader) != nil
	switch {
	case epoch < n.election.epoch:
	case epoch > n.election.epoch && known:
		n.becomeFollower(epoch, leader)
	case epoch > n.election.epoch:
		n.becomeUnattached(epoch)
	case known && n.seeks(leader):
		n.becomeFollower(epoch, leader)
	}
}

// seeks reports whether news of the epoch's leader is welcome: it is not known, or not where it can be reached, as after a restart of one
// whose log does not say.
func (n *Node) seeks(leader int32) bool {
	_, isUnattached := n.state.(*unattached)
	return n.election.leader == none || isUnattached && n.election.leader == leader
}

func (n *Node) emit(k event.Kind, offset int64, epoch int32) {
	n.env.Event.Emit(&event.Event{Kind: k, Partition: event.MetadataPartition, TopicID: metadataTopicID, Peer: -1, Epoch: epoch, Offset: offset})
}
