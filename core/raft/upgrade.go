package raft

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// UpgradeKRaftVersion brings static voters into the log: kraft.version goes from 0 to 1, for good (KIP-853). The leader of epoch takes
// them from its configuration and their directories from their fetches, and asks each what it supports. done runs when that is
// committed, or at once if there is nothing to do; with validateOnly when it is clear that it could be done.
func (n *Node) UpgradeKRaftVersion(epoch int32, version int16, validateOnly bool, done func(err *kerr.Error, why string)) {
	answer := func(err *kerr.Error, why string) { n.say(func() { done(err, why) }) }
	n.step(func() {
		s, ok := n.state.(*leader)
		switch now := n.history.version(); {
		case !ok || n.election.epoch != epoch:
			answer(kerr.NotController, "")
		case !supported.has(version):
			answer(kerr.InvalidUpdateVersion, fmt.Sprintf("%s %d is not supported, only %d to %d", FeatureKRaftVersion, version, supported.Min, supported.Max))
		case version < now:
			answer(kerr.InvalidUpdateVersion, fmt.Sprintf("%s does not go back, from %d to %d", FeatureKRaftVersion, now, version))
		case version == now:
			answer(nil, "")
		default:
			s.upgrade(version, validateOnly, answer)
		}
	})
}

// upgrade asks all voters whether they support a version, and then writes it.
func (s *leader) upgrade(version int16, validateOnly bool, answer func(*kerr.Error, string)) {
	n := s.n
	if s.change != nil || s.hw < 0 {
		answer(kerr.RequestTimedOut, "another change is under way, or the leader has not committed anything in its epoch yet")
		return
	}
	voters, stranger := s.knownVoters()
	if stranger != none {
		answer(kerr.InvalidUpdateVersion, fmt.Sprintf("voter %d has not said yet what its directory is", stranger))
		return
	}
	c := s.beginChange(n.cfg.key(), answer)
	left := len(voters) - 1
	finish := func() {
		switch {
		case left > 0:
		case validateOnly:
			s.endChange(nil, "")
		default:
			s.append(c, kraftVersionRecord(version), votersRecord(voters))
		}
	}
	for i := range voters {
		v := &voters[i]
		if v.ID == n.cfg.NodeID {
			continue
		}
		s.askVersions(c, v, func(versions versionRange) {
			if v.KRaftVersion = versions; !versions.has(version) {
				s.endChange(kerr.InvalidUpdateVersion, fmt.Sprintf("voter %d does not support %s %d", v.ID, FeatureKRaftVersion, version))
				return
			}
			left--
			finish()
		})
	}
	finish()
}

// knownVoters are the static voters as the log is to have them; stranger is one that has not fetched yet, none if all have.
func (s *leader) knownVoters() (voters []Voter, stranger int32) {
	for _, r := range s.voters {
		v := newVoter(voterKey{r.id, r.fetchDir}, r.addr.endpoints(), supported, s.n.cfg.ListenerName)
		if r.id == s.n.cfg.NodeID {
			v = s.n.ownVoter()
		}
		if v.DirectoryID == [16]byte{} {
			return nil, r.id
		}
		voters = append(voters, v)
	}
	return voters, none
}
