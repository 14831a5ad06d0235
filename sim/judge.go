package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/sim/check"
)

// Violation is a promise that was broken.
type Violation = check.Violation

// judge tells the checkers of sim/check what happens, and the run what they say.
type judge struct {
	run     *run
	state   *check.State // nil in an unchecked run, as is history
	history *check.History
	groups  *check.Groups

	observation check.Observation // the latest, in memory used again
	service     service
	loads       loads
}

func (j *judge) init(r *run) {
	j.run, j.service.run, j.loads = r, r, loads{}
	if r.options.Unchecked {
		return
	}
	o := &r.schedule.Options
	j.state = check.NewState(r.cluster, promisesOf(r.schedule))
	var partitions []event.Partition
	for _, t := range o.Topics {
		for i := range t.Partitions {
			partitions = append(partitions, event.Partition{Topic: t.Name, Index: int32(i)})
		}
	}
	var producers []check.Producer
	for _, p := range o.Producers {
		producers = append(producers, check.Producer{Acks: int16(p.Acks), Idempotent: p.Idempotent})
	}
	for range o.transactorCount() {
		producers = append(producers, check.Producer{Acks: -1, Idempotent: true})
	}
	j.history = check.NewHistory(j.state, partitions, producers, len(o.Consumers))
	for i := range o.Consumers {
		if !o.Consumers[i].Committed {
			j.history.ReadsUncommitted(i)
		}
	}
	j.addCopiers(partitions)
	if len(o.Groups) > 0 {
		j.groups = check.NewGroups(j.state, partitions)
		for i := range o.Groups {
			group := &o.Groups[i]
			j.groups.Add(groupID(i), o.offsetsPartition(i), check.GroupKind{Native: group.hasNatives(), Mixed: group.Protocol == bothProtocols, Transactional: group.copies()})
		}
	}
}

// addCopiers says which groups copy what they read.
func (j *judge) addCopiers(partitions []event.Partition) {
	o := &j.run.schedule.Options
	first := j.run.firstCopier()
	for i := range o.Groups {
		g := &o.Groups[i]
		if !g.copies() {
			continue
		}
		var reads []int
		for at, p := range partitions {
			if slices.Contains(g.topics(o), p.Topic) {
				reads = append(reads, at)
			}
		}
		j.history.AddCopiers(groupID(i), o.offsetsPartition(i), reads, first, first+g.Members)
		first += g.Members
	}
}

func promisesOf(s *Schedule) check.Promises {
	o := &s.Options
	p := check.Promises{Topics: map[string]check.Topic{}, Voters: voterIDs(&o.Cluster), Unbounded: o.Unbounded, ProducerExpiry: producerExpiry}
	for i := range s.Faults {
		switch f := &s.Faults[i]; {
		case f.Kind == ElectLeader && f.Size == 1:
			p.Unclean = append(p.Unclean, parsePlace(f.Target).partition)
		case f.Kind == ClockOffset || f.Kind == ClockJump:
			p.ClockAhead = max(p.ClockAhead, time.Duration(f.Size)*time.Millisecond)
		}
	}
	for _, t := range o.topicPointers() {
		p.Topics[t.Name] = check.Topic{RF: t.RF, MinISR: t.MinISR, Unclean: t.Unclean, FlushEveryAppend: t.FlushMessages == 1}
	}
	return p
}

func (j *judge) observe(node int32, e *event.Event) {
	if j.state == nil {
		return
	}
	w := j.run.world
	o := &j.observation
	o.Seq, o.Cause, o.T, o.Node, o.Event = w.Cause(), w.Parent(), w.Now(), node, e
	j.state.Observe(o)
	switch e.Kind {
	case event.BrokerFenced:
		j.service.onFenced(node, e, w.Now())
	case event.LogDirFailed, event.LogDirOffline:
		j.service.onLogDirFailed(node, e, w.Now())
	case event.BecameLeader, event.CoordinatorLoaded:
		j.loads.observe(e, w.Now())
	case event.RaftBecame, event.RaftVoters:
		j.service.quorum.observe(node, e, w.Now())
	}
}

// afterTurn ends the run at the first violation.
func (j *judge) afterTurn(node int32) {
	if j.state != nil {
		now := j.run.world.Now()
		if v := j.state.AfterTurn(node, now); v != nil {
			j.run.report(*v)
		}
		j.service.look(now)
	}
	if len(j.run.result.Violations) > 0 {
		panic(stopRun{})
	}
}

func (j *judge) crashed(node int32, power bool) {
	if j.state != nil {
		j.state.Crashed(node, power, j.run.world.Now())
	}
}

func (j *judge) restarted(node int32) {
	if j.state != nil {
		j.state.Restarted(node, j.run.world.Now())
	}
}

// wiped says that a node that is down lost its whole disk.
func (j *judge) wiped(node int32) {
	if j.state != nil {
		j.state.Wiped(node, j.run.world.Now())
	}
}

// damaged says that a record on the disk of a node that is down was spoiled: of that log nothing need be left from offset on.
func (j *judge) damaged(node int32, p event.Partition, offset int64) {
	if j.state != nil {
		j.state.Damaged(node, p, offset, j.run.world.Now())
	}
}

// atEnd audits what is left when everything is well again.
func (j *judge) atEnd() {
	if j.state == nil {
		return
	}
	now := j.run.world.Now()
	for _, found := range [][]Violation{j.state.Liveness(now), j.history.Liveness(now), j.state.AtEnd(now), j.history.Judge(now)} {
		for _, v := range found {
			j.run.report(v)
		}
	}
}

// whyStuck is what the state checkers know of why a cluster is not well, in brackets; empty if they know nothing.
func (j *judge) whyStuck() string {
	if j.state != nil {
		for _, v := range j.state.Liveness(j.run.world.Now()) {
			return " (" + v.FirstCause + ")"
		}
	}
	return ""
}

func (j *judge) finish(s *Stats) {
	if j.state == nil {
		return
	}
	for _, l := range append(j.state.Losses(), j.history.Losses()...) {
		s.addLoss(l)
	}
	for i := range j.run.producers {
		j.run.result.Lost = append(j.run.result.Lost, j.history.LostBy(i))
	}
}

// What clients report.

func (r *run) attempted(p *producer, b *batch) {
	r.result.Stats.Attempted += int64(b.count)
	if h := r.judge.history; h != nil {
		h.Sent(p.index, b.lane.ordinal, b.first, b.count, r.world.Now())
	}
}

// acked is also called, without an offset, for what was sent without asking for an acknowledgement.
func (r *run) acked(p *producer, b *batch, offset int64) {
	r.result.Stats.Acked += int64(b.count)
	r.watcher().Acked(p.index, b.count, r.world.Now())
	if h := r.judge.history; h != nil {
		h.Acked(p.index, b.lane.ordinal, b.first, b.count, offset, r.world.Now())
	}
}

func (r *run) gaveUp(p *producer, b *batch) {
	r.result.Stats.Unknown += int64(b.count)
	if h := r.judge.history; h != nil {
		h.GaveUp(p.index, b.lane.ordinal, b.first, b.count, r.world.Now())
	}
}

// awaited is the leadership of a broker that must take a batch.
func (r *run) awaited(broker int32, l *lane, b *batch) awaited {
	if r.judge.state == nil {
		return awaited{}
	}
	epoch, yes := r.judge.state.Awaits(broker, l.part.id, l.id, l.epoch, b.sequence)
	return awaited{yes, broker, epoch}
}

// refused is told that a batch that a broker had to take was refused.
func (r *run) refused(l *lane, b *batch, err error) {
	r.report(r.judge.state.Refused(b.awaited.broker, l.part.id, b.sequence, err.Error()))
}

// historyOf is where a consumer's reads go; nil for a member of a group, which reads what it is given.
func (r *run) historyOf(c *consumer) *check.History {
	if c.index < 0 {
		return nil
	}
	return r.judge.history
}

// reset is told where the log starts, from which the consumer reads.
func (r *run) reset(c *consumer, p *position, offset int64) {
	if h := r.historyOf(c); h != nil {
		h.Reset(c.index, p.ordinal, offset, r.world.Now())
	}
}

// polled begins what one answer has for a partition.
func (r *run) polled(c *consumer, p *position) {
	if h := r.historyOf(c); h != nil {
		h.Polled(c.index, p.ordinal)
	}
}

// passed is told where a consumer is behind what it was answered.
func (r *run) passed(c *consumer, p *position) {
	if h := r.historyOf(c); h != nil {
		h.Passed(c.index, p.ordinal, p.offset)
	}
}

func (r *run) moved(c *consumer, p *position, offset int64) {
	if h := r.historyOf(c); h != nil {
		h.Moved(c.index, p.ordinal, offset, r.world.Now())
	}
}

func (r *run) corrupted(c *consumer, p *position) {
	cause := fmt.Sprintf("broker %d served them at %s", p.part.leader, seconds(r.world.Now()))
	r.violate("P8", "client", fmt.Sprintf("P8 broken: %s was served damaged bytes at %s@%d", c.name, p.part.id, p.offset), cause)
}

func (r *run) read(c *consumer, p *position, offset int64, producer int, counter int64) {
	r.result.Stats.Read++
	if h := r.historyOf(c); h != nil {
		h.Read(c.index, p.ordinal, offset, producer, counter, 0, r.world.Now())
	}
}

// Image implements check.Inspector.
func (c *Cluster) Image(id int32) *metadata.Image {
	if b := c.Broker(id); b != nil && b.Raft() != nil {
		return b.Image()
	}
	return nil
}

// ControllerImage implements check.Inspector.
func (c *Cluster) ControllerImage(id int32) *metadata.Image {
	if b := c.Broker(id); b != nil && b.Controller() != nil {
		return b.Controller().Image()
	}
	return nil
}

// Replica implements check.Inspector.
func (c *Cluster) Replica(id int32, p event.Partition) check.Replica {
	b := c.Broker(id)
	if b == nil {
		return nil
	}
	if p == event.MetadataPartition {
		if b.Raft() != nil && b.Raft().Log() != nil {
			return b.Raft().Log()
		}
		return nil
	}
	if b.Replicas() == nil {
		return nil
	}
	if part := b.Replicas().Partition(p); part != nil && part.Log() != nil {
		return part.Log()
	}
	return nil
}

// UnixMilli implements check.Inspector.
func (c *Cluster) UnixMilli(id int32) int64 { return c.byID(id).loop.PeekUnixMilli() }

// Durable implements check.Inspector.
func (c *Cluster) Durable(id int32, topicID [16]byte, name string) []byte {
	return c.byID(id).diskWith(topicID, name).PeekDurable(name)
}
