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
	l.search(ts, upTo, func(g *segment) int64 { return g.times.lookup(ts - 1) }, done)
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

// search goes through the segments that may hold ts; start says from which relative offset in one.
func (l *Log) search(ts, upTo int64, start func(*segment) int64, done func(int64, int64, int32, error)) {
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
		l.searchSegment(all[i], ts, upTo, start, &hit, next)
	}, func(err error) {
		switch {
		case l.down() != nil:
			done(-1, -1, -1, ErrOffline)
		case err == nil && (generation != l.generation || layout != l.layout):
			l.search(ts, upTo, start, done)
		default:
			done(hit.offset, hit.timestamp, hit.epoch, err)
		}
	})
}

func (l *Log) searchSegment(g *segment, ts, upTo int64, start func(*segment) int64, hit *found, done func(error)) {
	l.withIndex(g, func(err error) {
		if err != nil || g.removed || g.file == nil {
			done(err)
			return
		}
		var batch record.Batch
		from, upTo := l.logStart, min(upTo, l.written, l.endOf(g))
		s := scan{env: l.env, file: g.file, pos: g.index.lookup(max(start(g), from-g.base)), end: l.writtenSize(g)}
		s.visit = func(b record.Batch, _ int64) bool {
			if b.NextOffset() > upTo {
				return false
			}
			if b.MaxTimestamp() >= ts && b.NextOffset() > from {
				batch = append(record.Batch(nil), b...)
				return false
			}
			return true
		}
		s.done = func(_ int64, err error) {
			if err != nil || batch == nil {
				done(err)
				return
			}
			l.searchBatch(batch, ts, from, hit, done)
		}
		s.start()
	})
}

// searchBatch looks at the records of a batch, off the loop: they may be compressed.
func (l *Log) searchBatch(b record.Batch, ts, from int64, hit *found, done func(error)) {
	var err error
	result := found{-1, -1, -1}
	l.env.Loop.Offload(func() { result, err = firstRecord(b, ts, from) }, func() {
		*hit = result
		done(err)
	})
}

// firstRecord is the first record of b at or after offset from whose timestamp is ts or later.
func firstRecord(b record.Batch, ts, from int64) (found, error) {
	hit := found{-1, -1, -1}
	if b.IsLogAppendTime() {
		return found{max(b.BaseOffset(), from), b.MaxTimestamp(), b.LeaderEpoch()}, nil
	}
	var scratch record.Scratch
	err := b.Each(&scratch, func(r record.Record) error {
		at, stamp := b.BaseOffset()+int64(r.OffsetDelta), b.BaseTimestamp()+r.TimestampDelta
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
