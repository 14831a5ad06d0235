package sim

import (
	"slices"
	"strings"
	"time"

	"fmt"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
)

// service judges P9 while faults still last: what has nothing wrong with it works. After a while in which no fault began or ended,
// a partition that as many healthy replicas lead and follow as min.insync.replicas acknowledges within seconds, nobody fences a
// broker that nothing is wrong with, however slow the controller's disk is and however long it stood still (KAFKA-15019), and a
// leader of the quorum that has a successor, or no majority, gives up (KAFKA-15489).
type service struct {
	run     *run
	next    scheduler.Instant   // when to look again
	calm    scheduler.Instant   // since when no fault began or ended, and no process
	state   []int               // what calm is measured by
	seen    []int               // the same, at this look
	touched []scheduler.Instant // by place in the cluster's nodes: when a fault last had to do with it
	cut     []scheduler.Instant // the same, but for faults of its disk and pauses
	backoff []backoff           // by place, too
	able    []ability           // by the partitions' ordinals; empty while it is not calm
	led     *Node               // the active controller
	since   scheduler.Instant   // which it has been since
	quorum  quorum
}

// backoff tells of a broker that backs off from its leaders by a rare path, for replica.fetch.backoff.ms at a time. One time in a few
// that goes on for longer than all else takes.
type backoff struct {
	hits uint64
	now  bool // since the last look
}

// ability is since when a partition can acknowledge, in which partition epoch, and how far it has come.
type ability struct {
	since         scheduler.Instant
	epoch         int32
	highWatermark int64
	moved         scheduler.Instant // when the high watermark did last
}

const (
	lookEvery = 250 * time.Millisecond
	ackWithin = 3 * time.Second // the longest time without an acknowledgement where all is well
)

// look is called after each turn.
func (s *service) look(now scheduler.Instant) {
	if now < s.next || s.run.chaos == nil {
		return
	}
	s.next = now.Add(lookEvery)
	s.observe(now)
	s.checkQuorum(now)
	if o := &s.run.schedule.Options.Cluster; now.Sub(s.calm) > 3*o.ReplicaLag/2+o.Session+2*o.RequestTimeout+2*ackWithin {
		s.checkProducers(now)
		return
	}
	s.able = s.able[:0]
}

// observe notes what the faults have to do with.
func (s *service) observe(now scheduler.Instant) {
	c := s.run.chaos
	if s.touched == nil {
		s.touched = make([]scheduler.Instant, len(s.run.cluster.nodes))
		s.cut = make([]scheduler.Instant, len(s.run.cluster.nodes))
		s.backoff = make([]backoff, len(s.run.cluster.nodes))
	}
	s.seen = append(s.seen[:0], len(c.active), c.ended, asInt(c.healing))
	for i, n := range s.run.cluster.nodes {
		s.seen = append(s.seen, n.incarnation, asInt(n.Up()))
		if s.isTouched(n.name) || !n.Up() || !n.ready || n.stopping {
			s.touched[i] = now
		}
		if s.isCut(n.name) || !n.Up() || !n.ready || n.stopping {
			s.cut[i] = now
		}
		hits := n.rare.Hits(buggify.FollowerBackoff)
		s.backoff[i] = backoff{hits, hits != s.backoff[i].hits}
	}
	if !slices.Equal(s.seen, s.state) || s.isRestless() {
		s.state, s.seen, s.calm = s.seen, s.state, now
	}
	if active := s.run.cluster.controller(); active != s.led {
		s.led, s.since = active, now
	}
}

func asInt(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// isRestless says that a fault is under way that goes on to change things, or that concerns everybody.
func (s *service) isRestless() bool {
	return s.run.chaos.lasts(func(k *strike) bool { return !isStill(k.fault.Kind) })
}

// isStill reports whether a kind of fault leaves all but its hosts alone, and its hosts as they are, until it ends.
func isStill(k Kind) bool {
	switch k {
	case PartitionOne, PartitionTwo, HalfOpen, SlowLink, Clog, Kill, PowerLoss, RenameNotDurable, WipedDisk, BitRot, MisdirectedWrite,
		Pause, SlowDisk, FrozenDisk, ClockOffset, ClockDrift, ClockFreeze:
		return true
	}
	return false
}

// isTouched reports whether a fault that is under way has to do with a host.
func (s *service) isTouched(host string) bool {
	return s.run.chaos.lasts(func(k *strike) bool { return k.touches(host) })
}

// isCut reports the same of faults that keep a host from hearing others, or from being a while later where it was.
func (s *service) isCut(host string) bool {
	return s.run.chaos.lasts(func(k *strike) bool {
		return !isOfDisk(k.fault.Kind) && k.fault.Kind != Pause && k.touches(host)
	})
}

func isOfDisk(k Kind) bool { return k == SlowDisk || k == FrozenDisk }

// touches reports whether a fault may have to do with a host: those that are not still may with everybody.
func (k *strike) touches(host string) bool { return !isStill(k.fault.Kind) || k.strikes(host) }

// strikes reports whether a host is one of those that a fault is about.
func (k *strike) strikes(host string) bool {
	if k.peer == host || k.fault.Target == host {
		return true
	}
	return slices.ContainsFunc(k.claims, func(claim string) bool {
		return slices.Contains(strings.FieldsFunc(claim, func(r rune) bool { return r == ' ' || r == '>' }), host)
	})
}

// isHealthy reports whether there is nothing wrong with a node.
func (s *service) isHealthy(n *Node) bool {
	return n != nil && n.Up() && n.ready && !n.stopping && !n.logDirLost && !s.isTouched(n.name)
}

// checkProducers looks for records that wait though they need not.
func (s *service) checkProducers(now scheduler.Instant) {
	img := s.run.cluster.image()
	if img == nil || !s.hasHealthyQuorum() {
		s.able = s.able[:0]
		return
	}
	for _, p := range s.run.producers {
		for _, l := range p.lanes {
			reg := img.Partition(l.part.id)
			if reg == nil || now.Sub(s.ableSince(l.ordinal, reg, now)) < 2*ackWithin || s.isTouched(p.name) {
				continue
			}
			if len(l.batches) > 0 && !s.isBehindOthers(l, img, now) && s.stands(l.ordinal, reg, now) && p.loop.UnixMilli()-max(l.batches[0].timestamp, l.moved) > ackWithin.Milliseconds() {
				s.onWaiting(l, reg)
				return
			}
		}
	}
}

// isBehindOthers reports whether a lane's requests wait for those of another lane to the same broker: it answers them in order.
func (s *service) isBehindOthers(l *lane, img *metadata.Image, now scheduler.Instant) bool {
	return slices.ContainsFunc(l.producer.lanes, func(other *lane) bool {
		reg := img.Partition(other.part.id)
		return other != l && len(other.batches) > 0 && other.part.leader == l.part.leader &&
			(reg == nil || now.Sub(s.ableSince(other.ordinal, reg, now)) < 2*ackWithin)
	})
}

// ableSince is since when a partition can acknowledge in its partition epoch; now if it cannot.
func (s *service) ableSince(ordinal int, reg *metadata.Partition, now scheduler.Instant) scheduler.Instant {
	for len(s.able) <= ordinal {
		s.able = append(s.able, ability{since: now, epoch: reg.PartitionEpoch})
	}
	a := &s.able[ordinal]
	if a.epoch != reg.PartitionEpoch || !s.canAcknowledge(reg) {
		*a = ability{since: now, epoch: reg.PartitionEpoch}
	}
	return a.since
}

// stands reports whether nothing is committed for a while. Where something is, records only wait for those before them: a disk may have more to do
// than it can in small segments that are synced one by one.
func (s *service) stands(ordinal int, reg *metadata.Partition, now scheduler.Instant) bool {
	a := &s.able[ordinal]
	if p := s.run.cluster.byID(reg.Leader).broker.Replicas().Partition(reg.Key()); p != nil && p.HighWatermark() != a.highWatermark {
		a.highWatermark, a.moved = p.HighWatermark(), now
	}
	return now.Sub(a.moved) > ackWithin
}

func (s *service) onWaiting(l *lane, reg *metadata.Partition) {
	text := fmt.Sprintf("P9 broken: record %d of %s for %s is not acknowledged for %s, though leader %d and the ISR %v have nothing wrong with them",
		l.batches[0].first, l.producer.name, l.part.id, ackWithin, reg.Leader, reg.ISR)
	s.run.violate("P9", "LV", text, fmt.Sprintf("no fault began or ended after the one at %s", seconds(s.calm)))
}

// hasHealthyQuorum reports whether there is nothing wrong with the controller and a majority of the voters.
func (s *service) hasHealthyQuorum() bool {
	healthy, voters := 0, s.run.cluster.voters()
	for _, id := range voters {
		if s.isHealthy(s.run.cluster.byID(id)) {
			healthy++
		}
	}
	return 2*healthy > len(voters) && s.isHealthy(s.run.cluster.controller())
}

// canAcknowledge reports whether a partition has all it needs: its leader and min.insync.replicas members of the ISR are healthy,
// and the others are gone, which by now the leader should know.
func (s *service) canAcknowledge(reg *metadata.Partition) bool {
	c := s.run.cluster
	t := s.run.schedule.Options.topic(reg.Topic)
	if t == nil || !s.isHealthy(c.byID(reg.Leader)) {
		return false
	}
	healthy := 0
	for _, id := range reg.ISR {
		switch n := c.byID(id); {
		case id != reg.Leader && s.backsOff(n):
			return false
		case s.isHealthy(n):
			healthy++
		case n != nil && n.Up():
			return false // it may be slow, and stay
		}
	}
	return healthy >= min(t.MinISR, len(reg.Replicas))
}

// backsOff reports whether a follower has backed off since the last look.
func (s *service) backsOff(n *Node) bool {
	i := slices.Index(s.run.cluster.nodes, n)
	return i >= 0 && s.backoff[i].now
}

// onFenced judges that a controller fenced a broker.
func (s *service) onFenced(by int32, e *event.Event, now scheduler.Instant) {
	session := s.run.schedule.Options.Cluster.Session
	long := now.Add(-2*session - ackWithin)
	c := s.run.cluster
	active := c.byID(by)
	if s.touched == nil || active != s.led || active != c.controller() || s.since > long || !s.hadQuorum(active, long) {
		return
	}
	if b := c.byID(e.Peer); b != nil && s.isHealthy(b) && s.touched[slices.Index(c.nodes, b)] < long {
		s.run.violate("P9", "LV", fmt.Sprintf("P9 broken: controller %d fenced broker %d, which has had nothing wrong with it for two sessions", by, e.Peer),
			fmt.Sprintf("controller %d fenced broker %d at %s", by, e.Peer, seconds(now)))
	}
}

// hadQuorum reports whether for long the active controller could be reached, though it may have stood still, and could commit: a
// heartbeat is answered when all before it is committed. So a disk that is slow does not count as a voter's, and it must not be so slow that a
// broker has to wait for its answer until its session is over, as Kafka's do.
func (s *service) hadQuorum(active *Node, long scheduler.Instant) bool {
	nodes := s.run.cluster.nodes
	if s.isCut(active.name) || s.cut[slices.Index(nodes, active)] >= long {
		return false
	}
	if s.isStuck(active, long) {
		return false
	}
	good, voters := 0, s.run.cluster.voters()
	for i, n := range nodes {
		steady := s.touched[i] < long || n == active && !s.hasHadDisk(n, long)
		if slices.Contains(voters, n.id) && steady {
			good++
		}
	}
	return 2*good > len(voters)
}

// isStuck reports whether a node's disk was frozen lately, or as slow as half a session for a sync.
func (s *service) isStuck(n *Node, long scheduler.Instant) bool {
	o := &s.run.schedule.Options.Cluster
	return slices.ContainsFunc(s.run.chaos.active, func(k *strike) bool {
		lately := k.touches(n.name) && (!k.ended || k.endedAt >= long)
		return lately && (k.fault.Kind == FrozenDisk || k.fault.Kind == SlowDisk && 2*time.Duration(k.fault.Size)*o.DiskSync >= o.Session)
	})
}

// hasHadDisk reports whether a fault of its disk has had to do with a node lately.
func (s *service) hasHadDisk(n *Node, long scheduler.Instant) bool {
	return slices.ContainsFunc(s.run.chaos.active, func(k *strike) bool {
		return isOfDisk(k.fault.Kind) && k.touches(n.name) && (!k.ended || k.endedAt >= long)
	})
}

// onLogDirFailed judges that a broker gave up its disk.
func (s *service) onLogDirFailed(node int32, e *event.Event, now scheduler.Instant) {
	n := s.run.cluster.byID(node)
	spoiled := slices.ContainsFunc(s.run.chaos.active, func(k *strike) bool {
		return (spoilsDisk(k.fault.Kind) || k.fault.Kind == FullDisk && n.stopping) && k.strikes(n.name) // one that stops does not wait for space
	})
	if !spoiled {
		s.run.violate("P9", "LV", fmt.Sprintf("P9 broken: broker %d gave up its log directory (%s), though nothing has been wrong with its disk", node, e.Note),
			fmt.Sprintf("broker %d gave it up at %s", node, seconds(now)))
	}
}

// spoilsDisk reports whether a broker may find its disk failing during or after a fault.
func spoilsDisk(k Kind) bool {
	switch k {
	case FailingDisk, WipedDisk, BitRot, MisdirectedWrite:
		return true
	}
	return false
}
