package controller

import (
	"slices"

	"github.com/lockstep/lockstep/core/metadata"
)

// electionType says how far an election may go.
type electionType int8

const (
	electOnline    electionType = iota // keep the leader if it is eligible, else the first eligible replica
	electPreferred                     // the first replica if it is eligible
	electUnclean                       // as electOnline, and any live replica when none is eligible
)

// partitionChange is what the controller wants of a partition; build finds the record for it, with
// the election that goes with it. It is a pure function of its fields.
type partitionChange struct {
	partition  *metadata.Partition
	targetISR  []int32 // Invariant: holds the leader, if the leader is acceptable
	recovering bool    // the recovery state to have, elections apart
	election   electionType
	minISR     int
	elrEnabled bool
	// uncleanShutdown is a broker that may have lost its unsynced tail, so that it may stay neither in
	// the ISR nor in the ELR; NoLeader if there is none.
	uncleanShutdown int32
	acceptable      func(id int32) bool // registered, unfenced, not shutting down, directory online

	targetELR []int32
}

// build returns the record that makes the change, or nil if there is nothing to change.
//
// The order matters: the ELR is settled before the election, which may draw on it, and the last
// known leader after.
func (b *partitionChange) build() *metadata.PartitionChangeRecord {
	p := b.partition
	r := metadata.NewPartitionChange(p.TopicID, p.Index)
	b.targetELR = b.nextELR()
	unclean := b.elect(r)
	if unclean || !b.elrEnabled {
		b.targetELR = nil
	}
	if !slices.Equal(b.targetELR, p.ELR) {
		r.EligibleLeaderReplicas = orEmpty(b.targetELR)
	}
	// Without ELR the last member stays in the ISR: it is the only record of who has the data.
	mayChange := !unclean && (len(b.targetISR) > 0 || b.elrEnabled)
	if mayChange && !slices.Equal(b.targetISR, p.ISR) {
		r.Isr = orEmpty(b.targetISR)
	}
	b.noteLastKnownLeader(r)
	if b.recovering != p.Recovering {
		r.LeaderRecoveryState = recoveryState(b.recovering)
	}
	if r.IsNoOp() {
		return nil
	}
	return r
}

func recoveryState(recovering bool) int8 {
	if recovering {
		return metadata.Recovering
	}
	return metadata.Recovered
}

// orEmpty is never nil: nil means no change in a record.
func orEmpty(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

// nextELR is the ELR that goes with the target ISR (KIP-966): none when the ISR is at least min ISR,
// else those who left the ISR since it fell below, since nothing can have been committed without
// them. Sorted.
func (b *partitionChange) nextELR() []int32 {
	if !b.elrEnabled {
		return b.partition.ELR
	}
	if len(b.targetISR) >= b.minISR {
		return nil
	}
	var elr []int32
	for _, ids := range [][]int32{b.partition.ELR, b.partition.ISR} {
		for _, id := range ids {
			if !slices.Contains(b.targetISR, id) && id != b.uncleanShutdown && !slices.Contains(elr, id) {
				elr = append(elr, id)
			}
		}
	}
	slices.Sort(elr)
	return elr
}

// elect sets the record's leader if it has to change, and reports whether the election was unclean:
// the new leader may miss committed records, so it alone is the ISR, and it is recovering (KIP-704).
//
// A leader from the ELR joins the ISR, which was empty.
func (b *partitionChange) elect(r *metadata.PartitionChangeRecord) (unclean bool) {
	leader, unclean := b.chooseLeader()
	if leader == b.partition.Leader {
		return false
	}
	r.Leader = leader
	if unclean {
		r.Isr, b.recovering = []int32{leader}, true
		return true
	}
	if slices.Contains(b.targetELR, leader) {
		b.targetISR = []int32{leader}
		b.targetELR = without(b.targetELR, leader)
	}
	return false
}

func (b *partitionChange) chooseLeader() (leader int32, unclean bool) {
	p := b.partition
	if b.election == electPreferred && b.eligible(p.Replicas[0]) {
		return p.Replicas[0], false
	}
	if b.eligible(p.Leader) {
		return p.Leader, false
	}
	if n := slices.IndexFunc(p.Replicas, b.eligible); n >= 0 {
		return p.Replicas[n], false
	}
	if b.mayElectLastKnown() {
		return p.LastKnownELR[0], true
	}
	if b.election == electUnclean {
		if n := slices.IndexFunc(p.Replicas, b.acceptable); n >= 0 {
			return p.Replicas[n], true
		}
	}
	return metadata.NoLeader, false
}

// eligible reports whether a replica has all committed records and may lead: of the ISR, or of the
// ELR when the ISR is empty.
func (b *partitionChange) eligible(id int32) bool {
	member := slices.Contains(b.targetISR, id) || len(b.targetISR) == 0 && slices.Contains(b.targetELR, id)
	return member && b.acceptable(id)
}

// mayElectLastKnown is KIP-966's balanced recovery: when every replica that was safe has shut down
// uncleanly, the last leader is the best there is, and waiting brings nothing better.
func (b *partitionChange) mayElectLastKnown() bool {
	last := b.partition.LastKnownELR
	return b.elrEnabled && len(b.targetISR) == 0 && len(b.targetELR) == 0 && len(last) == 1 && b.acceptable(last[0])
}

// noteLastKnownLeader remembers the leader when the partition loses it, and forgets it when there is
// one again.
func (b *partitionChange) noteLastKnownLeader(r *metadata.PartitionChangeRecord) {
	known := len(b.partition.LastKnownELR) > 0
	switch {
	case !b.elrEnabled:
		if known {
			r.LastKnownElr = []int32{}
		}
	case r.Leader == metadata.NoLeader && !known:
		r.LastKnownElr = []int32{b.partition.Leader}
	case r.Leader >= 0 && known:
		r.LastKnownElr = []int32{}
	}
}

// without is ids less one of them, as a new slice.
func without(ids []int32, id int32) []int32 {
	out := make([]int32, 0, len(ids))
	for _, v := range ids {
		if v != id {
			out = append(out, v)
		}
	}
	return out
}
