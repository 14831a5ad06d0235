package storage

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// CleanerConfig is what a broker may configure about compaction. Names and meaning are Kafka's, of one log.cleaner.thread.
type CleanerConfig struct {
	DedupeBufferBytes int64 // log.cleaner.dedupe.buffer.size
	LoadPercent       int   // log.cleaner.io.buffer.load.factor
	IOBufferBytes     int   // log.cleaner.io.buffer.size
	Backoff           time.Duration
}

// DefaultCleanerConfig is Kafka's.
func DefaultCleanerConfig() CleanerConfig {
	return CleanerConfig{DedupeBufferBytes: 128 << 20, LoadPercent: 90, IOBufferBytes: 512 << 10, Backoff: 15 * time.Second}
}

// Cleaner compacts the logs of a Manager, one at a time, the dirtiest first.
type Cleaner struct {
	manager *Manager
	cfg     CleanerConfig
	timer   scheduler.Timer
	stopped bool
}

// NewCleaner begins to compact. Without a backoff it does nothing.
func NewCleaner(m *Manager, cfg CleanerConfig) *Cleaner {
	c := &Cleaner{manager: m, cfg: cfg}
	if cfg.Backoff > 0 {
		c.timer = m.env.Loop.AfterFunc(cfg.Backoff, c.next)
	}
	return c
}

// SetConfig is what further compactions obey. If it is new a wait that is under way begins again. Whether there is a backoff, and with it
// a Cleaner at all, does not change.
func (c *Cleaner) SetConfig(cfg CleanerConfig) {
	if cfg == c.cfg || c.timer == nil || c.stopped {
		return
	}
	c.cfg = cfg
	if c.timer.Stop() {
		c.timer.Reset(cfg.Backoff)
	}
}

// Stop begins no further compaction. One that is under way ends with its log.
func (c *Cleaner) Stop() {
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// next compacts the dirtiest log, or waits if none is dirty enough.
func (c *Cleaner) next() {
	if c.stopped {
		return
	}
	c.learnAges(func() {
		l, span := c.dirtiest()
		if l == nil || c.stopped {
			c.timer.Reset(c.cfg.Backoff)
			return
		}
		before, cfg := l.cleaned, c.cfg
		l.clean(&cfg, span, func() {
			if l.cleaned == before { // given up: not at once again
				c.timer.Reset(c.cfg.Backoff)
				return
			}
			c.manager.Checkpoint(func(error) { c.next() })
		})
	})
}

// learnAges reads when the dirty segments began, of logs for which that counts.
func (c *Cleaner) learnAges(done func()) {
	var all []*Log
	c.manager.Each(func(l *Log) {
		if l.isCleanable() && l.config.MaxCompactionLagMs < Never {
			all = append(all, l)
		}
	})
	sequence(len(all), func(i int, next func(error)) { all[i].learnAges(func() { next(nil) }) }, func(error) { done() })
}

func (c *Cleaner) dirtiest() (*Log, cleanable) {
	var found *Log
	var most cleanable
	c.manager.Each(func(l *Log) {
		if !l.isCleanable() {
			return
		}
		span := l.cleanable()
		if l.isDue(&span) && (found == nil || span.ratio > most.ratio) {
			found, most = l, span
		}
	})
	return found, most
}

// cleanable is the part of a log that may be compacted.
type cleanable struct {
	from, upTo int64 // dirty offsets. upTo is where a segment begins
	ratio      int64 // of the dirty bytes to all up to there, in millionths
}

const million = 1_000_000

func (l *Log) isCleanable() bool {
	return l.config.Compact && l.down() == nil && !l.paused && !l.moving && !l.uncleanable && !l.rebuilding && l.cleaning == nil
}

// isDue reports whether it is worth it, or time (KIP-354).
func (l *Log) isDue(span *cleanable) bool {
	switch {
	case span.ratio == 0:
		return false
	case span.ratio > l.config.MinCleanableRatio || l.env.Buggify.Fires(buggify.CleanNow):
		return true
	}
	return l.isOverdue(span)
}

// cleanable is what lies between what was compacted and what may not be: beyond the last stable offset, in the active segment, not
// synced yet, or younger than min.compaction.lag.ms.
func (l *Log) cleanable() cleanable {
	span := cleanable{from: l.cleaned}
	if span.from < l.logStart || span.from > l.written {
		span.from = l.logStart
	}
	bound := min(l.LastStableOffset(), l.active.base, l.recoveryPoint)
	now := l.env.Loop.UnixMilli()
	clean, dirty := int64(0), int64(0)
	for g, end := range l.segments.ends() {
		young := end > span.from && l.config.MinCompactionLagMs > 0 && g.maxTimestamp > now-l.config.MinCompactionLagMs
		if end > bound || g.cuts > 0 || g.file == nil || young {
			break
		}
		span.upTo = end
		if end > span.from {
			dirty += g.size
		} else {
			clean += g.size
		}
	}
	if dirty > 0 {
		span.ratio = max(dirty*million/(clean+dirty), 1)
	}
	return span
}

// isOverdue reports whether a record has waited for longer than max.compaction.lag.ms. A segment is as old as its first batch.
func (l *Log) isOverdue(span *cleanable) bool {
	if l.config.MaxCompactionLagMs == Never {
		return false
	}
	oldest := int64(Never)
	for _, g := range l.segmentsBetween(span.from, span.upTo) {
		if g.hasFirst && g.firstTimestamp > 0 {
			oldest = min(oldest, g.firstTimestamp)
		}
	}
	return oldest < l.env.Loop.UnixMilli()-l.config.MaxCompactionLagMs
}

// learnAges reads the first timestamp of dirty segments that were written before the log was opened.
func (l *Log) learnAges(done func()) {
	span := l.cleanable()
	all := l.segmentsBetween(span.from, span.upTo)
	sequence(len(all), func(i int, next func(error)) {
		g := all[i]
		if g.hasFirst || g.file == nil || g.size == 0 {
			next(nil)
			return
		}
		var head [record.HeaderSize]byte
		file := g.file
		file.Retain()
		file.ReadAt(head[:], 0, func(n int, err error) {
			file.Close()
			if h, bad := record.ParseHeader(head[:n]); err == nil && bad == nil {
				g.hasFirst, g.firstTimestamp = true, h.MaxTimestamp
			}
			next(nil)
		})
	}, func(error) { done() })
}
