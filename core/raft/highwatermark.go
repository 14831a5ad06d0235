package raft

import (
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// majorityReached is the greatest value that a majority of values has reached. It sorts values,
// which are not empty.
func majorityReached(values []int64) int64 {
	slices.Sort(values)
	return values[len(values)-majority(len(values))]
}

// maybeAdvanceHighWatermark commits what a majority of the voters has synced, and reports whether
// that is more than before.
//
// Counter-example without the rule about the epoch's own record (Raft, figure 8): leader 1 of epoch 1
// writes x on itself only; 3 leads epoch 2 and writes y on itself only; 1 leads epoch 3 and brings
// x to 2: a majority has x. Were x now committed, 3 could still win epoch 4 with its later y and
// overwrite x.
func (s *leader) maybeAdvanceHighWatermark() bool {
	ends := make([]int64, 0, len(s.voters)) // without the leader's if the voters have removed it
	for _, r := range s.voters {
		if r.id == s.n.cfg.NodeID {
			r.end = s.n.synced // the leader counts itself only with what its own disk has
		}
		ends = append(ends, r.end)
	}
	hw := majorityReached(ends)
	if hw <= s.epochStart || hw <= s.hw {
		return false
	}
	s.hw = hw
	s.n.setHighWatermark(hw)
	s.purgatory.onHighWatermark(hw)
	s.onVotersCommitted()
	return true
}

// setHighWatermark moves the local state machine's high watermark; it never goes back.
func (n *Node) setHighWatermark(hw int64) {
	if hw <= n.hw {
		return
	}
	n.hw = hw
	n.log.SetHighWatermark(hw)
	n.emit(event.RaftHighWatermark, hw, n.election.epoch)
}

// followHighWatermark takes over the leader's high watermark as far as our log reaches.
func (n *Node) followHighWatermark() {
	if _, ok := n.state.(*follower); ok {
		n.setHighWatermark(min(n.fetcher.leaderHW, n.log.LogEndOffset()))
	}
}
