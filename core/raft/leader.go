package raft

import (
	"slices"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leader orders the records of its epoch and counts what the voters have of them.
type leader struct {
	n *Node
	// epochStart is the offset of the epoch's LeaderChange record. Nothing commits before it does
	// (KAFKA.md 79).
	epochStart int64
	// hw is none until a record of this epoch is on a majority: a new leader cannot know how far its predecessor got, and the
	// quorum's high watermark must never go back.
	hw        int64
	voters    []*replica // all, ourselves included, by id
	observers []*replica // by id
	purgatory purgatory
	change    *voterChange // under way; nil if none is
}

// replica is what the leader knows of one replica's log.
type replica struct {
	voterKey
	addr      Voter // of a voter
	isVoter   bool
	end       int64 // none if not known: its synced end, promised by its fetch offset
	heard     scheduler.Instant
	acked     bool     // it knows that we lead
	fetchDir  [16]byte // the directory that it fetches into: of a static voter nothing else says
	fetchedMs int64
	// caughtUpMs is when it last had all that the leader had; leaderEnd is what that was at its previous fetch.
	caughtUpMs int64
	leaderEnd  int64
}

// checkQuorumFactor makes the leader wait half as long again as its voters: the one that lost it resigns after
// they had time to find out by themselves (KAFKA-15489).
const checkQuorumNum, checkQuorumDen = 3, 2

func (s *leader) name() string { return "leader" }

// becomeLeader starts the epoch with its LeaderChange record.
func (n *Node) becomeLeader(granting []int32) {
	n.enterEpoch(n.election.epoch, n.cfg.NodeID)
	s := &leader{n: n, hw: -1, epochStart: n.log.NextOffset()}
	now := n.env.Loop.Now()
	for _, v := range n.voters {
		s.voters = append(s.voters, &replica{voterKey: voterKey{v.ID, v.DirectoryID}, addr: v, isVoter: true, end: -1, heard: now, fetchedMs: -1, caughtUpMs: -1})
	}
	s.purgatory.n = n
	n.become(s)
	// The record is handed to the log only when the epoch is durable: nobody may see a record of an
	// epoch that we could forget and vote in again.
	epoch := n.election.epoch
	n.say(func() { n.beginEpoch(epoch, granting) })
	n.arm(n.cfg.FetchTimeout / 2)
}

func (n *Node) beginEpoch(epoch int32, granting []int32) {
	s, ok := n.state.(*leader)
	if !ok || n.election.epoch != epoch {
		return
	}
	n.log.AssignEpoch(epoch, s.epochStart)
	if _, err := n.appendControls(append([]controlRecord{n.leaderChange(granting)}, n.ownVoterUpdate()...)...); err != nil {
		n.fail(err)
		return
	}
	for _, r := range s.voters {
		if r.id != n.cfg.NodeID {
			s.begin(r)
		}
	}
}

func (s *leader) canGrantVote(voterKey, bool, bool) bool { return false }

func (s *leader) leave() {
	s.purgatory.abort()
	s.endChange(kerr.NotLeaderForPartition, "")
}

// onTimeout runs twice a fetch timeout: it resigns without a majority and wakes voters that do not fetch.
func (s *leader) onTimeout() {
	n := s.n
	limit := n.cfg.FetchTimeout * checkQuorumNum / checkQuorumDen
	silent := n.env.Loop.Now().Sub(s.majorityHeard())
	if silent >= limit || n.env.Buggify.Fires(buggify.ResignEarly) {
		n.becomeResigned()
		return
	}
	s.wakeVoters()
	s.forgetObservers()
	n.arm(min(n.cfg.FetchTimeout/2, limit-silent))
}

// majorityHeard is the last instant by which a majority, ourselves included, had been heard.
func (s *leader) majorityHeard() scheduler.Instant {
	heard := make([]int64, 0, len(s.voters))
	for _, r := range s.voters {
		if r.id == s.n.cfg.NodeID {
			r.heard = s.n.env.Loop.Now()
		}
		heard = append(heard, int64(r.heard))
	}
	return scheduler.Instant(majorityReached(heard))
}

// wakeVoters repeats BeginQuorumEpoch to those that have not fetched lately: they may not know us.
func (s *leader) wakeVoters() {
	now := s.n.env.Loop.Now()
	for _, r := range s.voters {
		if r.id != s.n.cfg.NodeID && (!r.acked || now.Sub(r.heard) >= s.n.cfg.FetchTimeout/2) {
			s.begin(r)
		}
	}
}

// begin tells a voter who leads the epoch.
func (s *leader) begin(r *replica) {
	n, epoch := s.n, s.n.election.epoch
	n.peers.send(r.addr.Addr, n.beginRequest(&r.addr), n.cfg.RequestTimeout, func(a reply, err error) {
		if err != nil {
			return // the next onTimeout repeats it
		}
		resp, ok := a.body.(*kmsg.BeginQuorumEpochResponse)
		a.release()
		if ok && resp.ErrorCode == 0 && len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == 1 {
			p := resp.Topics[0].Partitions[0]
			n.step(func() { s.onBegun(r, epoch, &p) })
		}
	})
}

func (s *leader) onBegun(r *replica, epoch int32, p *kmsg.BeginQuorumEpochResponseTopicPartition) {
	if s.n.learn(p.LeaderID, p.LeaderEpoch, p.ErrorCode, "") || p.ErrorCode != 0 || s.n.election.epoch != epoch {
		return
	}
	r.acked = true
}

// onFetched records that a replica has everything below offset synced (a voter) or written (an
// observer), and reports whether the high watermark moved.
func (s *leader) onFetched(r *replica, offset int64) bool {
	now, ms := s.n.env.Loop.Now(), s.n.env.Loop.UnixMilli()
	end := s.n.log.LogEndOffset()
	switch {
	case offset >= end:
		r.caughtUpMs = ms
	case offset >= r.leaderEnd && r.fetchedMs >= 0:
		r.caughtUpMs = max(r.caughtUpMs, r.fetchedMs)
	}
	r.leaderEnd, r.fetchedMs, r.heard, r.end, r.acked = end, ms, now, offset, true
	return r.isVoter && s.maybeAdvanceHighWatermark()
}

// replica returns the voter or observer of a fetch; nil for a consumer, which has no id, and for
// somebody under our own id.
func (s *leader) replica(k voterKey) *replica {
	if k.id < 0 || k.id == s.n.cfg.NodeID {
		return nil
	}
	for _, r := range s.voters {
		if r.id == k.id && (r.dir == [16]byte{} || r.dir == k.dir) {
			return r
		}
	}
	i, found := s.findObserver(k)
	if !found {
		s.observers = slices.Insert(s.observers, i, &replica{voterKey: k, end: -1, fetchedMs: -1, caughtUpMs: -1})
	}
	return s.observers[i]
}

func (s *leader) findObserver(k voterKey) (i int, found bool) {
	return slices.BinarySearchFunc(s.observers, k, func(r *replica, k voterKey) int { return r.compare(k) })
}

func (s *leader) forgetObservers() {
	now, own := s.n.env.Loop.Now(), s.n.cfg.NodeID
	s.observers = slices.DeleteFunc(s.observers, func(r *replica) bool { return r.id != own && now.Sub(r.heard) > observerRetention })
}

// successors are the other voters, those with the longest logs first.
func (s *leader) successors() []*replica {
	others := slices.DeleteFunc(slices.Clone(s.voters), func(r *replica) bool { return r.id == s.n.cfg.NodeID })
	slices.SortStableFunc(others, func(a, b *replica) int {
		return int(max(-1, min(1, b.end-a.end)))
	})
	return others
}

// Resign gives up the leadership of an epoch, if this node has it.
func (n *Node) Resign(epoch int32) {
	n.step(func() {
		if _, ok := n.state.(*leader); ok && n.election.epoch == epoch {
			n.becomeResigned()
		}
	})
}
