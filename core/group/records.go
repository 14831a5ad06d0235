package group

import (
	"encoding/binary"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The versions of keys tell what a record is about; those of values how it is written.
const (
	keyOffsetLegacy = 0
	keyOffset       = 1
	keyGroup        = 2

	valueGroup         = 3
	valueOffset        = 4
	valueOffsetExpires = 1 // has an expire timestamp, and no leader epoch
)

// keyKind is the version that a record's key begins with; -1 if it has none.
func keyKind(key []byte) int16 {
	if len(key) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(key))
}

func groupKey(id string) []byte {
	k := kmsg.NewGroupMetadataKey()
	k.Version, k.Group = keyGroup, id
	return k.AppendTo(nil)
}

func groupTombstone(id string) coordinator.Record { return coordinator.Record{Key: groupKey(id)} }

func groupRecord(id string, v *kmsg.GroupMetadataValue) coordinator.Record {
	v.Version = valueGroup
	return coordinator.Record{Key: groupKey(id), Value: v.AppendTo(nil)}
}

func offsetTombstone(group string, at offsetKey) coordinator.Record {
	k := kmsg.NewOffsetCommitKey()
	k.Version, k.Group, k.Topic, k.Partition = keyOffset, group, at.topic, at.partition
	return coordinator.Record{Key: k.AppendTo(nil)}
}

func offsetRecord(group string, at offsetKey, o *offset) coordinator.Record {
	r := offsetTombstone(group, at)
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp, v.TopicID = valueOffset, o.offset, o.leaderEpoch, o.metadata, o.committedAt, o.topicID
	if o.expiresAt >= 0 {
		v.Version, v.ExpireTimestamp = valueOffsetExpires, o.expiresAt
	}
	r.Value = v.AppendTo(nil)
	return r
}

// readOffset is the offset that a record's value holds.
func readOffset(value []byte, recordOffset int64) (*offset, error) {
	v := kmsg.NewOffsetCommitValue()
	v.ExpireTimestamp, v.LeaderEpoch = -1, -1
	if err := v.ReadFrom(value); err != nil {
		return nil, err
	}
	o := &offset{offset: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata, committedAt: v.CommitTimestamp, expiresAt: -1, topicID: v.TopicID, recordOffset: recordOffset}
	if v.Version == valueOffsetExpires {
		o.expiresAt = v.ExpireTimestamp
	}
	if v.Version < 3 {
		o.leaderEpoch = -1
	}
	return o, nil
}
