package storage

import (
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/google/btree"
	"github.com/lockstep/lockstep/disk"
)

// Suffixes of the files of a segment, after 20 digits of its base offset.
const (
	logSuffix       = ".log"
	indexSuffix     = ".index"
	timeIndexSuffix = ".timeindex"
	txnIndexSuffix  = ".txnindex"
	snapshotSuffix  = ".snapshot"
)

// segment is one file of the log with its indexes.
type segment struct {
	base int64
	file disk.File // nil until it is open
	size int64     // of the batches assigned to it, written or not

	index   offsetIndex
	times   timeIndex
	aborted txnIndex
	indexed bool  // index and times are in memory; always true of the active segment
	stored  bool  // the index files hold what index and times do
	removed bool  // by retention or a truncation
	cuts    int   // truncations that are yet to find its end: it may hold batches beyond it
	builds  int   // of its indexes, under way
	since   int64 // bytes since the last index entry
	limit   int64 // see buggify.TinySegment; 0: none

	maxTimestamp       int64 // of all batches; -1: none
	maxTimestampOffset int64 // last offset of the batch that has it
	firstTimestamp     int64 // of the first batch appended here since it was opened, for rolling by age
	hasFirst           bool
	createdMs          int64
	jitterMs           int64 // of segment.ms
}

func newSegment(base, nowMs int64) *segment {
	return &segment{base: base, indexed: true, maxTimestamp: -1, maxTimestampOffset: base, createdMs: nowMs}
}

// add accounts for a batch that is put at the segment's end. Kafka's LogSegment.append: an index
// entry is made for the first batch that begins more than interval bytes after the last one.
func (s *segment) add(lastOffset, maxTimestamp, size int64, interval int32) {
	if maxTimestamp > s.maxTimestamp {
		s.maxTimestamp, s.maxTimestampOffset = maxTimestamp, lastOffset
	}
	if s.since > int64(interval) {
		s.index.append(int32(lastOffset-s.base), int32(s.size))
		s.times.maybeAppend(s.maxTimestamp, int32(s.maxTimestampOffset-s.base))
		s.since = 0
	}
	s.since += size
	s.size += size
}

// shouldRoll says whether a batch of size bytes does not belong here any more (Kafka's LogSegment.shouldRoll).
func (s *segment) shouldRoll(lastOffset, maxTimestamp, size, nowMs int64, c *LogConfig) bool {
	if s.size == 0 {
		return lastOffset-s.base > math.MaxInt32
	}
	return s.size+size > int64(c.SegmentBytes) ||
		s.age(maxTimestamp, nowMs) > c.SegmentMs-s.jitterMs ||
		len(s.index.entries) >= int(c.SegmentIndexBytes)/indexEntrySize ||
		len(s.times.entries) >= int(c.SegmentIndexBytes)/timeEntrySize-1 ||
		lastOffset-s.base > math.MaxInt32
}

// age is by timestamps of the batches if there are any, else by the clock.
func (s *segment) age(maxTimestamp, nowMs int64) int64 {
	if s.hasFirst && s.firstTimestamp >= 0 {
		return maxTimestamp - s.firstTimestamp
	}
	return nowMs - s.createdMs
}

// seal makes the last entry of the time index, when the segment takes no more.
func (s *segment) seal() {
	if s.maxTimestamp >= 0 {
		s.times.maybeAppend(s.maxTimestamp, int32(s.maxTimestampOffset-s.base))
	}
}

// certain is how many bytes of it the log has at least.
func (s *segment) certain() int64 {
	if s.cuts > 0 {
		return 0
	}
	return s.size
}

func (s *segment) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// segments is the log's segments by base offset. There is always one, the last is the active one.
type segments struct {
	tree  *btree.BTreeG[*segment]
	pivot segment // the key of look-ups
}

func newSegments() segments {
	return segments{tree: btree.NewG(8, func(a, b *segment) bool { return a.base < b.base })}
}

// floor is the segment that holds offset, or nil if all begin after it.
func (s *segments) floor(offset int64) (found *segment) {
	s.pivot.base = offset
	s.tree.DescendLessOrEqual(&s.pivot, func(g *segment) bool { found = g; return false })
	return found
}

// after is the next segment, or nil.
func (s *segments) after(g *segment) (found *segment) {
	s.pivot.base = g.base + 1
	s.tree.AscendGreaterOrEqual(&s.pivot, func(g *segment) bool { found = g; return false })
	return found
}

// between calls f for each segment that may hold offsets of [from, upTo), until it says no. f looks up none itself.
func (s *segments) between(from, upTo int64, f func(*segment) bool) {
	if first := s.floor(from); first != nil {
		s.pivot.base = first.base
	}
	s.tree.AscendGreaterOrEqual(&s.pivot, func(g *segment) bool { return g.base < upTo && f(g) })
}

// from lists the segments that begin at offset or later.
func (s *segments) from(offset int64) (all []*segment) {
	s.pivot.base = offset
	s.tree.AscendGreaterOrEqual(&s.pivot, func(g *segment) bool { all = append(all, g); return true })
	return all
}

func (s *segments) all() []*segment { return s.from(math.MinInt64) }

// ends iterates over the segments, each with the offset where it ends: of the last one, open.
func (s *segments) ends() iter.Seq2[*segment, int64] {
	return func(yield func(*segment, int64) bool) {
		var before *segment
		s.tree.Ascend(func(g *segment) bool {
			if before != nil && !yield(before, g.base) {
				before = nil
				return false
			}
			before = g
			return true
		})
		if before != nil {
			yield(before, math.MaxInt64)
		}
	}
}

func (s *segments) first() *segment { g, _ := s.tree.Min(); return g }

func (s *segments) size() (total int64) {
	s.tree.Ascend(func(g *segment) bool { total += g.size; return true })
	return total
}

// certain is how many bytes the log has at least.
func (s *segments) certain() (total int64) {
	s.tree.Ascend(func(g *segment) bool { total += g.certain(); return true })
	return total
}

// fileName is 20 digits and a suffix.
func fileName(offset int64, suffix string) string {
	return string(append(appendDigits(make([]byte, 0, 64), offset), suffix...))
}

// appendDigits appends the 20 digits of an offset.
func appendDigits(b []byte, offset int64) []byte {
	digits := strconv.AppendInt(make([]byte, 0, 20), offset, 10)
	return append(append(b, "00000000000000000000"[len(digits):]...), digits...)
}

// parseFileName is the offset in a name made by fileName; false for other names.
func parseFileName(name, suffix string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, err == nil && offset >= 0
}
