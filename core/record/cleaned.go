package record

import (
	"encoding/binary"
	"math"
)

// What the log cleaner leaves of a batch: Kafka's MemoryRecords.filterTo, to the byte.

// NoDeleteHorizon says that it has not been decided when a batch's tombstones go.
const NoDeleteHorizon = -1

// DeleteHorizon is when the batch's tombstones, or its marker, may be dropped, in ms (KIP-534); NoDeleteHorizon if that has not been decided.
func (b Batch) DeleteHorizon() int64 {
	if !b.HasDeleteHorizon() {
		return NoDeleteHorizon
	}
	return b.BaseTimestamp()
}

// Sieve finds out what of a batch stays and writes it. The zero value is ready; it is used for one batch after the other.
type Sieve struct {
	scratch    Scratch
	keep       []bool // by record
	kept       int
	tombstones bool
}

// Sift asks keep for each record of the batch. kept is how many stay, tombstones whether one of those has no value. The error is of a
// batch that makes no sense.
func (s *Sieve) Sift(b Batch, keep func(Record) bool) (kept int, tombstones bool, err error) {
	s.keep, s.kept, s.tombstones = s.keep[:0], 0, false
	err = b.Each(&s.scratch, func(r Record) error {
		stays := keep(r)
		s.keep = append(s.keep, stays)
		if stays {
			s.kept++
			s.tombstones = s.tombstones || r.Value == nil
		}
		return nil
	})
	return s.kept, s.tombstones, err
}

// All reports whether all records stay.
func (s *Sieve) All() bool { return s.kept == len(s.keep) }

// AppendKept appends the batch that Sift looked at last, with the records that stay, at least one: its offsets, producer, epoch and codec are
// as they were. deleteHorizon, in ms, becomes its base timestamp, if there is one.
func (s *Sieve) AppendKept(dst []byte, b Batch, deleteHorizon int64) []byte {
	records, base, latest := s.encode(b, deleteHorizon)
	start := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	dst = b.Codec().Compress(dst, records)
	out := Batch(dst[start:])
	attributes := b.Attributes() &^ attrDeleteHorizon
	if deleteHorizon != NoDeleteHorizon {
		attributes |= attrDeleteHorizon
	}
	out.seal(attributes, base, latest, int32(s.kept))
	return dst
}

// encode writes the records that stay, with timestamps as deltas of another base.
func (s *Sieve) encode(b Batch, deleteHorizon int64) (records []byte, base, latest int64) {
	base, latest = deleteHorizon, math.MinInt64
	at := 0
	var scratch Scratch
	b.Each(&scratch, func(r Record) error { // Sift has read it without an error
		if at++; !s.keep[at-1] {
			return nil
		}
		timestamp := b.BaseTimestamp() + r.TimestampDelta
		if b.IsLogAppendTime() {
			timestamp = b.MaxTimestamp()
		}
		if base == NoDeleteHorizon && latest == math.MinInt64 {
			base = timestamp
		}
		latest = max(latest, timestamp)
		r.TimestampDelta = timestamp - base
		records = appendRecord(records, &r)
		return nil
	})
	return records, base, latest
}

// AppendEmpty appends a batch without records that has b's offsets, producer, sequences and epoch.
func AppendEmpty(dst []byte, b Batch) []byte {
	start := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	out := Batch(dst[start:])
	out.seal(b.Attributes()&^(attrCodec|attrDeleteHorizon), -1, b.MaxTimestamp(), 0)
	return dst
}

// seal completes a header whose other fields are as they should be.
func (b Batch) seal(attributes int16, baseTimestamp, maxTimestamp int64, count int32) {
	be := binary.BigEndian
	be.PutUint32(b[posLength:], uint32(len(b)-lengthOverhead))
	be.PutUint16(b[posAttributes:], uint16(attributes))
	be.PutUint64(b[posBaseTimestamp:], uint64(baseTimestamp))
	be.PutUint64(b[posMaxTimestamp:], uint64(maxTimestamp))
	be.PutUint32(b[posCount:], uint32(count))
	b.setCRC()
}
