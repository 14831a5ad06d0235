package check

import (
	"fmt"
	"sort"

	"github.com/lockstep/lockstep/core/event"
)

// I1, the committed-prefix oracle: what a leader's high watermark has passed stays, at the same offset with the same epoch
// and bytes, in the log of every later leader.

// committed is the batches below the highest high watermark that a leader had, in order.
type committed struct {
	batches []int32
	end     int64
	unknown int64       // a leader's log began there, behind the last of batches: what lay between nobody will know
	runs    []commitRun // by from
	// leaderEpoch is the epoch of the last leader that was compared. After a loss that the configuration allows, what older leaders
	// commit means nothing.
	leaderEpoch int32
	valid       int32 // commits of older epochs are ignored
	cut         int64 // from where on, and why
	cutReason   string
}

// commitRun says that the batches from a place on were committed in an epoch, by at least minISR replicas.
type commitRun struct {
	from   int
	epoch  int32
	minISR int
}

// after is the place of the first committed batch that does not lie below offset.
func (c *committed) after(p *partition, offset int64) int {
	return sort.Search(len(c.batches), func(i int) bool { return p.batches[c.batches[i]].next > offset })
}

// committedBefore is how many of the batches were committed in epochs below epoch.
func (c *committed) committedBefore(epoch int32) int {
	i := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].epoch >= epoch })
	if i == len(c.runs) {
		return len(c.batches)
	}
	return c.runs[i].from
}

// endBefore is up to where was committed in epochs below epoch.
func (c *committed) endBefore(p *partition, epoch int32) int64 {
	return c.offsetOf(p, c.committedBefore(epoch))
}

func (c *committed) add(id int32, next int64, epoch int32, minISR int) {
	if n := len(c.runs); n == 0 || c.runs[n-1].epoch < epoch || c.runs[n-1].minISR != minISR {
		c.runs = append(c.runs, commitRun{len(c.batches), epoch, minISR})
	}
	c.batches = append(c.batches, id)
	c.end = next
}

// agree compares the replica's log, from its start on, with the committed one as far as both go. It reports whether they are the same so far.
func (r *replica) agree() bool {
	c := &r.part.committed
	if r.agreed <= r.first { // it may begin late, or earlier than before a restart
		from := r.end
		if r.first < len(r.slots) {
			from = r.at(r.first).base
		}
		r.agreed, r.agreedCommit = r.first, c.after(r.part, from)
	}
	for r.agreed < len(r.slots) && r.agreedCommit < len(c.batches) {
		id, own := c.batches[r.agreedCommit], r.at(r.agreed)
		switch {
		case r.slots[r.agreed].batch == id:
			r.agreed++
			r.agreedCommit++
		case r.part.batches[id].gone: // compaction may have taken it before it came here
			r.agreedCommit++
		case own.gone && own.next <= r.part.batches[id].base: // so it may have this, from whoever was elected
			r.agreed++
		default:
			return false
		}
	}
	return true
}

// agreedEnd is up to where the log is known to be the committed one. Compaction may have taken what lies before its next batch, or its end; or
// what it has there, from the leader.
func (r *replica) agreedEnd() int64 {
	end, next := r.logStart, r.end
	c, n := &r.part.committed, r.agreed
	for r.agreedCommit == len(c.batches) && n < len(r.slots) && r.at(n).gone && r.at(n).next <= c.end {
		n++
	}
	if n > 0 {
		end = r.at(n - 1).next
	}
	if r.agreedCommit == len(c.batches) {
		end = max(end, min(r.end, c.unknown))
	}
	if n < len(r.slots) {
		next = r.at(n).base
	}
	if next > end && r.part.areGone(end, next) {
		return next
	}
	return end
}

// commit takes a leader's high watermark: its log up to there is committed from now on.
func (s *State) commit(r *replica, hw int64, epoch int32) {
	p := r.part
	c := &p.committed
	if epoch < c.valid {
		p.losses = extendLoss(p.losses, lossRange{c.cut, hw, c.cutReason, s.now})
		return
	}
	if !r.agree() {
		if at := c.offsetOf(p, r.agreedCommit); at < hw {
			s.disagree(r, at)
		}
		return
	}
	for r.agreed < len(r.slots) && r.agreedCommit == len(c.batches) && r.at(r.agreed).next <= hw {
		id := r.slots[r.agreed].batch
		c.add(id, r.at(r.agreed).next, max(epoch, c.lastEpoch()), p.leastISR)
		switch {
		case p.batches[id].transactional:
			s.onTxnCommitted(p, id)
		case p.decided != nil:
			s.onDecided(p, id)
		}
		r.agreed++
		r.agreedCommit++
	}
	if n := len(c.batches); n == 0 || p.batches[c.batches[n-1]].next < r.logStart {
		c.unknown = max(c.unknown, min(hw, r.logStart))
	}
	c.end = max(c.end, hw)
}

func (c *committed) lastEpoch() int32 {
	if len(c.runs) == 0 {
		return none
	}
	return c.runs[len(c.runs)-1].epoch
}

// offsetOf is where a committed batch begins, or the end of all.
func (c *committed) offsetOf(p *partition, i int) int64 {
	if i == len(c.batches) {
		return c.end
	}
	return p.batches[c.batches[i]].base
}

// checkPrefix compares a replica's log below its own high watermark with what is committed.
func (s *State) checkPrefix(r *replica) {
	c := &r.part.committed
	if r.epoch < c.valid || r.agree() {
		return
	}
	if at := c.offsetOf(r.part, r.agreedCommit); at < r.hw {
		s.disagree(r, at)
	}
}

func (s *State) disagree(r *replica, offset int64) {
	p := r.part
	id := p.committed.batches[r.agreedCommit]
	s.violate(r.safety("P3"), commitChecker(r, "I1"), s.causeOfRemovalOr(p, id, s.did(r.node.id, fmt.Sprintf("put its high watermark at %d", r.hw))),
		"record %s below the high watermark %d of broker %d is not the one that was committed", recordName(p.id, offset), r.hw, r.node.id)
}

func commitChecker(r *replica, checker string) string {
	if r.part.id == event.MetadataPartition {
		return "I10"
	}
	return checker
}

// checkLeaderHasCommitted compares a new leader's log with everything that was committed before its epoch. What is missing
// is a violation or a loss that the configuration allows; then the new leader's log is what counts. If it ends below its start, what it misses
// went with retention; if other records than the committed ones did, it is judged for all from there on.
func (s *State) checkLeaderHasCommitted(r *replica, epoch int32) {
	p := r.part
	c := &p.committed
	r.agree()
	has := r.agreedCommit
	if r.agreed == len(r.slots) {
		has = max(has, c.after(p, r.logStart))
	}
	missing := c.committedBefore(epoch) - has
	if missing <= 0 || epoch < c.valid {
		if epoch > c.leaderEpoch {
			p.ignoreOlderLeaders(epoch)
		}
		if missing <= 0 && epoch >= c.valid {
			p.settleUnclean(epoch)
		}
		c.leaderEpoch = max(c.leaderEpoch, epoch)
		return
	}
	lost := c.batches[has : has+missing]
	for i, id := range lost {
		if !p.batches[id].gone { // else compaction had taken it from somebody before
			s.judgeLoss(r, id, c.runOf(has+i), epoch)
		}
	}
	for _, id := range lost {
		if b := &p.batches[id]; b.gone && c.cutReason != "" { // other records may come to be where it was
			p.losses = extendLoss(p.losses, lossRange{b.base, b.next, c.cutReason, s.now})
		}
	}
	if epoch > c.leaderEpoch {
		p.forgetCommitted(has, epoch)
		c.leaderEpoch = epoch
	}
}

// ignoreOlderLeaders: one who does not know yet of an unclean election commits what the new leader will not have.
func (p *partition) ignoreOlderLeaders(epoch int32) {
	c := &p.committed
	for _, u := range p.unclean {
		if u.epoch > c.leaderEpoch && u.epoch <= epoch && u.allowed {
			c.valid, c.cut, c.cutReason = epoch, c.end, reasonUnclean
		}
	}
}

// settleUnclean: a leader that has everything has shown that no election up to its own took anything away.
func (p *partition) settleUnclean(epoch int32) {
	for i := range p.unclean {
		if u := &p.unclean[i]; u.epoch <= epoch {
			u.harmless = true
		}
	}
}

// runOf says how a batch was committed.
func (c *committed) runOf(at int) commitRun {
	i := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].from > at })
	return c.runs[max(i-1, 0)]
}

// judgeLoss decides what it means that the leader of epoch misses a batch that was committed in an earlier one.
func (s *State) judgeLoss(r *replica, id int32, committedIn commitRun, epoch int32) {
	p := r.part
	b := &p.batches[id]
	reason := s.allowedLoss(r, id, committedIn, epoch)
	if b.next <= p.start {
		reason = reasonRetention
	}
	if reason != "" {
		s.lose(reason, b.next-b.base)
		p.losses = extendLoss(p.losses, lossRange{b.base, b.next, reason, s.now})
		p.committed.cutReason = reason
		return
	}
	if len(s.violations) > 0 {
		return // one is enough
	}
	promise := r.safety(p.topic.promise())
	s.violate(promise, commitChecker(r, "I1"), s.causeOfLoss(r, id),
		"record %s (%s) is gone from leader %d's log", recordName(p.id, b.base), s.knownAs(p, b), r.node.id)
}

// knownAs says how a record came to be promised.
func (s *State) knownAs(p *partition, b *batch) string {
	if s.describe != nil {
		for offset := b.base; offset < b.next; offset++ {
			if text := s.describe(p.id, offset); text != "" {
				return text
			}
		}
	}
	return fmt.Sprintf("committed in epoch %d", b.epoch)
}

// forgetCommitted cuts the committed log to its first n batches; only leaders from epoch on add to it.
func (p *partition) forgetCommitted(n int, epoch int32) {
	c := &p.committed
	c.batches = c.batches[:n]
	for len(c.runs) > 0 && c.runs[len(c.runs)-1].from >= n {
		c.runs = c.runs[:len(c.runs)-1]
	}
	c.end, c.unknown = 0, 0
	if n > 0 {
		c.end = p.batches[c.batches[n-1]].next
	}
	c.valid, c.cut = epoch, c.end
	p.forgetTxns()
	for _, r := range p.replicas {
		if over := r.agreedCommit - n; over > 0 {
			r.agreed = max(0, r.agreed-over)
			r.agreedCommit = n
			if p.cleaned.to > 0 {
				r.realign()
			}
		}
	}
}
