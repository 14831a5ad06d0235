package storage

import (
	"errors"
	"math"

	"github.com/lockstep/lockstep/core/record"
)

// mustRebuild says whether producer states are void after a truncation, and empties them if so.
func (l *Log) mustRebuild() bool {
	if !l.keepProducers || l.producers.isEmpty() && !l.rebuilding {
		return false
	}
	l.producers.clear()
	l.rebuilding, l.missed = true, nil
	return true
}

// queueRebuild reads the producer states back from the newest snapshot and the log behind it; what
// is appended meanwhile is added at the end.
func (l *Log) queueRebuild(done func(error)) {
	generation, upTo := l.generation, l.next
	l.pipeline.queueTask("rebuild producers", func(next func(error)) {
		if generation != l.generation {
			next(nil) // another truncation came: its rebuild waits behind this
			return
		}
		l.loadProducers(min(upTo, l.highWatermark), upTo, nil, func(p producers, err error) {
			if err == nil && generation == l.generation {
				l.adoptProducers(p)
			}
			next(err)
		})
	}, done)
}

func (l *Log) adoptProducers(p producers) {
	p.guards = l.producers.guards // none is given twice
	l.producers, l.rebuilding = p, false
	for _, b := range l.missed {
		l.applyToProducers(b)
	}
	l.missed = nil
}

// loadProducers derives the producer states at offset upTo from the disk: those of the last readable
// snapshot that is not beyond start, and the batches from there on, whose aborted transactions it tells of. start is not beyond
// the high watermark: a snapshot does not have the transactions that ended, which stay unstable until their markers are replicated.
func (l *Log) loadProducers(start, upTo int64, aborted func(AbortedTxn), done func(producers, error)) {
	p := producers{states: map[int64]*ProducerState{}}
	l.loadSnapshot(start, func(from int64, all []ProducerState, err error) {
		if err != nil {
			done(p, err)
			return
		}
		p.load(all)
		p.expire(l.env.Loop.UnixMilli(), l.config.ProducerIDExpirationMs)
		l.walk(from, upTo, func(b record.Batch) {
			if t, ok := p.update(b); ok && aborted != nil {
				aborted(t)
			}
		}, func(err error) { done(p, err) })
	})
}

// loadSnapshot reads the last good snapshot that is not beyond upTo, and its offset; without one the log's first base.
func (l *Log) loadSnapshot(upTo int64, done func(from int64, all []ProducerState, err error)) {
	at := int64(-1)
	for _, s := range l.snapshots {
		if s <= upTo {
			at = s
		}
	}
	if at < 0 {
		done(l.segments.first().base, nil, nil)
		return
	}
	ReadFile(l.env.Disk, l.pathOf(at, snapshotSuffix), func(b []byte, err error) {
		if err != nil {
			done(0, nil, err)
			return
		}
		all, err := parseSnapshot(b)
		if errors.Is(err, ErrCorrupt) {
			l.removeSnapshots(func(s int64) bool { return s == at }, func(err error) {
				if err != nil {
					done(0, nil, err)
					return
				}
				l.loadSnapshot(upTo, done)
			})
			return
		}
		done(at, all, err)
	})
}

// walk visits the batches on disk that lie in [from, upTo), in order.
func (l *Log) walk(from, upTo int64, visit func(b record.Batch), done func(error)) {
	if from >= upTo {
		done(nil)
		return
	}
	all := l.segmentsBetween(from, upTo)
	sequence(len(all), func(i int, next func(error)) {
		l.walkSegment(all[i], from, upTo, visit, next)
	}, done)
}

// segmentEnd is where a segment's offsets end: for the last one, open.
func (l *Log) segmentEnd(g *segment) int64 {
	if after := l.segments.after(g); after != nil {
		return after.base
	}
	return math.MaxInt64
}

func (l *Log) walkSegment(g *segment, from, upTo int64, visit func(b record.Batch), done func(error)) {
	if g.removed || g.file == nil {
		done(nil)
		return
	}
	l.withIndex(g, func(err error) {
		if err != nil || g.removed || g.file == nil {
			done(err)
			return
		}
		s := scan{env: l.env, file: g.file, pos: g.index.lookup(from - g.base), end: g.size}
		s.visit = func(b record.Batch, _ int64) bool {
			if b.BaseOffset() >= upTo {
				return false
			}
			if b.NextOffset() > from {
				visit(b)
			}
			return true
		}
		s.done = func(_ int64, err error) { done(err) }
		s.start()
	})
}
