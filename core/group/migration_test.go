package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cooperative is a client of the classic protocol, of group g, that keeps its partitions while it joins (KIP-429).
type cooperative struct {
	*world
	id         string
	instance   *string
	topics     []string
	generation int32
	has        partitionSet
}

func (w *world) cooperative(id string, topics ...string) *cooperative {
	return &cooperative{world: w, id: id, topics: topics, has: partitionSet{}}
}

// said is what it says about itself.
func (c *cooperative) said() []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.Generation = 3, c.topics, c.generation
	for _, t := range c.has.byTopic() {
		m.OwnedPartitions = append(m.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: c.image.TopicByID(t.topic).Name, Partitions: t.partitions})
	}
	return m.AppendTo(nil)
}

func (c *cooperative) joinRequest() *kmsg.JoinGroupRequest {
	req := joinRequest("g", c.id, "range")
	req.InstanceID, req.Protocols[0].Metadata = c.instance, c.said()
	return req
}

// join joins a consumer group; a classic one answers later.
func (c *cooperative) join() error {
	c.Helper()
	resp := c.send(c.joinRequest()).now()
	if resp.ErrorCode == kerr.MemberIDRequired.Code {
		c.id = resp.MemberID
		resp = c.send(c.joinRequest()).now()
	}
	if resp.ErrorCode == 0 {
		c.id, c.generation = resp.MemberID, resp.Generation
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// sync reads what it is given; it reports whether it had to give something up, and so must join again.
func (c *cooperative) sync() (revoked bool, err error) {
	c.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 5, "g", c.id, c.generation, c.instance
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	sync := &call[*kmsg.SyncGroupResponse]{w: c.world, what: "sync " + c.id}
	c.machine.syncGroup(req, sync.take)
	resp := sync.now()
	if resp.ErrorCode != 0 {
		return false, kerr.ErrorForCode(resp.ErrorCode)
	}
	given, ok := readAssignment(resp.MemberAssignment, c.image)
	if !ok {
		c.Fatalf("%s cannot read what it is given", c.id)
	}
	for p := range c.has {
		revoked = revoked || !given.has(p)
	}
	c.has = given
	return revoked, nil
}

// round has classic members live, and then one of the consumer protocol.
func (w *world) round(n *native, classic ...*cooperative) {
	w.Helper()
	for _, c := range classic {
		c.live()
	}
	w.fails("n", n.beat(false), nil)
	n.take()
}

// live is a client's life for a second: a heartbeat and, if that says so, a rebalance.
func (c *cooperative) live() {
	c.Helper()
	c.pass(time.Second)
	if err := c.heartbeat(c.id, c.generation); err == nil {
		return
	} else if err != kerr.RebalanceInProgress {
		c.Fatalf("%s: %v", c.id, err)
	}
	for again := true; again; {
		err := c.join()
		if err == nil {
			again, err = c.sync()
		}
		if err != nil {
			c.Fatalf("%s: %v", c.id, err)
		}
	}
}

func (c *cooperative) reads() string { return named(c.has) }

// assignment is partitions of topics as a leader of the classic protocol writes them.
func (w *world) assignment(s partitionSet) string {
	a := kmsg.NewConsumerMemberAssignment()
	for _, t := range s.byTopic() {
		a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: w.image.TopicByID(t.topic).Name, Partitions: t.partitions})
	}
	return string(a.AppendTo(nil))
}

func partitionsOf(topic string, partitions ...int32) partitionSet {
	s := partitionSet{}
	for _, p := range partitions {
		s[topicPartition{topicID(topic, 1), p}] = 0
	}
	return s
}

// classicPair is a stable classic group of two, each with two of the four partitions of t.
func (w *world) classicPair() (a, b *cooperative) {
	w.Helper()
	return w.classicPairWith(partitionsOf("t", 0, 1), partitionsOf("t", 2, 3))
}

// classicPairWith is one whose leader has assigned that of the four partitions of t.
func (w *world) classicPairWith(ofA, ofB partitionSet) (a, b *cooperative) {
	w.Helper()
	w.setTopic("t", 4)
	ids, generation := w.stableGroup(2)
	a, b = w.cooperative(ids[0], "t"), w.cooperative(ids[1], "t")
	a.has, b.has = ofA, ofB
	// The assignments of stableGroup are no consumers'.
	joins := []*call[*kmsg.JoinGroupResponse]{w.send(a.joinRequest()), w.send(b.joinRequest())}
	for _, j := range joins {
		generation = j.now().Generation
	}
	a.generation, b.generation = generation, generation
	w.syncAll(ids, generation, []string{a.id, w.assignment(a.has), b.id, w.assignment(b.has)})
	return a, b
}

func TestClassicGroupIsUpgradedByANativeMember(t *testing.T) {
	w := newWorld(t)
	a, b := w.classicPair()
	before := a.generation
	n := w.native("n", "t").join()
	w.expectReads(map[*native]string{n: ""})
	if kind := w.machine.groups["g"].members.kind(); kind != "consumer" || w.consumer().epoch != before+1 || n.epoch != before+1 {
		t.Fatalf("the group is %s in epoch %d, n is in %d, the generation was %d", kind, w.consumer().epoch, n.epoch, before)
	}
	checkConsumers(t, w.consumer())
	w.expectSameAfterLoading()
	for range 3 {
		w.round(n, a, b)
		checkConsumers(t, w.consumer())
	}
	if len(a.has)+len(b.has)+len(n.has) != 4 || len(a.has) == 0 || len(b.has) == 0 || len(n.has) == 0 || w.consumer().stateName() != "Stable" {
		t.Errorf("a reads %s, b reads %s, n reads %s; the group is %s", a.reads(), b.reads(), n.reads(), w.consumer().stateName())
	}
	w.fails("a commits", w.commitOffset(commitRequest(a.id, a.generation, 5)), nil)
	w.fails("a commits in another generation", w.commitOffset(commitRequest(a.id, a.generation+1, 5)), kerr.IllegalGeneration)
	w.expectSameAfterLoading()
}

// TestUpgradedPartitionHasOneOwner though an assignor gave it to two.
func TestUpgradedPartitionHasOneOwner(t *testing.T) {
	w := newWorld(t)
	a, b := w.classicPairWith(partitionsOf("t", 0, 1), partitionsOf("t", 0, 1))
	n := w.native("n", "t").join()
	checkConsumers(t, w.consumer())
	for range 5 {
		w.round(n, a, b)
		w.pass(time.Second)
		checkConsumers(t, w.consumer())
	}
	if all := a.has.union(b.has).union(n.has); len(all) != 4 || len(a.has)+len(b.has)+len(n.has) != 4 {
		t.Errorf("a reads %s, b reads %s, n reads %s", a.reads(), b.reads(), n.reads())
	}
	w.expectSameAfterLoading()
}

func TestConsumerGroupIsDowngradedWhenTheLastNativeMemberLeaves(t *testing.T) {
	for _, how := range []string{"by itself", "in silence"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.classicPair()
			n := w.native("n", "t").join()
			for range 3 {
				w.round(n, a, b)
			}
			w.fails("commit", w.commitOffset(commitRequest(a.id, a.generation, 5)), nil)
			if how == "by itself" {
				w.fails("n leaves", n.leave(leaveEpoch), nil)
			}
			for w.machine.consumer("g") != nil {
				w.pass(time.Second)
				_ = w.heartbeat(a.id, a.generation)
				_ = w.heartbeat(b.id, b.generation)
			}
			g := w.machine.classic("g")
			if g == nil {
				t.Fatalf("the group is %s", w.machine.groups["g"].members.kind())
			}
			checkInvariants(t, w.machine)
			if g.state != preparingRebalance || len(g.members) != 2 {
				t.Fatalf("%s with %d members", g.state, len(g.members))
			}
			joins := []*call[*kmsg.JoinGroupResponse]{w.send(a.joinRequest()), w.send(b.joinRequest())}
			for _, j := range joins {
				w.code("join", j.now().ErrorCode, nil)
			}
			w.syncAll([]string{joins[0].answer.LeaderID, other(joins[0].answer.LeaderID, a.id, b.id)}, joins[0].answer.Generation, nil)
			if w.committed(false) != 5 {
				t.Error("the offset is lost")
			}
			w.compact(true)
			w.reload()
			w.state(stable)
			for _, r := range w.log {
				if kind := keyKind(r.Key); kind != keyGroup && kind != keyOffset && r.Value != nil {
					t.Errorf("a record of %d is left", kind)
				}
			}
		})
	}
}

func other(id, a, b string) string {
	if id == a {
		return b
	}
	return a
}

func TestClassicMemberJoinsAConsumerGroup(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	n := w.native("n", "t").join()
	a := w.cooperative("", "t")
	w.pass(time.Second)
	w.fails("join", a.join(), nil)
	if a.generation != 3 || a.id == "" {
		t.Errorf("%+v", a)
	}
	if _, err := a.sync(); err != nil || len(a.has) != 0 {
		t.Errorf("sync: %v, a reads %s", err, a.reads())
	}
	w.fails("it waits", w.heartbeat(a.id, a.generation), nil)
	w.fails("n", n.beat(false), nil)
	n.take()
	w.fails("n", n.beat(false), nil)
	a.live()
	if len(n.has) != 1 || len(a.has) != 1 || a.reads() == n.reads() {
		t.Errorf("n reads %s, a reads %s", n.reads(), a.reads())
	}
	for what, test := range map[string]struct {
		err  error
		want *kerr.Error
	}{
		"another generation":   {w.heartbeat(a.id, a.generation-1), kerr.IllegalGeneration},
		"a native member":      {w.heartbeat(n.id, n.epoch), kerr.UnknownMemberID},
		"nobody":               {w.heartbeat("x", 1), kerr.UnknownMemberID},
		"an unknown instance":  {w.heartbeat(a.id, a.generation, "i"), kerr.UnknownMemberID},
		"as a native member":   {(&native{world: w, id: a.id, version: 1, epoch: a.generation, has: partitionSet{}}).beat(false), nil},
		"as a native one, old": {(&native{world: w, id: a.id, version: 1, epoch: 1, has: partitionSet{}}).beat(false), kerr.FencedMemberEpoch},
	} {
		w.fails(what, test.err, test.want)
	}
}

func TestClassicMembersOfAConsumerGroupMustJoinAndSyncInTime(t *testing.T) {
	for what, live := range map[string]func(*cooperative){
		"it does not join": func(c *cooperative) { c.fails(c.id, c.heartbeat(c.id, c.generation), kerr.RebalanceInProgress) },
		"it does not sync": func(c *cooperative) { c.join() },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.classicPair()
			n := w.native("n", "t").join()
			live(a)
			for range 7 {
				w.pass(8 * time.Second)
				b.live()
				w.fails("n", n.beat(false), nil)
				n.take()
				_ = w.heartbeat(a.id, a.generation)
			}
			w.pass(5 * time.Second)
			if w.consumer().members[a.id] != nil {
				t.Error("it is there yet")
			}
		})
	}
}

func TestClassicMembersLeaveAConsumerGroup(t *testing.T) {
	w := newWorld(t)
	a, b := w.classicPair()
	n := w.native("n", "t").join()
	resp := w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: a.id}, kmsg.LeaveGroupRequestMember{MemberID: "x"}, kmsg.LeaveGroupRequestMember{MemberID: b.id}, kmsg.LeaveGroupRequestMember{MemberID: b.id})
	for i, want := range []*kerr.Error{nil, kerr.UnknownMemberID, nil, nil} {
		w.code("member", resp.Members[i].ErrorCode, want)
	}
	w.settle(n)
	w.expectReads(map[*native]string{n: "t-0 t-1 t-2 t-3"})
	w.code("an old request", w.leave(2, kmsg.LeaveGroupRequestMember{MemberID: n.id}).ErrorCode, nil)
	if !w.consumer().isEmpty() {
		t.Error("n is there yet")
	}
}

// TestClassicMembersShareWhatTheLastNativeOneLeaves in a group that may not become a classic one again: nobody else has it assigned.
func TestClassicMembersShareWhatTheLastNativeOneLeaves(t *testing.T) {
	w := newWorld(t, func(cfg *Config) { cfg.MigrationPolicy = MigrationPolicy{Upgrade: true} })
	a, b := w.classicPair()
	n := w.native("n", "t").join()
	for range 3 {
		w.round(n, a, b)
	}
	if len(n.has) == 0 {
		t.Fatal("n has nothing to leave")
	}
	w.fails("n leaves", n.leave(leaveEpoch), nil)
	for range 3 {
		a.live()
		b.live()
		checkConsumers(t, w.consumer())
	}
	if all := a.has.union(b.has); len(all) != 4 || w.consumer().stateName() != "Stable" {
		t.Errorf("a reads %s, b reads %s; the group is %s", a.reads(), b.reads(), w.consumer().stateName())
	}
}

func TestGroupsMigrateAsThePolicyAllows(t *testing.T) {
	for name, test := range map[string]struct {
		policy              MigrationPolicy
		upgrade, join, back *kerr.Error
		downgraded          bool
	}{
		"bidirectional": {MigrationPolicy{true, true}, nil, nil, nil, true},
		"upgrade":       {MigrationPolicy{Upgrade: true}, nil, nil, nil, false},
		"downgrade":     {MigrationPolicy{Downgrade: true}, kerr.GroupIDNotFound, nil, nil, true},
		"disabled":      {MigrationPolicy{}, kerr.GroupIDNotFound, kerr.InconsistentGroupProtocol, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.MigrationPolicy = test.policy })
			w.classicPair()
			w.fails("a native member joins a classic group", w.native("n", "t").beat(true), test.upgrade)

			w = newWorld(t, func(c *Config) { c.MigrationPolicy = test.policy })
			w.setTopic("t", 2)
			n := w.native("n", "t").join()
			a := w.cooperative("", "t")
			w.fails("a classic member joins a consumer group", a.join(), test.join)
			w.fails("n leaves", n.leave(leaveEpoch), nil)
			if test.join == nil && (w.machine.classic("g") != nil) != test.downgraded {
				t.Errorf("the group is %s", w.machine.groups["g"].members.kind())
			}
		})
	}
}

func TestGroupsThatAreNoConsumersAreNotUpgraded(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	req := joinRequest("g", "", "range")
	req.ProtocolType, req.InstanceID = "connect", kmsg.StringPtr("i")
	joined := w.send(req)
	w.begin()
	w.code("join", joined.now().ErrorCode, nil)
	w.fails("a native member", w.native("n", "t").beat(true), kerr.GroupIDNotFound)

	w = newWorld(t)
	w.setTopic("t", 2)
	w.stableGroup(1) // whose assignment is its id: no consumer's
	w.fails("a native member", w.native("n", "t").beat(true), kerr.GroupIDNotFound)
	w.state(stable)
}

func TestWhoWaitsInAClassicGroupIsToldOfItsUpgrade(t *testing.T) {
	w := newWorld(t)
	a, b := w.classicPair()
	a.topics = []string{"t", "u"}
	waiting := w.send(a.joinRequest())
	n := w.native("n", "t").join()
	w.code("a", waiting.now().ErrorCode, kerr.RebalanceInProgress)
	w.fails("a", a.join(), nil)
	if _, err := a.sync(); err != nil {
		t.Error(err)
	}
	for range 3 {
		w.round(n, b, a)
	}
	if len(a.has)+len(b.has)+len(n.has) != 4 {
		t.Errorf("a reads %s, b reads %s, n reads %s", a.reads(), b.reads(), n.reads())
	}
}

func TestUpgradeThatIsNotStoredHasNotHappened(t *testing.T) {
	w := newWorld(t)
	w.classicPair()
	w.refuse = kerr.CoordinatorNotAvailable
	w.fails("n", w.native("n", "t").beat(true), kerr.CoordinatorNotAvailable)
	w.state(stable)
	checkInvariants(t, w.machine)
}

func TestEmptyGroupsOfEitherKindBecomeTheOther(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	w.fails("somebody without a group commits", w.commitOffset(commitRequest("", -1, 7)), nil)
	n := w.native("n", "t").join()
	w.expectReads(map[*native]string{n: "t-0"})
	w.fails("n leaves", n.leave(leaveEpoch), nil)
	w.code("a classic member with an id", w.join("x").now().ErrorCode, kerr.UnknownMemberID)
	if w.machine.consumer("g") == nil {
		t.Error("that has made it another group")
	}
	ids, generation := w.stableGroup(1)
	w.fails("heartbeat", w.heartbeat(ids[0], generation), nil)
	w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: ids[0]})
	w.state(empty)
	n.join()
	w.expectReads(map[*native]string{n: "t-0"})
	w.expectSameAfterLoading()
	if w.committed(false) != 7 {
		t.Error("the offset is lost")
	}
}

func TestClassicStaticMemberTakesANativeOnesPlace(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	n := w.native("n", "t")
	n.instance = kmsg.StringPtr("i")
	n.join()
	w.fails("n leaves for a while", n.leave(leaveStaticEpoch), nil)
	a := w.cooperative("", "t")
	a.instance = n.instance
	w.fails("join", a.join(), nil)
	w.state(stable) // it was the last native member
	if _, err := a.sync(); err != nil || a.reads() != "t-0" {
		t.Errorf("sync: %v, a reads %q", err, a.reads())
	}
	checkInvariants(t, w.machine)
	w.reload()
	w.fails("heartbeat", w.heartbeat(a.id, a.generation, "i"), nil)
	w.pass(11 * time.Second)
	if !w.machine.classic("g").isEmpty() {
		t.Error("it lives for ever")
	}
}
