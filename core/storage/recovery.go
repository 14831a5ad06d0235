package storage

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/twmb/franz-go/pkg/kerr"
)

// opener brings a log back from its directory.
//
// After a clean close the indexes are trusted and only what follows the last index entry is looked
// at. Else each segment from the recovery point on, and always the last, is walked batch by batch:
// at the first byte that does not continue the log it is cut, and later segments are removed. What
// was synced before the crash is a prefix of that walk.
type opener struct {
	log    *Log
	o      OpenOptions
	names  []string
	all    []*segment
	cut    int64 // bytes removed
	expect int64 // the offset that the next batch must not be below
	damage bool  // what follows is not to be kept
	gone   []*segment
	// reindex is the base of the first segment whose transaction index is to be made anew, as are those of all after it.
	reindex int64
	synced  int64 // below it, segments need not follow each other
	stale   bool  // the epoch checkpoint on disk differs from the cache
}

// Open opens the log in a directory, or creates it. What is in the log when done runs is durable. An error is
// KAFKA_STORAGE_ERROR's cause as it is; INCONSISTENT_TOPIC_ID if the directory is another topic's.
func Open(e *env.Env, o OpenOptions, done func(*Log, error)) {
	l := newLog(e, &o)
	p := &opener{log: l, o: o, reindex: math.MaxInt64}
	l.cleaned, p.synced = o.CleanedUpTo, max(o.RecoveryPoint, o.CleanedUpTo)
	if e.Buggify.Fires(buggify.DistrustClean) {
		p.o.Clean = false
	}
	steps(func(err error) { p.finish(err, done) },
		func(next func(error)) { e.Disk.Mkdir(o.Dir, next) },
		p.list, p.sweep, p.finishSwaps, p.readTopicID, p.readEpochs, p.openSegments, p.checkEpochs, p.load, p.removeRest,
		p.begin, p.bound, p.settle, p.readAborted, p.loadProducers, p.writeAborted)
}

func (p *opener) finish(err error, done func(*Log, error)) {
	l := p.log
	if err != nil {
		for _, g := range l.segments.all() {
			g.close()
		}
		done(nil, fmt.Errorf("storage: open %s: %w", p.o.Dir, err))
		return
	}
	l.checkOrder()
	l.env.Event.Emit(&event.Event{Kind: event.Recovered, Partition: l.partition, TopicID: l.topicID, Peer: -1, Epoch: l.LatestEpoch(), Offset: l.next, Len: p.cut})
	done(l, nil)
}

func (p *opener) list(next func(error)) {
	p.log.env.Disk.List(p.o.Dir, func(names []string, err error) {
		p.names = names
		next(err)
	})
}

func (p *opener) has(name string) bool {
	_, found := slices.BinarySearch(p.names, name) // List sorts
	return found
}

// sweep removes what a crash left half done.
func (p *opener) sweep(next func(error)) {
	var junk []string
	for _, name := range p.names {
		if p.isJunk(name) {
			junk = append(junk, name)
		}
		if at, ok := parseFileName(name, snapshotSuffix); ok {
			p.log.snapshots = append(p.log.snapshots, at)
		}
	}
	sequence(len(junk), func(i int, next func(error)) {
		removeFile(p.log.env.Disk, p.log.path(junk[i]), next)
	}, next)
}

func (p *opener) isJunk(name string) bool {
	if strings.HasSuffix(name, logSuffix+swapSuffix) {
		return false
	}
	for _, suffix := range []string{".tmp", ".deleted", cleanedSuffix, swapSuffix} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	for _, suffix := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix} {
		if base, ok := parseFileName(name, suffix); ok && !p.has(fileName(base, logSuffix)) {
			return true
		}
	}
	return false
}

// readTopicID takes the id from partition.metadata, or writes it there.
func (p *opener) readTopicID(next func(error)) {
	l := p.log
	name := l.path(partitionMetadataFile)
	if !p.has(partitionMetadataFile) {
		p.writeTopicID(next)
		return
	}
	readExisting(l.env.Disk, name, func(b []byte, err error) {
		if err != nil {
			next(err)
			return
		}
		id, err := parsePartitionMetadata(b)
		switch {
		case err != nil || p.o.TopicID == [16]byte{}:
			l.topicID = id
			next(err)
		case id != p.o.TopicID:
			next(kerr.InconsistentTopicID)
		default:
			next(nil)
		}
	})
}

func (p *opener) writeTopicID(next func(error)) {
	l := p.log
	if l.topicID == [16]byte{} {
		next(nil)
		return
	}
	WriteFileAtomic(l.env.Disk, l.path(partitionMetadataFile), marshalPartitionMetadata(l.topicID), next)
}

// readEpochs takes the epoch checkpoint. Without a good one the whole log is walked for its epochs.
func (p *opener) readEpochs(next func(error)) {
	if !p.has(epochFile) || p.log.env.Buggify.Fires(buggify.DistrustEpochs) {
		p.distrust()
		next(nil)
		return
	}
	readExisting(p.log.env.Disk, p.log.path(epochFile), func(b []byte, err error) {
		if err == nil {
			p.log.epochs.entries, err = parseEpochs(b)
		}
		if errors.Is(err, ErrCorrupt) {
			p.distrust()
			err = nil
		}
		next(err)
	})
}

func (p *opener) distrust() {
	p.o.Clean, p.o.RecoveryPoint, p.stale = false, 0, true
	p.log.epochs.entries = nil
}

func (p *opener) openSegments(next func(error)) {
	l := p.log
	for _, name := range p.names {
		if base, ok := parseFileName(name, logSuffix); ok {
			g := newSegment(base, l.env.Loop.UnixMilli())
			g.aborted.exists = p.has(fileName(base, txnIndexSuffix))
			p.all = append(p.all, g)
		}
	}
	slices.SortFunc(p.all, func(a, b *segment) int { return int(min(max(a.base-b.base, -1), 1)) })
	sequence(len(p.all), func(i int, next func(error)) {
		g := p.all[i]
		l.env.Disk.Open(l.pathOf(g.base, logSuffix), func(f disk.File, size int64, err error) {
			if err == nil {
				g.file, g.size = f, size
				l.segments.tree.ReplaceOrInsert(g)
			}
			next(err)
		})
	}, next)
}

// checkEpochs distrusts a checkpoint that begins after the log.
//
// Counter-example: the log start moves to 100, which drops the epochs before it from the checkpoint. The power goes before the
// log start is in a checkpoint too, and before the segments are gone. The log starts at 0 again, with batches of no known epoch.
func (p *opener) checkEpochs(next func(error)) {
	epochs := p.log.epochs.entries
	if len(epochs) > 0 && len(p.all) > 0 && epochs[0].Start > max(p.o.LogStartOffset, p.all[0].base) {
		p.distrust()
	}
	next(nil)
}

// load brings the segments in, in order.
func (p *opener) load(next func(error)) {
	from := p.recoverFrom()
	sequence(len(p.all), func(i int, next func(error)) {
		g := p.all[i]
		switch {
		case p.damage || g.base < p.expect || i > from && g.base > max(p.expect, p.synced):
			p.damage = true // perhaps only here: bytes before this segment are missing, or it repeats some
			p.gone = append(p.gone, g)
			next(nil)
		case i < from:
			p.loadOld(g, next)
		case p.o.Clean:
			p.loadLast(g, next)
		default:
			p.recover(g, next)
		}
	}, next)
}

// recoverFrom is the place of the first segment that is walked.
func (p *opener) recoverFrom() int {
	last := len(p.all) - 1
	if p.o.Clean {
		return last
	}
	if p.log.env.Buggify.Fires(buggify.RecoverAll) {
		return 0
	}
	for i := last; i > 0; i-- {
		if p.all[i].base <= p.o.RecoveryPoint {
			return i
		}
	}
	return 0
}

// loadOld takes a segment that was complete and synced before the next was begun: its last timestamp is enough.
func (p *opener) loadOld(g *segment, next func(error)) {
	l := p.log
	p.expect = g.base
	g.indexed = false
	if !p.has(fileName(g.base, indexSuffix)) || !p.has(fileName(g.base, timeIndexSuffix)) {
		p.reindex = min(p.reindex, g.base)
		l.buildIndex(g, next)
		return
	}
	l.env.Disk.Open(l.pathOf(g.base, timeIndexSuffix), func(f disk.File, size int64, err error) {
		if err != nil {
			next(err)
			return
		}
		if size < timeEntrySize || size%timeEntrySize != 0 {
			f.Close()
			l.buildIndex(g, next)
			return
		}
		b := make([]byte, timeEntrySize)
		f.ReadAt(b, size-timeEntrySize, func(n int, err error) {
			f.Close()
			times, bad := parseTimeIndex(b[:n])
			if err == nil && bad == nil {
				g.maxTimestamp, g.maxTimestampOffset = times.last().timestamp, g.base+int64(times.last().relative)
			}
			next(err)
		})
	})
}

// loadLast finds the end of a log that was closed cleanly: from the last index entry on.
func (p *opener) loadLast(g *segment, next func(error)) {
	l := p.log
	p.expect = g.base
	g.indexed = false
	l.withIndex(g, func(err error) {
		if err != nil {
			next(err)
			return
		}
		size := g.size
		g.size, g.since = g.index.lastPosition(), 0
		p.walk(g, size, false, func(err error) {
			if err == nil && g.size < size {
				p.o.Clean = false // it was not, after all
				g.size, p.expect = size, g.base
				p.recover(g, next)
				return
			}
			next(err)
		})
	})
}

// recover walks a segment from its beginning and cuts it where it is damaged.
func (p *opener) recover(g *segment, next func(error)) {
	l := p.log
	size := g.size
	g.index, g.times, g.indexed, g.size, g.since = offsetIndex{}, timeIndex{}, true, 0, 0
	g.maxTimestamp, g.maxTimestampOffset = -1, g.base
	p.expect, p.reindex = max(p.expect, g.base), min(p.reindex, g.base)
	l.recent.releaseAll()
	if l.epochs.truncateFromEnd(g.base) {
		p.stale = true
	}
	p.walk(g, size, true, func(err error) {
		if err != nil || g.size == size {
			if err == nil && g != p.all[len(p.all)-1] {
				g.seal()
				l.writeIndexes(g, next)
				return
			}
			next(err)
			return
		}
		p.cut += size - g.size
		p.damage = true
		g.file.Truncate(g.size, next)
	})
}

// walk takes in the batches of a segment from its g.size to size, as far as each continues the log.
func (p *opener) walk(g *segment, size int64, crc bool, done func(error)) {
	l := p.log
	s := scan{env: l.env, file: g.file, pos: g.size, end: size, crc: crc}
	s.visit = func(b record.Batch, pos int64) bool {
		epoch := b.LeaderEpoch()
		if b.BaseOffset() < p.expect && crc || b.LastOffsetDelta() < 0 || b.LastOffset()-g.base > math.MaxInt32 ||
			crc && epoch < l.epochs.latest().Epoch {
			return false
		}
		if crc && epoch >= 0 && l.epochs.assign(epoch, p.expect) { // as noteEpoch does
			p.stale = true
		}
		p.expect = b.NextOffset()
		l.recent.push(b, g, int32(pos), false, nil)
		l.recent.forget(recentBatches, math.MaxInt64)
		g.add(b.LastOffset(), b.MaxTimestamp(), int64(len(b)), l.config.IndexIntervalBytes)
		return true
	}
	s.done = func(_ int64, err error) { done(err) }
	s.start()
}

// removeRest removes the segments behind damage.
func (p *opener) removeRest(next func(error)) {
	l := p.log
	for _, g := range p.gone {
		p.cut += g.size
		g.removed = true
		l.segments.tree.Delete(g)
	}
	slices.Reverse(p.gone)
	l.removeSegments(p.gone, next)
}

// begin makes sure that there is a segment to append to.
func (p *opener) begin(next func(error)) {
	l := p.log
	if last, ok := l.segments.tree.Max(); ok && p.expect >= p.o.LogStartOffset {
		l.active = last
		l.next = max(p.expect, last.base)
		next(nil)
		return
	}
	gone := l.dropSegments(0)
	for _, g := range gone {
		p.cut += g.size
	}
	slices.Reverse(gone)
	l.recent.releaseAll()
	l.next = p.o.LogStartOffset
	l.activate(newSegment(l.next, l.env.Loop.UnixMilli()))
	steps(next,
		func(next func(error)) { l.removeSegments(gone, next) },
		func(next func(error)) { l.openSegment(l.active, next) },
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) },
		func(next func(error)) { l.env.Disk.SyncDir(path.Dir(l.dir), next) })
}

// bound sets the offsets, and the epochs within them.
func (p *opener) bound(next func(error)) {
	l := p.log
	l.logStart = max(p.o.LogStartOffset, l.segments.first().base)
	l.written, l.highWatermark, l.recoveryPoint = l.next, l.logStart, l.next
	l.cleaned = min(l.cleaned, l.next)
	start := l.epochs.truncateFromStart(l.logStart)
	end := l.epochs.truncateFromEnd(l.next)
	if !end && !start && !p.stale {
		next(nil)
		return
	}
	l.writeEpochs(next)
}

// settle makes what was recovered durable: replication counts it from here on.
func (p *opener) settle(next func(error)) {
	l := p.log
	tail := func(at int64) bool { return at > l.next }
	if p.o.Clean {
		l.removeSnapshots(tail, next)
		return
	}
	all := l.segments.from(p.syncFrom(l.segments.floor(p.o.RecoveryPoint)))
	steps(next,
		func(next func(error)) { l.removeSnapshots(tail, next) },
		func(next func(error)) {
			sequence(len(all), func(i int, next func(error)) { all[i].file.Sync(next) }, next)
		},
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}

// syncFrom is the first base to sync from: older segments are below the recovery point.
func (p *opener) syncFrom(g *segment) int64 {
	if g == nil {
		return 0
	}
	return g.base
}

func (p *opener) loadProducers(next func(error)) {
	l := p.log
	if !l.keepProducers {
		next(nil)
		return
	}
	l.loadProducers(min(p.reindex, max(p.o.HighWatermark, l.logStart), l.next), l.next, p.keepAborted, func(s producers, err error) {
		l.producers = s
		next(err)
	})
}
