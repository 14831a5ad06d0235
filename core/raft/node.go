// Package raft is KRaft: the quorum that agrees on the cluster's metadata log (KIP-595, KIP-630,
// KIP-996), over one storage.Log.
//
// A Node is one replica of __cluster_metadata-0, a voter or an observer. It works in steps: a request, an
// answer, a timer or the end of a disk operation is one step, and steps run one at a time. When a step changed what the node must not forget (epoch,
// leader, vote), everything the step wants to say waits until the quorum-state file is synced, and
// so does the next step. Nobody ever hears of a vote or an epoch that a power loss could take back.
package raft

import (
	"errors"
	"math/rand/v2"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
)

// ErrClosed is what a node answers after Shutdown.
var ErrClosed = errors.New("raft: node closed")

// state is what a node is at the moment: one file each.
type state interface {
	name() string
	// canGrantVote says whether this state lets the node vote for a candidate of the current epoch.
	// Whether it voted already is the node's to know.
	canGrantVote(c voterKey, upToDate, preVote bool) bool
	// onTimeout runs when the state's timer, Node.arm, fires.
	onTimeout()
	// leave gives up what only this state holds.
	leave()
}

// Node is one replica of the metadata log.
type Node struct {
	env      *env.Env
	cfg      Config
	peers    sender
	listener Listener
	rand     *rand.Rand

	history  history
	voters   []Voter // of the history's end
	isVoter  bool
	leaderAt Voter // who leads, as it said itself or others did: it need not be among the voters that we know
	joiner   joiner
	written  int16 // the version of quorum-state's file; none: there is none
	log      metadataLog
	store    quorumStateStore

	state    state
	election electionState // as the running step sees it
	durable  electionState // as the file has it

	timer    scheduler.Timer // the state's timeout
	deadline scheduler.Instant
	armed    bool

	busy   bool     // a step is running or its election state is being written, or Start is still to come
	inbox  []func() // steps that wait
	outbox []func() // what the running step says once its election state is durable

	hw        int64     // of the local state machine; never goes back
	synced    int64     // the log's end offset as of its last sync: all that this node may promise
	syncing   bool      // a flush is under way
	snapshots snapshots // on disk
	fetcher   fetcher   // of the log of others
	feed      feed      // to the listener
	gone      bool      // no step runs any more
	started   bool
	failure   error
	onFailure func(error)
	onGone    func() // Shutdown's done, while it waits for a successor
}

// LeaderAndEpoch is the leader this node knows, -1 if none, and the quorum epoch. A resigned leader
// is none.
func (n *Node) LeaderAndEpoch() (leader, epoch int32) {
	e := n.durable
	if _, resigned := n.state.(*resigned); resigned && e.leader == n.cfg.NodeID {
		return none, e.epoch
	}
	return e.leader, e.epoch
}

// State is the name of the node's state, as in event.RaftBecame.
func (n *Node) State() string { return n.stateName() }

// HighWatermark is the end of what this node knows to be committed.
func (n *Node) HighWatermark() int64 { return n.hw }

// IsVoter reports whether the node is one of the voters.
func (n *Node) IsVoter() bool { return n.isVoter }

// Voters are the voters, sorted by id.
func (n *Node) Voters() []Voter { return n.voters }

// IsDynamic reports whether the log says who votes (kraft.version 1), or would: without static voters nothing else can.
func (n *Node) IsDynamic() bool { return n.history.version() > 0 || len(n.cfg.Voters) == 0 }

// KRaftVersion is the level of kraft.version at the end of the log.
func (n *Node) KRaftVersion() int16 { return n.history.version() }

// Failure is why the node stopped for good: an error of its disk; else nil.
func (n *Node) Failure() error { return n.failure }

// Log is the metadata log; nil in tests that have none on a disk.
func (n *Node) Log() *storage.Log {
	l, _ := n.log.(*storage.Log)
	return l
}

// LeaderAddr is where the known leader listens.
func (n *Node) LeaderAddr() (network.Addr, bool) {
	leader, _ := n.LeaderAndEpoch()
	v := n.peer(leader)
	if v == nil {
		return "", false
	}
	return v.Addr, true
}

// Start makes the node take part. Handlers may be called from now on.
//
// An only voter elects itself at once, so that a cluster of one is ready without a timeout.
func (n *Node) Start() {
	invariant.Check(!n.started, "raft node started twice")
	n.started, n.busy = true, false
	n.step(func() {
		n.become(n.initialState())
		n.joiner.arm()
		if n.isOnlyVoter() {
			n.becomeProspective()
		}
	})
}

func (n *Node) isOnlyVoter() bool { return n.isVoter && len(n.voters) == 1 }

// initialState is where a restarted node begins (KAFKA-10527): the leader of an epoch never resumes
// it, because it may have lost records that it gave an offset in that epoch.
func (n *Node) initialState() state {
	e := n.election
	switch {
	case e.leader == n.cfg.NodeID:
		return n.newResigned(nil)
	case e.leader != none && n.peer(e.leader) != nil:
		return n.newFollower()
	default:
		return n.newUnattached(n.randomElectionTimeout())
	}
}

// become leaves one state for another.
func (n *Node) become(s state) {
	if n.state != nil {
		n.state.leave()
	}
	n.state = s
	name := n.stateName()
	e := n.election
	n.say(func() {
		n.env.Event.Emit(&event.Event{Kind: event.RaftBecame, Partition: event.MetadataPartition, TopicID: metadataTopicID,
			Peer: e.leader, Epoch: e.epoch, Offset: -1, Note: name})
	})
	n.fetcher.restart()
	if n.onGone != nil && e.leader != none && e.leader != n.cfg.NodeID {
		n.say(n.close) // Shutdown waited for this successor
	}
}

// stateName calls a node an observer that only follows and does not vote.
func (n *Node) stateName() string {
	switch n.state.(type) {
	case nil:
		return "closed"
	case *follower, *unattached:
		if !n.isVoter {
			return "observer"
		}
	}
	return n.state.name()
}

func (n *Node) voter(id int32) *Voter { return findVoter(n.voters, id) }
