package raft

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// HandleAddRaftVoter makes a voter of a controller that has caught up (KIP-853). done runs when the new voters have committed that, or
// when it is appended if the request asks for no more (KIP-1186).
func (n *Node) HandleAddRaftVoter(req *kmsg.AddRaftVoterRequest, done func(*kmsg.AddRaftVoterResponse)) {
	answer := func(err *kerr.Error, why string) {
		resp := kmsg.NewPtrAddRaftVoterResponse()
		resp.Version = req.Version
		resp.ErrorCode, resp.ErrorMessage = explain(err, why)
		n.say(func() { done(resp) })
	}
	n.step(func() { n.onAddRaftVoter(req, answer) })
}

// explain is the code and the message of an error; nil is success.
func explain(err *kerr.Error, why string) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	if why == "" {
		why = err.Description
	}
	return err.Code, &why
}

func (n *Node) onAddRaftVoter(req *kmsg.AddRaftVoterRequest, answer func(*kerr.Error, string)) {
	endpoints := make([]Endpoint, len(req.Listeners))
	for i, l := range req.Listeners {
		endpoints[i] = newEndpoint(l.Name, l.Host, l.Port)
	}
	k := voterKey{req.VoterID, req.VoterDirectoryID}
	s, err, why := n.leaderFor(req.ClusterID, k)
	switch {
	case err != nil:
	case !n.reaches(endpoints):
		err, why = kerr.InvalidRequest, fmt.Sprintf("there is no endpoint for listener %s", n.cfg.ListenerName)
	default:
		err, why = s.mayChange()
	}
	if err == nil && findVoter(n.voters, k.id) != nil {
		err, why = kerr.DuplicateVoter, fmt.Sprintf("%s: its id is one of the voters' %s", k, joinIDs(n.voters))
	}
	if err != nil {
		answer(err, why)
		return
	}
	v := newVoter(k, endpoints, versionRange{}, n.cfg.ListenerName)
	c := s.beginChange(k, answer)
	s.askVersions(c, &v, func(versions versionRange) { s.addVoter(c, v, versions, req.Version < 1 || req.AckWhenCommitted) })
}

// addVoter goes on when the newcomer has said what it supports.
func (s *leader) addVoter(c *voterChange, v Voter, versions versionRange, whenCommitted bool) {
	n := s.n
	switch v.KRaftVersion = versions; {
	case !versions.has(n.history.version()):
		s.endChange(kerr.InvalidRequest, fmt.Sprintf("%s does not support %s %d", c.voter, FeatureKRaftVersion, n.history.version()))
	case !s.isCaughtUp(c.voter):
		s.endChange(kerr.RequestTimedOut, fmt.Sprintf("%s has not caught up", c.voter))
	default:
		s.appendVoters(c, withVoter(n.voters, v))
		if !whenCommitted {
			c.answer(nil, "")
		}
	}
}

// leaderFor is this node's leadership, for a request about a voter that only the leader may answer and that names no epoch.
func (n *Node) leaderFor(clusterID *string, k voterKey) (*leader, *kerr.Error, string) {
	if !n.isOurCluster(clusterID) {
		return nil, kerr.InconsistentClusterID, fmt.Sprintf("this is cluster %q, not %q", n.cfg.ClusterID, *clusterID)
	}
	if code := n.checkLeaderRequest(n.election.epoch); code != 0 {
		return nil, kerr.TypedErrorForCode(code), ""
	}
	if k.id < 0 || k.dir == [16]byte{} {
		return nil, kerr.InvalidRequest, "a voter is an id and a directory id"
	}
	return n.state.(*leader), nil, ""
}

// reaches reports whether there is one of the endpoints by which controllers speak to each other.
func (n *Node) reaches(endpoints []Endpoint) bool {
	e := findEndpoint(endpoints, n.cfg.ListenerName)
	return e != nil && e.addr() != ""
}
