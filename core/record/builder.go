package record

import (
	"encoding/binary"
	"math"
)

// BatchOptions is a batch's header as far as its records do not give it.
type BatchOptions struct {
	BaseOffset    int64
	LeaderEpoch   int32 // -1 for a producer; a broker's log sets it
	Codec         Codec
	ProducerID    int64 // NoProducerID (-1) if none: then the epoch and sequence are -1 whatever they say here
	ProducerEpoch int16
	BaseSequence  int32
	Control       bool // then the sequence is -1
	Transactional bool
	BaseTimestamp int64 // in ms; 0: that of the first record
}

// Builder builds one batch.
type Builder struct {
	buf          []byte // what was in dst, then the batch
	start        int    // of the batch in buf
	o            BatchOptions
	count        int32
	maxTimestamp int64
}

// NewBuilder starts a batch that is appended to dst, which may be nil.
func NewBuilder(dst []byte, o BatchOptions) *Builder {
	b := &Builder{}
	b.Reset(dst, o)
	return b
}

// Reset makes b a new builder.
func (b *Builder) Reset(dst []byte, o BatchOptions) {
	*b = Builder{buf: append(dst, make([]byte, HeaderSize)...), start: len(dst), o: o, maxTimestamp: math.MinInt64}
}

// Count is how many records were appended.
func (b *Builder) Count() int { return int(b.count) }

// Size is the batch's size in bytes so far, not compressed.
func (b *Builder) Size() int { return len(b.buf) - b.start }

// Append adds a record at the next offset. timestamp is in ms. A nil key or value is Kafka's null.
// The bytes are copied.
func (b *Builder) Append(timestamp int64, key, value []byte, headers ...RecordHeader) {
	if b.count == 0 && b.o.BaseTimestamp == 0 {
		b.o.BaseTimestamp = timestamp
	}
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
	r := Record{OffsetDelta: b.count, TimestampDelta: timestamp - b.o.BaseTimestamp, Key: key, Value: value, Headers: headers}
	b.buf = appendRecord(b.buf, &r)
	b.count++
}

func appendRecord(dst []byte, r *Record) []byte {
	dst = appendVarint(dst, int32(recordSize(r)))
	dst = append(dst, 0)
	dst = appendVarlong(dst, r.TimestampDelta)
	dst = appendVarint(dst, r.OffsetDelta)
	dst = appendNullable(dst, r.Key)
	dst = appendNullable(dst, r.Value)
	dst = appendVarint(dst, int32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		dst = appendVarint(dst, int32(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendNullable(dst, h.Value)
	}
	return dst
}

// recordSize is the size of the record's body: all after its length.
func recordSize(r *Record) int {
	n := 1 + varlongSize(r.TimestampDelta) + varintSize(r.OffsetDelta)
	n += nullableSize(r.Key) + nullableSize(r.Value) + varintSize(int32(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		n += varintSize(int32(len(h.Key))) + len(h.Key) + nullableSize(h.Value)
	}
	return n
}

func appendNullable(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 1) // -1, zigzag
	}
	return append(appendVarint(dst, int32(len(v))), v...)
}

func nullableSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int32(len(v))) + len(v)
}

// Build compresses, fills in the header and returns the batch, which is appended to the dst of
// NewBuilder: Bytes returns both.
func (b *Builder) Build() Batch {
	if b.o.Codec != None {
		records := append([]byte(nil), b.buf[b.start+HeaderSize:]...)
		b.buf = b.o.Codec.Compress(b.buf[:b.start+HeaderSize], records)
	}
	batch := Batch(b.buf[b.start:len(b.buf):len(b.buf)])
	b.putHeader(batch)
	return batch
}

// Bytes is dst and, after Build, the batch.
func (b *Builder) Bytes() []byte { return b.buf }

func (b *Builder) putHeader(p Batch) {
	o := &b.o
	if o.ProducerID == NoProducerID {
		o.ProducerEpoch = -1
	}
	if o.ProducerID == NoProducerID || o.Control {
		o.BaseSequence = -1
	}
	be := binary.BigEndian
	be.PutUint64(p[posBaseOffset:], uint64(o.BaseOffset))
	be.PutUint32(p[posLength:], uint32(len(p)-lengthOverhead))
	be.PutUint32(p[posLeaderEpoch:], uint32(o.LeaderEpoch))
	p[posMagic] = magicV2
	be.PutUint16(p[posAttributes:], uint16(o.attributes()))
	be.PutUint32(p[posLastOffsetDelta:], uint32(b.count-1))
	be.PutUint64(p[posBaseTimestamp:], uint64(o.BaseTimestamp))
	be.PutUint64(p[posMaxTimestamp:], uint64(b.latest()))
	be.PutUint64(p[posProducerID:], uint64(o.ProducerID))
	be.PutUint16(p[posProducerEpoch:], uint16(o.ProducerEpoch))
	be.PutUint32(p[posBaseSequence:], uint32(o.BaseSequence))
	be.PutUint32(p[posCount:], uint32(b.count))
	p.setCRC()
}

// latest is the latest timestamp, -1 (none) in a batch without records.
func (b *Builder) latest() int64 {
	if b.count == 0 {
		return -1
	}
	return b.maxTimestamp
}

func (o *BatchOptions) attributes() int16 {
	a := int16(o.Codec)
	if o.Transactional {
		a |= attrTransactional
	}
	if o.Control {
		a |= attrControl
	}
	return a
}
