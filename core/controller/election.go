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
	minISR     int // as configured: of fewer replicas all must be in sync
	elrEnabled bool
	// uncleanShutdown is a broker that may have lost its unsynced tail, so that it may stay neither in
	// the ISR nor in the ELR; NoLeader if there is none.
	uncleanShutdown int32
	acceptable      func(id int32) bool // registered, unfenced, not shutting down, directory online

	target     assignment              // who shall have the replicas; a reassignment that can end, ends
	dirs       [][16]byte              // of the replicas so far
	defaultDir func(id int32) [16]byte // of a new replica; not asked without one

	targetELR []int32
}

// build returns the record that makes the change, or nil if there is nothing to change.
//
// The order matters: the ELR is settled before the election, which may draw on it, and the last
// known leader after.
func (b *partitionChange) build() *metadata.PartitionChangeRecord {
	p := b.partition
	r := metadata.NewPartitionChange(p.TopicID, p.Index)
	if done, isr, ok := b.target.completed(b.targetISR); ok {
		b.target, b.targetISR = done, isr
	}
	b.targetELR = b.nextELR()
	unclean := b.elect(r)
	b.endEpochOfRemoved(r)
	if unclean || !b.mayHaveELR() {
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
	b.reassign(r)
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

// endEpochOfRemoved begins a new leader epoch, be it with the same leader, when a replica leaves the assignment: a fetch
// that the removed one has under way must not count any more.
func (b *partitionChange) endEpochOfRemoved(r *metadata.PartitionChangeRecord) {
	if r.Leader == metadata.NoLeaderChange && !includes(b.target.replicas, b.partition.Replicas) {
		r.Leader = b.partition.Leader
	}
}

// reassign sets what changes of the assignment, with the directories of the replicas (KIP-858).
func (b *partitionChange) reassign(r *metadata.PartitionChangeRecord) {
	p, t := b.partition, &b.target
	if !slices.Equal(t.replicas, p.Replicas) {
		r.Replicas = t.replicas
	}
	if dirs := b.directories(); !slices.Equal(dirs, p.Dirs) {
		r.Directories = dirs
	}
	if !slices.Equal(t.adding, p.Adding) {
		r.AddingReplicas = orEmpty(t.adding)
	}
	if !slices.Equal(t.removing, p.Removing) {
		r.RemovingReplicas = orEmpty(t.removing)
	}
}

func (b *partitionChange) directories() [][16]byte {
	if slices.Equal(b.target.replicas, b.partition.Replicas) {
		return b.dirs
	}
	dirs := make([][16]byte, len(b.target.replicas))
	for n, id := range b.target.replicas {
		if at := slices.Index(b.partition.Replicas, id); at >= 0 {
			dirs[n] = b.dirs[at]
		} else {
			dirs[n] = b.defaultDir(id)
		}
	}
	return dirs
}

// mayHaveELR reports whether anybody outside of the target ISR may have all that is committed: not if the ISR commits without them.
//
// It is asked again after the election: one from the ELR may be as many as min.insync.replicas, if that was set to 1 meanwhile. What it
// commits, the others lack.
func (b *partitionChange) mayHaveELR() bool {
	if !b.elrEnabled {
		return b.onlyELRKnows()
	}
	return len(b.targetISR) < min(b.minISR, len(b.target.replicas))
}

// onlyELRKnows reports whether the ISR is empty and stays so: with ELR turned off by now, what it had noted until then is all
// that is known of who has the data. (Kafka forgets it, and the partition waits for an unclean election.)
func (b *partitionChange) onlyELRKnows() bool {
	return len(b.partition.ISR) == 0 && len(b.targetISR) == 0
}

// nextELR is the ELR that goes with the target ISR (KIP-966): none when the ISR is at least min ISR,
// else those who left the ISR since it fell below, since nothing can have been committed without
// them. Sorted. Who has no replica any more is no leader to wait for.
func (b *partitionChange) nextELR() []int32 {
	candidates := [][]int32{b.partition.ELR, b.partition.ISR}
	switch {
	case !b.elrEnabled:
		candidates = candidates[:1]
	case !b.mayHaveELR():
		return nil
	}
	var elr []int32
	for _, ids := range candidates {
		for _, id := range ids {
			if b.mayStayEligible(id) && !slices.Contains(elr, id) {
				elr = append(elr, id)
			}
		}
	}
	slices.Sort(elr)
	return elr
}

func (b *partitionChange) mayStayEligible(id int32) bool {
	return !slices.Contains(b.targetISR, id) && id != b.uncleanShutdown && slices.Contains(b.target.replicas, id)
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
	p, replicas := b.partition, b.target.replicas
	if b.election == electPreferred && b.eligible(replicas[0]) {
		return replicas[0], false
	}
	if b.eligible(p.Leader) {
		return p.Leader, false
	}
	if n := slices.IndexFunc(replicas, b.eligible); n >= 0 {
		return replicas[n], false
	}
	if b.mayElectLastKnown() {
		return p.LastKnownELR[0], true
	}
	if b.election == electUnclean {
		if n := slices.IndexFunc(replicas, b.acceptable); n >= 0 {
			return replicas[n], true
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
	return (b.elrEnabled || b.onlyELRKnows()) && len(b.targetISR) == 0 && len(b.targetELR) == 0 && len(last) == 1 && b.acceptable(last[0]) &&
		slices.Contains(b.target.replicas, last[0])
}

// noteLastKnownLeader remembers the leader when the partition loses it, and forgets it when there is
// one again. One that lost its leader while no ELR was kept has it still as the last member of its ISR.
func (b *partitionChange) noteLastKnownLeader(r *metadata.PartitionChangeRecord) {
	known := len(b.partition.LastKnownELR) > 0
	switch {
	case r.Leader >= 0 && known:
		r.LastKnownElr = []int32{}
	case known || !b.elrEnabled:
	case r.Leader == metadata.NoLeader && b.partition.Leader != metadata.NoLeader:
		r.LastKnownElr = []int32{b.partition.Leader}
	case r.Leader == metadata.NoLeaderChange && b.partition.Leader == metadata.NoLeader && len(b.partition.ISR) == 1 && len(b.targetISR) == 0:
		r.LastKnownElr = b.partition.ISR
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
