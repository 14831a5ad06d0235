package raft

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ballot counts the answers of one election, or of one pre-vote.
type ballot struct {
	n        *Node
	voters   []Voter // when it began: none comes or goes before it ends
	preVote  bool
	granted  []int32 // in the order of the answers, ourselves first if we vote
	rejected []int32
	decide   func() // after every answer
	closed   bool
}

func newBallot(n *Node, preVote bool) ballot {
	b := ballot{n: n, voters: n.voters, preVote: preVote}
	if n.isVoter {
		b.granted = append(b.granted, n.cfg.NodeID)
	}
	return b
}

func (b *ballot) won() bool  { return len(b.granted) >= majority(len(b.voters)) }
func (b *ballot) lost() bool { return len(b.voters)-len(b.rejected) < majority(len(b.voters)) }

// granting are the voters that granted it, sorted.
func (b *ballot) granting() []int32 { return slices.Sorted(slices.Values(b.granted)) }

func (b *ballot) close() { b.closed = true }

// open asks every other voter. An only voter has won at once.
func (b *ballot) open(decide func()) {
	b.decide = decide
	if b.won() {
		decide()
		return
	}
	for i := range b.voters {
		if v := &b.voters[i]; v.ID != b.n.cfg.NodeID {
			b.n.say(func() { b.ask(v) })
		}
	}
}

// ask sends the request until it is answered or the ballot is closed.
func (b *ballot) ask(v *Voter) {
	if b.closed {
		return
	}
	n := b.n
	n.peers.send(v.Addr, n.voteRequest(v, b.preVote), n.cfg.RequestTimeout, func(r reply, err error) {
		if err != nil {
			n.env.Loop.AfterFunc(retryBackoff, func() { n.step(func() { b.ask(v) }) })
			return
		}
		resp, ok := r.body.(*kmsg.VoteResponse)
		r.release()
		if ok {
			n.step(func() { b.onAnswer(v, resp) })
		}
	})
}

func (b *ballot) onAnswer(v *Voter, resp *kmsg.VoteResponse) {
	if b.closed || resp.ErrorCode == kerr.InconsistentClusterID.Code || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return
	}
	p := &resp.Topics[0].Partitions[0]
	if b.n.learn(p.LeaderID, p.LeaderEpoch, p.ErrorCode, nodeAt(resp.NodeEndpoints, p.LeaderID, voteNode)) || p.ErrorCode != 0 || b.closed {
		return
	}
	b.record(v.ID, p.VoteGranted)
	b.decide()
}

// record counts the first answer of a voter only.
func (b *ballot) record(id int32, granted bool) {
	if slices.Contains(b.granted, id) || slices.Contains(b.rejected, id) {
		return
	}
	if granted {
		b.granted = append(b.granted, id)
	} else {
		b.rejected = append(b.rejected, id)
	}
}

// majority is the number of voters of n that decide.
func majority(n int) int { return n/2 + 1 }

// voteRequest claims only what is synced: an unsynced record could vanish after it won us votes.
func (n *Node) voteRequest(to *Voter, preVote bool) kmsg.Request {
	end := n.promised()
	p := kmsg.NewVoteRequestTopicPartition()
	p.CandidateEpoch, p.CandidateID, p.CandidateDirectoryID = n.election.epoch, n.cfg.NodeID, n.cfg.DirectoryID
	p.VoterDirectoryID = to.DirectoryID
	p.LastOffset, p.LastOffsetEpoch, p.PreVote = end.EndOffset, end.Epoch, preVote
	t := kmsg.NewVoteRequestTopic()
	t.Topic, t.Partitions = metadataTopic, append(t.Partitions, p)
	r := kmsg.NewPtrVoteRequest()
	r.Version, r.ClusterID, r.VoterID, r.Topics = -1, &n.cfg.ClusterID, to.ID, append(r.Topics, t)
	return r
}
