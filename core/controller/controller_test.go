package controller

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

func TestAnEmptyLogIsBootstrapped(t *testing.T) {
	w := newWorld(t, nil)
	if w.committed.Feature(metadata.MetadataVersion) != 30 || w.committed.Feature(FeatureELR) != 1 {
		t.Error("features are not finalized")
	}
	if first, ok := w.last[0].(*metadata.FeatureLevelRecord); !ok || first.Name != metadata.MetadataVersion {
		t.Error("the log does not begin with metadata.version")
	}
	w.failOver(5)
	if w.committed.Offset() != int64(len(DefaultFeatures))+1 {
		t.Error("a log that is not empty was bootstrapped again")
	}
}

// Kafka's controller died inside a metadata transaction, and its data directory is ours now.
func TestAnOpenMetadataTransactionIsAborted(t *testing.T) {
	w := newWorld(t, nil)
	w.OnLeader(self+1, 2, w.committed, true)
	w.OnLeader(self, 3, w.committed, true)
	w.commit()
	if len(w.last) != 1 || w.last[0].Key() != metadata.KeyAbortTransaction {
		t.Errorf("wrote %v", w.last)
	}
}

func TestAResponseWaitsForItsRecords(t *testing.T) {
	w := newWorld(t, nil)
	answered := false
	w.RegisterBroker(registration(1, 0), func(*kmsg.BrokerRegistrationResponse) { answered = true })
	w.OnCommit(w.committed.Offset())
	if answered {
		t.Fatal("answered before the commit")
	}
	w.commit()
	if !answered {
		t.Fatal("not answered after the commit")
	}
}

func TestAReadWaitsForTheWritesItSaw(t *testing.T) {
	w := newWorld(t, nil)
	var order []string
	w.RegisterBroker(registration(1, 0), func(*kmsg.BrokerRegistrationResponse) { order = append(order, "write") })
	w.BrokerHeartbeat(&kmsg.BrokerHeartbeatRequest{BrokerID: 9}, func(r *kmsg.BrokerHeartbeatResponse) { order = append(order, "read") })
	w.commit()
	if !slices.Equal(order, []string{"write", "read"}) {
		t.Errorf("answers came as %v", order)
	}
}

func TestResigningAnswersNotControllerToAllWaiting(t *testing.T) {
	w := newWorld(t, nil)
	var codes []int16
	w.RegisterBroker(registration(1, 0), func(r *kmsg.BrokerRegistrationResponse) { codes = append(codes, r.ErrorCode) })
	w.OnLeader(self+1, 2, w.committed, false)
	w.RegisterBroker(registration(2, 0), func(r *kmsg.BrokerRegistrationResponse) { codes = append(codes, r.ErrorCode) })
	if !slices.Equal(codes, []int16{kerr.NotController.Code, kerr.NotController.Code}) || w.Active() {
		t.Errorf("codes %v", codes)
	}
	w.failOver(4)
	if w.Image().Broker(1) != nil {
		t.Error("a record that never committed is in the next epoch's image")
	}
}

func TestAFailedAppendResigns(t *testing.T) {
	w := newWorld(t, nil)
	w.q.err = errDisk
	resp := got(w, w.RegisterBroker, registration(1, 0))
	if resp.ErrorCode != kerr.NotController.Code || w.Active() || !w.q.resigned {
		t.Errorf("code %d, active %v, resigned %v", resp.ErrorCode, w.Active(), w.q.resigned)
	}
}

func TestABrokersEpochIsTheOffsetOfItsRegistration(t *testing.T) {
	w := newWorld(t, nil)
	before := w.committed.Offset()
	if epoch := w.register(registration(1, 0)); epoch != before {
		t.Errorf("epoch %d at offset %d", epoch, before)
	}
}

func TestABrokerIsUnfencedWhenItHasSeenItsRegistration(t *testing.T) {
	w := newWorld(t, nil)
	epoch := w.register(registration(1, 0))
	behind := w.heartbeat(1, func(r *kmsg.BrokerHeartbeatRequest) { r.CurrentMetadataOffset = epoch - 1 })
	if !behind.IsFenced || behind.IsCaughtUp {
		t.Fatalf("unfenced before it caught up: %+v", behind)
	}
	if resp := w.heartbeat(1); resp.IsFenced || !resp.IsCaughtUp || w.count(event.BrokerUnfenced) != 1 {
		t.Fatalf("not unfenced: %+v", resp)
	}
}

func TestARegistrationIsIdempotentForOneIncarnation(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	epoch := w.epochs[1]
	if again := w.register(registration(1, 0)); again != epoch || w.committed.Broker(1).Fenced {
		t.Errorf("epoch %d then %d, fenced %v", epoch, again, w.committed.Broker(1).Fenced)
	}
}

func TestASecondProcessIsADuplicateWhileTheFirstLives(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	if resp := got(w, w.RegisterBroker, registration(1, 1)); resp.ErrorCode != kerr.DuplicateBrokerRegistration.Code {
		t.Fatalf("code %d", resp.ErrorCode)
	}
	w.expire(1)
	if w.count(event.BrokerFenced) != 1 {
		t.Fatal("not fenced")
	}
	old := w.epochs[1]
	if w.register(registration(1, 1)) <= old {
		t.Error("the epoch did not grow")
	}
}

func TestRequestsOfAnOldIncarnationAreStale(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.topic("a", 1, 2)
	stale := func(code int16) {
		t.Helper()
		if code != kerr.StaleBrokerEpoch.Code {
			t.Errorf("code %d", code)
		}
	}
	stale(w.heartbeat(1, func(r *kmsg.BrokerHeartbeatRequest) { r.BrokerEpoch-- }).ErrorCode)
	stale(w.heartbeat(7).ErrorCode)
	stale(w.alter("a", []int32{1}, func(r *kmsg.AlterPartitionRequest) { r.BrokerEpoch-- }).ErrorCode)
	ids := kmsg.NewPtrAllocateProducerIDsRequest()
	ids.BrokerID, ids.BrokerEpoch = 1, w.epochs[1]-1
	stale(got(w, w.AllocateProducerIds, ids).ErrorCode)
}

func TestARegistrationIsChecked(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ClusterID = "c" })
	ok := registration(1, 0)
	ok.ClusterID = "c"
	w.register(ok)
	for name, tc := range map[string]struct { // order: independent cases
		change func(*kmsg.BrokerRegistrationRequest)
		want   *kerr.Error
	}{
		"another cluster": {func(r *kmsg.BrokerRegistrationRequest) { r.ClusterID = "d" }, kerr.InconsistentClusterID},
		"no directory":    {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = nil }, kerr.InvalidRegistration},
		"reserved directory": {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{metadata.DirLost} },
			kerr.InvalidRegistration},
		"another's directory": {func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{{2, 1}} }, kerr.InvalidRegistration},
		"no metadata.version": {func(r *kmsg.BrokerRegistrationRequest) { r.Features = r.Features[1:] }, kerr.InvalidRegistration},
		"too old":             {func(r *kmsg.BrokerRegistrationRequest) { r.Features[0].MaxSupportedVersion = 29 }, kerr.UnsupportedVersion},
		"unknown feature":     {func(r *kmsg.BrokerRegistrationRequest) { r.Features = r.Features[:1] }, kerr.UnsupportedVersion},
	} {
		req := registration(2, 0)
		req.ClusterID = "c"
		tc.change(req)
		if resp := got(w, w.RegisterBroker, req); resp.ErrorCode != tc.want.Code {
			t.Errorf("%s: code %d, want %d", name, resp.ErrorCode, tc.want.Code)
		}
	}
}

func TestOneBrokerLossIsOneBatch(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	partitions := make([][]int32, 50)
	for n := range partitions {
		partitions[n] = []int32{1, 2, 3}
	}
	w.topicOf("a", partitions...)
	w.loop.advance(5 * time.Second)
	w.heartbeat(2)
	w.heartbeat(3)
	w.loop.advance(5 * time.Second)
	if len(w.q.batches) != 1 || len(w.q.batches[0]) != 51 {
		t.Fatalf("%d batches", len(w.q.batches))
	}
	w.commit()
	for n, p := range w.committed.Topic("a").Partitions {
		if p.Leader != 2 || !slices.Equal(p.ISR, []int32{2, 3}) || p.LeaderEpoch != 1 {
			t.Fatalf("partition %d: %+v", n, p)
		}
	}
}

func TestANewControllerGivesEveryBrokerAFreshSession(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.loop.advance(8 * time.Second)
	w.failOver(3)
	w.loop.advance(8 * time.Second)
	w.commit()
	if w.count(event.BrokerFenced) != 0 {
		t.Error("fenced for what the last controller did not hear")
	}
	w.loop.advance(2 * time.Second)
	w.commit()
	if w.count(event.BrokerFenced) != 2 {
		t.Error("not fenced though silent")
	}
}

func TestAControllerThatStoodStillFencesNobody(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.loop.stall(30 * time.Second)
	w.commit()
	if w.count(event.BrokerFenced) != 0 {
		t.Fatal("fenced brokers for its own pause")
	}
	w.expire(1)
	if w.count(event.BrokerFenced) != 1 || !w.committed.Broker(1).Fenced {
		t.Fatal("the silent broker is not fenced after the pause")
	}
}

// M30: commits take longer than the session timeout; heartbeats that arrive count all the same.
func TestHeartbeatsCountWhenReceivedNotWhenCommitted(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.RegisterBroker(registration(3, 0), func(*kmsg.BrokerRegistrationResponse) {})
	for range 30 {
		w.loop.advance(time.Second)
		for _, id := range []int32{1, 2} {
			w.BrokerHeartbeat(&kmsg.BrokerHeartbeatRequest{BrokerID: id, BrokerEpoch: w.epochs[id], CurrentMetadataOffset: 100}, func(*kmsg.BrokerHeartbeatResponse) {})
		}
	}
	w.commit()
	if w.count(event.BrokerFenced) != 0 {
		t.Error("a slow disk of the controller fenced live brokers")
	}
}

func TestAControlledShutdownMovesLeadersFirst(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	w.heartbeat(2)
	w.heartbeat(3)
	if resp := w.heartbeat(1, wantShutdown); resp.ShouldShutdown || resp.IsFenced {
		t.Fatalf("let go at once: %+v", resp)
	}
	w.expect("a", 2, []int32{2, 3}, nil)
	if resp := w.heartbeat(1, wantShutdown); resp.ShouldShutdown {
		t.Fatal("let go before the others know")
	}
	w.heartbeat(2)
	w.heartbeat(3)
	if resp := w.heartbeat(1, wantShutdown); !resp.ShouldShutdown || !w.committed.Broker(1).Fenced {
		t.Fatalf("not let go: %+v", resp)
	}
}

// M19, KIP-841: a broker in controlled shutdown, or fenced, may not come back into the ISR.
func TestABrokerThatShutsDownMayNotJoinAnISR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	w.topic("b", 2, 1, 3)
	w.heartbeat(2, wantShutdown)
	w.expect("a", 1, []int32{1, 3}, nil)
	if code := w.alter("a", []int32{1, 2, 3}).Topics[0].Partitions[0].ErrorCode; code != kerr.IneligibleReplica.Code {
		t.Fatalf("shutting down: code %d", code)
	}
	w.expire(2)
	if code := w.alter("a", []int32{1, 2, 3}).Topics[0].Partitions[0].ErrorCode; code != kerr.IneligibleReplica.Code {
		t.Fatalf("fenced: code %d", code)
	}
	w.expect("a", 1, []int32{1, 3}, nil)
}

// KIP-903: the leader proposes an incarnation that is gone.
func TestAnOldIncarnationMayNotJoinAnISR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	old := w.epochs[2]
	w.expire(2)
	w.register(registration(2, 1))
	w.heartbeat(2)
	w.expect("a", 1, []int32{1, 3}, nil)
	resp := w.alter("a", []int32{1, 2, 3}, func(r *kmsg.AlterPartitionRequest) { r.Topics[0].Partitions[0].NewEpochISR[1].BrokerEpoch = old })
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != kerr.IneligibleReplica.Code {
		t.Fatalf("code %d", code)
	}
	if code := w.alter("a", []int32{1, 2, 3}).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("the living incarnation: code %d", code)
	}
	w.expect("a", 1, []int32{1, 2, 3}, nil)
}

// M21: the answer to a successful AlterPartition is lost and the leader asks again.
func TestARetriedAlterPartitionSucceeds(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	first := w.alter("a", []int32{1, 2}).Topics[0].Partitions[0]
	again := w.alter("a", []int32{1, 2}, func(r *kmsg.AlterPartitionRequest) { r.Topics[0].Partitions[0].PartitionEpoch-- }).Topics[0].Partitions[0]
	if again.ErrorCode != 0 || again.PartitionEpoch != first.PartitionEpoch || first.PartitionEpoch != 1 {
		t.Errorf("first %+v, again %+v", first, again)
	}
	other := w.alter("a", []int32{1}, func(r *kmsg.AlterPartitionRequest) { r.Topics[0].Partitions[0].PartitionEpoch-- }).Topics[0].Partitions[0]
	if other.ErrorCode != kerr.InvalidUpdateVersion.Code {
		t.Errorf("another ISR with an old epoch: code %d", other.ErrorCode)
	}
}

func TestAnAlterPartitionIsChecked(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3, 4)
	w.topic("a", 1, 2, 3)
	type request = kmsg.AlterPartitionRequest
	part := func(r *request) *kmsg.AlterPartitionRequestTopicPartition { return &r.Topics[0].Partitions[0] }
	for _, tc := range []struct {
		name   string
		isr    []int32
		change func(*request)
		want   *kerr.Error
	}{
		{"newer leader epoch", []int32{1}, func(r *request) { part(r).LeaderEpoch++ }, kerr.NotController},
		{"newer partition epoch", []int32{1}, func(r *request) { part(r).PartitionEpoch++ }, kerr.NotController},
		{"older leader epoch", []int32{1}, func(r *request) { part(r).LeaderEpoch-- }, kerr.FencedLeaderEpoch},
		{"not the leader", []int32{1}, func(r *request) { r.BrokerID, r.BrokerEpoch = 2, w.epochs[2] }, kerr.InvalidRequest},
		{"without the leader", []int32{2}, func(*request) {}, kerr.InvalidRequest},
		{"not a replica", []int32{1, 4}, func(*request) {}, kerr.InvalidRequest},
		{"twice", []int32{1, 1}, func(*request) {}, kerr.InvalidRequest},
		{"recovering", []int32{1}, func(r *request) { part(r).LeaderRecoveryState = 1 }, kerr.InvalidRequest},
		{"unknown topic", []int32{1}, func(r *request) { r.Topics[0].TopicID[0]++ }, kerr.UnknownTopicID},
		{"unknown partition", []int32{1}, func(r *request) { part(r).Partition = 9 }, kerr.UnknownTopicOrPartition},
	} {
		if code := w.alter("a", tc.isr, tc.change).Topics[0].Partitions[0].ErrorCode; code != tc.want.Code {
			t.Errorf("%s: code %d, want %v", tc.name, code, tc.want)
		}
	}
	if p := w.partition("a"); p.PartitionEpoch != 0 {
		t.Error("a refused request changed the partition")
	}
}

func TestAnISRShrinkDoesNotBumpTheLeaderEpoch(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	w.alter("a", []int32{1, 2})
	if p := w.partition("a"); p.LeaderEpoch != 0 || p.PartitionEpoch != 1 {
		t.Errorf("leader epoch %d, partition epoch %d", p.LeaderEpoch, p.PartitionEpoch)
	}
}

// M24: the only member of the ISR dies; one that is alive but behind must not lead.
func TestWithoutUncleanElectionThePartitionWaitsForItsISR(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MinInsyncReplicas = 1 })
	w.up(1, 2)
	w.topic("a", 1, 2)
	w.alter("a", []int32{1})
	w.expire(1)
	p := w.expect("a", metadata.NoLeader, nil, []int32{1})
	if !slices.Equal(p.LastKnownELR, []int32{1}) || w.count(event.UncleanElection) != 0 {
		t.Fatalf("%+v", p)
	}
	clean := registration(1, 1)
	clean.PreviousBrokerEpoch = w.epochs[1]
	w.register(clean)
	w.heartbeat(1)
	if p := w.expect("a", 1, []int32{1}, nil); p.Recovering || len(p.LastKnownELR) != 0 || w.count(event.UncleanElection) != 0 {
		t.Fatalf("%+v", p)
	}
}

func TestUncleanElectionTakesWhoIsAliveWhenConfigured(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MinInsyncReplicas = 1 })
	w.up(1, 2)
	w.topic("a", 1, 2)
	if code := w.setConfig(kmsg.ConfigResourceTypeTopic, "a", keyUncleanElection, kmsg.IncrementalAlterConfigOpSet, "true"); code != 0 {
		t.Fatal(code)
	}
	w.alter("a", []int32{1})
	w.expire(1)
	if p := w.expect("a", 2, []int32{2}, nil); !p.Recovering || w.count(event.UncleanElection) != 1 {
		t.Fatalf("%+v", p)
	}
	recovered := w.alter("a", []int32{2}).Topics[0].Partitions[0]
	if recovered.ErrorCode != 0 || recovered.LeaderRecoveryState != 0 || w.partition("a").Recovering {
		t.Fatalf("%+v", recovered)
	}
}

func TestAllowingUncleanElectionElectsAtOnce(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MinInsyncReplicas = 1 })
	w.up(1, 2)
	w.topic("a", 1, 2)
	w.alter("a", []int32{1})
	w.expire(1)
	w.expect("a", metadata.NoLeader, nil, []int32{1})
	w.setConfig(kmsg.ConfigResourceTypeBroker, "", keyUncleanElection, kmsg.IncrementalAlterConfigOpSet, "true")
	if p := w.expect("a", 2, []int32{2}, nil); !p.Recovering {
		t.Error("not recovering")
	}
}

// A topic's own false over the cluster's true is deleted, in a cluster of many partitions without a leader.
func TestDeletingWhatForbidsUncleanElectionElectsEverywhere(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MinInsyncReplicas = 1 })
	w.up(1, 2)
	assignment := slices.Repeat([][]int32{{1, 2}}, maxElectionsPerRebalance+1)
	w.topicOf("a", assignment...)
	w.setConfig(kmsg.ConfigResourceTypeTopic, "a", keyUncleanElection, kmsg.IncrementalAlterConfigOpSet, "false")
	w.setConfig(kmsg.ConfigResourceTypeBroker, "", keyUncleanElection, kmsg.IncrementalAlterConfigOpSet, "true")
	w.expire(2)
	w.expire(1, 2)
	w.heartbeat(2)
	w.setConfig(kmsg.ConfigResourceTypeTopic, "a", keyUncleanElection, kmsg.IncrementalAlterConfigOpDelete, "")
	w.committed.Partitions(func(p *metadata.Partition) bool {
		if p.Leader != 2 {
			t.Errorf("partition %d has leader %d", p.Index, p.Leader)
		}
		return !t.Failed()
	})
}

// M17, KIP-966's last replica standing: B is the last of the ISR and restarts uncleanly with a lost
// suffix; whoever left the ISR last is elected instead.
func TestAnUncleanShutdownLeavesISRAndELR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	w.expire(3)
	w.expire(1, 3)
	w.expect("a", 2, []int32{2}, []int32{1})
	w.expire(1, 2, 3)
	w.expect("a", metadata.NoLeader, nil, []int32{1, 2})
	w.register(registration(2, 1)) // does not know its old epoch: unclean
	w.heartbeat(2)
	w.expect("a", metadata.NoLeader, nil, []int32{1})
	clean := registration(1, 1)
	clean.PreviousBrokerEpoch = w.epochs[1]
	w.register(clean)
	w.heartbeat(1)
	w.expect("a", 1, []int32{1}, nil)
	if w.count(event.UncleanElection) != 0 {
		t.Error("an unclean election")
	}
}

func TestAnUncleanRestartIsOneBatch(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.topicOf("a", []int32{1, 2}, []int32{1, 2})
	w.expire(2)
	w.expire(1, 2)
	w.RegisterBroker(registration(1, 1), func(r *kmsg.BrokerRegistrationResponse) { w.epochs[1] = r.BrokerEpoch })
	if len(w.q.batches) != 1 || len(w.q.batches[0]) != 3 {
		t.Fatalf("%d batches", len(w.q.batches))
	}
	at := w.committed.Offset()
	w.commit()
	if w.epochs[1] != at+2 {
		t.Errorf("epoch %d, the registration is at %d", w.epochs[1], at+2)
	}
}

func TestWhenAllWereUncleanTheLastKnownLeaderLeads(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.topic("a", 1, 2)
	w.expire(1, 2)
	leader := w.partition("a").LastKnownELR[0]
	for _, id := range []int32{1, 2} {
		w.register(registration(id, 1))
		w.heartbeat(id)
	}
	if p := w.expect("a", leader, []int32{leader}, nil); !p.Recovering || w.count(event.UncleanElection) != 1 {
		t.Fatalf("%+v", p)
	}
}

func TestAChangeOfMinISREmptiesTheELR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2)
	w.topic("a", 1, 2)
	w.expire(2)
	w.expect("a", 1, []int32{1}, []int32{2})
	w.setConfig(kmsg.ConfigResourceTypeTopic, "a", keyMinInsyncReplicas, kmsg.IncrementalAlterConfigOpSet, "1")
	w.expect("a", 1, []int32{1}, nil)
	if e := w.events[len(w.events)-1]; e.Kind != event.PartitionChanged || e.Note != "isr=1 elr=" || e.Offset != int64(w.partition("a").PartitionEpoch) {
		t.Errorf("the last event is %v", e)
	}
}

// Nothing can have been committed while there was no ISR: who was eligible still is.
func TestAChangeOfMinISRLeavesTheELRThatIsAllThereIs(t *testing.T) {
	for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker} {
		w := newWorld(t, nil)
		w.up(1, 2, 3)
		w.topic("a", 1, 2)
		w.expire(1)
		w.expire(2)
		w.expect("a", metadata.NoLeader, nil, []int32{1, 2})
		name := "a"
		if kind == kmsg.ConfigResourceTypeBroker {
			name = ""
		}
		w.setConfig(kind, name, keyMinInsyncReplicas, kmsg.IncrementalAlterConfigOpSet, "1")
		w.expect("a", metadata.NoLeader, nil, []int32{1, 2})
		w.heartbeat(2)
		if p := w.partition("a"); p.Leader != 2 || p.Recovering {
			t.Errorf("%+v", p)
		}
	}
}

func TestALeaderReturnsOnRebalance(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.LeaderRebalanceInterval = 20 * time.Second })
	w.up(1, 2)
	w.topic("a", 1, 2)
	w.expire(1)
	w.register(registration(1, 1))
	w.heartbeat(1)
	w.alter("a", []int32{2, 1})
	w.expect("a", 2, []int32{2, 1}, nil)
	for range 3 {
		w.expire()
	}
	w.expect("a", 1, []int32{2, 1}, nil)
}

func TestProducerIDsComeInBlocksOfAThousand(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1)
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID, req.BrokerEpoch = 1, w.epochs[1]
	a, b := got(w, w.AllocateProducerIds, req), got(w, w.AllocateProducerIds, req)
	if a.ProducerIDStart != 0 || a.ProducerIDLen != 1000 || b.ProducerIDStart != 1000 {
		t.Errorf("%+v %+v", a, b)
	}
}

func TestAnUnregisteredBrokerLeavesEverything(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 1, 2, 3)
	resp := got(w, w.UnregisterBroker, &kmsg.UnregisterBrokerRequest{BrokerID: 1})
	if resp.ErrorCode != 0 || w.committed.Broker(1) != nil {
		t.Fatalf("%+v", resp)
	}
	w.expect("a", 2, []int32{2, 3}, nil)
	if resp := got(w, w.UnregisterBroker, &kmsg.UnregisterBrokerRequest{BrokerID: 1}); resp.ErrorCode != kerr.BrokerIDNotRegistered.Code {
		t.Errorf("code %d", resp.ErrorCode)
	}
}

func TestAnOfflineDirectoryIsABrokerLossForItsPartitions(t *testing.T) {
	w := newWorld(t, nil)
	req := registration(1, 0)
	w.register(req)
	w.heartbeat(1)
	w.up(2)
	w.topic("a", 1, 2)
	w.heartbeat(1, func(r *kmsg.BrokerHeartbeatRequest) { r.OfflineLogDirs = req.LogDirs })
	w.expect("a", 2, []int32{2}, []int32{1})
}

// A broker that was stopped cleanly, and whose disk was replaced then: it may neither be in the ISR nor eligible for what it
// had, but it may lead again once it has caught up, from its new directory.
func TestABrokerWithANewDiskIsInNoISRAndNoELR(t *testing.T) {
	w := newWorld(t, nil)
	w.up(1, 2, 3)
	w.topic("a", 2, 1)
	w.topic("b", 2, 3)
	for range 2 {
		w.heartbeat(1)
		w.heartbeat(3)
		w.heartbeat(2, wantShutdown)
	}
	w.expect("a", 1, []int32{1}, []int32{2})
	wiped := registration(2, 1)
	wiped.LogDirs = [][16]byte{{2, 22}}
	w.register(wiped)
	w.heartbeat(2)
	if p := w.expect("a", 1, []int32{1}, nil); p.Dir(2) != [16]byte{2, 22} || p.Dir(1) != [16]byte{2, 1} {
		t.Errorf("directories %v", p.Dirs)
	}
	w.mustAlter("a", 1, 2)
	w.expire(1)
	w.expect("a", 2, []int32{2}, []int32{1})
}

// The mark of a clean shutdown is in the directories that are there: what was in one that failed, or that the broker has said is lost, is gone.
func TestACleanShutdownSaysNothingOfALostDirectory(t *testing.T) {
	for _, told := range []bool{false, true} {
		w := newWorld(t, nil)
		req := registration(2, 0)
		req.LogDirs = [][16]byte{{2, 21}, {2, 22}}
		w.up(1)
		w.register(req)
		w.heartbeat(2)
		w.topic("a", 1, 2)
		w.topic("b", 1, 2)
		w.assignDir(2, "a", req.LogDirs[0])
		w.assignDir(2, "b", req.LogDirs[1])
		w.expire(1)
		w.heartbeat(2, func(r *kmsg.BrokerHeartbeatRequest) { r.OfflineLogDirs = req.LogDirs[:1] })
		if told {
			w.assignDir(2, "a", metadata.DirLost)
		}
		w.expect("a", metadata.NoLeader, nil, []int32{1, 2})
		w.heartbeat(2, wantShutdown)
		w.heartbeat(2, wantShutdown)
		back := registration(2, 1)
		back.LogDirs, back.PreviousBrokerEpoch = req.LogDirs[1:], w.epochs[2]
		w.register(back)
		w.heartbeat(2)
		w.expect("a", metadata.NoLeader, nil, []int32{1})
		w.expect("b", 2, []int32{2}, []int32{1})
	}
}

func TestAReplacedDiskAndAReassignmentAreOneChange(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Features = DefaultFeatures[:1] })
	w.up(1, 2, 3)
	w.topic("a", 1, 2)
	w.mustReassign("a", 3, 2)
	w.expire(2)
	wiped := registration(2, 1)
	wiped.LogDirs = [][16]byte{{2, 22}}
	wiped.Features = wiped.Features[:1]
	w.register(wiped)
	p := w.expectReplicas("a", []int32{3, 2, 1}, []int32{3}, []int32{1})
	if p.Dir(2) != [16]byte{2, 22} || p.Dir(1) != [16]byte{2, 1} || p.Dir(3) != [16]byte{2, 3} {
		t.Errorf("directories %v", p.Dirs)
	}
}
