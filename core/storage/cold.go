package storage

import (
	"errors"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
)

// readWindow is how much a cold read takes of a file at a time to find batches: an index interval and then some.
const readWindow = 8 << 10

// coldRead finds positions by the sparse index and the headers in the file.
type coldRead struct {
	log        *Log
	r          ReadRequest
	upTo       int64 // of this attempt
	done       func(Slice, error)
	generation int
	seg        *segment
	file       disk.File // retained while the read uses it
	pos        int64     // of the header looked at
	size       int64     // of what is written of the segment
	limit      int64     // batches that end at or below this position also end at or below upTo
	window     []byte    // bytes of the file from windowPos on
	windowPos  int64
	start      int64 // of the first batch, -1 until it is found
	end        int64
	first      int64
	next       int64
}

func (l *Log) readCold(r ReadRequest, done func(Slice, error)) {
	c := &coldRead{log: l, r: r, done: done}
	// Below the high watermark a region will do; what is above comes with the next read.
	c.upTo = r.UpTo
	if r.Offset < l.highWatermark {
		c.upTo = min(r.UpTo, l.highWatermark)
	}
	c.begin()
}

func (c *coldRead) begin() {
	l := c.log
	c.generation, c.start = l.generation, -1
	c.seg = l.segments.floor(c.r.Offset)
	l.withIndex(c.seg, func(err error) {
		if c.ended(err) {
			return
		}
		if c.seg.file == nil { // just begun, its file not open: nothing in it is written
			c.finish(Slice{FirstOffset: c.r.Offset, NextOffset: c.r.Offset, UpperBound: c.r.Offset}, nil)
			return
		}
		c.file = c.seg.file
		c.file.Retain()
		c.seek()
	})
}

// finish answers and lets go of the file.
func (c *coldRead) finish(s Slice, err error) {
	c.letGo()
	c.done(s, err)
}

// letGo ends the use of the file and of the window.
func (c *coldRead) letGo() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
	if c.window != nil {
		c.log.recent.all.window, c.window = c.window, nil
	}
}

// ended re-checks the world after a disk operation; true if the read is over, or begins anew.
func (c *coldRead) ended(err error) bool {
	l := c.log
	if err != nil && l.down() == nil && c.generation == l.generation && !c.seg.removed {
		l.fail("read", err)
	}
	if l.down() != nil {
		c.finish(Slice{}, ErrOffline)
		return true
	}
	if c.generation == l.generation && !c.seg.removed && c.r.Offset >= l.logStart {
		return false
	}
	c.letGo()
	s, err := l.Read(c.r, c.done)
	if err != ErrPending {
		c.done(s, err)
	}
	return true
}

// seek takes the best position known at or before the offset.
func (c *coldRead) seek() {
	l, g := c.log, c.seg
	c.pos = g.index.lookup(c.r.Offset - g.base)
	if i := l.recent.find(c.r.Offset); i >= 0 && l.recent.at(i).seg == g {
		c.pos = int64(l.recent.at(i).pos)
	}
	c.size = l.writtenSize(g)
	c.limit = g.index.lookup(c.upTo - g.base)
	if c.upTo >= l.endOf(g) && g.cuts == 0 {
		c.limit = c.size
	} else if l.recent.n > 0 {
		if e := l.recent.at(0); e.seg == g && e.base <= c.upTo {
			c.limit = max(c.limit, int64(e.pos))
		}
	}
	c.look()
}

// writtenSize is up to where a segment's bytes are on disk.
func (l *Log) writtenSize(g *segment) int64 {
	if i := l.recent.find(l.written); i >= 0 && l.recent.at(i).seg == g {
		return int64(l.recent.at(i).pos)
	}
	return g.size
}

// look goes through headers from pos until the answer's end is known.
func (c *coldRead) look() {
	for {
		if c.pos >= c.size {
			c.conclude()
			return
		}
		at := c.pos - c.windowPos
		if c.window == nil || at < 0 || at+record.HeaderSize > int64(len(c.window)) {
			c.fill()
			return
		}
		h, err := record.ParseHeader(c.window[at:])
		if err != nil {
			c.finish(Slice{}, kerr.CorruptMessage)
			return
		}
		if c.consider(&h) {
			c.conclude()
			return
		}
	}
}

// consider takes a batch in, or passes it by; true if the answer ends before or with it.
func (c *coldRead) consider(h *record.Header) bool {
	size := int64(h.Size)
	if c.start < 0 {
		if h.NextOffset() <= c.r.Offset {
			c.pos += size
			return false
		}
		c.start, c.end, c.first, c.next = c.pos, c.pos, h.BaseOffset, c.r.Offset
	}
	isFirst := c.end == c.start
	if h.NextOffset() > c.upTo || c.end-c.start+size > int64(c.r.MaxBytes) && !(isFirst && c.r.MinOneBatch) {
		return true
	}
	c.pos += size
	c.end, c.next = c.pos, h.NextOffset()
	return isFirst && c.leap()
}

// leap ends the answer at a batch's begin that the index knows, if that is further than here.
func (c *coldRead) leap() bool {
	bound := min(c.start+int64(c.r.MaxBytes), c.limit)
	end := c.seg.index.before(bound)
	if bound >= c.size {
		end = c.size
	}
	if end <= c.end {
		return false
	}
	c.end = end
	return true
}

// fill reads the window at pos.
func (c *coldRead) fill() {
	if c.end > c.start && c.start >= 0 {
		c.conclude() // enough: not another read for a little more
		return
	}
	if c.window == nil {
		c.window = c.log.recent.all.takeWindow()
	}
	size := min(readWindow, c.size-c.pos)
	if c.log.env.Buggify.Fires(buggify.ColdWindow) {
		size = min(size, record.HeaderSize)
	}
	c.windowPos = c.pos
	c.file.ReadAt(c.window[:size], c.pos, func(n int, err error) {
		if c.ended(err) {
			return
		}
		if n < record.HeaderSize {
			c.finish(Slice{}, kerr.CorruptMessage)
			return
		}
		c.window = c.window[:n]
		c.look()
	})
}

// conclude answers with [start, end) of the file.
func (c *coldRead) conclude() {
	l := c.log
	s := Slice{FirstOffset: c.first, NextOffset: c.next, UpperBound: min(c.upTo, c.seg.base+c.seg.index.offsetAfter(c.end))}
	switch {
	case c.start < 0 && c.goOn():
	case c.start < 0 || c.end == c.start && c.upTo == c.r.UpTo:
		s.FirstOffset, s.NextOffset, s.UpperBound = c.r.Offset, c.r.Offset, c.r.Offset
		c.finish(s, nil)
	case c.end == c.start: // the high watermark is within the batch
		c.upTo = c.r.UpTo
		c.pos, c.start = c.start, -1
		c.seek()
	case c.upTo <= l.highWatermark:
		s.addRegion(c.file, c.start, int(c.end-c.start))
		c.finish(s, nil)
	default:
		c.copy(s)
	}
}

// goOn looks in the next segment, if the offset lies in a gap before it.
func (c *coldRead) goOn() bool {
	l := c.log
	after := l.segments.after(c.seg)
	if after == nil || after.base >= c.upTo || c.seg.cuts > 0 || c.pos < c.seg.size {
		return false
	}
	c.letGo()
	c.r.Offset = max(c.r.Offset, after.base)
	c.begin()
	return true
}

// copy reads what lies above the high watermark into memory of its own.
func (c *coldRead) copy(s Slice) {
	b := make([]byte, c.end-c.start)
	c.file.ReadAt(b, c.start, func(n int, err error) {
		if c.ended(err) {
			return
		}
		s.Chunks, s.Len = []network.Chunk{{Bytes: b[:n]}}, n
		c.finish(s, nil)
	})
}

// withIndex calls done when a segment's indexes are in memory: at once if they are. Index files that are
// missing or damaged are made anew from the batches.
func (l *Log) withIndex(g *segment, done func(error)) {
	if g.indexed {
		done(nil)
		return
	}
	if l.moving {
		l.afterMove = append(l.afterMove, func() {
			if err := l.down(); err != nil { // it has failed, or is deleted
				done(err)
				return
			}
			l.withIndex(g, done)
		})
		return
	}
	l.readIndexes(g, func(index offsetIndex, times timeIndex, err error) {
		switch {
		case g.indexed || g.removed:
			done(nil)
		case g.file == nil: // the log is closed
			done(ErrOffline)
		case errors.Is(err, ErrCorrupt) || errors.Is(err, disk.ErrNotExist):
			l.buildIndex(g, done)
		case err != nil:
			done(err)
		default:
			l.adoptIndex(g, index, times)
			done(nil)
		}
	})
}

func (l *Log) adoptIndex(g *segment, index offsetIndex, times timeIndex) {
	g.index, g.times, g.indexed, g.stored = index, times, true, true
	if last := times.last(); last.timestamp > g.maxTimestamp {
		g.maxTimestamp, g.maxTimestampOffset = last.timestamp, g.base+int64(last.relative)
	}
}

func (l *Log) readIndexes(g *segment, done func(offsetIndex, timeIndex, error)) {
	ReadFile(l.env.Disk, l.pathOf(g.base, indexSuffix), func(b []byte, err error) {
		var index offsetIndex
		if err == nil {
			index, err = parseIndex(b, g.size)
		}
		if err != nil {
			done(index, timeIndex{}, err)
			return
		}
		ReadFile(l.env.Disk, l.pathOf(g.base, timeIndexSuffix), func(b []byte, err error) {
			var times timeIndex
			if err == nil {
				times, err = parseTimeIndex(b)
			}
			done(index, times, err)
		})
	})
}

// buildIndex makes a segment's indexes from its batches and stores them.
func (l *Log) buildIndex(g *segment, done func(error)) {
	g.builds++
	answer := done
	done = func(err error) {
		g.builds--
		answer(err)
	}
	made := newSegment(g.base, g.createdMs)
	s := scan{env: l.env, file: g.file, end: g.size}
	s.visit = func(b record.Batch, _ int64) bool {
		made.add(b.LastOffset(), b.MaxTimestamp(), int64(len(b)), l.config.IndexIntervalBytes)
		return true
	}
	s.done = func(_ int64, err error) {
		switch {
		case err != nil || g.removed:
			done(err)
			return
		case g.file == nil: // another log may have its directory by now
			done(ErrOffline)
			return
		}
		made.seal()
		g.maxTimestamp, g.maxTimestampOffset = made.maxTimestamp, made.maxTimestampOffset
		l.adoptIndex(g, made.index, made.times)
		l.writeIndexes(g, done)
	}
	s.start()
}
