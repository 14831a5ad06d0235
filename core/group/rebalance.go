package group

import (
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// rebalanceOrComplete begins a rebalance, or ends one for which everybody is there now.
func (c *classic) rebalanceOrComplete() {
	if c.canRebalance() {
		c.prepareRebalance()
	} else {
		c.maybeCompleteJoin()
	}
}

// prepareRebalance has all members join again. Those of an empty group are waited for longer, so that a group that is started is
// not rebalanced for each of its members.
func (c *classic) prepareRebalance() {
	if c.state == completingRebalance {
		c.resetAssignment(kerr.RebalanceInProgress)
	}
	c.stopSync()
	if c.state == empty {
		delay := c.machine.coordinator.cfg.InitialRebalanceDelay
		c.become(preparingRebalance)
		c.awaitNewcomers(delay, max(c.rebalanceTimeout()-delay, 0))
		return
	}
	c.become(preparingRebalance)
	if c.allJoined() {
		c.completeJoin()
		return
	}
	c.armJoin(c.rebalanceTimeout())
}

// awaitNewcomers gives more members time to come: delay, and as often again as one has come, until what is left of the rebalance timeout.
func (c *classic) awaitNewcomers(delay, left time.Duration) {
	c.join = c.machine.after(delay, func() {
		if !c.newcomers || left == 0 {
			c.completeJoin()
			return
		}
		c.newcomers = false
		c.awaitNewcomers(min(c.machine.coordinator.cfg.InitialRebalanceDelay, left), max(left-delay, 0))
	})
}

func (c *classic) armJoin(d time.Duration) {
	stopAll(c.join)
	c.join = c.machine.after(d, c.completeJoin)
}

// allJoined: nobody is waited for, neither a member nor an id that was given out.
func (c *classic) allJoined() bool { return c.joining == len(c.members) && len(c.pending) == 0 }

func (c *classic) maybeCompleteJoin() {
	if c.state == preparingRebalance && c.previous != empty && c.allJoined() {
		c.completeJoin()
	}
}

// patientRetry is the shortest wait for members none of whom has joined again.
const patientRetry = 100 * time.Millisecond

// completeJoin begins the next generation with those that have joined, and with static members that have not: they are expected back
// within their session.
func (c *classic) completeJoin() {
	stopAll(c.join)
	c.dropAbsent()
	if len(c.members) > 0 && !c.electLeader() {
		c.armJoin(max(c.rebalanceTimeout(), patientRetry))
		return
	}
	c.newcomers = false
	c.generation++
	for _, mb := range c.members {
		mb.owesSync = false
	}
	if len(c.members) == 0 {
		c.becomeEmpty()
		return
	}
	c.becomeCompleting()
}

func (c *classic) dropAbsent() {
	var absent []*member
	for _, mb := range c.members {
		if mb.joining == nil && !mb.isStatic() {
			absent = append(absent, mb)
		}
	}
	for _, mb := range absent {
		c.drop(mb)
	}
}

// electLeader keeps the leader if it has joined, else takes the first who has.
func (c *classic) electLeader() bool {
	if c.byID[c.leader].joining != nil {
		return true
	}
	for _, mb := range c.members {
		if mb.joining != nil {
			c.leader = mb.id
			return true
		}
	}
	return false
}

// becomeEmpty tells a successor that nobody is left. If that cannot be written, it will find the members of before, and wait a session
// for them: no harm.
func (c *classic) becomeEmpty() {
	c.protocol = nil
	c.topics = c.subscribedTopics()
	c.become(empty)
	_ = c.machine.log.Append([]coordinator.Record{c.record()}, nil)
}

func (c *classic) becomeCompleting() {
	chosen := c.choose()
	c.protocol = &chosen
	c.topics = c.subscribedTopics()
	c.become(completingRebalance)
	for _, mb := range c.members {
		c.answerJoin(mb, c.joined(mb))
		c.heard(mb)
		mb.isNew, mb.owesSync = false, true
	}
	generation := c.generation
	stopAll(c.sync)
	c.sync = c.machine.after(c.rebalanceTimeout(), func() { c.onSyncExpired(generation) })
}

// onSyncExpired drops the members that have not asked for their assignment.
func (c *classic) onSyncExpired(generation int32) {
	if generation != c.generation || c.state != completingRebalance && c.state != stable {
		return
	}
	var silent []*member
	for _, mb := range c.members {
		if mb.owesSync {
			silent = append(silent, mb)
		}
	}
	for _, mb := range silent {
		c.drop(mb)
	}
	if len(silent) > 0 {
		c.prepareRebalance()
	}
}

// stopSync: nobody owes a SyncGroup any more.
func (c *classic) stopSync() {
	stopAll(c.sync)
	for _, mb := range c.members {
		mb.owesSync = false
	}
}

// heard begins a member's session anew.
func (c *classic) heard(mb *member) { c.expect(mb, mb.sessionTimeout) }

// expect takes a member for dead after d.
func (c *classic) expect(mb *member, d time.Duration) {
	if mb.session == nil {
		mb.session = c.machine.after(d, func() { c.onSessionExpired(mb) })
		return
	}
	mb.session.Reset(max(d, 0))
}

func (c *classic) onSessionExpired(mb *member) {
	if c.byID[mb.id] != mb || mb.isExcused() {
		return // its session goes on when its request is answered
	}
	c.drop(mb)
	c.onGone()
}

// onPendingExpired: who was given an id has not come back with it.
func (c *classic) onPendingExpired(id string) {
	c.dropPending(id)
	if c.state == preparingRebalance && c.allJoined() {
		c.completeJoin()
	}
}

// onGone goes on without a member that is not there any more.
func (c *classic) onGone() {
	switch {
	case c.state == stable || c.state == completingRebalance:
		c.prepareRebalance()
	case c.state == preparingRebalance && c.allJoined():
		c.completeJoin()
	}
}
