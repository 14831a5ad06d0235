package storage

import (
	"fmt"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/record"
)

// cleanMap goes through the dirty part of a log and notes the last offset of each key. It runs off the loop, one chunk at a time.
type cleanMap struct {
	keys offsetMap
	from int64 // the first dirty offset
	txns *cleanTxns
	full bool
	bounds
	scratch record.Scratch
}

// take looks at the whole batches that a chunk begins with and says how many bytes they are.
func (m *cleanMap) take(chunk []byte) (n int, err error) {
	for !m.full {
		b, err := m.next(chunk[n:])
		if b == nil {
			return n, err
		}
		if err := m.note(b); err != nil {
			return n, err
		}
		n += len(b)
	}
	return n, nil
}

// bounds is where batches may lie: their offsets are not covered by their checksums.
type bounds struct{ least, end int64 }

// next is the first batch of b: nil without an error if b ends within it.
func (s *bounds) next(b []byte) (record.Batch, error) {
	first, _, err := record.Parse(b)
	switch {
	case err == record.ErrShort:
		return nil, nil
	case err != nil || !first.CheckCRC() || first.LastOffsetDelta() < 0 || first.BaseOffset() < s.least || first.NextOffset() > s.end:
		return nil, fmt.Errorf("%w: a batch that cannot be cleaned", ErrCorrupt)
	}
	s.least = first.NextOffset()
	return first, nil
}

func (m *cleanMap) note(b record.Batch) error {
	if !m.txns.canDiscard(b) && !b.IsControl() {
		err := b.Each(&m.scratch, func(r record.Record) error {
			offset := b.BaseOffset() + int64(r.OffsetDelta)
			if r.Key != nil && offset >= m.from && !m.keys.put(hashKey(r.Key), offset) {
				m.full = true
				return errStop
			}
			return nil
		})
		if m.full {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %v", ErrCorrupt, err)
		}
	}
	if b.LastOffset() >= m.from {
		m.keys.latest = max(m.keys.latest, b.LastOffset())
	}
	return nil
}

// lastRecord is the end of what a producer wrote: Kafka's LastRecord.
type lastRecord struct {
	lastOffset int64 // of its last batch of data; -1: only markers are known
	epoch      int16
}

// lastRecords is the end of what each producer wrote that the log knows.
func (s *producers) lastRecords() map[int64]lastRecord {
	last := make(map[int64]lastRecord, len(s.states))
	for id, p := range s.states { // order: independent entries
		at := int64(-1)
		if p.count > 0 {
			at = p.batches[p.count-1].LastOffset
		}
		last[id] = lastRecord{at, p.Epoch}
	}
	return last
}

// sieve writes what stays of a log's batches. It runs off the loop, one chunk at a time.
type sieve struct {
	keys        *offsetMap
	txns        *cleanTxns
	producers   map[int64]lastRecord
	bounds      // of the segments that are written as one: the batch that ends at their end stays, if empty, so that the log has its end
	nowMs       int64
	retentionMs int64 // delete.retention.ms
	record      record.Sieve

	out     []byte // what the last chunk left
	changed bool   // something was not copied as it was
}

// take sifts the whole batches that a chunk begins with and says how many bytes they are.
func (s *sieve) take(chunk []byte) (n int, err error) {
	s.out = s.out[:0]
	for {
		b, err := s.next(chunk[n:])
		if b == nil {
			return n, err
		}
		if err := s.sift(b); err != nil {
			return n, fmt.Errorf("%w: %v", ErrCorrupt, err)
		}
		n += len(b)
	}
}

// sift is what Kafka's Cleaner.checkBatchRetention and MemoryRecords.filterTo do.
func (s *sieve) sift(b record.Batch) error {
	canDiscard := s.txns.canDiscard(b)
	discard := canDiscard
	if b.IsControl() { // a marker stays for a while after the last of its transaction's data (KIP-534)
		discard = canDiscard && b.HasDeleteHorizon() && b.DeleteHorizon() <= s.nowMs
	}
	kept, tombstones := 0, false
	if !discard {
		var err error
		if kept, tombstones, err = s.record.Sift(b, func(r record.Record) bool { return b.IsControl() || s.stays(b, r) }); err != nil {
			return err
		}
	}
	horizon := b.DeleteHorizon()
	mustSet := (tombstones || canDiscard && b.IsControl()) && horizon == record.NoDeleteHorizon
	switch {
	case kept == 0 && s.staysEmpty(b):
		s.changed = s.changed || b.Count() > 0
		s.out = record.AppendEmpty(s.out, b)
	case kept == 0:
		s.changed = true
	case s.record.All() && !mustSet:
		s.out = append(s.out, b...)
	default:
		if mustSet {
			horizon = config.Later(s.nowMs, s.retentionMs)
		}
		s.changed = true
		s.out = s.record.AppendKept(s.out, b, horizon)
	}
	return nil
}

// stays reports whether a record is the last of its key and, if it is a tombstone, not yet due.
func (s *sieve) stays(b record.Batch, r record.Record) bool {
	offset := b.BaseOffset() + int64(r.OffsetDelta)
	switch {
	case offset > s.keys.latest:
		return true
	case r.Key == nil:
		return false
	case offset < s.keys.get(hashKey(r.Key)):
		return false
	}
	return r.Value != nil || !b.HasDeleteHorizon() || s.nowMs < b.DeleteHorizon()
}

// staysEmpty reports whether a batch of which no record stays is needed nevertheless: for the sequences, or the epoch, of its producer,
// or for the log's end.
//
// Counter-example to the first being told by the sequence alone (KAFKA-8335): a coordinator's batches have none.
// To the second (KAFKA-17076): all of the last segment is superseded, and the one after it is empty. A new follower would never
// come to the leader's end.
func (s *sieve) staysEmpty(b record.Batch) bool {
	if b.NextOffset() == s.end {
		return true
	}
	last, active := s.producers[b.ProducerID()]
	switch {
	case !active || b.ProducerID() < 0:
		return false
	case last.lastOffset >= 0:
		return b.LastOffset() == last.lastOffset
	}
	return b.IsControl() && b.ProducerEpoch() == last.epoch
}
