// Package record is Kafka's record batch, version 2 (KIP-98): parsing, validating, building and
// compressing. Pure functions on bytes; nothing here knows a log or a connection.
package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// Errors of Parse and ParseHeader.
var (
	ErrShort   = errors.New("record: incomplete batch")
	ErrCorrupt = errors.New("record: not a batch")
)

// HeaderSize is the size in bytes of a batch's header: all before its records.
const HeaderSize = 61

// Positions of the header's fields. The base offset, the size and the leader epoch are outside the
// CRC, so that a broker can set them without computing it anew.
const (
	posBaseOffset      = 0
	posLength          = 8
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posCount           = 57
)

// lengthOverhead is the part of a batch that its length field does not count.
const lengthOverhead = posLeaderEpoch

const magicV2 = 2

// Bits of the attributes.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6
)

// NoProducerID says that a batch is of no idempotent producer.
const NoProducerID = -1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is exactly one whole batch: Parse checked that its header is there, that its length is its
// size and that its magic is 2. Nothing else is known of it.
type Batch []byte

// Parse cuts the first batch off b. The batch's capacity ends with it.
//
// ErrShort: b ends within the batch, as the tail of a fetch response or of a torn segment does.
// ErrCorrupt: b does not start with a batch of version 2.
func Parse(b []byte) (first Batch, rest []byte, err error) {
	if len(b) < posMagic+1 {
		return nil, b, ErrShort
	}
	size, err := batchSize(b)
	if err != nil {
		return nil, b, err
	}
	if len(b) < size {
		return nil, b, ErrShort
	}
	return Batch(b[:size:size]), b[size:], nil
}

// batchSize is the size in bytes of the batch that b, at least posMagic+1 bytes, starts with.
func batchSize(b []byte) (int, error) {
	length := int32(binary.BigEndian.Uint32(b[posLength:]))
	if length < HeaderSize-lengthOverhead || length > math.MaxInt32-lengthOverhead || b[posMagic] != magicV2 {
		return 0, ErrCorrupt
	}
	return int(length) + lengthOverhead, nil
}

// BaseOffset is the offset of the first record, or of the first that was there before compaction.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[posBaseOffset:])) }

// LastOffset is the offset of the last record; compaction does not change it.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after the batch. It is not base offset plus count: compaction leaves gaps.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// LastOffsetDelta is LastOffset - BaseOffset.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[posLastOffsetDelta:])) }

// Size is the batch's size in bytes, header included.
func (b Batch) Size() int { return len(b) }

// LeaderEpoch is the epoch of the leader that appended the batch; -1 before that.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[posLeaderEpoch:])) }

// CRC is the CRC-32C the batch claims.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[posCRC:]) }

// Attributes is the bit field of codec, timestamp type, transactional, control and delete horizon.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[posAttributes:])) }

// Codec is how Payload is compressed. It may be unknown.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & attrCodec) }

// IsControl says that the records are markers of transactions or of the quorum, not data.
func (b Batch) IsControl() bool { return b.Attributes()&attrControl != 0 }

// IsTransactional says that the batch is part of a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&attrTransactional != 0 }

// IsLogAppendTime says that MaxTimestamp is when the leader appended, for all records.
func (b Batch) IsLogAppendTime() bool { return b.Attributes()&attrLogAppendTime != 0 }

// HasDeleteHorizon says that BaseTimestamp is when tombstones may be dropped (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b.Attributes()&attrDeleteHorizon != 0 }

// BaseTimestamp is what the records' timestamp deltas count from, in ms.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[posBaseTimestamp:])) }

// MaxTimestamp is the latest timestamp of the records, in ms.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[posMaxTimestamp:])) }

// ProducerID is -1 for a producer that is not idempotent.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[posProducerID:])) }

// ProducerEpoch is -1 if ProducerID is.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[posProducerEpoch:])) }

// BaseSequence is the first record's sequence number; -1 if it has none.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[posBaseSequence:])) }

// LastSequence is the last record's sequence number: after the largest comes 0. -1 if it has none.
func (b Batch) LastSequence() int32 {
	return lastSequence(b.ProducerID(), b.BaseSequence(), b.LastOffsetDelta())
}

// Count is how many records the batch claims to hold now.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[posCount:])) }

// Payload is the records, compressed by Codec.
func (b Batch) Payload() []byte { return b[HeaderSize:] }

// SetBaseOffset moves the batch to another place in the log. The CRC does not cover it.
func (b Batch) SetBaseOffset(offset int64) {
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(offset))
}

// SetLeaderEpoch stamps the leader's epoch. The CRC does not cover it.
func (b Batch) SetLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(epoch))
}

// SetLogAppendTime makes timestamp, in ms, that of every record, and computes the CRC anew.
func (b Batch) SetLogAppendTime(timestamp int64) {
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(b.Attributes()|attrLogAppendTime))
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(timestamp))
	b.setCRC()
}

// clearLogAppendTime leaves the records the timestamps that they have.
func (b Batch) clearLogAppendTime() {
	binary.BigEndian.PutUint16(b[posAttributes:], uint16(b.Attributes()&^attrLogAppendTime))
	b.setCRC()
}

func (b Batch) setMaxTimestamp(timestamp int64) {
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(timestamp))
	b.setCRC()
}

// CheckCRC says whether the bytes the CRC covers, all from the attributes on, are what they were.
func (b Batch) CheckCRC() bool { return b.computeCRC() == b.CRC() }

func (b Batch) computeCRC() uint32 { return crc32.Checksum(b[posAttributes:], castagnoli) }

func (b Batch) setCRC() { binary.BigEndian.PutUint32(b[posCRC:], b.computeCRC()) }

func lastSequence(producerID int64, base, delta int32) int32 {
	if producerID == NoProducerID || base < 0 {
		return -1
	}
	return IncrementSequence(base, delta)
}

// IncrementSequence is the sequence number n, at least 0, after s: after the largest comes 0.
func IncrementSequence(s, n int32) int32 {
	return int32((int64(s) + int64(n)) & math.MaxInt32)
}
