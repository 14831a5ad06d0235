package sim

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// ailment says what keeps the cluster from being well: every node ready, a controller active, no broker fenced, every
// partition led, every ISR full, every high watermark at the log's end and every producer known again; empty if nothing does.
func (c *Cluster) ailment() string {
	for _, n := range c.nodes {
		switch {
		case !n.Up():
			return n.name + " is down"
		case n.failed != nil:
			return fmt.Sprintf("%s did not start: %v", n.name, n.failed)
		case !n.broker.Ready():
			return n.name + " is not ready"
		}
	}
	if c.controller() == nil {
		return "no controller is active"
	}
	if id := c.fenced(); id >= 0 {
		return fmt.Sprintf("broker %d is fenced", id)
	}
	return c.partitionAilment()
}

// fenced is a broker that the newest metadata has fenced; -1 if there is none.
func (c *Cluster) fenced() (id int32) {
	id = -1
	c.image().Brokers(func(b *metadata.Broker) bool {
		if b.Fenced {
			id = b.ID
		}
		return id < 0
	})
	return id
}

func (c *Cluster) partitionAilment() (ailment string) {
	img := c.image()
	for _, t := range c.run.schedule.Options.topicPointers() {
		for i := range t.Partitions {
			p := event.Partition{Topic: t.Name, Index: int32(i)}
			if ailment := c.ailmentOf(p, img.Partition(p)); ailment != "" {
				return ailment
			}
		}
	}
	img.Partitions(func(p *metadata.Partition) bool { // operators may have made more
		ailment = c.ailmentOf(p.Key(), p)
		return ailment == ""
	})
	return ailment
}

func (c *Cluster) ailmentOf(p event.Partition, reg *metadata.Partition) string {
	switch {
	case reg == nil:
		return fmt.Sprintf("%s does not exist", p)
	case reg.Leader < 0:
		return fmt.Sprintf("%s has no leader; replicas %v, ISR %v, ELR %v", p, reg.Replicas, reg.ISR, reg.ELR)
	case len(reg.Adding)+len(reg.Removing) > 0:
		return fmt.Sprintf("the reassignment of %s is not over: replicas %v, adding %v, removing %v", p, reg.Replicas, reg.Adding, reg.Removing)
	case len(reg.ISR) != len(reg.Replicas):
		return fmt.Sprintf("the ISR of %s is %v of %v; the leader is %d", p, reg.ISR, reg.Replicas, reg.Leader)
	}
	leader := c.byID(reg.Leader).broker.Replicas().Partition(p)
	switch {
	case leader == nil || !leader.IsLeader() || leader.LeaderEpoch() != reg.LeaderEpoch:
		return fmt.Sprintf("%d does not know yet that it leads %s", reg.Leader, p)
	case leader.HighWatermark() != leader.Log().LogEndOffset():
		return fmt.Sprintf("the high watermark of %s is %d, its log ends at %d", p, leader.HighWatermark(), leader.Log().LogEndOffset())
	}
	for _, id := range reg.Replicas {
		switch r := c.byID(id).broker.Replicas().Partition(p); {
		case r == nil || r.Log() == nil:
		case r.Log().IsRebuilding():
			return fmt.Sprintf("%d still reads back who produced to %s", id, p)
		case r.Log().IsMoving():
			return fmt.Sprintf("%d is about to have %s in another log directory", id, p)
		}
	}
	return ""
}

// openTransaction names a partition whose end is not stable; empty if all are.
func (c *Cluster) openTransaction() (open string) {
	c.image().Partitions(func(p *metadata.Partition) bool {
		leader := c.leader(p.Key())
		if leader == nil || !leader.Up() {
			return true
		}
		if part := leader.broker.Replicas().Partition(p.Key()); part != nil && part.Log() != nil && part.Log().LastStableOffset() != part.HighWatermark() {
			open = fmt.Sprintf("%s is stable up to %d, and its high watermark is %d", p.Key(), part.Log().LastStableOffset(), part.HighWatermark())
		}
		return open == ""
	})
	return open
}

// caughtUp reports whether a node is a member of every ISR that it belongs to.
func (c *Cluster) caughtUp(n *Node) bool {
	img := c.image()
	if !n.Up() || !n.broker.Ready() || img == nil {
		return false
	}
	all := true
	img.Partitions(func(p *metadata.Partition) bool {
		all = !p.HasReplica(n.id) || slices.Contains(p.ISR, n.id)
		return all
	})
	return all
}
