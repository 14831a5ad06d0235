package replica

import (
	"testing"

	"github.com/lockstep/lockstep/core/wire"
	"pgregory.net/rapid"
)

// epochLog is a log as the epoch of each offset.
type epochLog []int32

func (l epochLog) endOf(epoch int32) wire.EpochEnd {
	found := wire.EpochEnd{Epoch: -1, EndOffset: -1}
	for offset, e := range l {
		if e <= epoch {
			found = wire.EpochEnd{Epoch: e, EndOffset: int64(offset) + 1}
		}
	}
	if found.Epoch < 0 && len(l) > 0 {
		return wire.EpochEnd{Epoch: epoch, EndOffset: 0}
	}
	return found
}

func (l epochLog) lastEpoch() int32 {
	if len(l) == 0 {
		return -1
	}
	return l[len(l)-1]
}

// TestTruncationEndsAtTheLastCommonRecord draws two logs that were led in turns: equal up to some offset, and with no epoch in
// common after it (an epoch has one leader). Rounds of fetch and truncation must end exactly there, or
// where the follower's log ends.
func TestTruncationEndsAtTheLastCommonRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var common, follower, leader epochLog
		epoch := int32(0)
		grow := func(l epochLog, label string) epochLog {
			epoch += int32(rapid.IntRange(1, 2).Draw(t, "bump"))
			for range rapid.IntRange(0, 3).Draw(t, label) {
				l = append(l, epoch)
			}
			return l
		}
		for range rapid.IntRange(0, 3).Draw(t, "common epochs") {
			common = grow(common, "common")
		}
		follower, leader = append(follower, common...), append(leader, common...)
		for range rapid.IntRange(0, 4).Draw(t, "fail-overs") {
			follower = grow(follower, "follower")
			leader = grow(leader, "leader")
		}
		leader = append(leader, epoch+1) // the leader of now has begun its epoch
		for round := 0; ; round++ {
			if round > 20 {
				t.Fatal("truncation does not end")
			}
			last := follower.lastEpoch()
			if last < 0 {
				break
			}
			at := leader.endOf(last)
			if int64(len(follower)) > int64(len(leader)) || at.Epoch < last || at.EndOffset < int64(len(follower)) {
				follower = follower[:truncationOffset(at, follower.endOf(at.Epoch), int64(len(follower)))]
				continue
			}
			break
		}
		if len(follower) != len(common) {
			t.Fatalf("truncated to %d records, %d are common; leader %v", len(follower), len(common), leader)
		}
	})
}
