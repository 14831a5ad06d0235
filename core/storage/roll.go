package storage

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
)

// indexesKept is how many inactive segments keep their indexes in memory.
const indexesKept = 4

// roll begins a new segment at the next offset.
//
// The old one is synced, with its indexes and a producer snapshot, before anything is written to the new one: so
// only the last segment can hold bytes that a power loss takes away, and only it needs recovery.
func (l *Log) roll() {
	old := l.active
	old.seal()
	old.stored = false
	l.activate(newSegment(l.next, l.env.Loop.UnixMilli()))
	seg, snapshot := l.active, l.takeSnapshot()
	l.pipeline.queueTask("roll", func(done func(error)) {
		steps(done,
			func(next func(error)) { l.finishSegment(old, seg, snapshot, next) },
			func(next func(error)) { l.openFresh(seg, next) })
	}, nil)
	l.emit(event.SegmentRolled, seg.base)
}

// finishSegment stores all of a segment that seg follows. Either may have been truncated away since, with
// the truncation waiting behind this.
func (l *Log) finishSegment(old, seg *segment, snapshot []byte, done func(error)) {
	if old.removed {
		done(nil)
		return
	}
	if seg.removed {
		snapshot = nil
	}
	steps(done,
		func(next func(error)) { l.syncSegment(old, seg.base, next) },
		func(next func(error)) { l.writeIndexes(old, next) },
		func(next func(error)) { l.rewriteAborted(old, next) },
		func(next func(error)) { l.writeSnapshot(seg.base, snapshot, next) })
}

// activate puts a segment at the log's end.
func (l *Log) activate(seg *segment) {
	l.segments.tree.ReplaceOrInsert(seg)
	l.active = seg
	seg.jitterMs = l.drawJitter()
	if l.env.Buggify.Fires(buggify.TinySegment) {
		seg.limit = int64(l.env.Buggify.Pick(buggify.TinySegment, 4096))
	}
	l.dropOldIndexes()
}

// drawJitter is by how much earlier than segment.ms a new segment rolls.
func (l *Log) drawJitter() int64 {
	most := min(l.config.SegmentJitterMs, l.config.SegmentMs)
	if most <= 0 {
		return 0
	}
	if l.jitter == nil {
		l.jitter = l.env.Rand("storage/jitter/" + l.dir)
	}
	return l.jitter.Int64N(most)
}

// dropOldIndexes keeps memory bounded; a cold read loads an index again.
func (l *Log) dropOldIndexes() {
	kept := 0
	if l.env.Buggify.Fires(buggify.IndexEvicted) {
		kept = indexesKept
	}
	l.segments.tree.Descend(func(g *segment) bool {
		if g != l.active && g.indexed && g.stored {
			if kept++; kept > indexesKept {
				g.indexed, g.index.entries, g.times.entries = false, nil, nil
			}
		}
		return kept <= indexesKept
	})
}

// syncSegment makes a segment durable, which ends at end.
func (l *Log) syncSegment(g *segment, end int64, done func(error)) {
	generation := l.generation
	g.file.Sync(func(err error) {
		if err == nil && generation == l.generation {
			l.recoveryPoint = max(l.recoveryPoint, min(end, l.written))
			l.unflushed = 0
		}
		done(err)
	})
}

// writeIndexes writes a segment's index files.
func (l *Log) writeIndexes(g *segment, done func(error)) {
	l.writeIndexesAs(g, "", func(err error) { g.stored = err == nil; done(err) })
}

// writeIndexesAs writes them under names that have another suffix behind their own.
func (l *Log) writeIndexesAs(g *segment, suffix string, done func(error)) {
	steps(done,
		func(next func(error)) {
			rewriteFile(l.env.Disk, l.pathOf(g.base, indexSuffix, suffix), g.index.marshal(), next)
		},
		func(next func(error)) {
			rewriteFile(l.env.Disk, l.pathOf(g.base, timeIndexSuffix, suffix), g.times.marshal(), next)
		})
}

// takeSnapshot is the content of a producer snapshot at the next offset, nil for none.
func (l *Log) takeSnapshot() []byte {
	if !l.keepProducers || l.rebuilding {
		return nil
	}
	return marshalSnapshot(l.producers.sorted())
}

func (l *Log) writeSnapshot(offset int64, content []byte, done func(error)) {
	if content == nil {
		done(nil)
		return
	}
	rewriteFile(l.env.Disk, l.pathOf(offset, snapshotSuffix), content, func(err error) {
		if n := len(l.snapshots); err == nil && (n == 0 || l.snapshots[n-1] < offset) {
			l.snapshots = append(l.snapshots, offset)
		}
		done(err)
	})
}

// openSegment opens, or creates, a segment's file.
func (l *Log) openSegment(g *segment, done func(error)) {
	l.env.Disk.Open(l.pathOf(g.base, logSuffix), func(f disk.File, size int64, err error) {
		if err != nil {
			done(err)
			return
		}
		g.file = f
		if size > 0 {
			f.Truncate(0, done)
			return
		}
		done(nil)
	})
}

// queueEpochs makes the epoch checkpoint durable before anything that is appended from here on.
func (l *Log) queueEpochs() {
	if l.epochsQueued {
		last := len(l.pipeline.tasks) - 1
		if last >= 0 && l.pipeline.tasks[last].what == epochsTask && l.pipeline.tasks[last].after == l.pipeline.appended {
			return // the one that waits will write this too
		}
	}
	l.epochsQueued = true
	l.pipeline.queueTask(epochsTask, func(done func(error)) {
		l.epochsQueued = false
		l.writeEpochs(done)
	}, nil)
}

const epochsTask = "epochs"

func (l *Log) writeEpochs(done func(error)) {
	WriteFileAtomic(l.env.Disk, l.path(epochFile), marshalEpochs(l.epochs.entries), done)
}

// Flush makes everything appended so far durable and moves the recovery point there; then done.
func (l *Log) Flush(done func(error)) {
	if err := l.down(); err != nil {
		done(err)
		return
	}
	l.queueFlush(done)
}

func (l *Log) queueFlush(done func(error)) {
	l.pipeline.queueTask("flush", func(next func(error)) {
		if l.recoveryPoint >= l.written {
			next(nil)
			return
		}
		if x := l.env.Buggify; x.Fires(buggify.DelayedSync) {
			l.env.Loop.AfterFunc(x.Delay(buggify.DelayedSync, 50*time.Millisecond), func() { l.syncWritten(next) })
			return
		}
		l.syncWritten(next)
	}, done)
}

func (l *Log) syncWritten(done func(error)) {
	if l.failure != nil { // its files may be closed
		done(l.failure)
		return
	}
	g := l.lastWritten()
	if g == nil {
		done(nil)
		return
	}
	l.syncSegment(g, l.written, done)
}

// lastWritten is the segment that the last write went to: a roll may wait behind a flush. nil: retention or a truncation has taken it meanwhile,
// and all before it.
func (l *Log) lastWritten() *segment {
	g := l.active
	for g != nil && g.file == nil {
		g = l.segments.floor(g.base - 1)
	}
	return g
}

// armFlush starts the clock of flush.ms at the first write after a sync.
func (l *Log) armFlush() {
	if l.config.FlushMs == Never || l.flushTimer != nil {
		return
	}
	l.flushTimer = l.env.Loop.AfterFunc(config.Duration(l.config.FlushMs, time.Millisecond), func() {
		l.flushTimer = nil
		if l.down() == nil {
			l.queueFlush(nil)
		}
	})
}

func (l *Log) stopTimer() {
	if l.flushTimer != nil {
		l.flushTimer.Stop()
		l.flushTimer = nil
	}
}
