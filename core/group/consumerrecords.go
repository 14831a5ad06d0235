package group

import (
	"encoding/binary"
	"slices"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kbin"
)

// The keys of consumer groups' records.
const (
	keyConsumerGroup            = 3
	keyPartitionMetadata        = 4 // given up in Kafka 4.1 for a hash in keyConsumerGroup
	keyMemberMetadata           = 5
	keyTargetAssignmentMetadata = 6
	keyTargetAssignmentMember   = 7
	keyCurrentAssignment        = 8
	keyRegularExpression        = 16
)

// consumerKey is the key of a record that a group has one of.
func consumerKey(kind int16, group string) []byte {
	return kbin.AppendString(kbin.AppendInt16(nil, kind), group)
}

// memberKey is the key of a record that a group has one of for each member, or for each regular expression.
func memberKey(kind int16, group, member string) []byte {
	return kbin.AppendString(consumerKey(kind, group), member)
}

func tombstone(key []byte) coordinator.Record { return coordinator.Record{Key: key} }

// noTags ends a structure that has no tagged fields.
const noTags = 0

// newValue begins a value, all of which are of version 0.
func newValue() []byte { return []byte{0, 0} }

func (c *consumerGroup) epochRecord(epoch int32, hash uint64) coordinator.Record {
	v := kbin.AppendInt32(newValue(), epoch)
	return coordinator.Record{Key: consumerKey(keyConsumerGroup, c.group.id), Value: appendLongTag(v, int64(hash))}
}

// appendLongTag ends a structure whose one tagged field, number 0, is an int64 of default 0.
func appendLongTag(v []byte, x int64) []byte {
	if x == 0 {
		return append(v, noTags)
	}
	return kbin.AppendInt64(append(v, 1, 0, 8), x)
}

func (c *consumerGroup) targetMetadataRecord(epoch int32, at int64) coordinator.Record {
	v := kbin.AppendInt32(newValue(), epoch)
	return coordinator.Record{Key: consumerKey(keyTargetAssignmentMetadata, c.group.id), Value: appendLongTag(v, at)}
}

func (c *consumerGroup) targetRecord(member string, target partitionSet) coordinator.Record {
	topics := target.byTopic()
	v := kbin.AppendCompactArrayLen(newValue(), len(topics))
	for _, t := range topics {
		v = append(appendPartitions(v, t), noTags)
	}
	return coordinator.Record{Key: memberKey(keyTargetAssignmentMember, c.group.id, member), Value: append(v, noTags)}
}

func appendPartitions(v []byte, t topicPartitions) []byte {
	return appendInts(append(v, t.topic[:]...), t.partitions)
}

func appendInts(v []byte, ints []int32) []byte {
	v = kbin.AppendCompactArrayLen(v, len(ints))
	for _, x := range ints {
		v = kbin.AppendInt32(v, x)
	}
	return v
}

func (c *consumerGroup) currentRecord(mb *consumerMember) coordinator.Record {
	v := kbin.AppendInt32(kbin.AppendInt32(newValue(), mb.epoch), mb.previousEpoch)
	v = kbin.AppendInt8(v, int8(mb.state))
	v = appendEpochs(appendEpochs(v, mb.assigned), mb.revoking)
	return coordinator.Record{Key: memberKey(keyCurrentAssignment, c.group.id, mb.id), Value: append(v, noTags)}
}

// appendEpochs appends partitions with the epochs of their assignment, which are tagged field 0 (KIP-1251).
func appendEpochs(v []byte, s partitionSet) []byte {
	topics := s.byTopic()
	v = kbin.AppendCompactArrayLen(v, len(topics))
	for _, t := range topics {
		epochs := appendInts(nil, t.epochs)
		v = append(appendPartitions(v, t), 1, 0)
		v = append(kbin.AppendUvarint(v, uint32(len(epochs))), epochs...)
	}
	return v
}

func (c *consumerGroup) memberRecord(mb *consumerMember) coordinator.Record {
	v := kbin.AppendCompactNullableString(newValue(), mb.instanceID)
	v = kbin.AppendCompactNullableString(v, mb.rackID)
	v = kbin.AppendCompactString(kbin.AppendCompactString(v, mb.client.ID), mb.client.Host)
	v = appendStrings(v, mb.topics)
	v = kbin.AppendCompactString(v, mb.regex)
	v = kbin.AppendInt32(v, mb.rebalanceTimeout)
	v = kbin.AppendCompactNullableString(v, mb.assignor)
	if mb.isClassic() {
		classic := mb.classic.append(nil)
		v = append(kbin.AppendUvarint(append(v, 1, 0), uint32(len(classic))), classic...)
	} else {
		v = append(v, noTags)
	}
	return coordinator.Record{Key: memberKey(keyMemberMetadata, c.group.id, mb.id), Value: v}
}

func appendStrings(v []byte, all []string) []byte {
	v = kbin.AppendCompactArrayLen(v, len(all))
	for _, s := range all {
		v = kbin.AppendCompactString(v, s)
	}
	return v
}

// append encodes a nullable structure that is not null.
func (c *classicSide) append(v []byte) []byte {
	v = kbin.AppendInt32(append(v, 1), c.sessionTimeout)
	v = kbin.AppendCompactArrayLen(v, len(c.protocols))
	for _, p := range c.protocols {
		v = append(kbin.AppendCompactBytes(kbin.AppendCompactString(v, p.name), p.metadata), noTags)
	}
	return append(v, noTags)
}

func (c *consumerGroup) regexRecord(regex string, r *resolvedRegex) coordinator.Record {
	v := appendStrings(newValue(), r.topics)
	v = kbin.AppendInt64(kbin.AppendInt64(v, r.version), r.at)
	return coordinator.Record{Key: memberKey(keyRegularExpression, c.group.id, regex), Value: append(v, noTags)}
}

// valueReader walks a record's value. Once it runs dry all that it returns is zero, and ok is false.
type valueReader struct {
	b  kbin.Reader
	ok bool
}

// readValue begins a value; ok is false unless it is of version 0.
func readValue(value []byte) *valueReader {
	r := &valueReader{b: kbin.Reader{Src: value}}
	r.ok = r.b.Int16() == 0 && r.b.Ok()
	return r
}

// done reports whether all that was read was there.
func (r *valueReader) done() bool { return r.ok && r.b.Ok() }

// array calls f for each element of an array, and stops where the value does.
func (r *valueReader) array(f func()) {
	for n := r.b.CompactArrayLen(); n > 0 && r.done(); n-- {
		f()
	}
}

// tags calls known for tagged field 0, with a reader of its own, and skips all others.
func (r *valueReader) tags(known func(*valueReader)) {
	for n := r.b.Uvarint(); n > 0 && r.done(); n-- {
		tag, size := r.b.Uvarint(), r.b.Uvarint()
		field := r.b.Span(int(size))
		if tag == 0 && known != nil && r.done() {
			inner := &valueReader{b: kbin.Reader{Src: field}, ok: true}
			known(inner)
			r.ok = r.ok && inner.done()
		}
	}
}

func (r *valueReader) noTags() { r.tags(nil) }

func (r *valueReader) ints() (all []int32) {
	r.array(func() { all = append(all, r.b.Int32()) })
	return all
}

func (r *valueReader) strings() (all []string) {
	r.array(func() { all = append(all, r.b.CompactString()) })
	return all
}

// readEpochRecord is the group's epoch and the hash of its topics.
func readEpochRecord(value []byte) (epoch int32, hash uint64, ok bool) {
	r := readValue(value)
	epoch = r.b.Int32()
	r.tags(func(f *valueReader) { hash = uint64(f.b.Int64()) })
	return epoch, hash, r.done()
}

func readTargetMetadata(value []byte) (epoch int32, at int64, ok bool) {
	r := readValue(value)
	epoch = r.b.Int32()
	r.tags(func(f *valueReader) { at = f.b.Int64() })
	return epoch, at, r.done()
}

func readTarget(value []byte) (target partitionSet, ok bool) {
	r := readValue(value)
	target = partitionSet{}
	r.array(func() {
		topic := r.b.Uuid()
		for _, p := range r.ints() {
			target[topicPartition{topic, p}] = 0
		}
		r.noTags()
	})
	r.noTags()
	return target, r.done()
}

// readCurrent puts a member where a record says that it is.
func (mb *consumerMember) readCurrent(value []byte) (*consumerMember, bool) {
	r, u := readValue(value), *mb
	u.epoch, u.previousEpoch, u.state = r.b.Int32(), r.b.Int32(), memberStateOf(r.b.Int8())
	u.assigned = r.partitionEpochs(u.epoch)
	u.revoking = r.partitionEpochs(u.epoch)
	r.noTags()
	return &u, r.done()
}

// partitionEpochs reads partitions; those without epochs, of before KIP-1251, are as old as the member's epoch.
func (r *valueReader) partitionEpochs(memberEpoch int32) partitionSet {
	s := partitionSet{}
	r.array(func() {
		topic, partitions := r.b.Uuid(), r.ints()
		var epochs []int32
		r.tags(func(f *valueReader) { epochs = f.ints() })
		for i, p := range partitions {
			epoch := max(memberEpoch, 0)
			if len(epochs) == len(partitions) {
				epoch = epochs[i]
			}
			s[topicPartition{topic, p}] = epoch
		}
	})
	return s
}

// readMember has a member be what a record says.
func (mb *consumerMember) readMember(value []byte) (*consumerMember, bool) {
	r, u := readValue(value), *mb
	u.instanceID, u.rackID = r.b.CompactNullableString(), r.b.CompactNullableString()
	u.client.ID, u.client.Host = r.b.CompactString(), r.b.CompactString()
	u.topics = distinct(r.strings())
	u.regex = ""
	if regex := r.b.CompactNullableString(); regex != nil {
		u.regex = *regex
	}
	u.rebalanceTimeout = r.b.Int32()
	u.assignor = r.b.CompactNullableString()
	u.classic = nil
	r.tags(func(f *valueReader) { u.classic = f.classicSide() })
	return &u, r.done()
}

func (r *valueReader) classicSide() *classicSide {
	if r.b.Int8() < 0 {
		return nil
	}
	c := &classicSide{sessionTimeout: r.b.Int32()}
	r.array(func() {
		p := protocol{name: r.b.CompactString(), metadata: slices.Clone(r.b.CompactBytes())}
		r.noTags()
		c.protocols = append(c.protocols, p)
	})
	r.noTags()
	return c
}

func readRegex(value []byte) (*resolvedRegex, bool) {
	r := readValue(value)
	x := &resolvedRegex{topics: distinct(r.strings()), version: r.b.Int64(), at: r.b.Int64()}
	r.noTags()
	return x, r.done()
}

// readKey is the group, and the member or regular expression if the key has one.
func readKey(key []byte) (group, member string, ok bool) {
	r := kbin.Reader{Src: key[2:]}
	group = r.String()
	if kind := int16(binary.BigEndian.Uint16(key)); kind != keyConsumerGroup && kind != keyPartitionMetadata && kind != keyTargetAssignmentMetadata {
		member = r.String()
	}
	return group, member, r.Ok()
}
