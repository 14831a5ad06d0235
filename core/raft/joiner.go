package raft

import (
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// joiner keeps the voters' record right about this node, as long as it follows somebody (KIP-853): a voter tells the leader where it
// listens when the record says something else, and one that is to join by itself (controller.quorum.auto.join.enable) asks to
// be made a voter, after whoever had its id with another directory has been removed.
type joiner struct {
	n     *Node
	timer scheduler.Timer
	armed bool
}

// arm has the joiner look once a fetch timeout: time enough for the log to say what has been asked for.
func (j *joiner) arm() {
	n := j.n
	if j.armed || n.gone || !n.started || n.history.version() < 1 || !n.cfg.CanBecomeVoter {
		return
	}
	j.armed = true
	if j.timer == nil {
		j.timer = n.env.Loop.AfterFunc(n.cfg.FetchTimeout, func() { n.step(j.onTimer) })
		return
	}
	j.timer.Reset(n.cfg.FetchTimeout)
}

func (j *joiner) stop() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

func (j *joiner) onTimer() {
	j.armed = false
	j.arm()
	n := j.n
	if _, follows := n.state.(*follower); !follows || n.onGone != nil {
		return
	}
	leader := n.peer(n.election.leader)
	if leader == nil {
		return
	}
	if req := j.wanted(); req != nil {
		n.peers.send(leader.Addr, req, n.cfg.RequestTimeout, j.onAnswer)
	}
}

// wanted is what to ask of the leader; nil if all is as it should be.
func (j *joiner) wanted() kmsg.Request {
	n := j.n
	v := n.voter(n.cfg.NodeID)
	switch {
	case n.isVoter && n.needsUpdate():
		return n.updateVoterRequest()
	case n.isVoter || !n.cfg.AutoJoin:
		return nil
	case v != nil: // with another directory
		r := kmsg.NewPtrRemoveRaftVoterRequest()
		r.Version, r.ClusterID, r.VoterID, r.VoterDirectoryID = -1, &n.cfg.ClusterID, v.ID, v.DirectoryID
		return r
	default:
		return n.addVoterRequest()
	}
}

func (n *Node) addVoterRequest() kmsg.Request {
	own := n.ownVoter()
	r := kmsg.NewPtrAddRaftVoterRequest()
	r.Version, r.ClusterID, r.VoterID, r.VoterDirectoryID = -1, &n.cfg.ClusterID, own.ID, own.DirectoryID
	r.TimeoutMillis = int32(n.cfg.RequestTimeout.Milliseconds())
	r.AckWhenCommitted = false // we could not help to commit it while we wait
	for _, e := range own.Endpoints {
		l := kmsg.NewAddRaftVoterRequestListener()
		l.Name, l.Host, l.Port = e.Name, e.Host, e.Port
		r.Listeners = append(r.Listeners, l)
	}
	return r
}

func (n *Node) updateVoterRequest() kmsg.Request {
	own := n.ownVoter()
	r := kmsg.NewPtrUpdateRaftVoterRequest()
	r.Version, r.ClusterID, r.CurrentLeaderEpoch, r.VoterID, r.VoterDirectoryID = -1, &n.cfg.ClusterID, n.election.epoch, own.ID, own.DirectoryID
	r.KRaftVersionFeature.MinSupportedVersion, r.KRaftVersionFeature.MaxSupportedVersion = own.KRaftVersion.Min, own.KRaftVersion.Max
	for _, e := range own.Endpoints {
		l := kmsg.NewUpdateRaftVoterRequestListener()
		l.Name, l.Host, l.Port = e.Name, e.Host, e.Port
		r.Listeners = append(r.Listeners, l)
	}
	return r
}

// onAnswer learns who leads; whether it was granted the log says.
func (j *joiner) onAnswer(r reply, err error) {
	if err != nil {
		return
	}
	defer r.release()
	if resp, ok := r.body.(*kmsg.UpdateRaftVoterResponse); ok {
		l, code := resp.CurrentLeader, resp.ErrorCode
		j.n.step(func() {
			if l.LeaderEpoch >= 0 {
				j.n.learn(l.LeaderID, l.LeaderEpoch, code, joinAddr(l.Host, l.Port))
			}
		})
	}
}
