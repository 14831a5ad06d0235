package controller

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/metadata"
)

// none is no broker.
const none int32 = -1

// leaderUpdate is a change of a broker's state that its partitions have to follow. Each field is a
// broker or none.
type leaderUpdate struct {
	remove          int32 // leaves all ISRs and leaderships
	add             int32 // may lead from now on, though the image still has it fenced
	uncleanShutdown int32 // leaves all ISRs, ELRs and leaderships
	home            *home // where its replicas are from now on; nil: where they were
}

// home is the only directory that a broker has registered.
type home struct {
	broker int32
	dirs   [][16]byte
}

// lacks reports whether a partition is said to be in a directory that the broker has no more: its disk was replaced.
func (h *home) lacks(p *metadata.Partition) bool {
	if h == nil || !p.HasReplica(h.broker) {
		return false
	}
	dir := p.Dir(h.broker)
	return !isReservedID(dir) && !slices.Contains(h.dirs, dir)
}

// concerns reports whether a partition has to be looked at.
func (u leaderUpdate) concerns(p *metadata.Partition) bool {
	return u.home.lacks(p) ||
		u.remove != none && slices.Contains(p.ISR, u.remove) ||
		u.add != none && p.Leader == metadata.NoLeader ||
		u.uncleanShutdown != none && (slices.Contains(p.ISR, u.uncleanShutdown) || slices.Contains(p.ELR, u.uncleanShutdown))
}

// leaderUpdates appends the changes of all partitions that an update concerns, each on its own.
func (c *Controller) leaderUpdates(records []metadata.Record, u leaderUpdate) []metadata.Record {
	return c.leaderUpdatesOf(records, u, u.concerns)
}

func (c *Controller) leaderUpdatesOf(records []metadata.Record, u leaderUpdate, concerns func(*metadata.Partition) bool) []metadata.Record {
	c.img.Partitions(func(p *metadata.Partition) bool {
		if !concerns(p) {
			return true
		}
		b := c.changeOf(p)
		b.targetISR = without(without(p.ISR, u.remove), u.uncleanShutdown)
		b.uncleanShutdown = u.uncleanShutdown
		b.acceptable = func(id int32) bool {
			return id != u.remove && id != u.uncleanShutdown && c.mayLead(p, id, id == u.add)
		}
		if u.home.lacks(p) {
			b.dirs = p.DirsWith(u.home.broker, u.home.dirs[0])
		}
		if r := b.build(); r != nil {
			records = append(records, r)
		}
		return true
	})
	return records
}

// changeOf starts a change of a partition that changes nothing but a leader that cannot lead.
func (c *Controller) changeOf(p *metadata.Partition) *partitionChange {
	b := &partitionChange{
		partition: p, targetISR: p.ISR, recovering: p.Recovering, target: assignmentOf(p), dirs: p.Dirs, defaultDir: c.defaultDir,
		minISR: c.minISR(p.Topic), elrEnabled: c.elrEnabled(), uncleanShutdown: none,
		acceptable: func(id int32) bool { return c.mayLead(p, id, false) },
	}
	if c.uncleanElection(p.Topic) {
		b.election = electUnclean
	}
	return b
}

// mayLead reports whether a broker is fit to lead the partition, its records apart: active, or taken
// for it, and with the replica's directory online (KIP-858).
func (c *Controller) mayLead(p *metadata.Partition, id int32, assumeActive bool) bool {
	b := c.img.Broker(id)
	if b == nil || !assumeActive && !b.Active() {
		return false
	}
	return b.HasOnlineDir(p.Dir(id))
}

// fenceRecords fence a broker: it leaves every ISR and leadership first, so that whoever replays
// half of it never sees a fenced leader.
func (c *Controller) fenceRecords(b *metadata.Broker) []metadata.Record {
	records := c.leaderUpdates(nil, leaderUpdate{remove: b.ID, add: none, uncleanShutdown: none})
	return append(records, &metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, Fenced: metadata.Fence})
}

// unfenceRecords unfence a broker and give it the leaderless partitions that it may lead.
func (c *Controller) unfenceRecords(b *metadata.Broker) []metadata.Record {
	records := []metadata.Record{&metadata.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, Fenced: metadata.Unfence}}
	return c.leaderUpdates(records, leaderUpdate{remove: none, add: b.ID, uncleanShutdown: none})
}

// onSessionExpired fences a broker that was not heard of for the session timeout.
func (c *Controller) onSessionExpired(id int32, epoch int64) {
	b := c.img.Broker(id)
	if b == nil || b.Epoch != epoch || b.Fenced {
		return
	}
	c.writeInParts(c.fenceRecords(b), func(error) {})
}

// elrEnabled reports whether eligible leader replicas are kept (KIP-966).
func (c *Controller) elrEnabled() bool { return c.img.Feature(FeatureELR) >= 1 }

// topicConfig is a topic's value, or the cluster's dynamic default (the broker resource with an
// empty name).
func (c *Controller) topicConfig(topic, key string) (string, bool) {
	if v, ok := c.img.ConfigValue(metadata.ResourceTopic, topic, key); ok {
		return v, true
	}
	return c.img.ConfigValue(metadata.ResourceBroker, "", key)
}

// minISR is a topic's min.insync.replicas.
func (c *Controller) minISR(topic string) int {
	if v, ok := c.topicConfig(topic, keyMinInsyncReplicas); ok {
		if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
			return n
		}
	}
	return c.cfg.MinInsyncReplicas
}

// uncleanElection reports whether a topic prefers any leader to none (KIP-106).
func (c *Controller) uncleanElection(topic string) bool {
	if v, ok := c.topicConfig(topic, keyUncleanElection); ok {
		return strings.EqualFold(strings.TrimSpace(v), "true")
	}
	return c.cfg.UncleanLeaderElection
}
