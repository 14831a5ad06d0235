package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// I10, the quorum: at most one leader an epoch and one vote per voter and epoch (election safety), every leader has all that was
// committed (leader completeness), what is committed at an offset is the same everywhere (state-machine safety), it is on a
// majority, and nobody truncates it.

// vote is the last vote a node made durable; a crash does not undo it.
type vote struct {
	epoch, candidate int32
	t                scheduler.Instant
}

func (s *State) onRaftBecame(r *replica, e *event.Event) {
	s.checkVoters(r)
	r.role = idle
	switch e.Note {
	case "leader":
		s.becomeRaftLeader(r, e)
	case "follower", "observer":
		r.role = following
	}
	r.epoch = e.Epoch
}

func (s *State) becomeRaftLeader(r *replica, e *event.Event) {
	r.role, r.epoch = leading, e.Epoch
	if first, ok := r.part.lead(e.Epoch, r.node.id, s.now); !ok {
		s.violate("P4", "I10", first.String(), "the quorum has two leaders in epoch %d, nodes %d and %d", e.Epoch, first.node, r.node.id)
	}
	s.checkVotes(r, e.Epoch)
	s.checkLeaderHasCommitted(r, e.Epoch)
}

func (s *State) onRaftVoted(n *node, e *event.Event) {
	if n.vote.epoch == e.Epoch && n.vote.candidate != e.Peer {
		s.violate("P4", "I10", n.vote.String(n.id), "node %d voted for both %d and %d in epoch %d", n.id, n.vote.candidate, e.Peer, e.Epoch)
	}
	if e.Epoch < n.vote.epoch {
		s.violate("P4", "I10", n.vote.String(n.id), "node %d voted in epoch %d after it had voted in epoch %d", n.id, e.Epoch, n.vote.epoch)
	}
	n.vote = vote{e.Epoch, e.Peer, s.now}
}

func (v vote) String(by int32) string {
	return fmt.Sprintf("node %d voted for %d in epoch %d at %s", by, v.candidate, v.epoch, seconds(v.t))
}

// onRaftTruncated lets a node that has not heard of a new epoch follow a leader of its own one: what was committed since is not for it
// to keep, for no leader of the new epoch counts on it yet.
func (s *State) onRaftTruncated(r *replica, e *event.Event) {
	r.node.voters.cut(e.Offset)
	r.agree()
	end := min(r.agreedEnd(), max(r.part.committed.endBefore(r.part, e.Epoch+1), r.hw))
	if e.Offset < end {
		s.violate("P4", "I10", s.did(r.node.id, fmt.Sprintf("truncated to %d", e.Offset)), "node %d truncates the metadata log to %d, below the committed %d", r.node.id, e.Offset, end)
	}
}

func (s *State) onRaftHighWatermark(r *replica, e *event.Event) {
	p, hw := r.part, e.Offset
	if hw < r.hw {
		s.violate("P4", "I10", s.did(r.node.id, "moved it"), "node %d took the quorum's high watermark back from %d to %d", r.node.id, r.hw, hw)
	}
	r.hw = hw
	if r.role == leading {
		r.node.voters.committedIn = r.epoch
		s.commit(r, hw, r.epoch)
		s.checkMajority(r)
		return
	}
	if hw > p.committed.end {
		s.violate("P4", "I10", s.did(r.node.id, "moved it"), "node %d put the quorum's high watermark at %d, beyond all leaders' %d", r.node.id, hw, p.committed.end)
	}
	s.checkPrefix(r)
}

// checkMajority: what the leader commits is on a majority of the voters that its log names, and stays there if all of them lose their power at once.
func (s *State) checkMajority(r *replica) {
	have, synced := 0, 0
	voters := s.votersOf(r.node)
	for _, id := range voters {
		if id == r.node.id || s.reachedInAnyEpoch(id, r) >= r.hw {
			have++
		}
		if m := s.find(id, s.metadata); m != nil && s.durableEnd(m) >= r.hw {
			synced++
		}
	}
	switch n := len(voters); {
	case n == 0:
	case 2*have <= n:
		s.violate("P4", "I10", s.did(r.node.id, "moved it"), "leader %d committed %s, which only %d of %d voters have", r.node.id, recordName(r.part.id, r.hw-1), have, n)
	case 2*synced <= n && !s.hasLostDisk(voters):
		s.violate("P4", "I10", s.did(r.node.id, "moved it"), "leader %d committed %s, which only %d of %d voters have synced", r.node.id, recordName(r.part.id, r.hw-1), synced, n)
	}
}

// hasLostDisk reports whether one of the voters has lost what it had synced.
func (s *State) hasLostDisk(voters []int32) bool {
	return slices.ContainsFunc(s.metadata.removals, func(m removal) bool {
		return (m.kind == wiped || m.kind == damaged) && slices.Contains(voters, m.node)
	})
}

// reachedInAnyEpoch is how far a voter's log is the leader's, or was before its last crash.
func (s *State) reachedInAnyEpoch(id int32, leader *replica) int64 {
	m := s.find(id, leader.part)
	if m == nil {
		return 0
	}
	m.agree()
	return max(m.agreedEnd(), m.hadEnd)
}

// durableEnd is how far a log is there whatever a power loss takes.
func (s *State) durableEnd(r *replica) int64 {
	end := r.logStart
	durable, _ := s.readLog(r, s.in.Durable)
	for _, b := range durable {
		if id := r.idOf(b); id >= 0 && b.next <= r.written {
			end = max(end, b.next)
		}
	}
	return end
}

// allowedMetadataLoss: votes and acknowledgements are synced, so only lost disks excuse the quorum.
func (s *State) allowedMetadataLoss(n *node, id int32) string {
	voters := s.votersOf(n)
	_, disks := s.copiesLost(s.metadata, id, voters...)
	if n := len(voters); n > 0 && 2*disks >= n {
		return reasonWiped
	}
	return ""
}
