package storage

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
)

// errAbandoned ends a cleaning whose log was truncated, or cut at its start, or closed meanwhile.
var errAbandoned = errors.New("storage: cleaning abandoned")

// cleaning is one compaction of a log: what became of each key in its dirty part, then all segments anew without what a later record of the
// same key supersedes, group by group. The log goes on meanwhile; only the swap of a group is in the order of its disk operations.
//
// It holds at most the offset map, a chunk, what the chunk decompresses to and what is left of it.
type cleaning struct {
	log        *Log
	cfg        *CleanerConfig
	from, upTo int64 // the dirty part that may be cleaned; upTo is where a segment begins
	nowMs      int64
	generation int
	aborted    bool
	onEnd      []func() // when it has ended

	keys  cleanMap
	txns  *cleanTxns
	buf   []byte
	chunk int // bytes to read at a time
}

// clean compacts the log's dirty part as far as it may be; done, at its end. A damaged log is not tried again, one without space is.
func (l *Log) clean(cfg *CleanerConfig, span cleanable, done func()) {
	c := &cleaning{log: l, cfg: cfg, from: span.from, upTo: span.upTo, nowMs: l.env.Loop.UnixMilli(), generation: l.generation, chunk: cfg.IOBufferBytes}
	if x := l.env.Buggify; x.Fires(buggify.CleanChunk) {
		c.chunk = record.HeaderSize + x.Pick(buggify.CleanChunk, 500)
	}
	l.cleaning, c.onEnd = c, []func(){done}
	l.emitBatch(event.CleaningBegan, -1, c.from, c.upTo-c.from, nil)
	steps(c.end, c.mapKeys, c.writeGroups)
}

// stopCleaning ends the cleaning under way, if there is one; then done.
func (l *Log) stopCleaning(done func(error)) {
	if l.cleaning == nil {
		done(nil)
		return
	}
	l.cleaning.aborted = true
	l.cleaning.onEnd = append(l.cleaning.onEnd, func() { done(nil) })
}

// PauseCleaning ends the cleaning under way, if there is one, and begins none until ResumeCleaning: while the log is copied, copy and log are
// to be the same to the byte. Then it calls done, never at once.
func (l *Log) PauseCleaning(done func()) {
	l.paused = true
	l.env.Loop.Defer(func() { l.stopCleaning(func(error) { done() }) })
}

// ResumeCleaning ends a pause.
func (l *Log) ResumeCleaning() { l.paused = false }

// ended is why the cleaning cannot go on, or nil.
func (c *cleaning) ended() error {
	if l := c.log; c.aborted || l.down() != nil || l.generation != c.generation {
		return errAbandoned
	}
	return nil
}

// then is next if the cleaning can go on.
func (c *cleaning) then(next func(error)) func(error) {
	return func(err error) {
		if ended := c.ended(); ended != nil {
			err = ended
		}
		next(err)
	}
}

func (c *cleaning) end(err error) {
	l := c.log
	l.cleaning = nil
	switch {
	case err == nil:
		if end := c.keys.keys.latest + 1; end > c.from { // else the first batch has more keys than there is room for
			l.cleaned = end
		}
	case errors.Is(err, ErrCorrupt):
		l.uncleanable = true
	case !errors.Is(err, errAbandoned) && !errors.Is(err, disk.ErrNoSpace) && l.down() == nil:
		l.fail("clean", err)
	}
	for _, f := range c.onEnd {
		f()
	}
}

// mapKeys fills the offset map from the dirty segments, until it is full.
func (c *cleaning) mapKeys(done func(error)) {
	l := c.log
	memory := c.cfg.DedupeBufferBytes
	if x := l.env.Buggify; x.Fires(buggify.CleanMapFull) {
		memory = int64(mapSlotSize * (1 + x.Pick(buggify.CleanMapFull, 20)))
	}
	m := &c.keys
	m.from, m.end, m.txns = c.from, c.upTo, newCleanTxns(l.AbortedTxns(c.from, c.upTo))
	m.keys.init(memory, c.cfg.LoadPercent)
	dirty := l.segmentsBetween(c.from, c.upTo)
	sequence(len(dirty), func(i int, next func(error)) {
		g := dirty[i]
		if m.full {
			next(nil)
			return
		}
		c.feed(g, &feed{from: c.from, take: m.take, enough: func() bool { return m.full }}, func(err error) {
			if err == nil && !m.full {
				m.keys.latest = max(m.keys.latest, l.segmentEnd(g)-1)
			}
			next(err)
		})
	}, done)
}

// segmentsBetween lists the segments that may hold offsets of [from, upTo).
func (l *Log) segmentsBetween(from, upTo int64) (all []*segment) {
	l.segments.between(from, upTo, func(g *segment) bool { all = append(all, g); return true })
	return all
}

// writeGroups writes the segments up to the end of what is mapped anew.
func (c *cleaning) writeGroups(done func(error)) {
	l := c.log
	end := c.keys.keys.latest + 1
	c.txns = newCleanTxns(l.AbortedTxns(l.segments.first().base, c.upTo)) // the last segment may go on behind what is mapped
	groups := l.groupSegments(l.segmentsBetween(math.MinInt64, end))
	sequence(len(groups), func(i int, next func(error)) {
		w := &groupWriter{cleaning: c, old: groups[i]}
		w.run(c.then(next))
	}, done)
}

// groupSegments puts neighbours together that fit in one segment (Kafka's groupSegmentsBySize).
func (l *Log) groupSegments(all []*segment) (groups [][]*segment) {
	indexable := max(int64(l.config.SegmentIndexBytes)/timeEntrySize, 1) * max(int64(l.config.IndexIntervalBytes), 1)
	for len(all) > 0 {
		n, size := 1, all[0].size
		for n < len(all) && size+all[n].size <= min(int64(l.config.SegmentBytes), indexable) && l.segmentEnd(all[n])-1-all[0].base <= math.MaxInt32 {
			size += all[n].size
			n++
		}
		groups = append(groups, all[:n])
		all = all[n:]
	}
	return groups
}

// feed is a walk through a segment's file, chunk by chunk.
type feed struct {
	*cleaning
	from     int64                     // begin with the batch that has this offset
	take     func([]byte) (int, error) // looks, off the loop, at the batches that a chunk begins with: how many bytes they are
	after    func(next func(error))    // follows on the loop; may be nil
	enough   func() bool               // ends the walk; may be nil
	file     disk.File
	pos, end int64
	done     func(error)
}

// feed walks through a segment.
func (c *cleaning) feed(g *segment, f *feed, done func(error)) {
	switch {
	case g.removed: // by retention
		done(errAbandoned)
		return
	case g.size == 0:
		done(nil)
		return
	}
	f.cleaning, f.file, f.end = c, g.file, g.size
	f.file.Retain()
	f.done = func(err error) {
		f.file.Close()
		done(err)
	}
	if f.from <= g.base {
		f.read()
		return
	}
	c.log.withIndex(g, c.then(func(err error) {
		if err != nil {
			f.done(err)
			return
		}
		f.pos = g.index.lookup(f.from - g.base)
		f.read()
	}))
}

func (f *feed) isEnough() bool { return f.pos >= f.end || f.enough != nil && f.enough() }

func (f *feed) read() {
	if f.isEnough() {
		f.done(nil)
		return
	}
	n := int(min(int64(f.chunk), f.end-f.pos))
	if len(f.buf) < n {
		f.buf = make([]byte, n)
	}
	want := f.buf[:n]
	f.file.ReadAt(want, f.pos, func(n int, err error) {
		if err = cmp.Or(f.ended(), err); err != nil {
			f.done(err)
			return
		}
		f.offer(want[:n])
	})
}

func (f *feed) offer(chunk []byte) {
	var used int
	var err error
	f.log.env.Loop.Offload(func() { used, err = f.take(chunk) }, func() {
		f.pos += int64(used)
		if err = cmp.Or(f.ended(), err); err == nil && used == 0 && !f.isEnough() {
			err = f.widen(chunk)
		}
		switch {
		case err != nil:
			f.done(err)
		case f.after == nil:
			f.read()
		default:
			f.after(f.then(f.taken))
		}
	})
}

// taken goes on with the next chunk.
func (f *feed) taken(err error) {
	if err != nil {
		f.done(err)
		return
	}
	f.read()
}

// widen makes room for a batch that is larger than a chunk.
func (f *feed) widen(chunk []byte) error {
	h, err := record.ParseHeader(chunk)
	if err != nil || int64(h.Size) > f.end-f.pos || h.Size <= f.chunk {
		return ErrCorrupt
	}
	f.chunk = h.Size
	return nil
}

// groupWriter writes what stays of some neighbouring segments as one.
type groupWriter struct {
	*cleaning
	old   []*segment
	end   int64
	made  *segment
	sieve sieve
}

const (
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"
)

func (w *groupWriter) run(done func(error)) {
	l := w.log
	first, last := w.old[0], w.old[len(w.old)-1]
	if w.end = l.segmentEnd(last); !w.areTheLogs() {
		done(errAbandoned)
		return
	}
	w.made = newSegment(first.base, last.createdMs)
	w.sieve = sieve{
		keys: &w.keys.keys, txns: w.txns, producers: l.producers.lastRecords(), bounds: bounds{first.base, w.end}, nowMs: w.nowMs, retentionMs: l.config.DeleteRetentionMs,
	}
	steps(func(err error) { w.finish(err, done) }, w.create, w.copy, w.store, w.swap)
}

// finish leaves no file behind that is not the log's.
func (w *groupWriter) finish(err error, done func(error)) {
	if w.made.file == nil || err == nil && !w.made.removed {
		done(err)
		return
	}
	w.made.close()
	if w.log.failure != nil {
		done(err)
		return
	}
	w.log.removeFiles(w.made.base, cleanedSuffix, func(gone error) { done(cmp.Or(err, gone)) })
}

func (w *groupWriter) create(next func(error)) {
	l := w.log
	l.env.Disk.Open(l.pathOf(w.made.base, logSuffix, cleanedSuffix), func(f disk.File, size int64, err error) {
		if err != nil {
			next(err)
			return
		}
		w.made.file = f
		if size > 0 {
			f.Truncate(0, w.then(next))
			return
		}
		w.then(next)(nil)
	})
}

func (w *groupWriter) copy(done func(error)) {
	sequence(len(w.old), func(i int, next func(error)) {
		w.feed(w.old[i], &feed{take: w.sieve.take, after: w.write}, next)
	}, done)
}

// write appends what the sieve left of a chunk.
func (w *groupWriter) write(next func(error)) {
	out := w.sieve.out
	if len(out) == 0 {
		next(nil)
		return
	}
	pos := w.made.size
	if pos+int64(len(out)) > math.MaxInt32 {
		next(ErrCorrupt) // compression has made it larger than a segment can be: it stays as it is
		return
	}
	for rest := out; len(rest) > 0; {
		b, after, _ := record.Parse(rest)
		w.made.add(b.LastOffset(), b.MaxTimestamp(), int64(len(b)), w.log.config.IndexIntervalBytes)
		w.log.emitBatch(event.BatchRetained, b.LeaderEpoch(), b.BaseOffset(), b.NextOffset()-b.BaseOffset(), b)
		rest = after
	}
	w.made.file.WriteAt([][]byte{out}, pos, next)
}

// store makes the new segment's files durable, under names that a recovery throws away.
func (w *groupWriter) store(next func(error)) {
	l, made := w.log, w.made
	made.aborted.entries = w.txns.takeKept()
	if len(w.old) == 1 && !w.sieve.changed {
		made.removed = true // all stays as it is
		next(nil)
		return
	}
	made.seal()
	steps(w.then(next),
		made.file.Sync,
		func(next func(error)) { l.writeIndexesAs(made, cleanedSuffix, next) },
		func(next func(error)) {
			if len(made.aborted.entries) == 0 {
				next(nil)
				return
			}
			l.writeAbortedAs(made, cleanedSuffix, next)
		},
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) })
}

// swap puts the new segment in the place of the old ones, in its turn among the log's disk operations.
func (w *groupWriter) swap(done func(error)) {
	l := w.log
	if w.made.removed {
		done(nil)
		return
	}
	x := l.env.Buggify
	if x.Fires(buggify.CleanAbandon) {
		done(errAbandoned)
		return
	}
	if x.Fires(buggify.SwapLate) {
		l.env.Loop.AfterFunc(x.Delay(buggify.SwapLate, 100*time.Millisecond), w.thenDo(done, func() { w.queueSwap(done) }))
		return
	}
	w.queueSwap(done)
}

// thenDo runs f if the cleaning can go on.
func (w *groupWriter) thenDo(done func(error), f func()) func() {
	return func() {
		if err := w.ended(); err != nil {
			done(err)
			return
		}
		f()
	}
}

func (w *groupWriter) queueSwap(done func(error)) {
	refused := error(nil)
	w.log.pipeline.queueTask("swap", func(next func(error)) {
		w.log.replaceSegments(w, func(err error) {
			if errors.Is(err, errAbandoned) {
				refused, err = err, nil
			}
			next(err)
		})
	}, func(err error) {
		if err != nil {
			err = errAbandoned // the log has failed
		}
		done(cmp.Or(refused, err))
	})
}

// areTheLogs reports whether the segments that were read are still the log's, none more and none less.
func (w *groupWriter) areTheLogs() bool {
	n, same := 0, true
	w.log.segments.between(w.old[0].base, w.end, func(g *segment) bool {
		same = n < len(w.old) && w.old[n] == g
		n++
		return same
	})
	return same && n == len(w.old)
}

// areBeingIndexed reports whether index files of theirs are being made, which would be taken for the new segment's.
func (w *groupWriter) areBeingIndexed() bool {
	return slices.ContainsFunc(w.old, func(g *segment) bool { return g.builds > 0 })
}
