package replica

import (
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *cluster) inSync(ids ...int32) func() bool {
	return func() bool {
		return slices.Equal(c.leader().partition().ISR(), ids)
	}
}

func (c *cluster) leader() *testNode { return c.nodes[c.partitionImage().Leader] }

func (c *cluster) sameEnd(ids ...int32) func() bool {
	return func() bool {
		for _, id := range ids {
			if p := c.nodes[id].partition(); p == nil || p.log == nil || p.log.LogEndOffset() != c.nodes[ids[0]].leo() {
				return false
			}
		}
		return true
	}
}

func TestAcksAllIsAnsweredOnceTheISRHasTheRecord(t *testing.T) {
	c := newCluster(t, 3, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1", "m2")
	if a.hw() != 2 || c.nodes[2].leo() != 2 || c.nodes[3].leo() != 2 {
		t.Error("acknowledged before all had it", c.describe())
	}
	c.until("followers learn the high watermark", func() bool { return c.nodes[2].hw() == 2 && c.nodes[3].hw() == 2 })
	if got := c.consume(a, 0); !slices.Equal(got, []string{"m1", "m2"}) {
		t.Error(got)
	}
}

// KIP-101, first scenario (M01): B has fetched m2 but does not know yet that it is committed. B restarts; it must not
// truncate to its high watermark, for A dies and B is all there is.
func TestRestartedFollowerKeepsWhatLiesAboveItsHighWatermark(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	c.until("B knows m1 is committed", func() bool { return b.hw() == 1 })
	c.mustProduce(a, acksAll, "m2")
	if b.hw() != 1 || b.leo() != 2 {
		t.Fatal("not the scene", c.describe())
	}
	b.kill(false)
	b.start()
	c.publish(1, 2)
	c.until("B is back", func() bool { return b.partition() != nil && b.partition().Log() != nil })
	a.kill(false)
	c.change(2, 2)
	c.publish(2)
	c.until("B leads", func() bool { return b.partition().IsLeader() })
	c.mustProduce(b, acksLeader, "m3")
	c.until("committed", func() bool { return b.hw() == 3 })
	if got := c.consume(b, 0); !slices.Equal(got, []string{"m1", "m2", "m3"}) {
		t.Errorf("acknowledged m1, m2, m3; B has %v", got)
	}
}

// KIP-101, second scenario (M02), and KAFKA-13141 (M12): the old leader A returns with m2 at the offset where B, leader now,
// wrote m3. A must drop m2; and before it has, B must not count A's fetch offset.
func TestReturningLeaderDropsWhatTheNewLeaderReplaced(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	c.until("B knows", func() bool { return b.hw() == 1 })
	b.kill(false)
	c.mustProduce(a, acksLeader, "m2", "m2b")
	a.kill(false)
	b.start()
	c.change(2, 1, 2) // A stays in the ISR: B must hear of it to commit
	c.publish(2)
	c.until("B leads", func() bool { return b.partition() != nil && b.partition().IsLeader() })
	c.mustProduce(b, acksLeader, "m3")
	before := b.hw()
	if before > 1 {
		t.Fatal("committed without A", c.describe())
	}
	a.start()
	c.publish(1, 2)
	c.until("A truncates", func() bool { return a.count(event.Diverged) > 0 })
	if b.hw() != before {
		t.Error("the diverging fetch at A's end was counted", c.describe())
	}
	c.until("A has m3", func() bool { return a.partition().Log().LogEndOffset() == 2 && b.hw() == 2 })
	if a.partition().Log().EpochAt(1) != c.partitionImage().LeaderEpoch {
		t.Error("A kept a record of the old epoch", a.partition().Log().Epochs())
	}
}

// KAFKA-15510 (M11): an idle follower has fetched nothing for long; when the leader changes the divergence must show.
func TestIdleFollowerStillSeesDivergence(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b, x := c.nodes[1], c.nodes[2], c.nodes[3]
	c.mustProduce(a, acksAll, "m1")
	b.kill(false) // B misses m2
	c.mustProduce(a, acksLeader, "m2")
	c.until("C has m2", c.sameEnd(1, 3))
	c.run(5 * time.Second) // empty fetches
	a.kill(false)
	b.start()
	c.change(2, 2, 3)
	c.publish(2)
	c.until("B leads", func() bool { return b.partition() != nil && b.partition().IsLeader() })
	c.mustProduce(b, acksLeader, "m3", "m4")
	c.publish(3)
	c.until("C follows B", func() bool { return x.leo() == 3 && b.hw() == 3 })
	if x.count(event.Diverged) == 0 || x.partition().Log().EpochAt(1) != c.partitionImage().LeaderEpoch {
		t.Error("C kept m2", x.partition().Log().Epochs())
	}
}

// KAFKA-15583 (M16): below min.insync.replicas nothing is committed, whatever acks said.
func TestHighWatermarkStaysWhileUnderMinISR(t *testing.T) {
	c := newCluster(t, 3, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1")
	c.nodes[2].kill(false)
	c.nodes[3].kill(false)
	c.change(0, 1)
	c.publish(1)
	c.run(time.Second)
	c.mustProduce(a, acksLeader, "m2")
	c.run(time.Minute)
	if a.hw() != 1 || len(c.consume(a, 1)) != 0 {
		t.Error("m2 was committed by one of two", c.describe())
	}
	if r := a.produce(acksAll, "m3"); true {
		c.until("answered", func() bool { return r.done })
		if r.Err != kerr.NotEnoughReplicas || a.leo() != 2 {
			t.Errorf("acks=all under min ISR: %v, %s", r.Err, c.describe())
		}
	}
	c.change(0, 1, 2)
	c.nodes[2].start()
	c.publish(1, 2)
	c.until("m2 is committed by two", func() bool { return a.hw() == 2 })
}

// KAFKA-13091 (M15): C lags, leaves the ISR, and nothing else happens: the produce that waited for it is committed by that alone.
func TestShrinkingTheISRCompletesAProduce(t *testing.T) {
	c := newCluster(t, 3, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1")
	c.nodes[3].kill(false)
	var result ProduceResult
	done := false
	a.loop.Post(func() {
		a.m.Produce(acksAll, 5*time.Minute, []ProduceEntry{{Partition: tp, Batch: batch("m2")}}, nil, func(r []ProduceResult) { result, done = r[0], true })
	})
	c.run(10 * time.Second)
	if done {
		t.Fatal("acknowledged without C", c.describe())
	}
	c.until("the ISR shrinks", c.inSync(1, 2))
	if !done || result.Err != nil || result.BaseOffset != 1 {
		t.Errorf("done %v, %+v; %s", done, result, c.describe())
	}
}

func TestFollowerThatCaughtUpJoinsTheISR(t *testing.T) {
	c := newCluster(t, 3, nil)
	a, x := c.nodes[1], c.nodes[3]
	x.kill(false)
	c.mustProduce(a, acksLeader, "m1")
	c.change(0, 1, 2)
	c.publish(1, 2)
	c.until("committed without C", func() bool { return a.hw() == 1 })
	x.start()
	c.publish(1, 2, 3)
	c.until("C is back in", c.inSync(1, 2, 3))
	if x.leo() != 1 {
		t.Error("in the ISR without m1", c.describe())
	}
}

// The image still has the follower as alive, and at the high watermark, which waits for min.insync.replicas.
func TestFollowerThatDoesNotFetchDoesNotJoinTheISR(t *testing.T) {
	c := newCluster(t, 2, nil)
	n := c.nodes[1]
	c.mustProduce(n, -1, "a")
	c.nodes[2].kill(false)
	c.mustProduce(n, 1, "b")
	c.until("out of the ISR", func() bool { return len(n.partition().ISR()) == 1 })
	c.publish(1) // something changed about a broker
	c.run(100 * time.Millisecond)
	if proposed := n.count(event.IsrProposed); proposed != 1 {
		t.Errorf("%d proposals, ISR %v", proposed, n.partition().ISR())
	}
}

// KIP-841, KIP-903 (M19): who is fenced, shutting down, or not who it was when it fetched, stays out.
func TestIneligibleFollowerStaysOut(t *testing.T) {
	for name, unfit := range map[string]func(c *cluster){
		"fenced": func(c *cluster) { c.apply(&metadata.FenceBrokerRecord{ID: 2, Epoch: 1}) },
		"restarted": func(c *cluster) {
			c.apply(&metadata.RegisterBrokerRecord{BrokerID: 2, BrokerEpoch: 9, EndPoints: []metadata.Endpoint{{Name: "B", Host: "n2", Port: 9092}}})
		},
		"shutting down": func(c *cluster) {
			r := &metadata.BrokerRegistrationChangeRecord{BrokerID: 2, BrokerEpoch: 1, InControlledShutdown: 1}
			c.apply(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
			unfit(c)
			c.change(0, 1)
			c.publish(1)
			c.run(5 * time.Second)
			if !c.inSync(1)() || c.nodes[1].count(event.IsrProposed) != 0 {
				t.Error(c.describe())
			}
		})
	}
}

// KAFKA-7128 (M07): B was elected with a high watermark that lags; C reaches that, but not the start of B's epoch.
func TestFollowerBelowTheEpochStartStaysOut(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	b := c.nodes[2]
	c.nodes[3].kill(false)
	c.change(0, 1, 2)
	c.publish(1, 2)
	c.run(DefaultConfig(1).ReplicaLagTimeMax) // until then the high watermark waits for C, which was just here
	c.mustProduce(c.nodes[1], acksAll, "m1", "m2")
	c.mustProduce(c.nodes[1], acksAll, "m3")
	if b.hw() != 2 || b.leo() != 3 {
		t.Skip("B knows all already", c.describe())
	}
	c.nodes[1].kill(false)
	c.change(2, 1, 2) // A not yet dropped: the high watermark stands still
	c.publish(2)
	c.until("B leads", func() bool { return b.partition().IsLeader() })
	p := b.partition()
	fetch := func(offset int64) {
		e := NewFetchEntry(tp, offset, 1)
		e.CurrentLeaderEpoch = p.leaderEpoch
		c.mustFetch(b, FetchParams{ReplicaID: 3, ReplicaEpoch: 1, MaxBytes: 1}, e)
	}
	fetch(2)
	if b.count(event.IsrProposed) != 0 {
		t.Error("C was proposed without m3, which was acknowledged")
	}
	fetch(3)
	if b.count(event.IsrProposed) != 1 {
		t.Error("C has everything and was not proposed")
	}
}

// KAFKA-14144 (M21): the controller applied the change, its reply was lost. The retry is refused; the leader must get on by the
// metadata log, and change the ISR again later.
func TestLostReplyOfAlterPartitionDoesNotFenceTheLeader(t *testing.T) {
	c := newCluster(t, 3, nil)
	a := c.nodes[1]
	lost := 0
	c.alter = func(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
		if lost++; lost == 1 {
			c.answerAlter(n, req, func(*kmsg.AlterPartitionResponse, error) { done(nil, kerr.NetworkException) })
			return
		}
		c.answerAlter(n, req, done)
	}
	c.mustProduce(a, acksAll, "m1")
	c.nodes[3].kill(false)
	c.mustProduce(a, acksLeader, "m2")
	c.until("the change is refused", func() bool { return a.count(event.IsrRejected) == 1 })
	c.run(5 * time.Second)
	if n := a.count(event.IsrProposed); n != 1 || lost != 2 {
		t.Errorf("%d proposals in %d requests while it is not known what is committed", n, lost)
	}
	c.publish(1, 2)
	c.until("the ISR is known", c.inSync(1, 2))
	c.nodes[3].start()
	c.publish(1, 2, 3)
	c.until("the ISR grows again", c.inSync(1, 2, 3))
}

// KAFKA-12686 (M20): metadata that says nothing new arrives while an expansion is under way. It must stay pending: the
// controller commits it, and the high watermark must wait for the new member.
func TestPendingExpansionSurvivesMetadataOfTheSamePartitionEpoch(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a := c.nodes[1]
	var answers []func()
	c.alter = func(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
		answers = append(answers, func() { c.answerAlter(n, req, done) })
	}
	c.change(0, 1)
	c.publish(1)
	c.until("B is proposed", func() bool { return len(answers) == 1 })
	c.publish(1)
	c.run(time.Second)
	if got := a.partition().MaximalISR(); !slices.Equal(got, []int32{1, 2}) {
		t.Fatalf("maximal ISR %v", got)
	}
	answers[0]()
	c.until("committed", c.inSync(1, 2))
	if len(answers) != 1 {
		t.Errorf("%d requests", len(answers))
	}
}

// The controller committed our change and lost the reply, then C was assigned. The reply to the retry has the partition epoch of
// both and says nothing of C; the metadata log tells of it when we have that epoch already.
func TestAssignmentIsTakenFromMetadataOfAPartitionEpochThatIsKnown(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a := c.nodes[1]
	assign := func(replicas ...int32) {
		r := metadata.NewPartitionChange(topicID, 0)
		r.Replicas, r.Directories = replicas, make([][16]byte, len(replicas))
		r.Isr = slices.DeleteFunc(slices.Clone(c.partitionImage().ISR), func(id int32) bool { return !slices.Contains(replicas, id) })
		c.apply(r)
	}
	assign(1, 2)
	c.publish(1, 2, 3)
	c.until("C is no replica", func() bool {
		return c.nodes[3].partition() == nil && a.partition().PartitionEpoch() == c.partitionImage().PartitionEpoch
	})
	c.alter = func(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
		c.alter = c.answerAlter
		c.answerAlter(n, req, func(resp *kmsg.AlterPartitionResponse, err error) {
			assign(1, 2, 3)
			resp.Topics[0].Partitions[0].PartitionEpoch = c.partitionImage().PartitionEpoch
			done(resp, err)
		})
	}
	c.nodes[2].kill(false)
	c.mustProduce(a, acksLeader, "m1")
	c.until("the ISR is known", c.inSync(1))
	if a.partition().PartitionEpoch() != c.partitionImage().PartitionEpoch {
		t.Fatal("the reply told of no newer partition epoch", c.describe())
	}
	c.publish(1, 3)
	c.until("C joins the ISR", c.inSync(1, 3))
}

func TestNewerPartitionEpochSupersedesAPendingChange(t *testing.T) {
	c := newCluster(t, 3, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a := c.nodes[1]
	var held func()
	c.alter = func(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
		if held == nil {
			held = func() { c.answerAlter(n, req, done) }
			return
		}
		c.answerAlter(n, req, done)
	}
	c.nodes[3].kill(false)
	c.mustProduce(a, acksLeader, "m1")
	c.until("the shrink is proposed", func() bool { return a.count(event.IsrProposed) == 1 })
	c.change(0, 1, 2) // the controller fenced C by itself
	c.publish(1, 2)
	c.until("superseded", c.inSync(1, 2))
	held() // INVALID_UPDATE_VERSION, which is of no interest now
	c.run(time.Second)
	if a.count(event.IsrRejected) != 0 || a.partition().lead.isr.pending != nil {
		t.Error("the late reply was taken for an answer", c.describe())
	}
}

func TestIneligibleReplicaAnswerRevertsTheChange(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	refused := 0
	c.alter = func(n *testNode, req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error)) {
		if refused++; refused > 3 {
			c.answerAlter(n, req, done)
			return
		}
		resp := kmsg.NewPtrAlterPartitionResponse()
		part := kmsg.NewAlterPartitionResponseTopicPartition()
		part.ErrorCode = kerr.IneligibleReplica.Code
		resp.Topics = []kmsg.AlterPartitionResponseTopic{{TopidID: topicID, Partitions: []kmsg.AlterPartitionResponseTopicPartition{part}}}
		n.loop.After(time.Millisecond, func() { done(resp, nil) })
	}
	c.change(0, 1)
	c.publish(1)
	c.until("it is tried again", func() bool { return refused > 3 })
	if n := c.nodes[1].count(event.IsrProposed); n < 4 {
		t.Errorf("%d proposals: a refused change was kept", n)
	}
	c.until("it is tried until it succeeds", c.inSync(1, 2))
}

func TestWaitingProducesFailWhenLeadershipIsLost(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.nodes[2].kill(false)
	r := a.produce(acksAll, "m1")
	c.run(time.Second)
	c.change(2)
	c.publish(1)
	c.until("answered", func() bool { return r.done })
	if r.Err != kerr.NotLeaderForPartition || r.CurrentLeader.ID != 2 {
		t.Errorf("%+v", r)
	}
}

func TestProduceTimesOutAndTheRecordStays(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.nodes[2].kill(false)
	r := a.produce(acksAll, "m1")
	c.run(6 * time.Second)
	if !r.done || r.Err != kerr.RequestTimedOut || a.leo() != 1 {
		t.Errorf("%+v %s", r, c.describe())
	}
}

func TestOldLeaderEpochIsFencedAndNewerIsUnknown(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	for epoch, want := range map[int32]*kerr.Error{0: kerr.FencedLeaderEpoch, 1: nil, 2: kerr.UnknownLeaderEpoch, -1: nil} {
		e := NewFetchEntry(tp, 0, 1)
		e.CurrentLeaderEpoch = epoch
		r := c.mustFetch(a, FetchParams{ReplicaID: -1}, e)
		if want == nil && r.ErrorCode != 0 || want != nil && r.ErrorCode != want.Code {
			t.Errorf("epoch %d: error %d", epoch, r.ErrorCode)
		}
	}
}

func TestConsumerWaitsForTheHighWatermark(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	r := a.fetch(FetchParams{ReplicaID: -1, MinBytes: 1, MaxWait: 10 * time.Second, MaxBytes: 1 << 20}, NewFetchEntry(tp, 0, 1<<20))
	c.run(time.Second)
	if r.done {
		t.Fatal("answered with nothing")
	}
	c.mustProduce(a, acksAll, "m1")
	c.run(time.Millisecond)
	if !r.done || !slices.Equal(r.values, []string{"m1"}) || r.HighWatermark != 1 {
		t.Errorf("%+v", r)
	}
}

func TestConsumerGetsWhatThereIsAfterMaxWait(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1")
	r := a.fetch(FetchParams{ReplicaID: -1, MinBytes: 1 << 20, MaxWait: time.Second, MaxBytes: 1 << 20}, NewFetchEntry(tp, 0, 1<<20))
	c.run(900 * time.Millisecond)
	c.mustProduce(a, acksAll, "m2")
	if r.done {
		t.Fatal("answered with less than asked for")
	}
	c.run(200 * time.Millisecond)
	if !r.done || !slices.Equal(r.values, []string{"m1", "m2"}) {
		t.Errorf("%+v", r)
	}
}

func TestFirstBatchMayExceedTheLimit(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1")
	c.mustProduce(a, acksAll, "m2")
	r := c.mustFetch(a, FetchParams{ReplicaID: -1, MaxBytes: 1}, NewFetchEntry(tp, 0, 1))
	if !slices.Equal(r.values, []string{"m1"}) {
		t.Error(r.values)
	}
}

func TestOffsetsOutsideTheLogAreOutOfRange(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	if r := c.mustFetch(c.nodes[1], FetchParams{ReplicaID: -1}, NewFetchEntry(tp, 2, 1)); r.ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Error(r.ErrorCode)
	}
}

// KIP-207: a new leader does not say where the log ends before it knows what is committed.
func TestLatestOffsetIsUnavailableUntilTheEpochStartIsCommitted(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	c.until("same", c.sameEnd(1, 2, 3))
	b := c.nodes[2]
	lagging := b.hw() < 1
	c.nodes[1].kill(false)
	c.change(2, 1, 2, 3)
	c.publish(2, 3)
	c.until("B leads", func() bool { return b.partition().IsLeader() })
	ask := func() (result ListOffsetResult) {
		b.m.ListOffset(tp, ListOffsetQuery{Timestamp: latestTimestamp, CurrentLeaderEpoch: -1, ReplicaID: -1}, func(r ListOffsetResult) { result = r })
		return result
	}
	if r := ask(); lagging && r.Err != kerr.OffsetNotAvailable {
		t.Errorf("%+v", r)
	}
	c.change(0, 2, 3)
	c.publish(2, 3)
	c.until("known", func() bool { r := ask(); return r.Err == nil && r.Offset == 1 })
}

func TestDeletedAndRecreatedTopicStartsEmpty(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	other := [16]byte{2}
	c.apply(&metadata.RemoveTopicRecord{TopicID: topicID})
	c.apply(&metadata.TopicRecord{Name: tp.Topic, TopicID: other})
	c.apply(&metadata.PartitionRecord{TopicID: other, Replicas: []int32{1, 2}, Isr: []int32{1, 2}, Leader: 1, LeaderEpoch: 0})
	c.publish(1, 2)
	c.until("both are open anew", func() bool {
		for _, n := range c.nodes[1:] {
			if p := n.partition(); p.topicID != other || p.log == nil || p.log.LogEndOffset() != 0 {
				return false
			}
		}
		return true
	})
	if c.nodes[1].count(event.ReplicaRemoved) != 1 {
		t.Error("removal was not told")
	}
}

func TestReplicaReassignedAwayIsDeleted(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	r := metadata.NewPartitionChange(topicID, 0)
	r.Replicas, r.Isr, r.Directories = []int32{1, 2}, []int32{1, 2}, make([][16]byte, 2)
	c.apply(r)
	c.publish(1, 2, 3)
	c.until("gone", func() bool { return c.nodes[3].partition() == nil && c.nodes[3].logs.Get(tp) == nil })
	c.mustProduce(c.nodes[1], acksAll, "m2")
}

// KAFKA-9491 (M14): a follower that was away for longer than records are kept starts over where the leader's log begins, and
// its high watermark is there too.
func TestFollowerBehindTheLogStartBeginsThere(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	b.kill(false)
	c.change(0, 1)
	c.publish(1)
	c.run(40 * time.Second) // B no longer counts as about to join
	for range 5 {
		c.mustProduce(a, acksAll, "m")
	}
	a.loop.Post(func() { a.partition().Log().AdvanceLogStart(4) })
	c.run(time.Second)
	b.start()
	c.publish(1, 2)
	c.until("B starts at 4", func() bool {
		p := b.partition()
		return p != nil && p.log != nil && p.log.LogStartOffset() == 4
	})
	if b.hw() < 4 {
		t.Error("high watermark below the log start", c.describe())
	}
	c.until("B caught up", func() bool { return b.leo() == 6 && c.inSync(1, 2)() })
}

func TestFailedDiskTakesPartitionsOffline(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	var told error
	a.m.OnLogDirFailure(nil, func(err error) { told = err })
	a.disk.FailWrites(kerr.KafkaStorageError)
	r := a.produce(acksLeader, "m1")
	c.until("answered", func() bool { return r.done })
	if r.Err != kerr.KafkaStorageError || told == nil || a.partition().IsLeader() {
		t.Errorf("%+v, told %v", r, told)
	}
}

func TestImageWithoutOurRegistrationIsNotActedUpon(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	stale := c.image.Clone()
	a.kill(false)
	a.start()
	a.loop.Post(func() { a.m.Apply(stale, nil) })
	c.run(time.Second)
	if a.partition() != nil {
		t.Error("leads by an image from before it died")
	}
	c.publish(1)
	c.run(time.Second)
	if a.partition() == nil {
		t.Error("does not lead by the image with its registration")
	}
}

func TestHighWatermarkSurvivesARestart(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1")
	c.run(11 * time.Second) // a checkpoint
	a.kill(false)
	c.nodes[2].kill(false)
	a.start()
	c.publish(1)
	c.until("back", func() bool { return a.partition() != nil && a.partition().log != nil })
	if a.hw() != 1 {
		t.Errorf("high watermark %d", a.hw())
	}
}

// KIP-279 (M03): after two fast elections A, leading in epoch 3, knows nothing of epoch 2, in which B has written x.
func TestDivergenceInAnEpochUnknownToTheLeaderIsFound(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	a.kill(false)
	c.change(2, 1, 2)
	c.publish(2)
	c.until("B leads", func() bool { return b.partition().IsLeader() })
	c.mustProduce(b, acksLeader, "x1")
	b.kill(false)
	a.start()
	c.change(1, 1, 2)
	c.publish(1)
	c.until("A leads", func() bool { return a.partition() != nil && a.partition().IsLeader() })
	c.mustProduce(a, acksLeader, "y1", "y2")
	b.start()
	c.publish(1, 2)
	c.until("committed", func() bool { return a.hw() == 3 && b.partition() != nil && b.leo() == 3 })
	if got := b.partition().Log().EpochAt(1); got != 3 || b.count(event.Diverged) == 0 {
		t.Errorf("B has epoch %d at offset 1", got)
	}
}

// The old leader A returns with m2 at the offset where B committed m3, which is gone from B's log by now: both logs end at 2.
func TestReturningLeaderDropsWhatCameBeforeTheLogStart(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	b.kill(false)
	c.mustProduce(a, acksLeader, "m2")
	a.kill(false)
	b.start()
	c.change(2, 2)
	c.publish(2)
	c.until("B leads", func() bool { return b.partition() != nil && b.partition().IsLeader() })
	c.mustProduce(b, acksAll, "m3")
	b.loop.Post(func() { b.partition().Log().AdvanceLogStart(2) })
	a.start()
	c.publish(1, 2)
	c.until("A is in the ISR", func() bool { return len(b.partition().ISR()) == 2 })
	if log := a.partition().Log(); a.count(event.Diverged) == 0 || log.LogStartOffset() != 2 || log.EpochAt(1) >= 0 {
		t.Error("A keeps m2", log.Epochs(), c.describe())
	}
}

// With the same log as B's, and with B's log start, A keeps what it knows.
func TestFollowerAtTheLogStartKeepsItsLog(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	c.until("B knows", func() bool { return b.hw() == 1 })
	a.kill(false)
	c.change(2, 2)
	c.publish(2)
	c.until("B leads", func() bool { return b.partition().IsLeader() })
	b.loop.Post(func() { b.partition().Log().AdvanceLogStart(1) })
	c.mustProduce(b, acksAll, "m2")
	a.start()
	c.publish(1, 2)
	c.until("A is in the ISR", func() bool { return len(b.partition().ISR()) == 2 })
	if log := a.partition().Log(); a.count(event.Diverged) != 0 || log.EpochAt(0) != 1 {
		t.Error("A has begun anew", log.Epochs(), c.describe())
	}
}

// B's log was begun at 1, so that it does not know whose record was at 0. A, which has one, must begin there too.
func TestFollowerOfWhomItsLeaderKnowsNothingBeginsAnew(t *testing.T) {
	c := newCluster(t, 2, func(cfg *Config) { cfg.DefaultMinISR = 1 })
	a, b := c.nodes[1], c.nodes[2]
	c.mustProduce(a, acksAll, "m1")
	c.until("B has it", c.sameEnd(1, 2))
	a.kill(false)
	b.loop.Post(func() { b.partition().Log().TruncateFullyAndStartAt(1, func(error) {}) })
	c.change(2, 2)
	c.publish(2)
	c.until("B leads", func() bool { return b.partition().IsLeader() })
	c.mustProduce(b, acksAll, "m2")
	a.start()
	c.publish(1, 2)
	c.until("A is in the ISR", func() bool { return len(b.partition().ISR()) == 2 })
	if log := a.partition().Log(); a.count(event.Diverged) == 0 || log.LogStartOffset() != 1 {
		t.Error("A keeps m1", log.Epochs(), c.describe())
	}
}

func TestFollowerGoesOnAfterItsLeaderIsElectedAgain(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	c.change(1)
	c.publish(1, 2)
	c.run(2 * time.Second)
	c.mustProduce(c.nodes[1], acksAll, "m2")
}

func TestFollowerGoesOnWhenTheLeaderForgetsItsSession(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	clear(c.nodes[1].sessions)
	c.mustProduce(c.nodes[1], acksAll, "m2")
}

func TestFollowerGoesOnAfterTheConnectionBreaks(t *testing.T) {
	c := newCluster(t, 2, nil)
	c.mustProduce(c.nodes[1], acksAll, "m1")
	c.net.Reset("n1", "n2")
	c.mustProduce(c.nodes[1], acksAll, "m2")
}

func TestFollowerOfAnEarlierIncarnationIsRefused(t *testing.T) {
	c := newCluster(t, 2, nil)
	b := c.nodes[2]
	b.kill(false)
	b.start()
	c.publish(1)
	c.run(time.Second)
	r := c.mustFetch(c.nodes[1], FetchParams{ReplicaID: 2, ReplicaEpoch: 1}, NewFetchEntry(tp, 0, 1))
	if r.ErrorCode != kerr.NotLeaderForPartition.Code || c.nodes[1].partition().RemoteLEO(2) > 0 {
		t.Error(r.ErrorCode)
	}
}

func TestFollowerTakesTheLogStartOfItsLeader(t *testing.T) {
	c := newCluster(t, 2, nil)
	a, b := c.nodes[1], c.nodes[2]
	for range 3 {
		c.mustProduce(a, acksAll, "m")
	}
	a.loop.Post(func() { a.partition().Log().AdvanceLogStart(2) })
	c.until("B follows", func() bool { return b.partition().Log().LogStartOffset() == 2 })
}

func TestConsumerReadsFromDiskWhatMemoryForgot(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1")
	c.run(time.Second)
	a.kill(false)
	a.start()
	c.change(1)
	c.publish(1, 2)
	c.until("committed anew", func() bool { return a.partition() != nil && a.hw() == 1 })
	if got := c.consume(a, 0); !slices.Equal(got, []string{"m1"}) {
		t.Error(got)
	}
}

func TestOffsetsAreListed(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.mustProduce(a, acksAll, "m1", "m2")
	for timestamp, want := range map[int64]int64{latestTimestamp: 2, earliestTimestamp: 0, earliestLocalTimestamp: 0, latestTieredTimestamp: -1, 0: 0, 1: 0, 2: -1, maxTimestamp: 0} {
		got := int64(-9)
		a.loop.Post(func() {
			q := ListOffsetQuery{Timestamp: timestamp, CurrentLeaderEpoch: -1, ReplicaID: -1}
			a.m.ListOffset(tp, q, func(r ListOffsetResult) { got = r.Offset })
		})
		c.run(100 * time.Millisecond)
		if got != want {
			t.Errorf("timestamp %d: offset %d, want %d", timestamp, got, want)
		}
	}
	if epoch, end, err := a.m.OffsetForLeaderEpoch(tp, 1, 1); epoch != 1 || end != 2 || err != nil {
		t.Error(epoch, end, err)
	}
	if _, _, err := a.m.OffsetForLeaderEpoch(event.Partition{Topic: "none"}, -1, 1); err != kerr.UnknownTopicOrPartition {
		t.Error(err)
	}
}

func TestShutdownAnswersWhatWaits(t *testing.T) {
	c := newCluster(t, 2, nil)
	a := c.nodes[1]
	c.nodes[2].kill(false)
	p := a.produce(acksAll, "m1")
	f := a.fetch(FetchParams{ReplicaID: -1, MinBytes: 1, MaxWait: time.Hour, MaxBytes: 1}, NewFetchEntry(tp, 0, 1))
	c.run(time.Second)
	a.loop.Post(a.m.Shutdown)
	c.run(time.Millisecond)
	if !p.done || p.Err != kerr.NotLeaderForPartition || !f.done || f.ErrorCode != kerr.NotLeaderForPartition.Code {
		t.Errorf("%+v %+v", p, f)
	}
}

// A batch that is being prepared off the loop is in no log yet, and waits for nothing that a shutdown ends. Its producer is answered then, too: later there is
// no connection any more.
func TestShutdownAnswersWhatIsBeingPrepared(t *testing.T) {
	for _, acks := range []int16{acksAll, acksLeader} {
		c := newCluster(t, 1, func(cfg *Config) {
			cfg.LogConfig = func(event.Partition) storage.LogConfig {
				c := storage.DefaultLogConfig()
				c.Produce.LogAppendTime = true
				return c
			}
		})
		a := c.nodes[1]
		p, answered := a.produce(acks, "m1"), false
		a.loop.Post(func() {
			if len(a.partition().preparing) == 0 {
				t.Error("it is not being prepared")
			}
			a.m.Shutdown()
			answered = p.done
		})
		c.run(time.Second)
		if !answered || p.Err != kerr.NotLeaderForPartition || len(a.partition().preparing) > 0 || a.leo() != 0 {
			t.Errorf("answered with the shutdown: %t, %+v; %s", answered, p, c.describe())
		}
	}
}

func TestLowerMinISRLetsTheHighWatermarkGoOn(t *testing.T) {
	minISR := 2
	c := newCluster(t, 2, func(cfg *Config) { cfg.TopicMinISR = func(string) int { return minISR } })
	a := c.nodes[1]
	c.nodes[2].kill(false)
	c.change(0, 1)
	c.publish(1)
	c.run(40 * time.Second)
	c.mustProduce(a, acksLeader, "m1")
	if a.hw() != 0 {
		t.Fatal(c.describe())
	}
	minISR = 1
	img := c.image.Clone()
	a.loop.Post(func() {
		a.m.Apply(img, &metadata.Delta{Configs: []metadata.ResourceKey{{Type: metadata.ResourceTopic, Name: tp.Topic}}})
	})
	c.until("committed by one", func() bool { return a.hw() == 1 })
}
