package raft

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// HandleBeginQuorumEpoch answers the leader of an epoch, which makes itself known.
func (n *Node) HandleBeginQuorumEpoch(req *kmsg.BeginQuorumEpochRequest, done func(*kmsg.BeginQuorumEpochResponse)) {
	n.step(func() {
		resp := n.onBeginQuorumEpoch(req)
		n.say(func() { done(resp) })
	})
}

func (n *Node) onBeginQuorumEpoch(req *kmsg.BeginQuorumEpochRequest) *kmsg.BeginQuorumEpochResponse {
	if !n.isOurCluster(req.ClusterID) {
		return &kmsg.BeginQuorumEpochResponse{Version: req.Version, ErrorCode: kerr.InconsistentClusterID.Code}
	}
	if len(req.Topics) != 1 || req.Topics[0].Topic != metadataTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		return &kmsg.BeginQuorumEpochResponse{Version: req.Version, ErrorCode: kerr.InvalidRequest.Code}
	}
	p := &req.Topics[0].Partitions[0]
	code := n.checkVoterRequest(p.LeaderID, p.LeaderEpoch)
	if code == 0 {
		n.hearLeader(p.LeaderID, p.LeaderEpoch, leaderAt(req.LeaderEndpoints, n.cfg.ListenerName, beginEndpoint))
		if req.Version >= 1 && !n.isOurVoterKey(req.VoterID, p.VoterDirectoryID) {
			code = kerr.InvalidVoterKey.Code
		}
	}
	return n.beginResponse(req.Version, code)
}

func (n *Node) beginResponse(version, code int16) *kmsg.BeginQuorumEpochResponse {
	leader, epoch := n.leaderHint()
	p := kmsg.NewBeginQuorumEpochResponseTopicPartition()
	p.ErrorCode, p.LeaderID, p.LeaderEpoch = code, leader, epoch
	t := kmsg.NewBeginQuorumEpochResponseTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrBeginQuorumEpochResponse()
	r.Version, r.Topics = version, append(r.Topics, t)
	if v := n.peer(leader); v != nil && version >= 1 {
		e := kmsg.NewBeginQuorumEpochResponseNodeEndpoint()
		e.NodeID = leader
		e.Host, e.Port = v.Endpoint()
		r.NodeEndpoints = append(r.NodeEndpoints, e)
	}
	return r
}

func (n *Node) beginRequest(to *Voter) kmsg.Request {
	p := kmsg.NewBeginQuorumEpochRequestTopicPartition()
	p.VoterDirectoryID, p.LeaderID, p.LeaderEpoch = to.DirectoryID, n.cfg.NodeID, n.election.epoch
	t := kmsg.NewBeginQuorumEpochRequestTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrBeginQuorumEpochRequest()
	r.Version, r.ClusterID, r.VoterID, r.Topics = -1, &n.cfg.ClusterID, to.ID, append(r.Topics, t)
	for _, own := range n.ownEndpoints() {
		e := kmsg.NewBeginQuorumEpochRequestLeaderEndpoint()
		e.Name, e.Host, e.Port = own.Name, own.Host, own.Port
		r.LeaderEndpoints = append(r.LeaderEndpoints, e)
	}
	return r
}

// HandleEndQuorumEpoch answers a leader that resigned: an election need not wait for timeouts.
func (n *Node) HandleEndQuorumEpoch(req *kmsg.EndQuorumEpochRequest, done func(*kmsg.EndQuorumEpochResponse)) {
	n.step(func() {
		resp := n.onEndQuorumEpoch(req)
		n.say(func() { done(resp) })
	})
}

func (n *Node) onEndQuorumEpoch(req *kmsg.EndQuorumEpochRequest) *kmsg.EndQuorumEpochResponse {
	if !n.isOurCluster(req.ClusterID) {
		return &kmsg.EndQuorumEpochResponse{Version: req.Version, ErrorCode: kerr.InconsistentClusterID.Code}
	}
	if len(req.Topics) != 1 || req.Topics[0].Topic != metadataTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		return &kmsg.EndQuorumEpochResponse{Version: req.Version, ErrorCode: kerr.InvalidRequest.Code}
	}
	p := &req.Topics[0].Partitions[0]
	code := n.checkVoterRequest(p.LeaderID, p.LeaderEpoch)
	if code == 0 {
		n.hearLeader(p.LeaderID, p.LeaderEpoch, leaderAt(req.LeaderEndpoints, n.cfg.ListenerName, endEndpoint))
		if _, ok := n.state.(*follower); ok && n.mayStand() && n.election.leader == p.LeaderID {
			n.arm(n.endEpochBackoff(req.Version, p))
		}
	}
	return n.endResponse(req.Version, code)
}

// endEpochBackoff is how long this voter lets better successors try first.
func (n *Node) endEpochBackoff(version int16, p *kmsg.EndQuorumEpochRequestTopicPartition) time.Duration {
	position, total := 0, len(p.PreferredSuccessors)
	if version >= 1 {
		total = len(p.PreferredCandidates)
		for position < total && !n.isOurVoterKey(p.PreferredCandidates[position].CandidateID, p.PreferredCandidates[position].CandidateDirectoryID) {
			position++
		}
	} else {
		for position < total && p.PreferredSuccessors[position] != n.cfg.NodeID {
			position++
		}
	}
	return electionBackoff(position, total, n.cfg.ElectionBackoffMax)
}

// electionBackoff is zero for the first of total successors and doubles up to limit for the last,
// and for those that are not among them.
func electionBackoff(position, total int, limit time.Duration) time.Duration {
	switch {
	case position == 0:
		return 0
	case position >= total:
		return limit
	default:
		return limit >> min(total-1-position, 62)
	}
}

func (n *Node) endResponse(version, code int16) *kmsg.EndQuorumEpochResponse {
	leader, epoch := n.leaderHint()
	p := kmsg.NewEndQuorumEpochResponseTopicPartition()
	p.ErrorCode, p.LeaderID, p.LeaderEpoch = code, leader, epoch
	t := kmsg.NewEndQuorumEpochResponseTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrEndQuorumEpochResponse()
	r.Version, r.Topics = version, append(r.Topics, t)
	return r
}

func (n *Node) endRequest(successors []*replica) kmsg.Request {
	p := kmsg.NewEndQuorumEpochRequestTopicPartition()
	p.LeaderID, p.LeaderEpoch = n.cfg.NodeID, n.election.epoch
	for _, r := range successors {
		p.PreferredSuccessors = append(p.PreferredSuccessors, r.id)
		c := kmsg.NewEndQuorumEpochRequestTopicPartitionPreferredCandidate()
		c.CandidateID, c.CandidateDirectoryID = r.id, r.dir
		p.PreferredCandidates = append(p.PreferredCandidates, c)
	}
	t := kmsg.NewEndQuorumEpochRequestTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrEndQuorumEpochRequest()
	r.Version, r.ClusterID, r.Topics = -1, &n.cfg.ClusterID, append(r.Topics, t)
	if n.IsDynamic() {
		for _, own := range n.ownEndpoints() {
			e := kmsg.NewEndQuorumEpochRequestLeaderEndpoint()
			e.Name, e.Host, e.Port = own.Name, own.Host, own.Port
			r.LeaderEndpoints = append(r.LeaderEndpoints, e)
		}
	}
	return r
}
