package group

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (w *world) joinAs(version int16, instance, member string, protocols ...string) *call[*kmsg.JoinGroupResponse] {
	req := joinRequest("g", member, append(protocols, "range")...)
	req.Version, req.InstanceID = version, &instance
	return w.send(req)
}

// staticGroup is a stable group of the instances "a", who leads, and "b".
func (w *world) staticGroup() (ids []string, generation int32) {
	w.Helper()
	a, b := w.joinAs(9, "a", ""), w.joinAs(9, "b", "")
	w.begin()
	ids = []string{a.now().MemberID, b.now().MemberID}
	w.syncAll(ids, a.answer.Generation, []string{ids[0], "for a", ids[1], "for b"})
	return ids, a.answer.Generation
}

func TestStaticMemberThatComesBackTakesItsAssignmentWithoutARebalance(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.staticGroup()
	back := w.joinAs(9, "b", "").now()
	if back.ErrorCode != 0 || back.Generation != generation || back.MemberID == ids[1] || back.LeaderID != ids[0] || back.SkipAssignment {
		t.Errorf("%+v", back)
	}
	w.state(stable)
	if got := w.sync(back.MemberID, generation).now(); string(got.MemberAssignment) != "for b" {
		t.Errorf("%+v", got)
	}
	w.fails("heartbeat under the old id", w.heartbeat(ids[1], generation, "b"), kerr.FencedInstanceID)
	w.fails("heartbeat under the new id", w.heartbeat(back.MemberID, generation, "b"), nil)
	w.code("join under the old id", w.joinAs(9, "b", ids[1]).now().ErrorCode, kerr.FencedInstanceID)
	req := commitRequest(ids[1], generation, 7)
	req.InstanceID = kmsg.StringPtr("b")
	w.fails("commit under the old id", w.commitOffset(req), kerr.FencedInstanceID)
}

// KIP-814: a leader that comes back is told who is in the group, and not to assign. Older ones were told that their former self leads.
func TestStaticLeaderThatComesBackDoesNotAssign(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.staticGroup()
	old := w.joinAs(8, "a", "").now()
	if old.LeaderID != ids[0] || old.SkipAssignment || len(old.Members) != 0 || old.Generation != generation {
		t.Errorf("v8: %+v", old)
	}
	back := w.joinAs(9, "a", "").now()
	if back.LeaderID != back.MemberID || !back.SkipAssignment || len(back.Members) != 2 || back.Generation != generation {
		t.Errorf("v9: %+v", back)
	}
}

// KAFKA-10284: the new id was known to the coordinator only, so that a successor fenced the wrong one.
func TestSuccessorFencesTheFormerSelfOfAStaticMember(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.staticGroup()
	back := w.joinAs(9, "b", "").now()
	w.reload()
	w.fails("heartbeat under the old id", w.heartbeat(ids[1], generation, "b"), kerr.FencedInstanceID)
	w.fails("heartbeat under the new id", w.heartbeat(back.MemberID, generation, "b"), nil)
}

func TestStaticMemberWhoseReturnCannotBeStoredIsStillWhoItWas(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.staticGroup()
	w.refuse = kerr.CoordinatorNotAvailable
	w.code("return", w.joinAs(9, "b", "", "new").now().ErrorCode, kerr.CoordinatorNotAvailable)
	w.refuse = nil
	w.fails("heartbeat under the old id", w.heartbeat(ids[1], generation, "b"), nil)
	if got := w.sync(ids[1], generation).now(); string(got.MemberAssignment) != "for b" {
		t.Errorf("%+v", got)
	}
	w.state(stable)
	checkInvariants(t, w.machine)
}

func TestStaticMemberWithOtherWishesCausesARebalance(t *testing.T) {
	w := newWorld(t)
	a := w.joinAs(9, "a", "", "sticky")
	w.begin()
	id := a.now().MemberID
	if *a.answer.Protocol != "sticky" {
		t.Fatalf("%+v", a.answer)
	}
	g := w.machine.classic("g")
	g.assign([]kmsg.SyncGroupRequestGroupAssignment{{MemberID: id}})
	other := joinRequest("g", "", "other")
	other.InstanceID = kmsg.StringPtr("a")
	w.code("no protocol in common with itself", w.send(other).now().ErrorCode, kerr.InconsistentGroupProtocol)
	if got := w.joinAs(9, "a", "").now(); got.Generation != a.answer.Generation+1 || *got.Protocol != "range" {
		t.Errorf("%+v", got)
	}
}

func TestStaticMemberThatComesBackDuringTheAssignmentStartsAnother(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.staticGroup()
	a, b := w.joinAs(9, "a", ids[0]), w.joinAs(9, "b", ids[1], "news")
	a.now()
	b.now()
	waiting := w.sync(ids[1], generation+1)
	back := w.joinAs(9, "b", "")
	w.code("the former self", waiting.now().ErrorCode, kerr.FencedInstanceID)
	w.state(preparingRebalance)
	again := w.joinAs(9, "a", ids[0])
	if got := back.now(); got.Generation != generation+2 || again.now().Generation != generation+2 || len(again.answer.Members) != 2 {
		t.Errorf("%+v, %+v", got, again.answer)
	}
}

func TestStaticMemberThatIsAwayStaysForItsSession(t *testing.T) {
	w := newWorld(t)
	ids, generation := w.staticGroup()
	a := w.joinAs(9, "a", ids[0])
	for range 6 { // b keeps its session but does not join before the rebalance timeout
		w.pass(10*time.Second - 1)
		w.heartbeat(ids[1], generation, "b")
	}
	w.pass(time.Second)
	if got := a.now(); len(got.Members) != 2 {
		t.Errorf("%d members", len(got.Members))
	}
	for range 3 {
		w.pass(5 * time.Second)
		w.heartbeat(ids[0], generation+1, "a")
	}
	if n := len(w.machine.classic("g").members); n != 1 {
		t.Errorf("%d members after its session", n)
	}
}

func TestStaticMembersAreTakenOutByTheirInstance(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.staticGroup()
	resp := w.leave(3, kmsg.LeaveGroupRequestMember{InstanceID: kmsg.StringPtr("a")}, kmsg.LeaveGroupRequestMember{InstanceID: kmsg.StringPtr("c")},
		kmsg.LeaveGroupRequestMember{MemberID: "other", InstanceID: kmsg.StringPtr("b")}, kmsg.LeaveGroupRequestMember{})
	for i, want := range []*kerr.Error{nil, kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.UnknownMemberID} {
		w.code("leave", resp.Members[i].ErrorCode, want)
	}
	if g := w.machine.classic("g"); len(g.members) != 1 || g.leader != ids[1] {
		t.Errorf("%d members, %s leads", len(g.members), g.leader)
	}
}
