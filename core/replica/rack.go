package replica

import (
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
)

// noReplica is none.
const noReplica = -1

// readable returns a partition that a consumer may read here, though another broker leads it (KIP-392).
func (m *Manager) readable(id event.Partition, topicID [16]byte, epoch int32) (*Partition, error) {
	p, err := m.leading(id, topicID, epoch)
	if err == kerr.NotLeaderForPartition && p != nil && p.isOnline() && p.lead == nil {
		return p, nil
	}
	return p, err
}

// preferredReplica is the replica that a consumer in a rack should rather read from, or noReplica if that is this one: Kafka's
// RackAwareReplicaSelector. Of the in-sync ones in that rack which have the offset it is the one that is furthest, was caught up last, and has the
// highest id.
func (p *Partition) preferredReplica(rack string, offset int64) int32 {
	if !p.m.cfg.RackAware || rack == "" || p.lead == nil || rack == p.m.cfg.Rack {
		return noReplica
	}
	var best *follower
	for i := range p.lead.followers { // by id
		f := &p.lead.followers[i]
		switch {
		case !contains(p.lead.isr.committed, f.id) || offset > f.logEndOffset || offset < f.logStartOffset || !p.m.isInRack(f.id, rack):
		case best == nil || f.logEndOffset > best.logEndOffset || f.logEndOffset == best.logEndOffset && f.lastCaughtUp >= best.lastCaughtUp:
			best = f
		}
	}
	if best == nil {
		return noReplica
	}
	return best.id
}

// isInRack reports whether a broker is alive and in a rack.
func (m *Manager) isInRack(id int32, rack string) bool {
	return m.isAlive(id) && m.image.Broker(id).Rack == rack
}
