package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// applyAsOperator does what operators do. It counts when it was granted and changed something.
func (c *chaos) applyAsOperator(s *strike) {
	c.callOperator()
	p := parsePlace(s.fault.Target).partition
	reg := c.run.cluster.registration(p)
	if reg == nil && s.fault.Kind != UpdateFeatures && s.fault.Kind != RecreateTopic {
		return
	}
	switch s.fault.Kind {
	case Reassign:
		c.reassign(s, p, reg)
	case ElectLeader:
		c.elect(s, p)
	case AlterConfig:
		c.alterConfig(s, p.Topic)
	case AddPartitions:
		c.addPartitions(s, p.Topic)
	case RecreateTopic:
		c.recreate(s)
	case UpdateFeatures:
		c.updateFeatures(s)
	case MoveLogDir:
		c.moveLogDir(s, p, reg)
	}
}

// moveLogDir asks the broker itself, again and again while the fault lasts: it may be down, or about to make the replica.
func (c *chaos) moveLogDir(s *strike, p event.Partition, reg *metadata.Partition) {
	n := c.run.cluster.byID(reg.Replicas[int(s.fault.Size)%len(reg.Replicas)])
	if n == nil || len(n.more) == 0 {
		return
	}
	req, code := moveLogDirRequest(p, n.otherDir(p))
	c.wish(s, wish{req: req, error: code, to: func() int32 { return n.id }})
}

// callOperator has the operator there, from the first time on that there is something to do.
func (c *chaos) callOperator() {
	if c.operator == nil {
		c.operator = newOperator(c.run)
	}
}

// wish asks for something while the fault lasts; the fault has had an effect if it is granted.
func (c *chaos) wish(s *strike, w wish) {
	w.over = s.isOver
	done := w.done
	w.done = func(ok bool) {
		if ok {
			s.did = happened
		}
		if done != nil {
			done(ok)
		}
	}
	s.claims = append(s.claims, "operator "+s.fault.Label)
	c.operator.ask(w)
}

func (s *strike) isOver() bool { return s.ended }

// elect has the preferred leader of a partition lead it as soon as that can be. If it does so already another one becomes the
// preferred: so operators move leaders. Uncleanly anybody may lead, where the topic allows that and nobody does.
func (c *chaos) elect(s *strike, p event.Partition) {
	o, reg := c.run.schedule.Options.topic(p.Topic), c.run.cluster.registration(p)
	if s.ended || reg == nil || len(reg.Replicas) < 2 {
		return
	}
	unclean := s.fault.Size == 1 && o != nil && o.Unclean && reg.Leader < 0
	if !unclean && reg.Leader == reg.Replicas[0] && c.prefer(s, p, reg) {
		return
	}
	req, code := electRequest(p, unclean)
	c.wish(s, wish{req: req, error: code, done: func(ok bool) {
		if !ok {
			c.run.world.After(retryBackoff, func() { c.elect(s, p) })
		}
	}})
}

// prefer makes a living follower the preferred leader of a partition, and then has it elected. It reports whether there is one.
func (c *chaos) prefer(s *strike, p event.Partition, reg *metadata.Partition) bool {
	at := slices.IndexFunc(reg.Replicas, func(id int32) bool {
		return id != reg.Leader && slices.Contains(reg.ISR, id) && c.run.cluster.byID(id).Up()
	})
	if at < 0 || !c.claim(s, "assignment of "+p.String()) {
		return false
	}
	replicas := slices.Clone(reg.Replicas)
	replicas[0], replicas[at] = replicas[at], replicas[0]
	req, code := reassignRequest(p, replicas)
	c.operator.ask(wish{req: req, error: code, over: s.isOver, done: func(bool) { c.elect(s, p) }})
	return true
}

// reassign moves a replica to a broker that has none, or changes the order if all have one: then the preferred leader moves. One
// that is not through at the end is taken back.
func (c *chaos) reassign(s *strike, p event.Partition, reg *metadata.Partition) {
	if !c.claim(s, "assignment of "+p.String()) {
		return
	}
	req, code := reassignRequest(p, c.otherReplicas(reg, s.fault.Size))
	c.wish(s, wish{req: req, error: code})
	s.undo = func() {
		if s.fault.Size%2 == 1 { // else it goes on
			req, code := reassignRequest(p, nil)
			c.operator.ask(wish{req: req, error: code})
		}
	}
}

func (c *chaos) otherReplicas(reg *metadata.Partition, size int64) []int32 {
	replicas := slices.Clone(reg.Replicas)
	var free []int32
	for _, n := range c.run.cluster.nodes {
		if n.isBroker() && !reg.HasReplica(n.id) {
			free = append(free, n.id)
		}
	}
	at := int(size/2) % len(replicas)
	if len(free) == 0 {
		return append(replicas[at:], replicas[:at]...)
	}
	replicas[at] = free[int(size/16)%len(free)]
	return replicas
}

// alterConfig changes a setting and takes it back at the end.
func (c *chaos) alterConfig(s *strike, topic string) {
	o := c.run.schedule.Options.topic(topic)
	k := &settings[int(s.fault.Size)%len(settings)]
	if o == nil || config.IsInternal(topic) || k.value(o) == k.normal(o) || !c.claim(s, k.key+" of "+topic) {
		return
	}
	req, code := configRequest(topic, k.key, k.text(k.value(o)))
	c.wish(s, wish{req: req, error: code})
	s.undo = func() {
		req, code := configRequest(topic, k.key, k.text(k.normal(o)))
		c.operator.ask(wish{req: req, error: code})
	}
}

func (o *Options) topic(name string) *TopicOptions {
	for i := range o.Topics { // most often it is one of these
		if o.Topics[i].Name == name {
			return &o.Topics[i]
		}
	}
	for _, t := range o.topicPointers() {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// topicsIn are the topics of a list like "t0,t1", or all of the clients' if it is empty.
func (o *Options) topicsIn(list string) (names []string) {
	if list != "" {
		return strings.Split(list, ",")
	}
	for _, t := range o.Topics {
		names = append(names, t.Name)
	}
	return names
}

// topicPointers are all topics that the run creates.
func (o *Options) topicPointers() (all []*TopicOptions) {
	for i := range o.Topics {
		all = append(all, &o.Topics[i])
	}
	if len(o.Groups) > 0 {
		all = append(all, &o.Offsets)
	}
	if o.hasTransactions() {
		all = append(all, &o.Transactions.Log)
	}
	return all
}

// maxPartitions is how many partitions a topic is given at most.
const maxPartitions = 8

func (c *chaos) addPartitions(s *strike, topic string) {
	img := c.run.cluster.image()
	count := 0
	img.Partitions(func(p *metadata.Partition) bool {
		if p.Key().Topic == topic {
			count++
		}
		return true
	})
	if count += int(s.fault.Size); count > maxPartitions || config.IsInternal(topic) { // groups would move
		return
	}
	req, code := partitionsRequest(topic, count, c.operator.timeout)
	c.wish(s, wish{req: req, error: code})
}

// scratch is the topic that operators create and delete.
func (c *chaos) scratch() *TopicOptions {
	rf := min(3, c.run.schedule.Options.Cluster.Brokers)
	return &TopicOptions{Name: "scratch", Partitions: 2, RF: rf, MinISR: 1, SegmentBytes: 16 << 10}
}

// recreate creates a topic, writes to it, deletes it and begins anew.
func (c *chaos) recreate(s *strike) {
	if s.left = s.fault.Size; c.claim(s, "scratch") {
		c.create(s, s.fault.Size)
	}
}

func (c *chaos) create(s *strike, times int64) {
	req, code := createRequest(c.scratch(), c.operator.timeout)
	c.wish(s, wish{req: req, error: code, done: func(bool) {
		for i := range c.scratch().Partitions {
			c.writeScratch(s, event.Partition{Topic: c.scratch().Name, Index: int32(i)}, times)
		}
		c.run.world.After(s.fault.For/time.Duration(2*max(s.fault.Size, 1)), func() { c.drop(s, times) })
	}})
}

// writeScratch sends a few records to whoever leads a partition of the topic, until it has taken them or others are to be written.
func (c *chaos) writeScratch(s *strike, p event.Partition, times int64) {
	again := func() { c.run.world.After(retryBackoff/4, func() { c.writeScratch(s, p, times) }) }
	n := c.run.cluster.leader(p)
	switch {
	case s.ended || s.left != times:
		return
	case n == nil:
		again()
		return
	}
	req := produceOne(p, -1, time.Second, c.operator.loop.UnixMilli(), []string{"a", "b", "c"})
	c.operator.send(n.id, req, c.operator.timeout, askerFunc(func(resp kmsg.Response, err error) {
		if err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
			again()
		}
	}), false)
}

// drop deletes the topic, and begins anew if it is to be created more often.
func (c *chaos) drop(s *strike, times int64) {
	req, code := deleteRequest(c.scratch().Name, c.operator.timeout)
	c.wish(s, wish{req: req, error: code, done: func(bool) {
		if s.left = times - 1; s.left > 0 && !s.ended {
			c.create(s, s.left)
		}
	}})
}

// updateFeatures turns ELR off (KIP-966) and on again. Meanwhile no machine may die: what protects from that is what is off.
func (c *chaos) updateFeatures(s *strike) {
	img := c.run.cluster.image()
	if img == nil || !hasELR(img) || c.budget.anyLost() || !c.claim(s, "features") {
		return
	}
	c.budget.suspended = true
	req, code := elrRequest(0, unsafeDowngrade)
	c.wish(s, wish{req: req, error: code})
	s.undo = func() {
		req, code := elrRequest(1, upgrade)
		c.operator.ask(wish{req: req, error: code, done: func(bool) { c.budget.suspended = false }})
	}
}

// unregister kills a broker and has the cluster forget it. It registers again when the fault ends. The last of an ISR is spared:
// who else would lead?
func (c *chaos) unregister(s *strike, n *Node) {
	if !n.isBroker() || c.isLastOfISR(n) {
		return
	}
	c.callOperator()
	n.crash(false)
	asked := true
	req, code := unregisterRequest(n.id)
	c.wish(s, wish{req: req, error: code, done: func(bool) { asked = false }})
	s.undo = func() { c.startWhenAnswered(n, &asked) }
}

// startWhenAnswered starts a node when no request about it is under way any more.
func (c *chaos) startWhenAnswered(n *Node, asked *bool) {
	if *asked {
		c.run.world.After(retryBackoff, func() { c.startWhenAnswered(n, asked) })
		return
	}
	if !n.Up() {
		n.start()
	}
}

func (c *chaos) isLastOfISR(n *Node) bool {
	img := c.run.cluster.image()
	if img == nil {
		return true
	}
	last := false
	img.Partitions(func(p *metadata.Partition) bool {
		last = p.HasReplica(n.id) && !slices.ContainsFunc(p.ISR, func(id int32) bool { return id != n.id && c.run.cluster.byID(id).Up() })
		return !last
	})
	return last
}
