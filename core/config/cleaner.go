package config

import (
	"math"
	"strconv"
	"time"
)

// Cleaner is what is configured about the compaction of logs.
type Cleaner struct {
	Enabled           bool
	DedupeBufferBytes int64
	IOBufferBytes     int
	LoadPercent       int
	Backoff           time.Duration
}

// Cleaner is the log.cleaner.* keys that are not a topic's.
func (c *Config) Cleaner(dynamic Dynamic) Cleaner {
	return Cleaner{
		Enabled:           c.boolean("log.cleaner.enable"),
		DedupeBufferBytes: c.dynamicLong("log.cleaner.dedupe.buffer.size", dynamic),
		IOBufferBytes:     int(c.dynamicLong("log.cleaner.io.buffer.size", dynamic)),
		LoadPercent:       int(millionths(c.dynamicText("log.cleaner.io.buffer.load.factor", dynamic)) / 10_000),
		Backoff:           Duration(c.dynamicLong("log.cleaner.backoff.ms", dynamic), time.Millisecond),
	}
}

// Millionths is the effective value of a key of type double, in millionths.
func (t TopicConfig) Millionths(key string) int64 { return millionths(t.Value(key)) }

// millionths rounds, so that all machines agree.
func millionths(value string) int64 {
	n, _ := strconv.ParseFloat(value, 64) // checked by Key.Check
	return int64(math.Round(n * 1e6))
}
