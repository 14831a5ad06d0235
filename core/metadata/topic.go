package metadata

import (
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// Directory ids with a meaning (KIP-858).
var (
	DirMigrating  = [16]byte{}
	DirUnassigned = [16]byte{15: 1}
	DirLost       = [16]byte{15: 2}
)

// Topic is a topic and its partitions.
type Topic struct {
	Name       string
	ID         [16]byte
	Partitions []*Partition // by index

	// owner is the image that may change this value in place, since nobody else has seen it.
	owner *owner
	hash  uint64
}

// Partition returns a partition of the topic; nil if there is none.
func (t *Topic) Partition(index int32) *Partition {
	if index < 0 || int(index) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[index]
}

// Partition is one partition as the controller decided it. Its lists are not to be changed.
type Partition struct {
	Topic            string
	TopicID          [16]byte
	Index            int32
	Replicas         []int32 // preferred leader first
	ISR              []int32
	ELR              []int32 // eligible leaders beside the ISR (KIP-966)
	LastKnownELR     []int32 // the last known leader, while there is none
	Adding, Removing []int32
	Dirs             [][16]byte // one per replica
	Leader           int32      // NoLeader if none
	LeaderEpoch      int32      // grows with each election
	PartitionEpoch   int32      // grows with each change
	Recovering       bool       // elected uncleanly, no ISR written since (KIP-704)

	hash uint64
}

// Key names the partition.
func (p *Partition) Key() event.Partition { return event.Partition{Topic: p.Topic, Index: p.Index} }

// HasReplica reports whether a broker hosts the partition.
func (p *Partition) HasReplica(id int32) bool { return slices.Contains(p.Replicas, id) }

// Dir returns where a replica keeps the partition.
func (p *Partition) Dir(id int32) [16]byte {
	if n := slices.Index(p.Replicas, id); n >= 0 {
		return p.Dirs[n]
	}
	return DirUnassigned
}

// DirsWith is Dirs with one replica in another directory, as a new slice.
func (p *Partition) DirsWith(id int32, dir [16]byte) [][16]byte {
	dirs := slices.Clone(p.Dirs)
	dirs[slices.Index(p.Replicas, id)] = dir
	return dirs
}

func newPartition(topic string, r *PartitionRecord) *Partition {
	return &Partition{
		Topic: topic, TopicID: r.TopicID, Index: r.PartitionID,
		Replicas: r.Replicas, ISR: r.Isr, ELR: r.EligibleLeaderReplicas, LastKnownELR: r.LastKnownElr,
		Adding: r.AddingReplicas, Removing: r.RemovingReplicas, Dirs: dirsFor(r.Directories, len(r.Replicas)),
		Leader: r.Leader, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch,
		Recovering: r.LeaderRecoveryState == Recovering,
	}
}

// dirsFor is the directories of n replicas; records of old versions have none.
func dirsFor(dirs [][16]byte, n int) [][16]byte {
	if len(dirs) == 0 && n > 0 {
		return make([][16]byte, n) // DirMigrating
	}
	return dirs
}

// Record returns the record that recreates the partition.
func (p *Partition) Record() *PartitionRecord {
	r := &PartitionRecord{
		PartitionID: p.Index, TopicID: p.TopicID, Replicas: p.Replicas, Isr: p.ISR,
		AddingReplicas: p.Adding, RemovingReplicas: p.Removing, Directories: p.Dirs,
		Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
	}
	if p.Recovering {
		r.LeaderRecoveryState = Recovering
	}
	if len(p.ELR) > 0 {
		r.EligibleLeaderReplicas = p.ELR
	}
	if len(p.LastKnownELR) > 0 {
		r.LastKnownElr = p.LastKnownELR
	}
	return r
}

// merge is the partition after a change. The partition epoch grows always, the leader epoch when
// the change names a leader, be it the same one.
func (p *Partition) merge(c *PartitionChangeRecord) *Partition {
	n := *p
	n.PartitionEpoch++
	if c.Leader != NoLeaderChange {
		n.Leader = c.Leader
		n.LeaderEpoch++
	}
	if c.LeaderRecoveryState != RecoveryNoChange {
		n.Recovering = c.LeaderRecoveryState == Recovering
	}
	n.Replicas = changed(p.Replicas, c.Replicas)
	n.ISR = changed(p.ISR, c.Isr)
	n.ELR = changed(p.ELR, c.EligibleLeaderReplicas)
	n.LastKnownELR = changed(p.LastKnownELR, c.LastKnownElr)
	n.Adding = changed(p.Adding, c.AddingReplicas)
	n.Removing = changed(p.Removing, c.RemovingReplicas)
	if c.Directories != nil {
		n.Dirs = c.Directories
	}
	n.Dirs = dirsFor(n.Dirs, len(n.Replicas))
	return &n
}

func changed(now, change []int32) []int32 {
	if change == nil {
		return now
	}
	return change
}
