package check

import (
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/event"
)

var offsetsHome = event.Partition{Topic: "__consumer_offsets"}

// newGroups is a group of two partitions. What it finds must be what want says; empty: nothing.
func newGroups(t *testing.T) *Groups {
	g := NewGroups(NewState(&fake{}, Promises{}), []event.Partition{{Topic: "t", Index: 0}, {Topic: "t", Index: 1}})
	g.Add("g0", offsetsHome, GroupKind{})
	return g
}

func wants(t *testing.T, found []Violation, want string) {
	t.Helper()
	switch {
	case want == "" && len(found) > 0:
		t.Errorf("found: %s", found[0].Text)
	case want != "" && (len(found) != 1 || !strings.Contains(found[0].Text, want)):
		t.Errorf("found %v, want %q", found, want)
	}
}

func TestPartitionHasOneOwnerInAGeneration(t *testing.T) {
	g := newGroups(t)
	wants(t, g.Owns(0, 1, "a", []int{0}, 1, 1), "")
	wants(t, g.Owns(0, 1, "b", []int{1}, 2, 2), "")
	wants(t, g.Answered(0, g.Sent(0, 0, 5, 1, "a", 1, 3), Acknowledged, 4), "") // from now on the group is not forgotten
	wants(t, g.Owns(0, 1, "b", []int{1}, 5, 5), "")                             // the same again
	wants(t, g.Owns(0, 2, "b", []int{0, 1}, 6, 6), "")
	wants(t, g.Owns(0, 1, "c", []int{1}, 7, 7), "t-1 has two owners in generation 1 of group g0, b and c")
	wants(t, g.Owns(0, 1, "a", []int{0}, 8, 8), "")
	wants(t, g.Owns(0, 3, "a", nil, 9, 9), "")
	wants(t, g.Owns(0, 3, "a", []int{1}, 10, 10), "a was told two shares in generation 3")
}

func TestGroupThatWasForgottenBeginsAnew(t *testing.T) {
	g := newGroups(t)
	wants(t, g.Owns(0, 1, "a", []int{0, 1}, 1, 1), "")
	wants(t, g.Owns(0, 2, "a", []int{0, 1}, 2, 2), "")
	wants(t, g.Owns(0, 1, "b", []int{0, 1}, 3, 3), "")
	wants(t, g.Owns(0, 2, "a", []int{0, 1}, 4, 4), "") // told late
	wants(t, g.Answered(0, g.Sent(0, 0, 5, 1, "b", 1, 5), Acknowledged, 6), "")
	wants(t, g.Owns(0, 2, "b", []int{0, 1}, 7, 7), "")
	wants(t, g.Owns(0, 2, "a", []int{0, 1}, 2, 8), "") // told late
	wants(t, g.Owns(0, 2, "c", []int{0}, 7, 8), "has two owners")
}

func TestCommitOfAGenerationThatIsOverIsNotAccepted(t *testing.T) {
	g := newGroups(t)
	wants(t, g.Owns(0, 1, "a", []int{0}, 1, 1), "")
	early := g.Sent(0, 0, 5, 1, "a", 1, 2)
	wants(t, g.Owns(0, 2, "b", []int{0}, 3, 3), "")
	late := g.Sent(0, 0, 6, 1, "a", 1, 4)
	wants(t, g.Answered(0, early, Acknowledged, 5), "") // it may have been there before
	wants(t, g.Answered(0, late, Acknowledged, 6), "a commit of generation 1")
}

func TestWhatIsToldIsTheLastCommit(t *testing.T) {
	g := newGroups(t)
	wants(t, g.Owns(0, 1, "a", []int{0}, 1, 1), "")
	wants(t, g.Fetched(0, 0, -1, "", true, 1, 2), "")
	first, second := g.Sent(0, 0, 5, 1, "a", 1, 3), g.Sent(0, 0, 7, 1, "a", 1, 6)
	wants(t, g.Fetched(0, 0, 5, first.Metadata, true, 3, 4), "") // it is there, answered or not
	wants(t, g.Fetched(0, 0, -1, "", true, 4, 5), "")            // asked when it may not have been
	wants(t, g.Fetched(0, 0, -1, "", true, 5, 6), "was told nothing of t-0")
	wants(t, g.Answered(0, second, Unknown, 8), "")
	wants(t, g.Fetched(0, 0, 5, first.Metadata, true, 9, 10), "") // the second may happen yet
	wants(t, g.Fetched(0, 0, 7, second.Metadata, true, 11, 12), "")
	wants(t, g.Fetched(0, 0, 5, first.Metadata, true, 13, 14), "was told offset 5")
	wants(t, g.Fetched(0, 0, 5, first.Metadata, false, 13, 14), "") // by a coordinator that is none any more, perhaps
	wants(t, g.Fetched(0, 0, 7, "1/9", true, 15, 16), "which nobody committed")
	wants(t, g.Fetched(0, 0, 8, second.Metadata, true, 17, 18), "which nobody committed")
}

// A commit of which nobody heard cannot happen any more when its generation is over.
func TestCommitOfAnOldGenerationDoesNotReplaceALaterOne(t *testing.T) {
	g := newGroups(t)
	wants(t, g.Owns(0, 1, "a", []int{0}, 1, 1), "")
	lost := g.Sent(0, 0, 5, 1, "a", 1, 2)
	wants(t, g.Owns(0, 2, "b", []int{0}, 3, 3), "")
	wants(t, g.Answered(0, g.Sent(0, 0, 3, 2, "a", 1, 4), Acknowledged, 5), "")
	wants(t, g.Fetched(0, 0, 5, lost.Metadata, true, 6, 7), "was told offset 5")
}

func TestRefusedCommitIsNeverTold(t *testing.T) {
	g := newGroups(t)
	wants(t, g.Owns(0, 1, "a", []int{0}, 1, 1), "")
	told, refused := g.Sent(0, 0, 5, 1, "a", 1, 2), g.Sent(0, 0, 6, 1, "a", 1, 3)
	wants(t, g.Answered(0, refused, Refused, 4), "")
	wants(t, g.Fetched(0, 0, 6, refused.Metadata, true, 5, 6), "whose commit was refused")
	wants(t, g.Fetched(0, 0, 5, told.Metadata, true, 7, 8), "")
	wants(t, g.Answered(0, told, Refused, 9), "whose commit was refused")
}

func TestInstanceIsFencedOnlyByAnother(t *testing.T) {
	g := newGroups(t)
	g.Joining(0, "i")
	g.Joined(0, "i")
	wants(t, g.Fenced(0, "i", "i-1", 1), "") // its place was not stored yet
	g.Joining(0, "i")
	g.Joined(0, "i")
	g.Synced(0, "i", "i-2")
	g.Joining(0, "i")
	wants(t, g.Fenced(0, "i", "i-2", 2), "") // by its own second life
	g.Joined(0, "i")
	g.Synced(0, "i", "i-3")
	wants(t, g.Fenced(0, "i", "i-3", 3), "i of group g0, which had its share as i-3, was fenced")
}

func TestGroupIsNotJudgedWhenItsRecordsWereLost(t *testing.T) {
	g := newGroups(t)
	p := g.state.intern(offsetsHome)
	p.losses = append(p.losses, lossRange{0, 1, reasonUnclean, 0})
	wants(t, g.Answered(0, g.Sent(0, 0, 5, 1, "a", 1, 1), Acknowledged, 2), "")
	wants(t, g.Fetched(0, 0, -1, "", true, 3, 4), "")
}

// nativeGroups is newGroups of the consumer protocol, whose first commit has come: nobody forgets it.
func nativeGroups(t *testing.T) *Groups {
	g := NewGroups(NewState(&fake{}, Promises{}), []event.Partition{{Topic: "t", Index: 0}, {Topic: "t", Index: 1}})
	g.Add("g0", offsetsHome, GroupKind{Native: true})
	wants(t, g.Owns(0, 1, "a", []int{0, 1}, 1, 1), "")
	wants(t, g.Answered(0, g.Sent(0, 0, 5, 1, "a", 1, 1), Acknowledged, 2), "")
	return g
}

func TestPartitionHasOneOwnerAtATime(t *testing.T) {
	g := nativeGroups(t)
	wants(t, g.Has(0, 1, "a", 1, 3, 4), "")
	wants(t, g.Owns(0, 1, "a", []int{0}, 5, 5), "")
	wants(t, g.Owns(0, 2, "b", nil, 6, 6), "") // it waits
	wants(t, g.Owns(0, 2, "b", []int{1}, 10, 10), "")
	wants(t, g.Has(0, 1, "a", 1, 9, 11), "") // it was sent before
	wants(t, g.Has(0, 0, "a", 1, 12, 13), "")
	wants(t, g.Has(0, 1, "b", 10, 12, 13), "")
	wants(t, g.Has(0, 1, "a", 1, 12, 13), "t-1 had two owners")
	wants(t, g.Has(0, 1, "a", 11, 12, 13), "")       // it got it back
	wants(t, g.Owns(0, 3, "b", []int{0}, 1, 14), "") // an old answer, late
	wants(t, g.Has(0, 0, "a", 1, 15, 16), "")
	wants(t, g.Owns(0, 2, "a", []int{1}, 14, 14), "t-1 has two owners in epoch 2 of group g0, b and a")
}

func TestCommitInAnOldEpochIsAcceptedWhileThePartitionIsNobodyElses(t *testing.T) {
	g := nativeGroups(t)
	early := g.Sent(0, 1, 6, 1, "a", 1, 8)
	wants(t, g.Owns(0, 2, "b", []int{1}, 10, 10), "")
	wants(t, g.Owns(0, 2, "a", []int{0}, 10, 10), "")
	wants(t, g.Answered(0, early, Acknowledged, 11), "")
	wants(t, g.Answered(0, g.Sent(0, 0, 7, 1, "a", 1, 12), Acknowledged, 13), "") // it has had it since
	wants(t, g.Answered(0, g.Sent(0, 1, 7, 1, "a", 1, 12), Acknowledged, 13), "a commit of t-1 by a")
	wants(t, g.Answered(0, g.Sent(0, 1, 7, 2, "b", 10, 12), Acknowledged, 13), "")
}
