package group

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFirstGenerationWaitsForAllWhoComeInTheInitialDelay(t *testing.T) {
	w := newWorld(t)
	a := w.join(w.newMember())
	w.pass(2 * time.Second)
	b := w.join(w.newMember())
	w.pass(1999 * time.Millisecond)
	if !a.pending() || !b.pending() {
		t.Fatal("answered within the delay that b began anew")
	}
	w.pass(5 * time.Second)
	leader, follower := a.now(), b.now()
	if leader.Generation != 1 || len(leader.Members) != 2 || len(follower.Members) != 0 || follower.LeaderID != leader.MemberID || *follower.Protocol != "range" {
		t.Errorf("leader %+v, follower %+v", leader, follower)
	}
	for _, m := range leader.Members {
		if !bytes.Equal(m.ProtocolMetadata, subscription("t")) {
			t.Errorf("the leader is told %q of %s", m.ProtocolMetadata, m.MemberID)
		}
	}
	w.state(completingRebalance)
}

func TestFollowersGetWhatTheLeaderAssigns(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(3)
	for _, id := range ids {
		if got := w.sync(id, generation).now(); string(got.MemberAssignment) != id || *got.ProtocolType != "consumer" {
			t.Errorf("%s got %+v", id, got)
		}
		w.fails("heartbeat", w.heartbeat(id, generation), nil)
	}
}

func TestMemberWithoutAnIdMustAskForOne(t *testing.T) {
	for version := int16(0); version <= 9; version++ {
		w := newWorld(t)
		req := joinRequest("g", "", "range")
		req.Version = version
		join := w.send(req)
		if version >= 4 {
			w.code(fmt.Sprint("v", version), join.now().ErrorCode, kerr.MemberIDRequired)
			continue
		}
		w.pass(time.Minute)
		w.code(fmt.Sprint("v", version), join.now().ErrorCode, nil)
	}
}

// TestMemberIdFitsItsRecord, which cannot be read if a string is longer than an int16 tells.
func TestMemberIdFitsItsRecord(t *testing.T) {
	long := "x" + strings.Repeat("é", math.MaxInt16/2)
	for _, instance := range []*string{nil, &long} {
		w := newWorld(t)
		req := joinRequest("g", "", "range")
		req.Version, req.InstanceID = 3, instance
		join := &call[*kmsg.JoinGroupResponse]{w: w, what: "join"}
		w.machine.joinGroup(req, Client{ID: long, Host: "/host"}, join.take)
		w.begin()
		id := join.now().MemberID
		if len(id) > math.MaxInt16 || !utf8.ValidString(id) {
			t.Errorf("an id of %d bytes, ending in %q", len(id), id[len(id)-40:])
		}
	}
}

func TestIdThatIsNotUsedHoldsUpARebalanceForItsSessionOnly(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(1)
	w.newMember() // and never joins
	rejoin := w.join(ids[0])
	w.pass(9 * time.Second)
	w.state(preparingRebalance)
	if !rejoin.pending() {
		t.Fatal("the rebalance did not wait for the id that was given out")
	}
	w.pass(2 * time.Second)
	if got := rejoin.now(); got.Generation != generation+1 || len(got.Members) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestRebalanceTakesInANewMemberAndLosesNobody(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	newcomer := w.join(w.newMember())
	w.state(preparingRebalance)
	w.fails("heartbeat", w.heartbeat(ids[0], generation), kerr.RebalanceInProgress)
	w.fails("commit while joining", w.commitOffset(commitRequest(ids[0], generation, 5)), nil)
	w.code("sync", w.sync(ids[0], generation).now().ErrorCode, kerr.RebalanceInProgress)
	a := w.join(ids[0])
	if !newcomer.pending() || !a.pending() {
		t.Fatal("the rebalance did not wait for the second member")
	}
	b := w.join(ids[1])
	for _, j := range []*call[*kmsg.JoinGroupResponse]{a, b, newcomer} {
		if got := j.now(); got.Generation != generation+1 || got.LeaderID != ids[0] {
			t.Errorf("%+v", got)
		}
	}
	w.fails("commit before the leader has assigned", w.commitOffset(commitRequest(ids[0], generation+1, 6)), kerr.RebalanceInProgress)
	w.fails("commit of the generation before", w.commitOffset(commitRequest(ids[0], generation, 6)), kerr.IllegalGeneration)
	w.fails("heartbeat in the new generation", w.heartbeat(ids[0], generation+1), nil)
}

func TestRebalanceDropsDynamicMembersThatDoNotComeBackInTime(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	for range 5 { // the second goes on with heartbeats, but does not join
		w.fails("heartbeat", w.heartbeat(ids[1], generation), nil)
		w.pass(time.Second)
	}
	a := w.join(ids[0])
	for range 61 {
		if g := w.machine.classic("g"); g.state == preparingRebalance {
			w.fails("heartbeat", w.heartbeat(ids[1], generation), kerr.RebalanceInProgress)
		}
		w.pass(time.Second)
	}
	if got := a.now(); len(got.Members) != 1 {
		t.Errorf("%d members", len(got.Members))
	}
	w.fails("heartbeat of who was dropped", w.heartbeat(ids[1], generation), kerr.UnknownMemberID)
}

func TestAnotherLeadsIfTheLeaderDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.stableGroup(2)
	w.join(w.newMember())
	b := w.join(ids[1])
	w.pass(2 * time.Minute)
	if got := b.now(); got.LeaderID != ids[1] {
		t.Errorf("%s leads", got.LeaderID)
	}
}

func TestSilentMemberIsTakenForDeadAfterItsSession(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	for range 3 {
		w.pass(9 * time.Second)
		w.fails("heartbeat", w.heartbeat(ids[0], generation), map[bool]*kerr.Error{true: kerr.RebalanceInProgress}[w.machine.classic("g").state == preparingRebalance])
	}
	if got := w.join(ids[0]).now(); got.Generation != generation+1 || len(got.Members) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestMemberThatWaitsForTheOthersIsNotTakenForDead(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	a := w.join(ids[0])
	for range 10 {
		w.pass(5 * time.Second)
		w.heartbeat(ids[1], generation)
	}
	b := w.join(ids[1])
	w.code("the one that waited", a.now().ErrorCode, nil)
	w.code("the other", b.now().ErrorCode, nil)
	if n := len(w.machine.classic("g").members); n != 2 {
		t.Errorf("%d members", n)
	}
}

func TestNewMemberWhoseClientIsGoneIsDroppedAfterFiveMinutes(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(1)
	w.machine.classic("g").byID[ids[0]].rebalanceTimeout = time.Hour
	gone := w.join(w.newMember())
	for range 40 {
		w.heartbeat(ids[0], generation) // it never joins again
		w.pass(8 * time.Second)
	}
	w.code("the newcomer", gone.now().ErrorCode, kerr.UnknownMemberID)
}

func TestMembersThatDoNotAskForTheirAssignmentAreDropped(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	a, b := w.join(ids[0]), w.join(ids[1])
	a.now()
	b.now()
	w.sync(ids[0], generation+1, ids[0], "all")
	for range 62 {
		w.heartbeat(ids[0], generation+1)
		w.heartbeat(ids[1], generation+1)
		w.pass(time.Second)
	}
	w.fails("heartbeat of who never synced", w.heartbeat(ids[1], generation+1), kerr.UnknownMemberID)
	w.fails("heartbeat of who did", w.heartbeat(ids[0], generation+1), kerr.RebalanceInProgress)
}

func TestFollowerThatJoinsAgainWithNothingNewCausesNoRebalance(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	if got := w.join(ids[1]).now(); got.ErrorCode != 0 || got.Generation != generation {
		t.Errorf("%+v", got)
	}
	w.state(stable)
	w.join(ids[1], "range", "roundrobin")
	w.state(preparingRebalance)
}

func TestJoinThatIsSentAgainIsAnsweredOnceEach(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.stableGroup(2)
	lost := w.join(ids[0])
	again := w.join(ids[0])
	w.code("the one before", lost.now().ErrorCode, kerr.RebalanceInProgress)
	w.join(ids[1])
	w.code("the one after", again.now().ErrorCode, nil)
	same := w.join(ids[0]) // its answer was lost too
	if got := same.now(); got.Generation != again.answer.Generation || len(got.Members) != 2 {
		t.Errorf("%+v", got)
	}
}

func TestProtocolIsTheOneThatMostLikeOfThoseThatAllKnow(t *testing.T) {
	for _, c := range []struct {
		members [][]string
		want    string
	}{
		{[][]string{{"a"}}, "a"},
		{[][]string{{"a", "b"}, {"b", "a"}, {"b", "a"}}, "b"},
		{[][]string{{"a", "b"}, {"b", "a"}}, "a"},
		{[][]string{{"x", "b"}, {"y", "b"}}, "b"},
		{[][]string{{"a", "b", "c"}, {"c", "b"}, {"c", "b", "a"}}, "c"},
	} {
		w := newWorld(t)
		var joins []*call[*kmsg.JoinGroupResponse]
		for _, protocols := range c.members {
			joins = append(joins, w.join(w.join("", protocols...).now().MemberID, protocols...))
		}
		w.begin()
		for _, j := range joins {
			if got := *j.now().Protocol; got != c.want {
				t.Errorf("%v: %s, want %s", c.members, got, c.want)
			}
		}
	}
}

func TestMemberThatHasNoProtocolInCommonIsRefused(t *testing.T) {
	w := newWorld(t)
	w.stableGroup(2)
	w.code("other protocol", w.join("", "other").now().ErrorCode, kerr.InconsistentGroupProtocol)
	req := joinRequest("g", "", "range")
	req.ProtocolType = "connect"
	w.code("other type", w.send(req).now().ErrorCode, kerr.InconsistentGroupProtocol)
	w.code("no protocol, empty group", w.send(joinRequest("h", "")).now().ErrorCode, kerr.InconsistentGroupProtocol)
	req = joinRequest("h", "", "range")
	req.ProtocolType = ""
	w.code("no type, empty group", w.send(req).now().ErrorCode, kerr.InconsistentGroupProtocol)
	w.state(stable)
}

func TestOpaqueProtocolsOfConnectPassUnread(t *testing.T) {
	w := newWorld(t)
	join := func(member string) *call[*kmsg.JoinGroupResponse] {
		req := joinRequest("g", member)
		req.ProtocolType = "connect"
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "sessioned", Metadata: []byte{0, 255, 3}}}
		return w.send(req)
	}
	id := join("").now().MemberID
	joined := join(id)
	w.pass(time.Minute)
	if got := joined.now(); *got.ProtocolType != "connect" || !bytes.Equal(got.Members[0].ProtocolMetadata, []byte{0, 255, 3}) {
		t.Errorf("%+v", got)
	}
}

func TestGroupTakesNoMoreMembersThanItsLimit(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxSize = 2 })
	ids, generation := w.stableGroup(2)
	w.code("third", w.join("").now().ErrorCode, kerr.GroupMaxSizeReached)
	w.fails("heartbeat", w.heartbeat(ids[0], generation), nil)
	w.cfg.MaxSize = 1
	w.reload()
	w.state(preparingRebalance)
	a := w.join(ids[0])
	w.code("one too many", w.join(ids[1]).now().ErrorCode, kerr.GroupMaxSizeReached)
	w.pass(time.Minute)
	if got := a.now(); len(got.Members) != 1 {
		t.Errorf("%d members", len(got.Members))
	}
}

func TestLeaving(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(3)
	for version := int16(0); version <= 2; version++ {
		resp := w.leave(version, kmsg.LeaveGroupRequestMember{MemberID: "unknown"})
		w.code("unknown", resp.ErrorCode, kerr.UnknownMemberID)
	}
	pending := w.newMember()
	resp := w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: ids[0]}, kmsg.LeaveGroupRequestMember{MemberID: "unknown"}, kmsg.LeaveGroupRequestMember{MemberID: pending})
	w.code("request", resp.ErrorCode, nil)
	for i, want := range []*kerr.Error{nil, kerr.UnknownMemberID, nil} {
		w.code(resp.Members[i].MemberID, resp.Members[i].ErrorCode, want)
	}
	w.fails("heartbeat", w.heartbeat(ids[1], generation), kerr.RebalanceInProgress)
	b, c := w.join(ids[1]), w.join(ids[2])
	if got := b.now(); got.LeaderID != ids[1] || len(got.Members) != 2 {
		t.Errorf("%+v", got)
	}
	c.now()
	w.code("v2", w.leave(2, kmsg.LeaveGroupRequestMember{MemberID: ids[1]}).ErrorCode, nil)
	w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: ids[2]})
	w.state(empty)
	if g := w.machine.classic("g"); g.generation != generation+2 || g.protocol != nil || g.leader != "" {
		t.Errorf("%+v", g)
	}
	w.reload()
	if g := w.machine.classic("g"); g.generation != generation+2 || g.typ != "consumer" || g.state != empty {
		t.Errorf("a successor finds %+v", g)
	}
}

func TestWhoLeavesWhileItWaitsIsTold(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.stableGroup(2)
	a := w.join(ids[0])
	w.leave(5, kmsg.LeaveGroupRequestMember{MemberID: ids[0]})
	w.code("join", a.now().ErrorCode, kerr.UnknownMemberID)
	b := w.join(ids[1]).now()
	late := w.join(w.newMember())
	if b.Generation == 0 || !late.pending() {
		t.Fatal("the group did not go on")
	}
}

func TestRequestsOfOthersAreRefused(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	w.code("join as unknown", w.join("unknown").now().ErrorCode, kerr.UnknownMemberID)
	w.code("join a group that is not there", w.send(joinRequest("none", "x", "range")).now().ErrorCode, kerr.UnknownMemberID)
	w.fails("heartbeat of the past", w.heartbeat(ids[0], generation-1), kerr.IllegalGeneration)
	w.fails("heartbeat of the future", w.heartbeat(ids[0], generation+1), kerr.IllegalGeneration)
	w.fails("heartbeat of nobody", w.heartbeat("unknown", generation), kerr.UnknownMemberID)
	w.code("sync of the past", w.sync(ids[0], generation-1).now().ErrorCode, kerr.IllegalGeneration)
	w.code("sync of nobody", w.sync("unknown", generation).now().ErrorCode, kerr.UnknownMemberID)
	w.fails("commit of the past", w.commitOffset(commitRequest(ids[0], generation-1, 1)), kerr.IllegalGeneration)
	w.fails("commit of nobody", w.commitOffset(commitRequest("unknown", generation, 1)), kerr.UnknownMemberID)
	w.fails("commit without a group's word", w.commitOffset(commitRequest("", -1, 1)), kerr.UnknownMemberID)
	if got := w.committed(false); got != -1 {
		t.Errorf("committed %d", got)
	}
}

func TestAssignmentThatCannotBeStoredHasAllJoinAgain(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	a, b := w.join(ids[0]), w.join(ids[1])
	a.now()
	b.now()
	w.refuse = kerr.CoordinatorNotAvailable
	follower, leader := w.sync(ids[1], generation+1), w.sync(ids[0], generation+1, ids[0], "x")
	w.code("leader", leader.now().ErrorCode, kerr.CoordinatorNotAvailable)
	w.code("follower", follower.now().ErrorCode, kerr.CoordinatorNotAvailable)
	w.state(preparingRebalance)
	w.refuse = nil
	a, b = w.join(ids[0]), w.join(ids[1])
	if got := a.now(); got.Generation != generation+2 {
		t.Errorf("%+v", got)
	}
	w.syncAll(ids, generation+2, []string{ids[0], "x"})
}

func TestAssignmentIsToldWhenItIsCommitted(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	a, b := w.join(ids[0]), w.join(ids[1])
	a.now()
	b.now()
	w.stuck = true
	leader := w.sync(ids[0], generation+1, ids[1], "x")
	follower := w.sync(ids[1], generation+1)
	w.pass(time.Second)
	if !leader.pending() || !follower.pending() {
		t.Fatal("told before it was committed")
	}
	w.stuck = false
	w.answer(nil)
	if got := follower.now(); string(got.MemberAssignment) != "x" {
		t.Errorf("%+v", got)
	}
	leader.now()
}

func TestSuccessorKnowsTheMembersAndGivesThemASession(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(2)
	w.reload()
	w.state(stable)
	for _, id := range ids {
		w.fails("heartbeat", w.heartbeat(id, generation), nil)
		if got := w.sync(id, generation).now(); string(got.MemberAssignment) != id {
			t.Errorf("%s has %q", id, got.MemberAssignment)
		}
	}
	w.fails("commit", w.commitOffset(commitRequest(ids[0], generation, 4)), nil)
	w.reload()
	w.pass(9 * time.Second)
	w.fails("heartbeat", w.heartbeat(ids[0], generation), nil)
	w.pass(2 * time.Second)
	w.fails("heartbeat after the other's session", w.heartbeat(ids[0], generation), kerr.RebalanceInProgress)
}

func TestWhoeverWaitsIsSentElsewhereWhenTheShardGoes(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.stableGroup(2)
	join := w.join(ids[0])
	w.machine.Unloaded()
	w.code("join", join.now().ErrorCode, kerr.NotCoordinator)
	w.pass(time.Hour) // no timer is left that would do something
	if n := len(w.log); n != 2 {
		t.Errorf("%d records were written, of which 2 are the new group's and the assignment", n)
	}
}

func TestGroupRecordIsKafkas(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.stableGroup(1)
	last := w.log[len(w.log)-1]
	if want := []byte("\x00\x02\x00\x01g"); !bytes.Equal(last.Key, want) {
		t.Errorf("key %q, want %q", last.Key, want)
	}
	v := kmsg.NewGroupMetadataValue()
	if err := v.ReadFrom(last.Value); err != nil {
		t.Fatal(err)
	}
	m := v.Members[0]
	if v.Version != 3 || v.Generation != generation || v.ProtocolType != "consumer" || *v.Protocol != "range" || *v.Leader != ids[0] || v.CurrentStateTimestamp <= 0 ||
		m.MemberID != ids[0] || m.ClientID != "client" || m.ClientHost != "/host" || m.SessionTimeoutMillis != 10_000 || m.RebalanceTimeoutMillis != 60_000 ||
		!bytes.Equal(m.Subscription, subscription("t")) || string(m.Assignment) != ids[0] || m.InstanceID != nil {
		t.Errorf("%+v", v)
	}
	want := []byte("\x00\x03\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff")
	if first := w.log[0].Value; !bytes.HasPrefix(first, want) || len(first) != len(want)+8+4 {
		t.Errorf("a new group is %q", first)
	}
}

func TestGroupThatCannotBeStoredIsNotMade(t *testing.T) {
	w := newWorld(t)
	w.refuse = kerr.CoordinatorNotAvailable
	w.code("join", w.join("").now().ErrorCode, kerr.CoordinatorNotAvailable)
	if len(w.machine.groups) != 0 {
		t.Error("there is a group")
	}
}

// KAFKA-17306: a log that holds only the tombstones of what was deleted, or holds them in another order.
func TestTombstonesOfWhatIsNotThereLoad(t *testing.T) {
	w := newWorld(t)
	w.write(coordinator.Replayed{Record: groupTombstone("g"), ProducerID: -1}, false)
	w.write(coordinator.Replayed{Record: offsetTombstone("g", offsetKey{"t", 0}), ProducerID: -1}, false)
	w.write(coordinator.Replayed{Record: groupTombstone("h"), ProducerID: -1}, false)
	w.reload()
	if len(w.machine.groups) != 0 {
		t.Errorf("%d groups", len(w.machine.groups))
	}
}

func TestWhatMakesNoSenseInTheLogIsLeftOut(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"", "\x00", "\x00\x01", "\x00\x01\x7f\xff", "\x00\x02\x00\x05g", "\x00\x63\x00\x00", "\xff\xff"} {
		for _, value := range []string{"", "\x00", "\x00\x04\x01", "\x00\x03\x7f\xff\xff\xff"} {
			w.write(coordinator.Replayed{Record: coordinator.Record{Key: []byte(key), Value: []byte(value)}, ProducerID: -1}, false)
		}
	}
	for _, value := range []string{"", "\x00", "\x00\x03\x7f\xff", "\x00\x03\x00\x01c\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff"} {
		w.write(coordinator.Replayed{Record: coordinator.Record{Key: groupKey("g"), Value: []byte(value)}, ProducerID: -1}, false)
	}
	w.reload()
	if len(w.machine.groups) != 0 {
		t.Errorf("%d groups", len(w.machine.groups))
	}
}

func TestSubscriptionsAreReadAsTheirVersion0(t *testing.T) {
	for _, c := range []struct {
		metadata string
		ok       bool
		topics   int
	}{
		{string(subscription("t", "u")), true, 2},
		{string(subscription()), true, 0},
		{"", false, 0},
		{"\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff", true, 0},
		{"\x00\x00\x00\x00\x00\x00", false, 0},
		{"\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff", false, 0},
		{"\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", false, 0},
		{"\x00\x00\x7f\xff\xff\xff\x00\x01a", false, 1},
		{"\x00\x00\x00\x00\x00\x01\xff\xff", false, 0},
		{"\x00\x00\x00\x00\x00\x01\x00\x05ab", false, 0},
		{"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05ab", false, 0},
	} {
		topics := map[string]bool{}
		if ok := readSubscription([]byte(c.metadata), topics); ok != c.ok || len(topics) != c.topics {
			t.Errorf("%q: %v, %v", c.metadata, ok, topics)
		}
	}
}
