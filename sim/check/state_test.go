package check

import (
	"fmt"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
)

func TestHealthyClusterIsSilent(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "m3"), 1, 2)
	f.commit(0, 3, 3)
	f.elect(2, 1, 2, 3)
	f.append(write(0, 3, "m3"), 3)
	f.append(write(1, 4, "m4"), 2, 3)
	f.commit(1, 5, 2, 3)
	for _, v := range f.s.AtEnd(f.now) {
		if v.Checker != "I8" {
			t.Error(v.Error())
		}
	}
	f.silent()
}

func TestUncommittedTailMayGo(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "never acknowledged"), 1)
	f.elect(2, 1, 1, 2, 3)
	f.truncate(1, 3)
	f.append(write(1, 3, "other"), 2, 1, 3)
	f.commit(1, 4, 2, 1, 3)
	f.silent()
}

func TestCommittedRecordMissingOnNewLeaderFires(t *testing.T) { // KIP-101, story 1
	f := cluster(t, safe)
	f.truncate(2, 2)
	f.elect(2, 1, 2, 3)
	f.fires("I1", "P1", "record orders-2@2", "is gone from leader 2's log", "first cause: broker 2 truncated to 2 at")
}

func TestTruncationToTheHighWatermarkIsNamed(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "m3"), 1, 2, 3)
	f.commit(0, 4, 1)
	f.truncate(2, 3)
	f.elect(2, 1, 2, 3)
	f.fires("I1", "P1", "orders-2@3", "broker 2 truncated to its high watermark")
}

func TestUncleanElectionLossIsExpectedIfConfigured(t *testing.T) {
	f := cluster(t, Topic{RF: 3, MinISR: 1, Unclean: true})
	f.append(write(0, 3, "m3"), 1)
	f.register(1, 0, 1, 1)
	f.commit(0, 4, 1)
	f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 2, Epoch: 1})
	f.elect(2, 1, 2)
	f.silent()
	if l := f.s.Losses(); len(l) != 1 || l[0] != (Loss{reasonUnclean, 1}) {
		t.Errorf("losses %v", l)
	}
}

// Leader 2 was elected uncleanly and had everything: it has no part in what a later, clean leader misses.
func TestUncleanElectionThatLostNothingExcusesNothing(t *testing.T) {
	f := newFake(t, Topic{RF: 3, MinISR: 1, Unclean: true})
	f.elr = true
	clusterWith(f)
	f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 2, Epoch: 1})
	f.elect(2, 1, 2, 3)
	f.silent()
	f.crash(3, true, 2)
	f.restart(3, 2, storage.EpochEntry{Epoch: 0, Start: 0})
	f.elect(3, 2, 3)
	f.fires("I1", "P1", "record orders-2@2 (committed in epoch 0) is gone from leader 3's log")
}

func TestUncleanElectionFiresIfNotConfigured(t *testing.T) { // M24
	f := cluster(t, safe)
	f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 2, Epoch: 1})
	f.fires("I6", "P1", "unclean.leader.election.enable is off")
}

func TestPowerLossBeyondThePromiseIsExpected(t *testing.T) {
	f := cluster(t, safe)
	for _, id := range []int32{2, 3} {
		f.crash(id, true, 1)
		f.restart(id, 1, storage.EpochEntry{Epoch: 0, Start: 0})
	}
	f.elect(2, 1, 2, 3)
	f.silent()
	if l := f.s.Losses(); len(l) != 1 || l[0] != (Loss{reasonPower, 2}) {
		t.Errorf("losses %v", l)
	}
}

// With eligible leader replicas (KIP-966) it takes an unclean election. The first images have neither the feature nor anything to be eligible for.
func TestPowerLossIsNoExcuseWhileELRIsKept(t *testing.T) {
	f := newFake(t, safe)
	for _, id := range f.Nodes() {
		f.images[id] = metadata.NewImage()
		f.emit(id, event.Event{Kind: event.MetadataApplied, Epoch: -1, Peer: -1, Offset: 1})
	}
	f.turn()
	f.elr = true
	clusterWith(f)
	for _, id := range []int32{2, 3} {
		f.crash(id, true, 1)
		f.restart(id, 1, storage.EpochEntry{Epoch: 0, Start: 0})
	}
	f.elect(2, 1, 2, 3)
	f.fires("I1", "P1", "is gone from leader 2's log")
}

func TestPowerLossWithinThePromiseFires(t *testing.T) { // M17
	f := cluster(t, safe)
	f.crash(2, true, 1)
	f.restart(2, 1, storage.EpochEntry{Epoch: 0, Start: 0})
	f.elect(2, 1, 2, 3)
	f.fires("I1", "P1", "orders-2@1", "broker 2 lost it with its power")
}

func TestFollowerDivergingBelowHighWatermarkFires(t *testing.T) {
	f := cluster(t, safe)
	f.elect(2, 1, 1, 2, 3)
	f.append(write(0, 3, "of the old leader"), 3)
	f.fires("I2", "P3", "which no leader of that epoch wrote")
}

func TestOtherBytesOfTheSameEpochFire(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "a"), 1)
	f.append(write(0, 3, "b"), 2)
	f.fires("I2", "P3", "orders-2@3", "not the same on broker 2")
}

func TestReplicasThatDifferBelowTheHighWatermarkFire(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "a"), 1)
	f.elect(2, 1, 1, 2, 3)
	f.append(write(1, 3, "b"), 2, 3)
	f.commit(1, 4, 2, 3)
	f.commit(1, 4, 1) // still has a
	f.fires("I1", "P3", "orders-2@3 below the high watermark 4 of broker 1")
}

func TestTwoLeadersInAnEpochFire(t *testing.T) {
	f := cluster(t, safe)
	f.become(2, 0)
	f.fires("I3", "P3", "two leaders in epoch 0, brokers 1 and 2")
}

func TestLeaderEpochGoingBackFires(t *testing.T) {
	f := cluster(t, safe)
	f.elect(2, 5, 1, 2, 3)
	f.emit(1, event.Event{Kind: event.BecameFollower, Partition: orders, Peer: 2, Epoch: 4})
	f.fires("I3", "P3", "back from leader epoch 5")
}

func TestRegistrationGoingBackFires(t *testing.T) {
	f := cluster(t, safe)
	f.register(1, 3, 7, 1, 2, 3)
	f.register(1, 2, 8, 1, 2, 3)
	f.fires("I3", "P3", "went back from leader epoch 3")
}

// Broker 3 has an m2 of its own, which has left its log; what the others committed from there on is gone when it is elected.
func TestLeaderOfOtherRecordsBelowItsLogStart(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		f := newFake(t, Topic{RF: 3, MinISR: 2, Unclean: unclean})
		f.open(1, 2, 3)
		f.elect(3, 0, 1, 2, 3)
		f.append(write(0, 0, "m0"), 3, 1, 2)
		f.append(write(0, 1, "m1"), 3)
		f.elect(1, 1, 1, 2)
		f.append(write(1, 1, "m1b"), 1, 2)
		f.append(write(1, 2, "m2b"), 1, 2)
		f.commit(1, 3, 1)
		f.s.Deleted(orders, 2)
		f.emit(3, event.Event{Kind: event.BecameFollower, Partition: orders, Peer: -1, Epoch: 1, Offset: -1})
		f.logs[3][orders].hw = 2
		f.started(3, 2)
		f.silent()
		f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 3, Epoch: 2})
		f.s.violations = nil // of the election itself
		f.elect(3, 2, 3)
		if unclean {
			f.silent()
			continue
		}
		f.fires("I1", "P1", "record orders-2@2 (committed in epoch 1) is gone from leader 3's log")
	}
}

func TestLeaderThatTruncatesFires(t *testing.T) {
	f := cluster(t, safe)
	f.truncate(1, 2)
	f.fires("I3", "P3", "while it led in epoch 0")
}

func TestWrongEpochCacheFires(t *testing.T) { // M09, M10
	for name, cache := range map[string][]storage.EpochEntry{
		"forgotten": {{Epoch: 1, Start: 3}}, "stale": {{Epoch: 0, Start: 0}, {Epoch: 1, Start: 1}}, "back": {{Epoch: 1, Start: 3}, {Epoch: 0, Start: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			f := cluster(t, safe)
			f.elect(2, 1, 1, 2, 3)
			f.append(write(1, 3, "m3"), 2)
			f.silent()
			f.append(write(1, 4, "m4"), 2)
			f.logs[2][orders].epochs = cache
			f.emit(2, event.Event{Kind: event.LogStartMoved, Partition: orders, Offset: 0})
			f.fires("I4", "P3", "epoch cache of orders-2 on broker 2")
		})
	}
}

// What left the log at its start may still be known of: the epoch of the last record there, as it was.
func TestEpochBeforeTheLogStartMayBeKnown(t *testing.T) {
	retained := func(cache ...storage.EpochEntry) *fake {
		f := cluster(t, safe)
		f.elect(2, 1, 1, 2, 3)
		f.append(write(1, 3, "m3"), 2)
		f.logs[2][orders].start, f.logs[2][orders].hw = 3, 3
		f.logs[2][orders].epochs = cache
		f.s.Deleted(orders, 3)
		f.emit(2, event.Event{Kind: event.LogStartMoved, Partition: orders, Offset: 3})
		return f
	}
	retained(storage.EpochEntry{Epoch: 0, Start: 0}, storage.EpochEntry{Epoch: 1, Start: 3}).silent()
	retained(storage.EpochEntry{Epoch: 1, Start: 3}).silent()
	for name, cache := range map[string][]storage.EpochEntry{
		"another epoch": {{Epoch: -7, Start: 0}, {Epoch: 1, Start: 3}}, "begins too early": {{Epoch: 0, Start: 0}, {Epoch: 1, Start: 2}},
		"only before": {{Epoch: 0, Start: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			f := retained(cache...)
			f.t = t
			f.fires("I4", "P3", "epoch cache of orders-2 on broker 2")
		})
	}
}

func TestBatchOfAnOlderEpochFires(t *testing.T) {
	f := cluster(t, safe)
	f.elect(2, 1, 1, 2, 3)
	f.append(write(1, 3, "m3"), 2)
	f.append(write(0, 4, "late"), 2)
	f.fires("I4", "P3", "in epoch 0 after epoch 1")
}

func TestHighWatermarkRulesFire(t *testing.T) {
	for _, c := range []struct {
		name, promise, words string
		do                   func(f *fake)
	}{
		{"beyond the end", "P3", "beyond its log's end 3", func(f *fake) { f.commit(0, 4, 1) }},
		{"back", "P3", "back from 3 to 2", func(f *fake) { f.commit(0, 2, 1) }},
		{"follower first", "P3", "beyond all leaders' 3", func(f *fake) {
			f.append(write(0, 3, "m3"), 1, 2, 3)
			f.commit(0, 4, 2)
		}},
		{"before the ISR has it", "P1", "but broker 3 of the ISR has the leader's log only up to 3", func(f *fake) {
			f.append(write(0, 3, "m3"), 1, 2)
			f.commit(0, 4, 1)
		}},
		{"below min ISR", "P1", "ISR of 1, below min.insync.replicas 2", func(f *fake) { // M16
			f.register(1, 0, 2, 1)
			f.emit(1, event.Event{Kind: event.IsrCommitted, Partition: orders, Note: "1", Offset: 2})
			f.append(write(0, 3, "m3"), 1)
			f.commit(0, 4, 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := cluster(t, safe)
			c.do(f)
			f.fires("I5", c.promise, c.words)
		})
	}
}

func TestDivergentFollowerDoesNotCount(t *testing.T) { // M12
	f := cluster(t, safe)
	f.append(write(0, 3, "old"), 1)
	f.elect(2, 1, 1, 2, 3)
	f.append(write(1, 3, "new"), 2, 3)
	f.commit(1, 4, 2) // counts broker 1, whose log is as long
	f.fires("I5", "P1", "broker 1 of the ISR has the leader's log only up to 3")
}

func TestWhatAnISRMemberLostSinceDoesNotCountAgainstTheLeader(t *testing.T) {
	f := cluster(t, safe)
	f.append(write(0, 3, "m3"), 1, 2, 3)
	f.s.AfterTurn(1, f.now)
	f.commit(0, 4, 1)
	f.append(write(0, 4, "m4"), 1, 3)
	f.crash(2, true, 2)
	f.restart(2, 2, storage.EpochEntry{Epoch: 0, Start: 0})
	f.silent()
}

// changed has controller 1 write the image.
func (f *fake) changed(img *metadata.Image) {
	f.writer[1] = img
	reg := img.Partition(orders)
	f.emit(1, event.Event{
		Kind: event.PartitionChanged, Partition: orders, Peer: 1, Offset: int64(reg.PartitionEpoch), Note: fmt.Sprintf("isr=%v elr=%v", reg.ISR, reg.ELR),
	})
	f.turn()
}

func TestIneligibleISRMemberFires(t *testing.T) { // M19
	for name, r := range map[string]*metadata.RegisterBrokerRecord{
		"fenced": {BrokerID: 3, BrokerEpoch: 3, Fenced: true}, "shutting down": {BrokerID: 3, BrokerEpoch: 3, InControlledShutdown: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := cluster(t, safe)
			img := f.image(1, 0, 2, 1, 2, 3)
			f.must(img.Apply(r))
			f.changed(img)
			f.fires("I6", "P3", "left broker 3 in the ISR")
		})
	}
}

func TestEligibleISRIsSilent(t *testing.T) {
	f := cluster(t, safe)
	f.register(1, 0, 2, 1, 2)
	f.changed(f.image(1, 0, 3, 1, 2, 3))
	f.silent()
}

func TestJoiningTheISRWithoutTheCommittedFires(t *testing.T) { // M07
	f := cluster(t, safe)
	f.register(1, 0, 2, 1, 2)
	f.append(write(0, 3, "m3"), 1, 2)
	f.commit(0, 4, 1)
	f.changed(f.image(1, 0, 3, 1, 2, 3))
	f.fires("I6", "P1", "put broker 3 in the ISR of orders-2, though it lacks the committed record orders-2@3")
}

// A leader that lacks what compaction took for the sake of records that were lost since is followed by one that has it still.
func TestWhatCompactionTookFromTheLeaderMayBeInALog(t *testing.T) {
	f := cluster(t, safe)
	p := f.s.intern(orders)
	m := f.s.find(2, p)
	c := &p.committed
	lost := c.batches[2]
	c.batches, p.cleaned.to = c.batches[:2], 3
	for _, gone := range []bool{false, true} {
		p.batches[lost].gone = gone
		m.realign()
		if m.agree(); m.agreedEnd() == 3 != gone {
			t.Errorf("gone %t: the log is the committed one up to %d", gone, m.agreedEnd())
		}
	}
	f.append(write(0, 3, "m3"), 1, 2, 3)
	c.add(int32(len(p.batches)-1), 4, 0, 2)
	for _, gone := range []bool{false, true} {
		p.batches[lost].gone = gone
		m.realign()
		if m.agree() != gone {
			t.Errorf("gone %t: %d slots agree", gone, m.agreed)
		}
	}
}

func TestLeaderOutsideOfTheISRFires(t *testing.T) {
	f := cluster(t, safe)
	f.changed(f.image(3, 0, 3, 1, 2))
	f.fires("I6", "P3", "wrote leader 3 of orders-2, which is not in the ISR")
}

func TestLogStartBeyondTheHighWatermarkFires(t *testing.T) { // M37
	f := cluster(t, safe)
	f.logs[1][orders].start, f.logs[1][orders].hw = 3, 2
	f.emit(1, event.Event{Kind: event.LogStartMoved, Partition: orders, Offset: 3})
	f.fires("I14", "P3", "starts at 3")
}

func TestOtherMetadataAtAnOffsetFires(t *testing.T) {
	f := cluster(t, safe)
	f.emit(1, event.Event{Kind: event.MetadataApplied, Offset: 900, Len: 1})
	f.emit(1, event.Event{Kind: event.MetadataApplied, Offset: 901, Len: 2})
	f.emit(2, event.Event{Kind: event.MetadataApplied, Offset: 900, Len: 1})
	f.silent()
	f.emit(2, event.Event{Kind: event.MetadataApplied, Offset: 901, Len: 3})
	f.fires("I15", "P4", "nodes 1 and 2", "offset 901")
}

func TestDeletedTopicIsForgotten(t *testing.T) {
	f := cluster(t, safe)
	f.recreate()
	f.emit(2, event.Event{Kind: event.ReplicaRemoved, Partition: orders, TopicID: ordersID})
	f.disks[2] = map[string][]byte{}
	f.open(2)
	f.elect(2, 0, 1, 2, 3)
	f.append(write(0, 0, "new"), 2)
	f.emit(1, event.Event{Kind: event.HighWatermark, Partition: orders, TopicID: ordersID, Offset: 3}) // has not heard of it
	f.silent()
}

// recreate has everybody hear that the topic was deleted; another of its name is to come.
func (f *fake) recreate() {
	empty := metadata.NewImage()
	empty.SetOffset(5000, 1)
	f.images[1] = empty
	f.emit(1, event.Event{Kind: event.MetadataApplied, Offset: 5000, Len: 1})
	f.turn()
	f.topic = [16]byte{8}
	f.seq += 6000
}

func TestLogOfADeletedTopicIsRecoveredAsItWas(t *testing.T) { // a broker that was down finds it before it has an image
	f := cluster(t, safe)
	f.crash(3, false, 3)
	f.recreate()
	f.emit(3, event.Event{Kind: event.NodeStarting})
	f.emit(3, event.Event{Kind: event.Recovered, Partition: orders, TopicID: ordersID, Offset: 3})
	f.silent()
	f.emit(3, event.Event{Kind: event.ReplicaRemoved, Partition: orders, TopicID: ordersID})
	f.crash(3, false, 3) // before the files went
	f.emit(3, event.Event{Kind: event.NodeStarting})
	f.emit(3, event.Event{Kind: event.Recovered, Partition: orders, TopicID: ordersID, Offset: 3})
	f.silent()
}

func TestLogOfADeletedTopicUnderItsNextOneFires(t *testing.T) { // M59
	f := cluster(t, safe)
	f.crash(3, false, 3)
	f.recreate()
	f.emit(3, event.Event{Kind: event.NodeStarting})
	f.emit(3, event.Event{Kind: event.Recovered, Partition: orders, Offset: 3})
	f.fires("I13", "P8", "recovered record orders-2@0")
}

func TestLivenessNamesWhatIsStuck(t *testing.T) {
	f := cluster(t, safe)
	if v := f.s.Liveness(f.now); len(v) != 0 {
		t.Errorf("healthy: %v", v)
	}
	img := f.image(-1, 1, 4, 1, 2)
	f.must(img.Apply(&metadata.RegisterBrokerRecord{BrokerID: 3, BrokerEpoch: 9, Fenced: true}))
	f.images[1], f.images[2] = img, nil
	f.s.violations = f.s.Liveness(f.now)
	f.fires("LV", "P9", "broker 3 is still fenced")
	if n := len(f.s.violations); n != 5 { // fenced, three partitions, node 2
		t.Errorf("%d findings: %v", n, f.s.violations)
	}
}
