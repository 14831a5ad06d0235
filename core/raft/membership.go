package raft

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// foundControls takes note of control records that the log was given.
func (n *Node) foundControls(f found) {
	if f.any() {
		n.history.add(f)
		n.adoptVoters()
	}
}

// adoptVoters goes on with the voters at the log's end, committed or not. They change where the log does: at the leader, at
// followers and, with a snapshot that was on its way, in any state.
func (n *Node) adoptVoters() {
	was := n.isVoter
	n.voters = n.history.lastVoters()
	n.isVoter = isVoter(n.voters, n.cfg.key())
	n.emitVoters()
	if n.isVoter != was {
		n.onMembership()
	}
	if s, ok := n.state.(*leader); ok {
		s.setVoters(n.voters)
	}
	n.joiner.arm()
}

// onMembership gives a node that has become a voter its timeouts, and takes them from one that no longer is. A leader that
// removes itself leads on until that is committed.
func (n *Node) onMembership() {
	switch n.state.(type) {
	case *follower:
		n.armToStand(n.cfg.FetchTimeout)
	case *unattached:
		n.armToStand(n.randomElectionTimeout())
	case *prospective, *candidate:
		n.becomeUnattached(n.election.epoch)
	}
}

func (n *Node) emitVoters() {
	if !n.IsDynamic() {
		return
	}
	offset, ok := n.history.votersOffset()
	if !ok {
		offset = -1
	}
	n.env.Event.Emit(&event.Event{Kind: event.RaftVoters, Partition: event.MetadataPartition, TopicID: metadataTopicID,
		Peer: -1, Epoch: n.election.epoch, Offset: offset, Note: joinIDs(n.voters)})
}

func joinIDs(voters []Voter) string {
	ids := make([]string, len(voters))
	for i := range voters {
		ids[i] = strconv.Itoa(int(voters[i].ID))
	}
	return strings.Join(ids, ",")
}

// ownVoter is this node as the voters' record should have it.
func (n *Node) ownVoter() Voter {
	return newVoter(n.cfg.key(), n.cfg.Endpoints, supported, n.cfg.ListenerName)
}

// ownEndpoints are where others reach this node.
func (n *Node) ownEndpoints() []Endpoint {
	if n.IsDynamic() {
		return n.cfg.Endpoints
	}
	if v := n.voter(n.cfg.NodeID); v != nil {
		return v.endpoints()
	}
	return nil
}

// needsUpdate reports whether the log has this voter as it is no longer.
func (n *Node) needsUpdate() bool {
	own := n.ownVoter()
	v := n.voter(n.cfg.NodeID)
	return v != nil && v.is(n.cfg.key()) && !v.equal(&own)
}

// ownVoterUpdate is what a new leader writes about the voters: all of it if only the directories that they were formatted with say
// who they are, for nobody else has these; and where it listens itself by now.
func (n *Node) ownVoterUpdate() []controlRecord {
	offset, ok := n.history.votersOffset()
	if n.history.version() == 0 || !ok || offset >= 0 && !n.needsUpdate() {
		return nil
	}
	return []controlRecord{kraftVersionRecord(n.history.version()), votersRecord(withVoter(n.voters, n.ownVoter()))}
}

// peer is where a voter or the leader is reached; nil if that is not known. What the leader says of itself is newer than what
// the log says of it, and it may be no voter, or one of a log that is longer than ours.
func (n *Node) peer(id int32) *Voter {
	if n.IsDynamic() {
		if id == n.cfg.NodeID {
			own := n.ownVoter()
			return &own
		}
		if n.leaderAt.Addr != "" && n.leaderAt.ID == id {
			return &n.leaderAt
		}
	}
	return n.voter(id)
}

// noteLeader keeps where the leader of the epoch is said to be.
func (n *Node) noteLeader(id int32, at network.Addr) {
	if n.IsDynamic() && id != n.cfg.NodeID {
		n.leaderAt = Voter{ID: id, Addr: at, ListenerName: n.cfg.ListenerName}
	}
}

// hearLeader follows who says of itself that it leads, and where it is.
func (n *Node) hearLeader(leader, epoch int32, at network.Addr) {
	n.follow(leader, epoch, at)
	if at != "" && n.election.epoch == epoch && n.election.leader == leader {
		n.noteLeader(leader, at)
	}
}

// acquaintances are all that may know the leader: the voters and, in a quorum that may change, the controllers of the configuration.
func (n *Node) acquaintances() []Voter {
	if !n.IsDynamic() {
		return n.voters
	}
	all := slices.Clone(n.voters)
	add := func(a network.Addr) {
		if !slices.ContainsFunc(all, func(v Voter) bool { return v.Addr == a }) && !n.isOwnAddr(a) {
			all = append(all, Voter{ID: none, Addr: a})
		}
	}
	for _, a := range n.cfg.Bootstrap {
		add(a)
	}
	for _, v := range n.cfg.Voters {
		add(v.Addr)
	}
	return all
}

func (n *Node) isOwnAddr(a network.Addr) bool {
	return slices.ContainsFunc(n.cfg.Endpoints, func(e Endpoint) bool { return e.addr() == a })
}

// What requests and answers say of where the leader is; "" if they do not.

// nodeAt is where the node of an id is, of those that an answer lists.
func nodeAt[E any](nodes []E, id int32, read func(E) (id int32, host string, port int32)) network.Addr {
	for _, e := range nodes {
		if at, host, port := read(e); at == id {
			return joinAddr(host, port)
		}
	}
	return ""
}

func voteNode(e kmsg.VoteResponseNodeEndpoint) (int32, string, int32) {
	return e.NodeID, e.Host, int32(e.Port)
}

func endNode(e kmsg.EndQuorumEpochResponseNodeEndpoint) (int32, string, int32) {
	return e.NodeID, e.Host, int32(e.Port)
}

func snapshotNode(e kmsg.FetchSnapshotResponseNodeEndpoint) (int32, string, int32) {
	return e.NodeID, e.Host, int32(e.Port)
}

func fetchNode(e kmsg.FetchResponseBroker) (int32, string, int32) { return e.NodeID, e.Host, e.Port }

// leaderAt is where the leader listens under a name, of what it says itself.
func leaderAt[E any](endpoints []E, listener string, read func(E) Endpoint) network.Addr {
	for _, e := range endpoints {
		if at := read(e); strings.EqualFold(at.Name, listener) {
			return at.addr()
		}
	}
	return ""
}

func beginEndpoint(e kmsg.BeginQuorumEpochRequestLeaderEndpoint) Endpoint {
	return Endpoint{e.Name, e.Host, e.Port}
}

func endEndpoint(e kmsg.EndQuorumEpochRequestLeaderEndpoint) Endpoint {
	return Endpoint{e.Name, e.Host, e.Port}
}
