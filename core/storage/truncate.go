package storage

import (
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
)

// cut is what a truncation does to the files.
type cut struct {
	offset  int64
	seg     *segment // loses its end; nil: none does
	pos     int64    // from where on; -1: the batch at offset must be looked for
	sealed  bool     // seg takes no more batches: they go to a new segment
	removed []*segment
	fresh   *segment // the new active segment, if it is not seg
}

// TruncateTo removes all batches from offset on, also such as are not written yet: their done gets ErrTruncated.
// If offset is within a batch, the batch goes too. All offsets move at once (and the high watermark, if it was
// beyond); done runs when the files have followed, durably, and the log takes idempotent producers again.
// Epochs that start at or after the end are forgotten in any case (KAFKA-10706).
func (l *Log) TruncateTo(offset int64, done func(error)) {
	switch {
	case l.down() != nil:
		done(l.down())
	case offset >= l.next:
		l.truncateEpochs(done)
	default:
		c := l.findCut(offset)
		if c.offset < l.logStart {
			l.TruncateFullyAndStartAt(offset, done)
			return
		}
		l.truncate(c, done)
	}
}

// truncateEpochs forgets epochs without batches. An earlier truncation may still be under way: done waits for it.
func (l *Log) truncateEpochs(done func(error)) {
	switch {
	case l.epochs.truncateFromEnd(l.next):
		l.pipeline.queueTask(epochsTask, l.writeEpochs, done)
	case l.pipeline.busy || len(l.pipeline.tasks) > 0:
		l.pipeline.queueTask("nothing", func(next func(error)) { next(nil) }, done)
	default:
		done(nil)
	}
}

// findCut says where the log is to be cut for offset.
func (l *Log) findCut(offset int64) cut {
	if i := l.recent.find(offset); i >= 0 {
		e := l.recent.at(i)
		return cut{offset: min(offset, e.base), seg: e.seg, pos: int64(e.pos)}
	}
	c := cut{offset: offset, seg: l.segments.floor(offset), pos: -1}
	if c.seg != nil && c.seg.base == offset {
		c.pos = 0
	}
	return c
}

func (l *Log) truncate(c cut, done func(error)) {
	l.forgetFrom(c.offset, c.pos)
	c.removed = l.dropSegments(c.offset + 1)
	slices.Reverse(c.removed)
	if c.seg != nil {
		c.seg.aborted.truncate(c.offset)
	}
	l.prepareCut(&c)
	l.checkOrder()
	l.truncating++
	l.emit(event.Truncated, c.offset)
	if l.mustRebuild() {
		l.pipeline.queueTask("truncate", func(next func(error)) { l.runCut(&c, next) }, nil)
		l.queueRebuild(done)
	} else {
		l.pipeline.queueTask("truncate", func(next func(error)) { l.runCut(&c, next) }, done)
	}
	l.saveLowered()
}

// forgetFrom takes the log's memory back to offset, which is at pos of its segment.
func (l *Log) forgetFrom(offset, pos int64) {
	l.generation++
	l.pipeline.truncate(offset, pos)
	l.recent.truncate(offset)
	l.next = offset
	l.written = min(l.written, offset)
	l.highWatermark = min(l.highWatermark, offset)
	l.recoveryPoint = min(l.recoveryPoint, offset)
	l.cleaned = min(l.cleaned, offset)
	l.epochs.truncateFromEnd(offset)
}

// dropSegments takes the segments that begin at offset or later out of the log.
func (l *Log) dropSegments(offset int64) []*segment {
	removed := l.segments.from(offset)
	for _, g := range removed {
		g.removed = true
		l.segments.tree.Delete(g)
	}
	return removed
}

// prepareCut decides who takes the next batches. The active segment goes on if it is known what
// remains of it. Else a new one begins, so that appends need not wait for the disk to tell.
func (l *Log) prepareCut(c *cut) {
	if c.seg == l.active && c.pos >= 0 && l.cutInMemory(c.seg, c.offset, c.pos) {
		return
	}
	if c.seg.base == c.offset {
		c.seg.removed = true
		l.segments.tree.Delete(c.seg)
		c.removed, c.seg = append(c.removed, c.seg), nil
	} else {
		c.sealed, c.seg.stored = true, false
		c.seg.cuts++
		if c.pos >= 0 {
			c.seg.size = c.pos
		}
	}
	c.fresh = newSegment(c.offset, l.env.Loop.UnixMilli())
	l.activate(c.fresh)
}

// cutInMemory brings a segment's indexes and timestamps to what they were when it ended at offset;
// false if memory does not reach back far enough.
func (l *Log) cutInMemory(g *segment, offset, pos int64) bool {
	index := offsetIndex{g.index.entries}
	index.truncate(offset-g.base, pos)
	from := index.lastPosition()
	if pos > from && !l.recentCovers(g, from) {
		return false
	}
	g.index = index
	g.times.truncate(offset - g.base)
	g.size, g.since = pos, pos-from
	g.maxTimestamp, g.maxTimestampOffset = -1, g.base
	if last := g.times.last(); last.timestamp >= 0 {
		g.maxTimestamp, g.maxTimestampOffset = last.timestamp, g.base+int64(last.relative)
	}
	for i := range l.recent.n {
		if e := l.recent.at(i); e.seg == g && e.maxTimestamp > g.maxTimestamp {
			g.maxTimestamp, g.maxTimestampOffset = e.maxTimestamp, e.next-1
		}
	}
	return true
}

// recentCovers says whether memory has all batches of a segment from pos on.
func (l *Log) recentCovers(g *segment, pos int64) bool {
	if l.recent.n == 0 {
		return false
	}
	first := l.recent.at(0)
	return first.seg.base < g.base || first.seg == g && int64(first.pos) <= pos
}

// runCut brings the files after the memory. What it leaves is durable before anything else is written:
// removed bytes must not come back after a power loss among those that took their place.
func (l *Log) runCut(c *cut, done func(error)) {
	steps(func(err error) { l.truncating--; done(err) },
		func(next func(error)) { l.removeSegments(c.removed, next) },
		func(next func(error)) { l.cutFile(c, next) },
		func(next func(error)) { l.cutAborted(c, next) },
		func(next func(error)) { l.openFresh(c.fresh, next) },
		func(next func(error)) { l.removeSnapshots(func(at int64) bool { return at > c.offset }, next) },
		l.writeEpochs)
}

func (l *Log) openFresh(g *segment, done func(error)) {
	if g == nil || g.removed {
		done(nil)
		return
	}
	steps(done,
		func(next func(error)) { l.openSegment(g, next) },
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}

func (l *Log) cutFile(c *cut, done func(error)) {
	g := c.seg
	if g == nil || g.removed {
		done(nil)
		return
	}
	if c.pos >= 0 && !c.sealed {
		steps(done,
			func(next func(error)) { g.file.Truncate(c.pos, next) },
			g.file.Sync)
		return
	}
	l.cutSealed(c, done)
}

// cutAborted brings a segment's transaction index after the memory, if it lost anything, or is to be trusted from now on.
func (l *Log) cutAborted(c *cut, done func(error)) {
	if c.seg == nil || !c.seg.aborted.cut && !c.sealed {
		done(nil)
		return
	}
	l.rewriteAborted(c.seg, done)
}

// cutSealed cuts a segment whose positions only the disk knows, and its index files.
func (l *Log) cutSealed(c *cut, done func(error)) {
	g, file := c.seg, c.seg.file
	file.Retain() // a log that fails meanwhile closes it
	steps(func(err error) { file.Close(); done(err) },
		func(next func(error)) { l.withIndex(g, next) },
		func(next func(error)) { l.findEnd(g, file, c.offset, next) },
		func(next func(error)) { file.Truncate(g.size, next) },
		func(next func(error)) { file.Sync(next) },
		func(next func(error)) { g.seal(); l.writeIndexes(g, next) })
}

// findEnd makes a segment end with the last batch below offset.
func (l *Log) findEnd(g *segment, file disk.File, offset int64, done func(error)) {
	made := *g
	made.index.truncate(offset-g.base, g.size)
	made.times.truncate(offset - g.base)
	made.index.entries, made.times.entries = slices.Clip(made.index.entries), slices.Clip(made.times.entries) // reads use g's meanwhile
	made.since, made.size = 0, made.index.lastPosition()
	last := made.times.last()
	made.maxTimestamp, made.maxTimestampOffset = last.timestamp, g.base+int64(last.relative)
	s := scan{env: l.env, file: file, pos: made.size, end: g.size}
	s.visit = func(b record.Batch, pos int64) bool {
		if b.NextOffset() > offset {
			return false
		}
		made.add(b.LastOffset(), b.MaxTimestamp(), int64(len(b)), l.config.IndexIntervalBytes)
		return true
	}
	s.done = func(_ int64, err error) {
		if err == nil {
			g.index, g.times, g.size, g.since = made.index, made.times, made.size, made.since
			g.maxTimestamp, g.maxTimestampOffset = made.maxTimestamp, made.maxTimestampOffset
			g.cuts--
		}
		done(err)
	}
	s.start()
}

// TruncateFullyAndStartAt removes everything; the log begins anew, empty, at offset, where also the high watermark
// is. Otherwise as TruncateTo.
func (l *Log) TruncateFullyAndStartAt(offset int64, done func(error)) {
	invariant.Check(offset >= 0, "%s: start at %d", l.partition, offset)
	if err := l.down(); err != nil {
		done(err)
		return
	}
	l.generation++
	l.pipeline.dropAll()
	l.recent.releaseAll()
	l.epochs.entries = l.epochs.entries[:0]
	l.producers.clear()
	l.rebuilding, l.missed = false, nil
	l.truncating++
	c := cut{offset: offset, removed: l.dropSegments(0), fresh: newSegment(offset, l.env.Loop.UnixMilli())}
	slices.Reverse(c.removed)
	l.activate(c.fresh)
	l.logStart, l.highWatermark, l.written, l.next, l.recoveryPoint, l.cleaned = offset, offset, offset, offset, offset, 0
	l.emit(event.Truncated, offset)
	l.env.Event.Emit(&event.Event{Kind: event.LogStartMoved, Partition: l.partition, TopicID: l.topicID, Peer: -1, Epoch: -1, Offset: offset, Note: "emptied"})
	l.pipeline.queueTask("truncate fully", func(next func(error)) {
		steps(next,
			func(next func(error)) { l.removeSnapshots(func(int64) bool { return true }, next) },
			func(next func(error)) { l.runCut(&c, next) })
	}, done)
	l.saveLowered()
}

// removeSegments removes files of segments that are no longer in the log, each durably before the
// next: what a power loss leaves has no hole.
func (l *Log) removeSegments(all []*segment, done func(error)) {
	sequence(len(all), func(i int, next func(error)) {
		all[i].close()
		base := all[i].base
		steps(next,
			func(next func(error)) { removeFile(l.env.Disk, l.pathOf(base, logSuffix), next) },
			func(next func(error)) { removeFile(l.env.Disk, l.pathOf(base, indexSuffix), next) },
			func(next func(error)) { removeFile(l.env.Disk, l.pathOf(base, timeIndexSuffix), next) },
			func(next func(error)) { l.removeAborted(all[i], next) },
			func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
	}, done)
}

func (l *Log) removeAborted(g *segment, done func(error)) {
	if !g.aborted.exists {
		done(nil)
		return
	}
	removeFile(l.env.Disk, l.pathOf(g.base, txnIndexSuffix), done)
}

// removeSnapshots removes the producer snapshots whose offset matches.
func (l *Log) removeSnapshots(match func(offset int64) bool, done func(error)) {
	var gone []int64
	for _, at := range l.snapshots {
		if match(at) {
			gone = append(gone, at)
		}
	}
	if len(gone) == 0 {
		done(nil)
		return
	}
	l.snapshots = slices.DeleteFunc(l.snapshots, match)
	steps(done,
		func(next func(error)) {
			sequence(len(gone), func(i int, next func(error)) {
				removeFile(l.env.Disk, l.pathOf(gone[i], snapshotSuffix), next)
			}, next)
		},
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}
