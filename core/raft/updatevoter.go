package raft

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// HandleUpdateRaftVoter takes note of where a voter listens and what it supports (KIP-853). done runs when that is appended, or refused.
//
// With kraft.version 0 there is no record for it. Kafka's leader keeps it in memory, for an upgrade to version 1.
func (n *Node) HandleUpdateRaftVoter(req *kmsg.UpdateRaftVoterRequest, done func(*kmsg.UpdateRaftVoterResponse)) {
	answer := func(err *kerr.Error, _ string) {
		resp := kmsg.NewPtrUpdateRaftVoterResponse()
		resp.Version = req.Version
		resp.ErrorCode, _ = explain(err, "")
		l := &resp.CurrentLeader
		l.LeaderID, l.LeaderEpoch = n.leaderHint()
		if v := n.peer(l.LeaderID); v != nil {
			host, port := v.Endpoint()
			l.Host, l.Port = host, int32(port)
		}
		n.say(func() { done(resp) })
	}
	n.step(func() { n.onUpdateRaftVoter(req, answer) })
}

func (n *Node) onUpdateRaftVoter(req *kmsg.UpdateRaftVoterRequest, answer func(*kerr.Error, string)) {
	if !n.isOurCluster(req.ClusterID) {
		answer(kerr.InconsistentClusterID, "")
		return
	}
	if code := n.checkLeaderRequest(req.CurrentLeaderEpoch); code != 0 {
		answer(kerr.TypedErrorForCode(code), "")
		return
	}
	endpoints := make([]Endpoint, len(req.Listeners))
	for i, l := range req.Listeners {
		endpoints[i] = newEndpoint(l.Name, l.Host, l.Port)
	}
	k, versions := voterKey{req.VoterID, req.VoterDirectoryID}, versionRange{req.KRaftVersionFeature.MinSupportedVersion, req.KRaftVersionFeature.MaxSupportedVersion}
	if k.id < 0 || k.dir == [16]byte{} || versions.Min < 0 || versions.Max < versions.Min || !n.reaches(endpoints) {
		answer(kerr.InvalidRequest, "")
		return
	}
	s := n.state.(*leader)
	if err, why := s.mayChange(); err != nil {
		answer(err, why)
		return
	}
	v := newVoter(k, endpoints, versions, n.cfg.ListenerName)
	c := s.beginChange(k, answer)
	s.askVersions(c, &v, func(versions versionRange) { s.updateVoter(c, v, versions) })
}

func (s *leader) updateVoter(c *voterChange, v Voter, versions versionRange) {
	n := s.n
	switch {
	case versions != v.KRaftVersion || !versions.has(n.history.version()):
		s.endChange(kerr.InvalidRequest, "")
	case !isVoter(n.voters, v.key()):
		s.endChange(kerr.VoterNotFound, "")
	default:
		s.appendVoters(c, withVoter(n.voters, v))
		if r := s.replica(v.key()); r != nil {
			r.heard = n.env.Loop.Now()
		}
		c.answer(nil, "")
	}
}
