package group

import (
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/metadata"
)

// onCleanup drops the offsets that have been of no use for too long, and groups without offsets and members (KIP-211).
func (m *machine) onCleanup() {
	m.cleanup.Reset(m.coordinator.cfg.RetentionCheckInterval)
	var records []coordinator.Record
	for _, g := range m.sorted() {
		expired, all := m.expired(g)
		for _, at := range expired {
			records = append(records, offsetTombstone(g.id, at))
		}
		if all && g.members.isEmpty() {
			records = append(records, g.members.tombstones()...)
		}
	}
	m.appendInPieces(records, func(error) {}) // what could not be written is found again next time
}

// expired are the partitions whose offsets go, and whether no offset is left then, pending ones included.
func (m *machine) expired(g *Group) (gone []offsetKey, all bool) {
	for _, at := range g.offsets.sorted() {
		if !g.isPending(at) && !g.members.isSubscribed(at.topic) && m.isExpired(g, g.offsets[at]) {
			gone = append(gone, at)
		}
	}
	return gone, len(gone) == len(g.offsets) && len(g.pending) == 0
}

func (m *machine) isExpired(g *Group, o *offset) bool {
	since, ok := g.members.offsetsAge(o)
	switch {
	case !ok:
		return false
	case o.expiresAt >= 0:
		return m.now() >= o.expiresAt
	}
	return m.now()-since >= m.coordinator.cfg.OffsetsRetention.Milliseconds()
}

// offsetsAge implements members. While there are members only a stable group of consumers is known not to want a topic.
func (c *classic) offsetsAge(o *offset) (since int64, ok bool) {
	switch {
	case c.typ == "":
		return o.committedAt, true // nobody but the commits tells of whom this is
	case c.state == empty && c.since >= 0:
		return c.since, true
	case c.state == empty:
		return o.committedAt, true
	case c.state == stable && c.typ == consumerType && c.topics != nil:
		return o.committedAt, true
	}
	return 0, false
}

// forgetTopics drops the offsets of topics that were deleted.
func (m *machine) forgetTopics(deleted []metadata.TopicRef) {
	ids := make(map[string][16]byte, len(deleted))
	for _, t := range deleted {
		ids[t.Name] = t.ID
	}
	var records []coordinator.Record
	for _, g := range m.sorted() {
		for _, at := range g.offsets.sorted() {
			if id, gone := ids[at.topic]; gone && g.offsets[at].isOfTopic(id) {
				records = append(records, offsetTombstone(g.id, at))
			}
		}
		for _, at := range g.sortedPending() {
			if _, gone := ids[at.topic]; gone && g.offsets[at] == nil {
				records = append(records, offsetTombstone(g.id, at))
			}
		}
	}
	m.appendInPieces(records, func(error) {})
}
