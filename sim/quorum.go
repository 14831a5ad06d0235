package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// quorum is who leads the quorum, and since when that may have been heard of.
type quorum struct {
	leader, epoch int32               // the newest
	elected       scheduler.Instant   // then
	stirred       scheduler.Instant   // when a fault last began or ended, or one went on that lets old messages arrive
	faults        [2]int              // begun, ended: what stirred is measured by
	running       []scheduler.Instant // by place in the cluster's nodes: since when it runs without a pause
}

// givesUpWithin is how long a leader of the quorum may go on without a majority: one and a half fetch timeouts, and a while more.
func (c *ClusterOptions) givesUpWithin() time.Duration {
	return 3*c.quorumTimeout()/2 + time.Second
}

// onQuorumLeader notes who was elected.
func (q *quorum) onLeader(id int32, e *event.Event, now scheduler.Instant) {
	if e.Kind == event.RaftBecame && e.Note == "leader" && e.Epoch > q.epoch {
		q.leader, q.epoch, q.elected = id, e.Epoch, now
	}
}

// checkQuorum looks for a leader that has a successor: a majority has voted for that, so that nobody follows it any more.
func (s *service) checkQuorum(now scheduler.Instant) {
	q, within := &s.quorum, s.run.schedule.Options.Cluster.givesUpWithin()
	s.stir(now)
	for i, n := range s.run.cluster.nodes {
		since := max(q.elected, q.stirred, q.running[i])
		if now.Sub(since) <= within || !n.isController() || n.id == q.leader || n.broker.Raft() == nil {
			continue
		}
		r := n.broker.Raft()
		if r.Failure() != nil {
			continue // it led when its disk failed, and has done nothing since
		}
		if _, epoch := r.LeaderAndEpoch(); r.State() == "leader" && epoch < q.epoch {
			s.run.violate("P9", "LV", fmt.Sprintf("P9 broken: node %d still leads the quorum in epoch %d, though a majority made node %d its leader in epoch %d", n.id, epoch, q.leader, q.epoch),
				fmt.Sprintf("node %d was elected at %s", q.leader, seconds(q.elected)))
		}
	}
}

// stir notes what may have let a node stand still, or hear now what was said long ago.
func (s *service) stir(now scheduler.Instant) {
	q, c := &s.quorum, s.run.chaos
	late := slices.ContainsFunc(c.active, func(k *strike) bool { return !k.ended && isLate(k.fault.Kind) })
	if faults := [2]int{len(c.active), c.ended}; late || faults != q.faults {
		q.faults, q.stirred = faults, now
	}
	for i, n := range s.run.cluster.nodes {
		if len(q.running) <= i {
			q.running = append(q.running, now)
		}
		if !n.Up() || n.loop.Paused() {
			q.running[i] = now
		}
	}
}

// isLate reports whether messages arrive late while a fault lasts, or a node waits for its disk before it does anything.
func isLate(k Kind) bool {
	return k == Delay || k == SlowLink || k == Clog || k == Reset || k == SlowDisk || k == FrozenDisk
}
