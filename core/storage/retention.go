package storage

import (
	"github.com/lockstep/lockstep/core/event"
)

// AdvanceLogStart forgets what lies below offset (DeleteRecords, a leader's log start, a snapshot); at most up to
// the high watermark. The files go with the next DeleteOldSegments.
func (l *Log) AdvanceLogStart(offset int64) {
	offset = min(offset, l.highWatermark)
	if l.down() != nil || offset <= l.logStart {
		return
	}
	l.logStart = offset
	if l.epochs.truncateFromStart(offset) {
		l.queueEpochs()
	}
	l.emit(event.LogStartMoved, offset)
}

// DeleteOldSegments removes the segments that retention or the log start offset no longer keep: whole ones, oldest
// first, only below the high watermark, never the active one. The log start follows at once, done when the files are gone.
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
	first := gone[len(gone)-1]
	start := l.segmentEnd(first)
	for _, g := range gone {
		g.removed = true
		l.segments.tree.Delete(g)
	}
	l.AdvanceLogStart(start)
	l.pipeline.queueTask("delete segments", func(next func(error)) {
		steps(next,
			func(next func(error)) { l.removeSegments(gone, next) },
			func(next func(error)) { l.removeSnapshots(func(at int64) bool { return at < start }, next) })
	}, done)
}

// deletable is the oldest segments that need not stay, oldest first.
func (l *Log) deletable() (gone []*segment) {
	size, now := l.Size(), l.env.Loop.UnixMilli()
	for _, g := range l.segments.all() {
		end := l.segmentEnd(g)
		if g == l.active || end > l.highWatermark || !l.outdated(g, end, size, now) {
			break
		}
		size -= g.size
		gone = append(gone, g)
	}
	return gone
}

// outdated says whether a segment that ends at end, of a log that has size bytes from there on, need not stay.
func (l *Log) outdated(g *segment, end, size, nowMs int64) bool {
	c := &l.config
	return end <= l.logStart ||
		c.RetentionBytes >= 0 && size-g.size >= c.RetentionBytes ||
		c.RetentionMs >= 0 && nowMs-g.maxTimestamp > c.RetentionMs
}
