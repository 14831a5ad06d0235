package group

import (
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMembersOfAConsumerGroupShareItsPartitions(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 4)
	a := w.native("a", "t").join()
	w.expectReads(map[*native]string{a: "t-0 t-1 t-2 t-3"})
	if a.epoch != 2 {
		t.Errorf("epoch %d, want 2", a.epoch)
	}
	w.pass(time.Second)
	b := w.native("b", "t").join()
	w.expectReads(map[*native]string{b: ""}) // a has them yet
	w.settle(a, b)
	w.expectReads(map[*native]string{a: "t-0 t-1", b: "t-2 t-3"})
	w.fails("b leaves", b.leave(leaveEpoch), nil)
	w.settle(a)
	w.expectReads(map[*native]string{a: "t-0 t-1 t-2 t-3"})
	w.expectSameAfterLoading()
	w.fails("a leaves", a.leave(leaveEpoch), nil)
	if name := w.consumer().stateName(); name != "Empty" {
		t.Errorf("the group is %s", name)
	}
	w.expectSameAfterLoading()
}

func TestPartitionIsRevokedBeforeItIsAssigned(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a := w.native("a", "t").join()
	w.pass(time.Second)
	b := w.native("b", "t").join()
	w.fails("a", a.beat(false), nil) // it is told to give t-1 up, and stays in its epoch until it has said that it did
	if got := named(a.told); got != "t-0" || a.epoch != 2 || b.epoch != 3 {
		t.Fatalf("a is to have %q in epoch %d; b is in epoch %d", got, a.epoch, b.epoch)
	}
	for range 3 {
		w.fails("b", b.beat(false), nil)
		w.fails("a has both yet", a.beat(false), nil)
	}
	if len(b.told) > 0 || w.consumer().stateName() != "Reconciling" {
		t.Fatalf("b is to have %s, the group is %s", named(b.told), w.consumer().stateName())
	}
	a.revoke()
	w.fails("a", a.beat(false), nil)
	w.fails("b", b.beat(false), nil)
	if got := named(b.told); got != "t-1" || a.epoch != 3 || w.consumer().stateName() != "Stable" {
		t.Errorf("b is to have %q, a is in epoch %d, the group is %s", got, a.epoch, w.consumer().stateName())
	}
	w.expectSameAfterLoading()
}

func TestAnAssignmentIsNotComputedTooOften(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	w.native("a", "t").join()
	w.pass(900 * time.Millisecond)
	b := w.native("b", "t").join()
	if b.epoch != 2 || w.consumer().stateName() != "Assigning" {
		t.Errorf("b is in epoch %d, the group is %s", b.epoch, w.consumer().stateName())
	}
	w.pass(100 * time.Millisecond)
	w.fails("b", b.beat(false), nil)
	if b.epoch != 3 {
		t.Errorf("b is in epoch %d", b.epoch)
	}
}

func TestMemberThatDoesNotRevokeInTimeIsFenced(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a := w.native("a", "t").join()
	w.pass(time.Second)
	b := w.native("b", "t").join()
	w.fails("a", a.beat(false), nil)
	w.pass(9 * time.Second)
	w.fails("a", a.beat(false), nil)
	w.pass(2 * time.Second)
	w.settle(b)
	w.expectReads(map[*native]string{b: "t-0 t-1"})
	w.fails("a", a.beat(false), kerr.UnknownMemberID)
	a.join()
	w.settle(a, b)
	w.expectReads(map[*native]string{a: "t-1", b: "t-0"})
}

func TestSilentMemberIsFenced(t *testing.T) {
	for name, when := range map[string]func(*world){"as it is": func(*world) {}, "after a fail-over": (*world).failOver} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.setTopic("t", 2)
			a, b := w.native("a", "t").join(), w.native("b", "t").join()
			w.settle(a, b)
			when(w)
			w.pass(30 * time.Second)
			w.fails("b", b.beat(false), nil)
			w.pass(16 * time.Second)
			w.settle(b)
			w.expectReads(map[*native]string{b: "t-0 t-1"})
			w.fails("a", a.beat(false), kerr.UnknownMemberID)
		})
	}
}

func TestFencingIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	w.native("a", "t").join()
	w.refuse = kerr.CoordinatorNotAvailable
	w.pass(50 * time.Second)
	if len(w.consumer().members) != 1 {
		t.Fatal("what was not stored has happened")
	}
	w.refuse = nil
	w.pass(time.Second)
	if len(w.consumer().members) != 0 {
		t.Error("the silent member is there yet")
	}
}

func TestEpochsFence(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a := w.native("a", "t").join()
	w.pass(time.Second)
	w.native("b", "t").join()
	for _, test := range []struct {
		what  string
		epoch int32
		has   string
		want  *kerr.Error
	}{
		{"the one before, having all", 2, "t-0 t-1", nil}, // a is told to revoke t-1 now
		{"another before that", 1, "", kerr.FencedMemberEpoch},
		{"one that was never given", 7, "", kerr.FencedMemberEpoch},
	} {
		req := a.request(false)
		req.MemberEpoch = test.epoch
		w.code(test.what, w.heartbeatOf(req).now().ErrorCode, test.want)
	}
	a.told = partitionSet{topicPartition{topicID("t", 1), 0}: 0}
	a.revoke()
	req := a.request(false)
	for range 2 { // the answer with epoch 3 was lost
		w.code("again", w.heartbeatOf(req).now().ErrorCode, nil)
	}
	req.Topics = nil
	w.code("again, without a word about partitions", w.heartbeatOf(req).now().ErrorCode, kerr.FencedMemberEpoch)
	other := w.native("c")
	other.epoch = 2
	w.fails("nobody", other.beat(false), kerr.UnknownMemberID)
}

func TestHeartbeatsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t)
	for what, test := range map[string]struct {
		change func(*kmsg.ConsumerGroupHeartbeatRequest)
		want   *kerr.Error
	}{
		"no group":             {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = " " }, kerr.InvalidRequest},
		"no member":            {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" }, kerr.InvalidRequest},
		"blank instance":       {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = kmsg.StringPtr("") }, kerr.InvalidRequest},
		"blank rack":           {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = kmsg.StringPtr("") }, kerr.InvalidRequest},
		"epoch -3":             {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 }, kerr.InvalidRequest},
		"epoch -2, not static": {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 }, kerr.InvalidRequest},
		"no rebalance timeout": {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }, kerr.InvalidRequest},
		"no partitions told":   {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil }, kerr.InvalidRequest},
		"partitions": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.Topics = make([]kmsg.ConsumerGroupHeartbeatRequestTopic, 1)
		}, kerr.InvalidRequest},
		"no subscription":    {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames, r.SubscribedTopicRegex = nil, nil }, kerr.InvalidRequest},
		"unknown assignor":   {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = kmsg.StringPtr("x") }, kerr.UnsupportedAssignor},
		"regular expression": {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = kmsg.StringPtr("(") }, kerr.InvalidRegularExpression},
		"a large expression": {func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicRegex = kmsg.StringPtr("(a{1000}b?){30}")
		}, kerr.InvalidRegularExpression},
		"key too long":          {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = strings.Repeat("x", 1<<15) }, kerr.InvalidRequest},
		"nobody's group":        {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 3 }, kerr.GroupIDNotFound},
		"nobody leaves nothing": {func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -1 }, kerr.GroupIDNotFound},
	} {
		req := w.native("a", "t").request(true)
		test.change(req)
		w.code(what, w.heartbeatOf(req).now().ErrorCode, test.want)
	}
	if len(w.log) > 0 || len(w.machine.groups) > 0 {
		t.Error("something has changed")
	}
}

func TestOldClientsAreGivenTheirIDs(t *testing.T) {
	w := newWorld(t)
	a := w.native("", "t")
	a.version = 0
	a.join()
	if len(a.id) != 22 {
		t.Errorf("id %q", a.id)
	}
}

func TestConsumerGroupHasASize(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ConsumerMaxSize = 1 })
	a := w.native("a", "t")
	a.instance = kmsg.StringPtr("i")
	a.join()
	w.fails("b", w.native("b", "t").beat(true), kerr.GroupMaxSizeReached)
	w.fails("a", a.beat(true), nil)
	w.fails("a leaves for a while", a.leave(leaveStaticEpoch), nil)
	a.id = "c"
	a.join()
}

func TestStaticMemberKeepsWhatItHas(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a, b := w.native("a", "t"), w.native("b", "t")
	a.instance, b.instance = kmsg.StringPtr("i"), kmsg.StringPtr("j")
	a.join()
	b.join()
	w.settle(a, b)
	had, epoch := a.reads(), w.consumer().epoch

	again := w.native("c", "t")
	again.instance = a.instance
	w.fails("another while it is there", again.beat(true), kerr.UnreleasedInstanceID)
	w.fails("it leaves for a while", a.leave(leaveStaticEpoch), nil)
	w.settle(b)
	again.join()
	w.settle(again, b)
	if again.reads() != had || w.consumer().epoch != epoch {
		t.Errorf("it reads %q after %q, in the group's epoch %d after %d", again.reads(), had, w.consumer().epoch, epoch)
	}
	checkConsumers(t, w.consumer())
	w.expectSameAfterLoading()

	a.epoch = 3
	w.fails("the one that was there before", a.beat(false), kerr.FencedInstanceID)
	w.fails("it leaves for a while again", again.leave(leaveStaticEpoch), nil)
	w.pass(30 * time.Second)
	w.fails("b", b.beat(false), nil)
	w.pass(16 * time.Second) // too long
	w.settle(b)
	w.expectReads(map[*native]string{b: "t-0 t-1"})
	w.fails("it leaves for good, in vain", again.leave(leaveEpoch), kerr.UnknownMemberID)
}

func TestTopicsThatChangeAreAssignedAnew(t *testing.T) {
	w := newWorld(t)
	a := w.native("a", "t", "u").join()
	w.expectReads(map[*native]string{a: ""})
	for _, step := range []struct {
		what  string
		do    func()
		reads string
	}{
		{"created", func() { w.setTopic("t", 1) }, "t-0"},
		{"grown", func() { w.setTopic("t", 2) }, "t-0 t-1"},
		{"another one that nobody wants", func() { w.setTopic("v", 2) }, "t-0 t-1"},
		{"created anew", func() { w.setTopicOf("t", 2, 1) }, "t#2-0"},
		{"deleted", func() { w.setTopicOf("t", 2, 0) }, ""},
	} {
		epoch := w.consumer().epoch
		step.do()
		w.settle(a)
		if got := a.reads(); got != step.reads {
			t.Errorf("%s: a reads %q, want %q", step.what, got, step.reads)
		}
		if raised := w.consumer().epoch > epoch; raised != (step.what != "another one that nobody wants") {
			t.Errorf("%s: epoch %d after %d", step.what, w.consumer().epoch, epoch)
		}
	}
	w.setTopic("u", 1)
	w.failOver()
	w.settle(a)
	w.expectReads(map[*native]string{a: "u-0"})
}

func TestMembersChooseTheirTopics(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	w.setTopic("u", 2)
	a, b := w.native("a", "t").join(), w.native("b", "u", "t").join()
	w.settle(a, b)
	w.expectReads(map[*native]string{a: "t-0 t-1", b: "u-0 u-1"})
	if w.consumer().isSubscribed("x") || !w.consumer().isSubscribed("u") {
		t.Error("subscriptions")
	}
	a.topics = []string{"u"}
	w.fails("a", a.beat(true), nil)
	if got := named(a.told); got != "" {
		t.Errorf("a is to have %q of what it does not want", got)
	}
	a.take()
	w.settle(a, b)
	w.expectReads(map[*native]string{a: "u-0 u-1", b: "t-0 t-1"})
	checkConsumers(t, w.consumer())
	w.expectSameAfterLoading()
}

func TestMembersChooseTheAssignor(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 3)
	w.setTopic("u", 3)
	a, b := w.native("a", "t", "u"), w.native("b", "t", "u")
	a.assignor, b.assignor = kmsg.StringPtr("range"), kmsg.StringPtr("range")
	a.join()
	b.join()
	w.settle(a, b)
	w.expectReads(map[*native]string{a: "t-0 t-1 u-0 u-1", b: "t-2 u-2"})
	a.assignor, b.assignor = kmsg.StringPtr("uniform"), kmsg.StringPtr("uniform")
	w.fails("a", a.beat(true), nil)
	w.fails("b", b.beat(true), nil)
	w.settle(a, b)
	if len(a.has) != 3 || len(b.has) != 3 {
		t.Errorf("a reads %s, b reads %s", a.reads(), b.reads())
	}
}

func TestRegularExpressionsAreResolved(t *testing.T) {
	w := newWorld(t)
	w.setTopic("a1", 1)
	w.setTopic("xa1", 1)
	a := w.native("a")
	a.regex = "a[0-9]|b1"
	a.join()
	w.expectReads(map[*native]string{a: ""}) // it is being looked up
	w.settle(a)
	w.expectReads(map[*native]string{a: "a1-0"})
	w.setTopic("b1", 1)
	w.settle(a)
	w.expectReads(map[*native]string{a: "a1-0"}) // not as soon as that
	w.pass(10 * time.Second)
	w.settle(a)
	w.expectReads(map[*native]string{a: "a1-0 b1-0"})
	w.expectSameAfterLoading()

	b := w.native("b", "xa1")
	b.regex = a.regex
	b.join()
	w.settle(a, b)
	if len(a.has)+len(b.has) != 3 || !b.has.has(topicPartition{topicID("xa1", 1), 0}) {
		t.Errorf("a reads %s, b reads %s", a.reads(), b.reads())
	}
	a.regex, b.regex = "", ""
	w.fails("a", a.beat(true), nil)
	w.fails("b", b.beat(true), nil)
	a.take()
	b.take()
	w.settle(a, b)
	w.expectReads(map[*native]string{a: "", b: "xa1-0"})
	if len(w.consumer().regexes) > 0 {
		t.Error("nobody wants what a regular expression matches")
	}
	checkConsumers(t, w.consumer())
	w.expectSameAfterLoading()
}

func TestWhatSaysAllIsToldAll(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	a := w.native("a", "t").join()
	if resp := w.heartbeatOf(a.request(false)).now(); resp.Assignment != nil {
		t.Error("what it knows is told again")
	}
	if resp := w.heartbeatOf(a.request(true)).now(); resp.Assignment == nil || len(resp.Assignment.Topics) != 1 {
		t.Errorf("told %+v", resp.Assignment)
	}
}

func TestCommitsNeedTheEpochOfTheAssignment(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a := w.native("a", "t").join()
	w.pass(time.Second)
	b := w.native("b", "t").join()
	w.settle(a, b) // a has t-0 since epoch 2 and is in 3
	commit := func(member string, epoch int32, partition int32, version int16) error {
		req := commitRequest(member, epoch, 5)
		req.Version = version
		req.Topics[0].TopicID, req.Topics[0].Partitions[0].Partition = topicID("t", 1), partition
		return w.commitOffset(req)
	}
	for _, test := range []struct {
		what      string
		member    string
		epoch     int32
		partition int32
		version   int16
		want      *kerr.Error
	}{
		{"its own", "a", 3, 0, 9, nil},
		{"the epoch before, of a partition that it has had since", "a", 2, 0, 9, nil},
		{"an epoch before it had that", "a", 1, 0, 9, kerr.StaleMemberEpoch},
		{"the epoch before, of what it has lost", "a", 2, 1, 9, kerr.StaleMemberEpoch},
		{"an epoch that is not there yet", "a", 4, 0, 9, kerr.StaleMemberEpoch},
		{"one that does not know of epochs", "a", 3, 0, 8, kerr.UnsupportedVersion},
		{"nobody", "x", 3, 0, 9, kerr.UnknownMemberID},
		{"an administrator", "", -1, 0, 9, kerr.UnknownMemberID},
	} {
		w.fails(test.what, commit(test.member, test.epoch, test.partition, test.version), test.want)
	}
	for _, test := range []struct {
		member string
		epoch  int32
		want   *kerr.Error
	}{{"a", 3, nil}, {"a", 2, kerr.StaleMemberEpoch}, {"x", 3, kerr.UnknownMemberID}} {
		w.fails("fetch", w.consumer().checkFetch(&test.member, test.epoch), test.want)
	}
	w.fails("fetch by nobody", w.consumer().checkFetch(nil, -1), nil)

	tx := committer{memberID: "a", generation: 4, transactional: true}
	w.fails("transactional, of a later epoch", w.consumer().checkCommit(tx), kerr.IllegalGeneration)
	tx = committer{generation: -1, transactional: true}
	w.fails("transactional, by nobody", w.consumer().checkCommit(tx), nil)
	w.fails("a leaves", a.leave(leaveEpoch), nil)
	w.fails("b leaves", b.leave(leaveEpoch), nil)
	w.fails("an administrator, when it is empty", commit("", -1, 0, 9), nil)
}

func TestConsumerGroupIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a := w.native("a", "t")
	a.regex = "u.*"
	a.join()
	w.fails("commit", w.commitOffset(commitRequest("a", a.epoch, 5)), nil)
	deleted := &call[error]{w: w, what: "delete"}
	w.machine.deleteGroup("g", deleted.take)
	w.fails("not empty", deleted.now(), kerr.NonEmptyGroup)
	w.fails("a leaves", a.leave(leaveEpoch), nil)
	deleted = &call[error]{w: w, what: "delete"}
	w.machine.deleteGroup("g", deleted.take)
	w.fails("empty", deleted.now(), nil)
	if w.machine.groups["g"] != nil {
		t.Error("it is there yet")
	}
	w.compact(true)
	for _, r := range w.log {
		if r.Value != nil {
			t.Errorf("a record of %d is left", keyKind(r.Key))
		}
	}
	w.reload()
	if len(w.machine.groups) > 0 {
		t.Error("a successor finds it")
	}
}

func TestEmptyConsumerGroupExpiresWithItsOffsets(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	a := w.native("a", "t").join()
	w.fails("commit", w.commitOffset(commitRequest("a", a.epoch, 5)), nil)
	for range 8 * 24 * 60 * 2 {
		w.pass(30 * time.Second)
		if err := a.beat(false); err != nil {
			t.Fatal(err)
		}
	}
	if w.committed(false) != 5 {
		t.Error("an offset that is in use has expired")
	}
	w.fails("a leaves", a.leave(leaveEpoch), nil)
	w.pass(20 * time.Minute)
	if w.machine.groups["g"] != nil {
		t.Error("the group is there yet")
	}
}

func TestOldRecordsOfTopicsAreDeleted(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	a := w.native("a", "t").join()
	w.write(coordinator.Replayed{Record: coordinator.Record{Key: consumerKey(keyPartitionMetadata, "g"), Value: []byte{0, 0, 1, 0}}, ProducerID: -1}, false)
	w.reload()
	if !w.consumer().oldMetadata {
		t.Fatal("the old record is not known")
	}
	w.fails("a", a.beat(false), nil)
	if w.consumer().oldMetadata {
		t.Error("the old record is not deleted")
	}
}

func TestConsumerRecordsSurviveHostileBytes(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 2)
	a := w.native("a", "t")
	a.regex, a.instance = "x.*", kmsg.StringPtr("i")
	a.join()
	w.settle(a)
	for _, r := range w.log {
		for cut := range len(r.Value) {
			short := r
			short.Value = append([]byte{}, r.Value[:cut]...)
			w.machine.Replay(short)
			bent := r
			bent.Value = append([]byte{}, r.Value...)
			bent.Value[cut] ^= 0xff
			w.machine.Replay(bent)
		}
		for cut := range len(r.Key) {
			short := r
			short.Key = append([]byte{}, r.Key[:cut]...)
			w.machine.Replay(short)
		}
	}
}

func TestFailOverLosesWhatWasNotCommitted(t *testing.T) {
	w := newWorld(t)
	w.setTopic("t", 1)
	a := w.native("a", "t").join()
	w.stuck = true
	w.pass(time.Second)
	b := w.native("b", "t")
	lost := w.heartbeatOf(b.request(true))
	w.pass(time.Second)
	if !lost.pending() {
		t.Fatal("an answer tells of what is not committed")
	}
	w.failOver()
	w.stuck = false
	w.code("b", lost.answer.ErrorCode, kerr.NotCoordinator)
	if len(w.consumer().members) != 1 || w.consumer().epoch != a.epoch {
		t.Errorf("%d members, epoch %d", len(w.consumer().members), w.consumer().epoch)
	}
}
