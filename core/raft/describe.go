package raft

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// HandleDescribeQuorum answers with the voters and observers as the leader sees them (KIP-595,
// KIP-836, KIP-853). req is used until done.
func (n *Node) HandleDescribeQuorum(req *kmsg.DescribeQuorumRequest, done func(*kmsg.DescribeQuorumResponse)) {
	n.step(func() {
		resp := n.onDescribeQuorum(req)
		n.say(func() { done(resp) })
	})
}

func (n *Node) onDescribeQuorum(req *kmsg.DescribeQuorumRequest) *kmsg.DescribeQuorumResponse {
	r := kmsg.NewPtrDescribeQuorumResponse()
	r.Version = req.Version
	s, leads := n.state.(*leader)
	for _, rt := range req.Topics {
		t := kmsg.NewDescribeQuorumResponseTopic()
		t.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition = rp.Partition
			switch {
			case rt.Topic != metadataTopic || rp.Partition != 0:
				p.ErrorCode, p.ErrorMessage = kerr.UnknownTopicOrPartition.Code, &kerr.UnknownTopicOrPartition.Description
			case !leads:
				p.ErrorCode, p.ErrorMessage = kerr.NotLeaderForPartition.Code, &kerr.NotLeaderForPartition.Description
			default:
				s.describe(&p)
				r.Nodes = n.describeNodes()
			}
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	}
	return r
}

func (s *leader) describe(p *kmsg.DescribeQuorumResponseTopicPartition) {
	s.forgetObservers()
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = s.n.cfg.NodeID, s.n.election.epoch, s.hw
	for _, r := range s.voters {
		p.CurrentVoters = append(p.CurrentVoters, s.describeReplica(r))
	}
	for _, r := range s.observers {
		p.Observers = append(p.Observers, s.describeReplica(r))
	}
}

// describeReplica tells the leader's own end as it is written: it needs no fetch to know it.
func (s *leader) describeReplica(r *replica) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	d := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	d.ReplicaID, d.ReplicaDirectoryID = r.id, r.dir
	d.LogEndOffset, d.LastFetchTimestamp, d.LastCaughtUpTimestamp = r.end, r.fetchedMs, r.caughtUpMs
	if r.id == s.n.cfg.NodeID {
		now := s.n.env.Loop.UnixMilli()
		d.LogEndOffset, d.LastFetchTimestamp, d.LastCaughtUpTimestamp = s.n.log.LogEndOffset(), now, now
	}
	return d
}

func (n *Node) describeNodes() (nodes []kmsg.DescribeQuorumResponseNode) {
	for i := range n.voters {
		v := &n.voters[i]
		d := kmsg.NewDescribeQuorumResponseNode()
		d.NodeID = v.ID
		for _, e := range v.endpoints() {
			l := kmsg.NewDescribeQuorumResponseNodeListener()
			l.Name, l.Host, l.Port = e.Name, e.Host, e.Port
			d.Listeners = append(d.Listeners, l)
		}
		nodes = append(nodes, d)
	}
	return nodes
}
