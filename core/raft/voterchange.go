package raft

import (
	"fmt"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// voterChange is an addition, a removal or an update of a voter that the leader works at (KIP-853). There is one at a time, and it
// is over when its record is committed, or too late.
type voterChange struct {
	voter  voterKey
	offset int64 // of its VotersRecord; none before that is appended
	timer  scheduler.Timer
	done   func(err *kerr.Error, why string) // once; nil: it was answered
}

// answer tells who asked for the change, once.
func (c *voterChange) answer(err *kerr.Error, why string) {
	if done := c.done; done != nil {
		c.done = nil
		done(err, why)
	}
}

// mayChange reports what stands in the way of another change of the voters.
//
// Counter-example without the rule about the leader's own epoch (Ongaro's correction of single-server changes): voters 1 to 4. 1
// leads epoch 1 and appends {1,2,3,4,5}, on itself and 5. 2 is elected by 3 and 4, leads epoch 2, appends {2,3,4} and commits
// it on 2 and 3. 1 comes back, is elected by 4 and 5 of its five, and commits what it likes: no majority of its has
// anybody in common with {2,3}. Had 2 first committed a record of its own epoch, one of any majority of the five would know it.
func (s *leader) mayChange() (err *kerr.Error, why string) {
	offset, ok := s.n.history.votersOffset()
	switch {
	case s.change != nil:
		return kerr.RequestTimedOut, "another change of the voters is under way"
	case s.hw < 0:
		return kerr.RequestTimedOut, "the leader has not committed anything in its epoch yet"
	case s.n.history.version() < 1:
		return kerr.UnsupportedVersion, fmt.Sprintf("voters cannot come and go: %s is %d", FeatureKRaftVersion, s.n.history.version())
	case !ok || offset >= s.hw:
		return kerr.RequestTimedOut, fmt.Sprintf("the voters at offset %d are not committed: the high watermark is %d", offset, s.hw)
	}
	return nil, ""
}

// beginChange makes a change the one that the leader works at.
func (s *leader) beginChange(voter voterKey, done func(*kerr.Error, string)) *voterChange {
	c := &voterChange{voter: voter, offset: int64(none), done: done}
	s.change = c
	c.timer = s.n.env.Loop.AfterFunc(s.n.cfg.RequestTimeout, func() {
		s.n.step(func() {
			if s.change == c {
				s.endChange(kerr.RequestTimedOut, "the change was not committed in time")
			}
		})
	})
	return c
}

// endChange is the end of a change, if there is one: err is nil when it is committed.
func (s *leader) endChange(err *kerr.Error, why string) {
	if c := s.change; c != nil {
		s.change = nil
		c.timer.Stop()
		c.answer(err, why)
	}
}

// appendVoters writes a new voter set, which counts from here on.
func (s *leader) appendVoters(c *voterChange, voters []Voter) { s.append(c, votersRecord(voters)) }

// append writes the records of a change as one batch.
func (s *leader) append(c *voterChange, records ...controlRecord) {
	offset, err := s.n.appendControls(records...)
	if err != nil {
		s.n.fail(err)
		return
	}
	c.offset = offset + int64(len(records)) - 1
	s.onVotersCommitted() // by the new voters all may be committed already
}

// setVoters counts who is a voter now and no longer who is not. What is known of a replica stays known.
func (s *leader) setVoters(voters []Voter) {
	old := s.voters
	s.voters = make([]*replica, 0, len(voters))
	now := s.n.env.Loop.Now()
	for _, v := range voters {
		r := s.takeReplica(v, &old)
		if !r.isVoter {
			r.isVoter, r.heard = true, now // its time begins
		}
		r.voterKey, r.addr = v.key(), v
		s.voters = append(s.voters, r)
	}
	for _, r := range old {
		r.isVoter = false
		s.addObserver(r)
	}
	s.maybeAdvanceHighWatermark()
}

// takeReplica finds what is known of a new voter, among the voters before, which it leaves, or the observers.
func (s *leader) takeReplica(v Voter, old *[]*replica) *replica {
	for i, r := range *old {
		if r.id == v.ID && (r.dir == [16]byte{} || r.dir == v.DirectoryID) {
			*old = append((*old)[:i:i], (*old)[i+1:]...)
			return r
		}
	}
	if i, found := s.findObserver(v.key()); found {
		r := s.observers[i]
		s.observers = append(s.observers[:i:i], s.observers[i+1:]...)
		return r
	}
	return &replica{end: -1, fetchedMs: -1, caughtUpMs: -1}
}

func (s *leader) addObserver(r *replica) {
	if i, found := s.findObserver(r.voterKey); !found {
		s.observers = append(s.observers[:i:i], append([]*replica{r}, s.observers[i:]...)...)
	}
}

// onVotersCommitted ends a change that is committed. A leader that is no voter any more resigns then, and not before: the record that
// removes it is its own to commit.
func (s *leader) onVotersCommitted() {
	if c := s.change; c != nil && c.offset >= 0 && c.offset < s.hw {
		s.endChange(nil, "")
	}
	n, epoch := s.n, s.n.election.epoch
	if offset, ok := n.history.votersOffset(); !n.isVoter && ok && offset < s.hw {
		n.say(func() { n.Resign(epoch) })
	}
}

// askVersions asks a replica at its new address what it supports: so it is known to be there.
func (s *leader) askVersions(c *voterChange, v *Voter, then func(versionRange)) {
	n := s.n
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = -1, "lockstep", "1"
	n.peers.send(v.Addr, req, n.cfg.RequestTimeout, func(r reply, err error) {
		versions, code := versionRange{}, kerr.UnknownServerError.Code
		if err == nil {
			if resp, ok := r.body.(*kmsg.ApiVersionsResponse); ok {
				versions, code = kraftVersions(resp), resp.ErrorCode
			}
			r.release()
		}
		n.step(func() {
			switch {
			case s.change != c: // too late, or this node leads no more
			case code != 0:
				s.endChange(kerr.RequestTimedOut, fmt.Sprintf("nobody answers at the endpoint of voter %d", v.ID))
			default:
				then(versions)
			}
		})
	})
}

// kraftVersions is the range that a node supports; 0 alone if it does not say.
func kraftVersions(resp *kmsg.ApiVersionsResponse) (r versionRange) {
	for _, f := range resp.SupportedFeatures {
		if f.Name == FeatureKRaftVersion {
			return versionRange{f.MinVersion, f.MaxVersion}
		}
	}
	return r
}

// caughtUpMax is how long ago a replica may have fetched that is to become a voter.
const caughtUpMax = time.Hour

// isCaughtUp reports whether an observer has had all of the log once and fetches: else, as a voter, it would hold up commits.
func (s *leader) isCaughtUp(k voterKey) bool {
	i, found := s.findObserver(k)
	if !found {
		return false
	}
	r := s.observers[i]
	return r.caughtUpMs > 0 && r.fetchedMs > s.n.env.Loop.UnixMilli()-caughtUpMax.Milliseconds()
}
