package storage

import (
	"errors"

	"github.com/lockstep/lockstep/core/record"
)

// found is the first record of a batch that matches a timestamp.
type found struct {
	offset, timestamp int64
	epoch             int32
}

// errStop ends a walk through records.
var errStop = errors.New("storage: stop")

// OffsetForTimestamp finds the first record, of those that lie below upTo, whose timestamp is ts or later
// (ListOffsets). It answers offset -1, timestamp -1, epoch -1 if there is none.
func (l *Log) OffsetForTimestamp(ts, upTo int64, done func(offset, timestamp int64, epoch int32, err error)) {
	if err := l.down(); err != nil {
		done(-1, -1, -1, err)
		return
	}
	var all []*segment
	for _, g := range l.segments.all() {
		if g.maxTimestamp >= ts && g.base < upTo {
			all = append(all, g)
		}
	}
	hit := found{-1, -1, -1}
	generation, layout := l.generation, l.layout
	sequence(len(all), func(i int, next func(error)) {
		if hit.offset >= 0 {
			next(nil)
			return
		}
		l.searchSegment(all[i], ts, upTo, &hit, next)
	}, func(err error) {
		switch {
		case l.down() != nil:
			done(-1, -1, -1, ErrOffline)
		case err == nil && (generation != l.generation || layout != l.layout):
			l.OffsetForTimestamp(ts, upTo, done)
		default:
			done(hit.offset, hit.timestamp, hit.epoch, err)
		}
	})
}

// MaxTimestampOffset finds the first record, below upTo, of the largest timestamp in the log (KIP-734).
func (l *Log) MaxTimestampOffset(upTo int64, done func(offset, timestamp int64, epoch int32, err error)) {
	latest, from := int64(-1), (*segment)(nil)
	for _, g := range l.segments.all() {
		if g.maxTimestamp > latest {
			latest, from = g.maxTimestamp, g
		}
	}
	if from == nil {
		done(-1, -1, -1, l.down())
		return
	}
	l.OffsetForTimestamp(latest, upTo, done)
}

// search is a walk through a segment that may have what is looked for.
type search struct {
	log        *Log
	seg        *segment
	ts         int64 // what is found is not before it,
	from, upTo int64 // and lies in [from, upTo)
	hit        *found
	done       func(error)
}

func (l *Log) searchSegment(g *segment, ts, upTo int64, hit *found, done func(error)) {
	l.withIndex(g, func(err error) {
		if err != nil {
			done(err)
			return
		}
		s := &search{log: l, seg: g, ts: ts, from: l.logStart, upTo: min(upTo, l.written, l.endOf(g)), hit: hit, done: done}
		s.scan(g.index.lookup(max(g.times.lookup(ts-1), s.from-g.base)))
	})
}

// scan looks, from pos on, for a batch whose timestamps say that it may have a match.
func (s *search) scan(pos int64) {
	g := s.seg
	if g.removed || g.file == nil {
		s.done(nil)
		return
	}
	var batch record.Batch
	w := scan{env: s.log.env, file: g.file, pos: pos, end: s.log.writtenSize(g)}
	w.visit = func(b record.Batch, _ int64) bool {
		if b.NextOffset() > s.upTo {
			return false
		}
		if b.MaxTimestamp() >= s.ts && b.NextOffset() > s.from && b.Count() > 0 { // compaction keeps the timestamp of what it empties
			batch = append(record.Batch(nil), b...)
			return false
		}
		return true
	}
	w.done = func(pos int64, err error) {
		if err != nil || batch == nil {
			s.done(err)
			return
		}
		s.look(batch, pos+int64(len(batch)))
	}
	w.start()
}

// look looks at the records of a batch, off the loop: they may be compressed. The latest may lie below the log start, and no other match: then the search
// goes on behind the batch, as FileRecords.searchForTimestamp does.
func (s *search) look(b record.Batch, behind int64) {
	var err error
	result := found{-1, -1, -1}
	s.log.env.Loop.Offload(func() { result, err = firstRecord(b, s.ts, s.from) }, func() {
		if err == nil && result.offset < 0 {
			s.scan(behind)
			return
		}
		*s.hit = result
		s.done(err)
	})
}

// firstRecord is the first record of b at or after offset from whose timestamp is ts or later.
func firstRecord(b record.Batch, ts, from int64) (found, error) {
	hit := found{-1, -1, -1}
	var scratch record.Scratch
	err := b.Each(&scratch, func(r record.Record) error {
		at, stamp := b.BaseOffset()+int64(r.OffsetDelta), b.BaseTimestamp()+r.TimestampDelta
		if b.IsLogAppendTime() {
			stamp = b.MaxTimestamp()
		}
		if at < from || stamp < ts {
			return nil
		}
		hit = found{at, stamp, b.LeaderEpoch()}
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return hit, err
}
