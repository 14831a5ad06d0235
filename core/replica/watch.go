package replica

import (
	"github.com/lockstep/lockstep/core/storage"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Watcher follows the partitions of one topic that this broker leads: a coordinator, whose state is their records. It is
// called in the middle of a change of the partition and must not change it before the turn ends.
type Watcher interface {
	// OnElected: a leader epoch of this broker has begun. OnResigned was called for an earlier one.
	OnElected(p *Partition)
	// OnResigned: the leader epoch has ended: somebody else leads, or nobody, or the partition or its disk is gone.
	OnResigned(p *Partition)
	// OnHighWatermark: all below hw is committed.
	OnHighWatermark(p *Partition, hw int64)
}

// Watch has w follow a topic. It must be called before the first Apply.
func (m *Manager) Watch(topic string, w Watcher) {
	if m.watchers == nil {
		m.watchers = map[string]Watcher{}
	}
	m.watchers[topic] = w
}

// Append appends a batch of this broker's own to a partition that it leads, as a produce with acks=all would: with
// NOT_ENOUGH_REPLICAS it is nowhere. It is committed when the high watermark has reached NextOffset. The batch alone of the entry counts,
// and what there is to say of its transaction. It does not wait for a move to another log directory as a client's does: the caller needs its offsets at once.
func (p *Partition) Append(e ProduceEntry) (storage.AppendInfo, error) {
	if err := p.serving(-1); err != nil {
		return storage.AppendInfo{}, err
	}
	if p.IsUnderMinISR() {
		return storage.AppendInfo{}, kerr.NotEnoughReplicas
	}
	if p.onOwnWritten == nil {
		p.onOwnWritten = func(error) { p.onAppended() }
	}
	return p.append(&e, nil, p.onOwnWritten)
}

func (p *Partition) tellElected() {
	if p.watcher != nil {
		p.watcher.OnElected(p)
	}
}

// tellResigned runs while p.lead is still there.
func (p *Partition) tellResigned() {
	if p.watcher != nil && p.lead != nil {
		p.watcher.OnResigned(p)
	}
}
