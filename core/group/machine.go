package group

import (
	"maps"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// log is what a machine needs of its shard.
type log interface {
	Append(records []coordinator.Record, answer func(error)) error
	AppendToTransaction(t coordinator.Transaction, records []coordinator.Record, answer func(error)) error
	WhenCommitted(answer func(error))
	Loop() scheduler.Loop
}

// machine is the groups of one partition of __consumer_offsets.
//
// Offsets are the records' and nothing else. Of a classic group's members only those of the last completed rebalance are in a record: a
// successor finds them, Stable, and a rebalance that was under way is lost.
type machine struct {
	coordinator  *Coordinator
	log          log
	groups       map[string]*Group
	transactions transactions
	loaded       bool
	cleanup      scheduler.Timer
}

func newMachine(c *Coordinator, l log) *machine {
	return &machine{coordinator: c, log: l, groups: map[string]*Group{}, transactions: transactions{}}
}

func (m *machine) now() int64 { return m.log.Loop().UnixMilli() }

func (m *machine) after(d time.Duration, f func()) scheduler.Timer {
	return m.log.Loop().AfterFunc(max(d, 0), f)
}

// sorted are the groups by id.
func (m *machine) sorted() []*Group {
	groups := make([]*Group, 0, len(m.groups))
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		groups = append(groups, m.groups[id])
	}
	return groups
}

// create makes a group without members.
func (m *machine) create(id string) *Group {
	g := &Group{id: id, offsets: offsetTable{}}
	g.members = newClassic(m, g)
	m.groups[id] = g
	return g
}

// classic is the group's members if they are of the classic kind; else, or if there is no group, nil.
func (m *machine) classic(id string) *classic {
	g := m.groups[id]
	if g == nil {
		return nil
	}
	c, _ := g.members.(*classic)
	return c
}

// remove forgets a group whose tombstone was written. Its offsets have tombstones of their own.
func (m *machine) remove(id string) {
	g := m.groups[id]
	if g == nil {
		return
	}
	g.members.unload(kerr.UnknownMemberID)
	if len(g.offsets) == 0 && len(g.pending) == 0 {
		delete(m.groups, id)
		return
	}
	g.members = newClassic(m, g) // as Kafka's loader: offsets without a group make a simple one
}

// Replay implements coordinator.Machine. What it does not know is from a later version, and not needed to know the rest.
func (m *machine) Replay(r coordinator.Replayed) {
	switch keyKind(r.Key) {
	case keyOffsetLegacy, keyOffset:
		m.replayOffset(r)
	case keyGroup:
		m.replayGroup(r)
	case keyConsumerGroup, keyPartitionMetadata, keyMemberMetadata, keyTargetAssignmentMetadata, keyTargetAssignmentMember, keyCurrentAssignment, keyRegularExpression:
		m.replayConsumer(keyKind(r.Key), r)
	}
}

func (m *machine) replayOffset(r coordinator.Replayed) {
	key := kmsg.NewOffsetCommitKey()
	if key.ReadFrom(r.Key) != nil {
		return
	}
	at := offsetKey{key.Topic, key.Partition}
	g := m.groups[key.Group]
	if r.Value == nil {
		if g != nil {
			delete(g.offsets, at)
			m.transactions.drop(g, at)
		}
		return
	}
	o, err := readOffset(r.Value, r.Offset)
	if err != nil {
		return
	}
	if g == nil {
		g = m.create(key.Group) // somebody who manages partitions by itself
	}
	if r.ProducerID >= 0 {
		m.transactions.add(r.ProducerID, g, at, o)
		return
	}
	g.offsets[at] = o
}

// replayGroup makes the group that a record tells of. When a record was appended just now the group is as it says already.
func (m *machine) replayGroup(r coordinator.Replayed) {
	key := kmsg.NewGroupMetadataKey()
	if key.ReadFrom(r.Key) != nil {
		return
	}
	if r.Value == nil {
		if m.classic(key.Group) != nil {
			m.remove(key.Group)
		}
		return
	}
	value := kmsg.NewGroupMetadataValue()
	if m.loaded || value.ReadFrom(r.Value) != nil {
		return
	}
	g := m.groups[key.Group]
	if g == nil {
		g = m.create(key.Group)
	}
	g.members = loadedClassic(m, g, &value)
}

// ReplayMarker implements coordinator.Machine. A commit outside of transactions that came after the transaction's stays.
func (m *machine) ReplayMarker(producerID int64, _ int16, commit bool) {
	m.endTransaction(producerID, func(g *Group, at offsetKey, o *offset) {
		if old := g.offsets[at]; commit && (old == nil || o.recordOffset > old.recordOffset) {
			g.offsets[at] = o
		}
	})
}

// Loaded implements coordinator.Machine.
func (m *machine) Loaded() {
	m.loaded = true
	for _, g := range m.sorted() {
		g.members.load()
	}
	m.cleanup = m.after(m.coordinator.cfg.RetentionCheckInterval, m.onCleanup)
}

// Unloaded implements coordinator.Machine.
func (m *machine) Unloaded() {
	if m.cleanup != nil {
		m.cleanup.Stop()
	}
	for _, g := range m.sorted() {
		g.members.unload(kerr.NotCoordinator)
	}
}
