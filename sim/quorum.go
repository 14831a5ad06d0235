package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/scheduler"
)

// quorum is who leads the quorum, and since when that may have been heard of.
type quorum struct {
	leader, epoch int32                       // the newest
	elected       scheduler.Instant           // then
	changed       map[int32]scheduler.Instant // by node: when it last became something, or had other voters
	stirred       scheduler.Instant           // when a fault last began or ended, or one went on that lets old messages arrive
	faults        [2]int                      // begun, ended: what stirred is measured by
	running       []scheduler.Instant         // by place in the cluster's nodes: since when it runs without a pause and with its disk
	heard         []scheduler.Instant         // scratch
}

// givesUpWithin is how long a leader of the quorum may go on without a majority: one and a half fetch timeouts, and a while more.
func (c *ClusterOptions) givesUpWithin() time.Duration {
	return 3*c.quorumTimeout()/2 + time.Second
}

// observe notes who was elected, and since when each node is what it is.
func (q *quorum) observe(id int32, e *event.Event, now scheduler.Instant) {
	if q.changed == nil {
		q.changed = make(map[int32]scheduler.Instant)
	}
	q.changed[id] = now
	if e.Kind == event.RaftBecame && e.Note == "leader" && e.Epoch > q.epoch {
		q.leader, q.epoch, q.elected = id, e.Epoch, now
	}
}

// checkQuorum looks for a leader that should have resigned (KAFKA-15489).
func (s *service) checkQuorum(now scheduler.Instant) {
	s.stir(now)
	for i, n := range s.run.cluster.nodes {
		if !n.Up() || !n.isController() || n.broker.Raft() == nil {
			continue
		}
		r := n.broker.Raft()
		if r.State() != "leader" || r.Failure() != nil {
			continue // or it led when its disk failed, and has done nothing since
		}
		s.checkSuccessor(n, r, s.quorum.running[i], now)
		s.checkMajority(n, r, s.quorum.running[i], now)
	}
}

// checkSuccessor: a majority has voted for a leader's successor, so that nobody follows the old one any more.
func (s *service) checkSuccessor(n *Node, r *raft.Node, running, now scheduler.Instant) {
	q := &s.quorum
	_, epoch := r.LeaderAndEpoch()
	if n.id == q.leader || epoch >= q.epoch || now.Sub(max(q.elected, q.stirred, running)) <= s.run.schedule.Options.Cluster.givesUpWithin() {
		return
	}
	s.run.violate("P9", "LV", fmt.Sprintf("P9 broken: node %d still leads the quorum in epoch %d, though a majority made node %d its leader in epoch %d", n.id, epoch, q.leader, q.epoch),
		fmt.Sprintf("node %d was elected at %s", q.leader, seconds(q.elected)))
}

// checkMajority: no frame of a majority of the voters, itself included, has reached a leader for longer than it may lead without one.
func (s *service) checkMajority(n *Node, r *raft.Node, running, now scheduler.Instant) {
	q := &s.quorum
	q.heard = q.heard[:0]
	for _, v := range r.Voters() {
		heard := now // from itself
		if v.ID != n.id {
			heard = s.run.cluster.net.LastHeard(nodeName(v.ID), n.name)
		}
		q.heard = append(q.heard, heard)
	}
	slices.Sort(q.heard)
	last := q.heard[(len(q.heard)-1)/2] // as many are as late or later as make a majority
	if now.Sub(max(last, q.changed[n.id], running)) <= s.run.schedule.Options.Cluster.givesUpWithin() {
		return
	}
	_, epoch := r.LeaderAndEpoch()
	s.run.violate("P9", "LV", fmt.Sprintf("P9 broken: node %d still leads the quorum in epoch %d, though it has heard of no majority of the voters for %s", n.id, epoch, seconds(scheduler.Instant(now.Sub(last)))),
		fmt.Sprintf("what it last heard arrived at %s", seconds(last)))
}

// stir notes what may have let a node stand still, or hear now what was said long ago.
func (s *service) stir(now scheduler.Instant) {
	q, c := &s.quorum, s.run.chaos
	late := c.lasts(func(k *strike) bool { return isLate(k.fault.Kind) })
	if faults := [2]int{len(c.active), c.ended}; late || faults != q.faults {
		q.faults, q.stirred = faults, now
	}
	for i, n := range s.run.cluster.nodes {
		if len(q.running) <= i {
			q.running = append(q.running, now)
		}
		if !n.Up() || n.loop.Paused() || s.isHeldUp(n.name) {
			q.running[i] = now
		}
	}
}

// isHeldUp reports whether a node waits for its disk before it does anything.
func (s *service) isHeldUp(host string) bool {
	return s.run.chaos.lasts(func(k *strike) bool {
		return (isOfDisk(k.fault.Kind) || k.fault.Kind == FullDisk || k.fault.Kind == FailingDisk) && k.strikes(host)
	})
}

// isLate reports whether messages arrive late while a fault lasts.
func isLate(k Kind) bool {
	return k == Delay || k == SlowLink || k == Clog || k == Reset
}
