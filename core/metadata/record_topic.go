package metadata

import "github.com/twmb/franz-go/pkg/kbin"

// TopicRecord (2) creates a topic; its partitions follow.
type TopicRecord struct {
	Name    string
	TopicID [16]byte
}

// Key is 2.
func (*TopicRecord) Key() int16 { return KeyTopic }

// Version is 0.
func (*TopicRecord) Version() int16 { return 0 }

func (x *TopicRecord) append(dst []byte) []byte {
	dst = kbin.AppendCompactString(dst, x.Name)
	dst = kbin.AppendUuid(dst, x.TopicID)
	return append(dst, 0)
}

func (x *TopicRecord) read(r *reader, _ int16) {
	x.Name, x.TopicID = r.string(), r.uuid()
	r.noTags()
}

// RemoveTopicRecord (9) deletes a topic with its partitions and configs.
type RemoveTopicRecord struct {
	TopicID [16]byte
}

// Key is 9.
func (*RemoveTopicRecord) Key() int16 { return KeyRemoveTopic }

// Version is 0.
func (*RemoveTopicRecord) Version() int16 { return 0 }

func (x *RemoveTopicRecord) append(dst []byte) []byte {
	return append(kbin.AppendUuid(dst, x.TopicID), 0)
}

func (x *RemoveTopicRecord) read(r *reader, _ int16) {
	x.TopicID = r.uuid()
	r.noTags()
}

// ClearElrRecord (28) empties the ELR of a topic's partitions, or of all when the name is empty:
// its members were eligible by a min.insync.replicas that no longer holds (KIP-966).
type ClearElrRecord struct {
	TopicName string
}

// Key is 28.
func (*ClearElrRecord) Key() int16 { return KeyClearElr }

// Version is 0.
func (*ClearElrRecord) Version() int16 { return 0 }

func (x *ClearElrRecord) append(dst []byte) []byte {
	return append(kbin.AppendCompactString(dst, x.TopicName), 0)
}

func (x *ClearElrRecord) read(r *reader, _ int16) {
	x.TopicName = r.string()
	r.noTags()
}

// Leader recovery states (KIP-704).
const (
	RecoveryNoChange int8 = -1
	Recovered        int8 = 0
	Recovering       int8 = 1 // elected uncleanly, has not written an ISR since
)

// Values of PartitionChangeRecord.Leader that are no broker.
const (
	NoLeader       int32 = -1
	NoLeaderChange int32 = -2
)

// PartitionRecord (3) is a whole partition: at creation and in snapshots.
type PartitionRecord struct {
	PartitionID            int32
	TopicID                [16]byte
	Replicas               []int32 // preferred leader first
	Isr                    []int32
	RemovingReplicas       []int32
	AddingReplicas         []int32
	Leader                 int32
	LeaderRecoveryState    int8
	LeaderEpoch            int32
	PartitionEpoch         int32
	Directories            [][16]byte // one per replica
	EligibleLeaderReplicas []int32    // nil: none
	LastKnownElr           []int32    // nil: none
}

// Key is 3.
func (*PartitionRecord) Key() int16 { return KeyPartition }

// Version is 2.
func (*PartitionRecord) Version() int16 { return 2 }

func (x *PartitionRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, x.PartitionID)
	dst = kbin.AppendUuid(dst, x.TopicID)
	dst = appendInt32s(dst, x.Replicas)
	dst = appendInt32s(dst, x.Isr)
	dst = appendInt32s(dst, x.RemovingReplicas)
	dst = appendInt32s(dst, x.AddingReplicas)
	dst = kbin.AppendInt32(dst, x.Leader)
	dst = kbin.AppendInt32(dst, x.LeaderEpoch)
	dst = kbin.AppendInt32(dst, x.PartitionEpoch)
	dst = appendUuids(dst, x.Directories)
	t := beginTags(dst)
	if x.LeaderRecoveryState != Recovered {
		t.int8(0, x.LeaderRecoveryState)
	}
	if x.EligibleLeaderReplicas != nil {
		t.int32s(1, x.EligibleLeaderReplicas)
	}
	if x.LastKnownElr != nil {
		t.int32s(2, x.LastKnownElr)
	}
	return t.dst
}

func (x *PartitionRecord) read(r *reader, version int16) {
	x.PartitionID, x.TopicID = r.int32(), r.uuid()
	x.Replicas, x.Isr = r.requiredInt32s(), r.requiredInt32s()
	x.RemovingReplicas, x.AddingReplicas = r.requiredInt32s(), r.requiredInt32s()
	x.Leader, x.LeaderEpoch, x.PartitionEpoch = r.int32(), r.int32(), r.int32()
	if version >= 1 {
		if x.Directories = r.uuids(); x.Directories == nil {
			r.fail()
		}
	}
	r.tags(func(tag uint32, f *reader) bool {
		switch {
		case tag == 0:
			x.LeaderRecoveryState = f.int8()
		case tag == 1 && version >= 2:
			x.EligibleLeaderReplicas = f.int32s()
		case tag == 2 && version >= 2:
			x.LastKnownElr = f.int32s()
		default:
			return false
		}
		return true
	})
}

// PartitionChangeRecord (5) is what changed of a partition; each replay of one adds 1 to the
// partition epoch, and to the leader epoch when Leader is set. Use NewPartitionChange: the zero
// value would elect broker 0.
type PartitionChangeRecord struct {
	PartitionID            int32
	TopicID                [16]byte
	Isr                    []int32 // nil here and below: no change
	Leader                 int32
	Replicas               []int32
	RemovingReplicas       []int32
	AddingReplicas         []int32
	LeaderRecoveryState    int8
	EligibleLeaderReplicas []int32
	LastKnownElr           []int32
	Directories            [][16]byte
}

// NewPartitionChange returns a record that changes nothing yet.
func NewPartitionChange(topicID [16]byte, index int32) *PartitionChangeRecord {
	return &PartitionChangeRecord{PartitionID: index, TopicID: topicID, Leader: NoLeaderChange, LeaderRecoveryState: RecoveryNoChange}
}

// IsNoOp reports whether replaying the record would change the epochs only.
func (x *PartitionChangeRecord) IsNoOp() bool {
	return x.Isr == nil && x.Leader == NoLeaderChange && x.Replicas == nil && x.RemovingReplicas == nil &&
		x.AddingReplicas == nil && x.LeaderRecoveryState == RecoveryNoChange &&
		x.EligibleLeaderReplicas == nil && x.LastKnownElr == nil && x.Directories == nil
}

// Key is 5.
func (*PartitionChangeRecord) Key() int16 { return KeyPartitionChange }

// Version is 2.
func (*PartitionChangeRecord) Version() int16 { return 2 }

func (x *PartitionChangeRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, x.PartitionID)
	dst = kbin.AppendUuid(dst, x.TopicID)
	t := beginTags(dst)
	t.changed(0, x.Isr)
	if x.Leader != NoLeaderChange {
		t.int32(1, x.Leader)
	}
	t.changed(2, x.Replicas)
	t.changed(3, x.RemovingReplicas)
	t.changed(4, x.AddingReplicas)
	if x.LeaderRecoveryState != RecoveryNoChange {
		t.int8(5, x.LeaderRecoveryState)
	}
	t.changed(6, x.EligibleLeaderReplicas)
	t.changed(7, x.LastKnownElr)
	if x.Directories != nil {
		t.uuids(8, x.Directories)
	}
	return t.dst
}

// changed writes a list that has changed: not nil.
func (w *tagWriter) changed(tag uint32, a []int32) {
	if a != nil {
		w.int32s(tag, a)
	}
}

func (x *PartitionChangeRecord) read(r *reader, version int16) {
	x.Leader, x.LeaderRecoveryState = NoLeaderChange, RecoveryNoChange
	x.PartitionID, x.TopicID = r.int32(), r.uuid()
	r.tags(func(tag uint32, f *reader) bool { return x.readTag(tag, f, version) })
}

func (x *PartitionChangeRecord) readTag(tag uint32, f *reader, version int16) bool {
	switch {
	case tag == 0:
		x.Isr = f.int32s()
	case tag == 1:
		x.Leader = f.int32()
	case tag == 2:
		x.Replicas = f.int32s()
	case tag == 3:
		x.RemovingReplicas = f.int32s()
	case tag == 4:
		x.AddingReplicas = f.int32s()
	case tag == 5:
		x.LeaderRecoveryState = f.int8()
	case tag == 6 && version >= 2:
		x.EligibleLeaderReplicas = f.int32s()
	case tag == 7 && version >= 2:
		x.LastKnownElr = f.int32s()
	case tag == 8 && version >= 1:
		x.Directories = f.uuids()
	default:
		return false
	}
	return true
}
