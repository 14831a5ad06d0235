package storage

import (
	"slices"

	"github.com/lockstep/lockstep/core/event"
)

// AdvanceLogStart forgets what lies below offset (DeleteRecords, a leader's log start, a snapshot); at most up to
// the high watermark. The files go with the next DeleteOldSegments.
//
// The epoch checkpoint may go on naming what is forgotten: Open cuts it to the log start that it finds, which can be the old one
// after a crash, and then the records that are back need their epochs.
func (l *Log) AdvanceLogStart(offset int64) {
	offset = min(offset, l.highWatermark)
	if l.down() != nil || offset <= l.logStart {
		return
	}
	l.logStart = offset
	l.epochs.truncateFromStart(offset)
	l.emit(event.LogStartMoved, offset)
}

// DeleteOldSegments removes the segments that retention or the log start offset no longer keep: whole ones, oldest
// first, only below the high watermark. If all are to go, the active one too, a new one is begun: a log to which nobody appends
// any more becomes empty, at the offset where it ended. The log start follows at once, done when the files are gone.
func (l *Log) DeleteOldSegments(done func(error)) {
	if err := l.down(); err != nil {
		done(err)
		return
	}
	l.producers.expire(l.env.Loop.UnixMilli(), l.config.ProducerIDExpirationMs)
	gone := l.deletable()
	if len(gone) == 0 {
		done(nil)
		return
	}
	last := gone[len(gone)-1]
	if last == l.active {
		l.roll()
	}
	start := l.segmentEnd(last)
	for _, g := range gone {
		l.segments.tree.Delete(g)
	}
	l.AdvanceLogStart(start)
	if l.isFull() && areStored(gone) {
		l.deleteBelow(start, gone, func(err error) { // behind a write that waits for space, it could never make any
			if err != nil {
				l.fail("delete segments", err)
			}
			done(offlineIf(err))
		})
		return
	}
	l.pipeline.queueTask("delete segments", func(next func(error)) { l.deleteBelow(start, gone, next) }, done)
}

// areStored reports whether nothing that waits in the pipeline concerns these segments.
func areStored(gone []*segment) bool {
	return !slices.ContainsFunc(gone, func(g *segment) bool { return !g.stored || g.cuts > 0 })
}

// deleteBelow removes what is left of segments that the log has done without since.
//
// They were synced before, as any that another follows (roll): of a file whose removal a loss of power undoes, all must be
// there, or the next segment would seem to come after a gap.
func (l *Log) deleteBelow(start int64, gone []*segment, done func(error)) {
	for _, g := range gone {
		g.removed = true
	}
	steps(done,
		func(next func(error)) { l.removeSegments(gone, next) },
		func(next func(error)) { l.removeSnapshots(func(at int64) bool { return at < start }, next) })
}

// deletable is the oldest segments that need not stay, oldest first.
func (l *Log) deletable() (gone []*segment) {
	after, now := int64(0), l.env.Loop.UnixMilli()
	if l.config.RetentionBytes >= 0 {
		after = l.segments.certain()
	}
	for g, end := range l.segments.ends() {
		after -= g.certain()
		if g == l.active {
			end = l.next
		}
		if end > l.highWatermark || !l.outdated(g, end, after, now) {
			break
		}
		gone = append(gone, g)
	}
	return gone
}

// outdated says whether a segment that ends at end, of a log that has at least so many bytes after it, need not stay. The active
// one stays if it is empty, and whatever the log start says: it has the next records.
func (l *Log) outdated(g *segment, end, after, nowMs int64) bool {
	c := &l.config
	if g == l.active && (g.size == 0 || g.cuts > 0) {
		return false
	}
	return end <= l.logStart && g != l.active ||
		c.RetentionBytes >= 0 && after >= c.RetentionBytes ||
		c.RetentionMs >= 0 && nowMs-g.newest() > c.RetentionMs
}

// newest is the time of a segment's newest record. Of records without timestamps the clock knows when they began to come.
func (s *segment) newest() int64 {
	if s.maxTimestamp >= 0 {
		return s.maxTimestamp
	}
	return s.createdMs
}
