package replica

import (
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// leader is what a replica knows only while it leads.
type leader struct {
	epochStart int64      // where the log ended when this epoch began
	followers  []follower // by id
	isr        isrState
}

func (l *leader) follower(id int32) *follower {
	for i := range l.followers { // a few
		if l.followers[i].id == id {
			return &l.followers[i]
		}
	}
	return nil
}

// assign makes followers those of the assignment, keeping what is known of the ones that stay.
func (l *leader) assign(replicas []int32, self int32) {
	followers := make([]follower, 0, len(replicas))
	for _, id := range sorted(replicas) {
		if id == self {
			continue
		}
		if f := l.follower(id); f != nil {
			followers = append(followers, *f)
		} else {
			followers = append(followers, newFollower(id))
		}
	}
	l.followers = followers
}

// becomeLeader starts a leader epoch.
//
// The epoch's start offset goes into the epoch cache before anything is served: a follower may ask about an epoch later
// than any record that we have, and must be sent to where it ended for us (KIP-279). It is the assigned end, not
// the written one: what is still being written was accepted in an earlier epoch.
//
// The high watermark stays where it is, perhaps below what the last leader committed: nothing
// that it committed can be missing here, only our knowledge of it.
func (p *Partition) becomeLeader(reg *metadata.Partition) {
	p.m.unfollow(p)
	p.tellResigned()
	if p.lead == nil {
		p.lead = &leader{}
	}
	l := p.lead
	l.epochStart, p.seenLEO = p.log.NextOffset(), unknownOffset
	p.log.AssignEpoch(reg.LeaderEpoch, l.epochStart)
	p.leaderID, p.leaderEpoch, p.partitionEpoch = reg.Leader, reg.LeaderEpoch, reg.PartitionEpoch
	l.assign(reg.Replicas, p.m.cfg.NodeID)
	l.isr.commit(reg.ISR)
	now := p.m.loop.Now()
	for i := range l.followers {
		f := &l.followers[i]
		f.reset(now, contains(l.isr.committed, f.id))
	}
	p.emit(event.BecameLeader, -1, l.epochStart, "")
	p.tellElected()
	p.consumerFetches.wakeAll() // they named an older epoch, or none: let them look again
	p.followerFetches.wakeAll()
	p.onISRChanged()
}

// updateISR takes what the metadata log says within the leader epoch. A newer partition epoch supersedes a change of ours
// that is under way: that one named an older partition epoch, so it either is this update or was refused.
//
// Of an equal partition epoch the ISR is known and a pending change must be left alone (KAFKA-12686): we proposed it on top of
// that epoch; forgetting an expansion that the controller commits meanwhile would let the high watermark pass the new member.
// The assignment need not be known: if the epoch is from an answer to AlterPartition, that said nothing of it.
func (p *Partition) updateISR(reg *metadata.Partition) {
	p.lead.assign(reg.Replicas, p.m.cfg.NodeID)
	if reg.PartitionEpoch <= p.partitionEpoch {
		p.onISRChanged()
		return
	}
	p.partitionEpoch = reg.PartitionEpoch
	p.commitISR(reg.ISR)
}

// commitISR takes what the controller committed as of p.partitionEpoch.
func (p *Partition) commitISR(isr []int32) {
	p.lead.isr.commit(isr)
	p.emit(event.IsrCommitted, -1, int64(p.partitionEpoch), joinIDs(p.lead.isr.committed))
	p.onISRChanged()
}

// onISRChanged follows every change of the ISR, of a pending one, or of the assignment. The high watermark may be free to go
// on: with C gone from the ISR the last produce is committed, and no further fetch need come to say so (KAFKA-13091).
func (p *Partition) onISRChanged() {
	p.refreshFollowers()
	p.maybeAdvanceHighWatermark()
}

// onBrokersChanged follows a change of who is registered, fenced or shutting down. Nobody joins the ISR for it: only a fetch
// shows that a follower is there.
//
// Counter-example: B loses its power and leaves the ISR of A for its lag, at the high watermark, which its absence holds.
// Something is registered elsewhere, and B, not yet fenced, would be back; all acks=all produces wait for B once more.
func (p *Partition) onBrokersChanged() {
	p.onISRChanged()
	p.checkDeletions()
}

func (p *Partition) refreshFollowers() {
	l := p.lead
	maximal := l.isr.maximal()
	for i := range l.followers {
		f := &l.followers[i]
		f.inMaximalISR = contains(maximal, f.id)
		f.eligible = p.isEligible(f.id, f.brokerEpoch)
	}
}

// onAppended runs when a batch that was accepted as leader is written, or dropped by a truncation: only now may it
// be counted or fetched. We may follow by now; then the log may have become quiet, which the fetcher waits for.
func (p *Partition) onAppended() {
	if p.move != nil {
		p.move.poke()
	}
	if p.lead == nil {
		p.follow.changed()
		return
	}
	leo := p.log.LogEndOffset()
	if leo == p.seenLEO {
		return // an append of the same write has told
	}
	p.seenLEO = leo
	p.followerFetches.wake(leo, leo)
	p.maybeAdvanceHighWatermark()
}

// onFollowerFetch notes how far a follower is. The caller has checked epochs and that its log does not diverge.
//
// That the offset diverges must be known before: a rejoining old leader whose log is longer than ours fetches at its own
// end; to count that offset would commit records that it is about to truncate (KAFKA-13141).
func (p *Partition) onFollowerFetch(f *follower, offset, logStartOffset, brokerEpoch int64) {
	if f.brokerEpoch != brokerEpoch {
		f.brokerEpoch = brokerEpoch
		f.eligible = p.isEligible(f.id, brokerEpoch)
	}
	moved, started := f.logEndOffset != offset, f.logStartOffset != logStartOffset
	f.fetched(p.m.loop.Now(), offset, logStartOffset, p.log.LogEndOffset())
	p.maybeExpandISR(f)
	if started {
		p.checkDeletions()
	}
	if moved {
		p.maybeAdvanceHighWatermark()
	}
}

// maybeAdvanceHighWatermark commits what every member of the maximal ISR has. Monotone within the leader's life.
//
// While the ISR is smaller than min.insync.replicas nothing is committed (KIP-966), whatever acks
// a produce asked for: consumers would see records of which fewer copies exist than was promised (KAFKA-15583).
func (p *Partition) maybeAdvanceHighWatermark() {
	l := p.lead
	if l == nil || len(l.isr.committed) < p.minISR {
		return
	}
	hw := committedUpTo(p.log.LogEndOffset(), l.followers, p.m.loop.Now(), p.m.cfg.ReplicaLagTimeMax)
	if hw <= p.log.HighWatermark() {
		return
	}
	if x := p.m.env.Buggify; x.Fires(buggify.HWLate) {
		p.m.loop.AfterFunc(x.Delay(buggify.HWLate, 100*time.Millisecond), p.maybeAdvanceHighWatermark)
		return
	}
	p.log.SetHighWatermark(hw)
	p.emit(event.HighWatermark, -1, hw, "")
	p.onHighWatermark(hw)
}

// onHighWatermark answers what waited for it.
//
// NOT_ENOUGH_REPLICAS_AFTER_APPEND does not occur: the high watermark moves only while the ISR is large enough, and what it
// completes is answered in the same turn. Where Kafka would say it, a produce here ends with REQUEST_TIMED_OUT.
func (p *Partition) onHighWatermark(hw int64) {
	p.consumerFetches.wake(hw, p.log.LastStableOffset())
	for w := p.produces.first; w != nil && w.required <= hw; w = p.produces.first {
		w.settle(nil)
	}
	if p.watcher != nil {
		p.watcher.OnHighWatermark(p, hw)
	}
}

// maybeExpandISR proposes to add a follower that has all that may ever have been committed: everything
// below the high watermark, and everything before this epoch.
//
// The second because our high watermark may lag (KAFKA-7128): A led, committed offset 9 and died; B leads with 10 records, but
// knows only 5 as committed. C, with 7, would be in the ISR by the first rule; B dies, C leads, 8 and 9 are lost.
func (p *Partition) maybeExpandISR(f *follower) {
	l := p.lead
	switch {
	case l.isr.pending != nil || !f.eligible || contains(l.isr.committed, f.id):
	case f.logEndOffset < p.log.HighWatermark() || f.logEndOffset < l.epochStart:
	default:
		p.proposeISR(l.isr.with(f.id), true)
	}
}

// maybeShrinkISR proposes to drop each follower that has not been caught up for replica.lag.time.max.ms, by
// KIP-16's rule. Runs every half lag; the high watermark advances once the controller agrees.
func (p *Partition) maybeShrinkISR() {
	l := p.lead
	if l.isr.pending != nil {
		return
	}
	var out []int32
	now, leo := p.m.loop.Now(), p.log.LogEndOffset()
	for _, id := range l.isr.committed {
		if id == p.m.cfg.NodeID {
			continue
		}
		if f := l.follower(id); f == nil || !f.isCaughtUp(leo, now, p.m.cfg.ReplicaLagTimeMax) {
			out = append(out, id)
		}
	}
	if len(out) > 0 {
		p.proposeISR(l.isr.without(out), false)
	}
}

// proposeISR makes a change pending and has it sent at the end of the turn.
func (p *Partition) proposeISR(isr []int32, expand bool) {
	l := p.lead
	l.isr.pending = &isrChange{
		expand: expand, isr: isr, members: p.brokerStates(isr),
		leaderEpoch: p.leaderEpoch, partitionEpoch: p.partitionEpoch,
	}
	p.refreshFollowers()
	p.emit(event.IsrProposed, -1, int64(p.partitionEpoch), joinIDs(isr))
	p.m.alter.submit(p)
}

// brokerStates names the epoch with which each member fetched, so that the controller can refuse one that has
// restarted since (KIP-903). A member not yet heard of is sent without: if it restarted, the controller has
// removed it and will refuse our partition epoch.
func (p *Partition) brokerStates(isr []int32) []brokerState {
	states := make([]brokerState, len(isr))
	for i, id := range isr {
		states[i] = brokerState{id, -1}
		if id == p.m.cfg.NodeID {
			states[i].epoch = p.m.brokerEpoch
		} else if f := p.lead.follower(id); f != nil && f.brokerEpoch >= 0 {
			states[i].epoch = f.brokerEpoch
		}
	}
	return states
}

func joinIDs(ids []int32) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(b)
}
