package group

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// consumerTimers are those of a member of a consumer group.
type consumerTimers struct {
	session   scheduler.Timer // until it is taken for dead
	rebalance scheduler.Timer // until it must have revoked what it is to give up
	join      scheduler.Timer // until a classic member must have joined again
	sync      scheduler.Timer // and asked for its assignment
}

// retryFencing is how soon a member that could not be taken out of the group is to be taken out again.
const retryFencing = 500 * time.Millisecond

func (c *consumerGroup) timersOf(id string) *consumerTimers {
	if c.timers[id] == nil {
		c.timers[id] = &consumerTimers{}
	}
	return c.timers[id]
}

func (c *consumerGroup) stopTimers(id string) {
	if t := c.timers[id]; t != nil {
		stopAll(t.session, t.rebalance, t.join, t.sync)
		delete(c.timers, id)
	}
}

// heard begins a member's session anew.
func (c *consumerGroup) heard(id string, timeout time.Duration) {
	if t := c.timersOf(id); t.session == nil {
		t.session = c.machine.after(timeout, func() { c.fence(id) })
	} else {
		t.session.Reset(max(timeout, 0))
	}
}

// sessionTimeout is how long a member may be silent.
func (c *consumerGroup) sessionTimeout(mb *consumerMember) time.Duration {
	if mb.isClassic() {
		return millis(mb.classic.sessionTimeout)
	}
	return c.machine.coordinator.timing(c.group.id).Session
}

// expectRevocation takes a member out that has not left its epoch in time: others wait for what it has.
func (c *consumerGroup) expectRevocation(mb *consumerMember) {
	t, id, epoch := c.timersOf(mb.id), mb.id, mb.epoch
	stopAll(t.rebalance)
	t.rebalance = c.machine.after(millis(mb.rebalanceTimeout), func() {
		if now := c.members[id]; now != nil && now.epoch == epoch {
			c.fence(id)
		}
	})
}

// fence takes a member out of the group. If that cannot be stored now, it is tried again.
func (c *consumerGroup) fence(id string) {
	mb := c.members[id]
	if mb == nil || c.gone {
		return
	}
	if err := c.remove([]*consumerMember{mb}, nil); err != nil {
		c.heard(id, retryFencing)
	}
}

// load implements members: everybody has one session to show that it lives.
func (c *consumerGroup) load() {
	for _, mb := range c.sorted() {
		c.heard(mb.id, c.sessionTimeout(mb))
		if mb.state == unrevoked && !mb.isClassic() {
			c.expectRevocation(mb)
		}
	}
}

// unload implements members: nobody waits here.
func (c *consumerGroup) unload(error) {
	c.gone = true
	for _, id := range sortedKeys(c.timers) {
		c.stopTimers(id)
	}
}
