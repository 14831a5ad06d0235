package storage

import (
	"slices"
	"sort"
)

// EpochEntry says that the batches from Start on were written under leader epoch Epoch, until the next entry's.
type EpochEntry struct {
	Epoch int32
	Start int64
}

// epochCache is the log's history of leader epochs (KIP-101).
//
// Invariant: Epoch and Start both increase strictly from entry to entry.
type epochCache struct{ entries []EpochEntry }

// latest is the last entry, or {-1, -1}.
func (c *epochCache) latest() EpochEntry {
	if len(c.entries) == 0 {
		return EpochEntry{-1, -1}
	}
	return c.entries[len(c.entries)-1]
}

// earliest is the first entry, or {-1, -1}.
func (c *epochCache) earliest() EpochEntry {
	if len(c.entries) == 0 {
		return EpochEntry{-1, -1}
	}
	return c.entries[0]
}

// assign notes that epoch starts at start and reports whether that was news. Entries that the new
// one contradicts are dropped.
func (c *epochCache) assign(epoch int32, start int64) bool {
	if last := c.latest(); last.Epoch == epoch && last.Start <= start {
		return false
	}
	n := len(c.entries)
	for n > 0 && (c.entries[n-1].Epoch >= epoch || c.entries[n-1].Start >= start) {
		n--
	}
	c.entries = append(c.entries[:n], EpochEntry{epoch, start})
	return true
}

// truncateFromEnd drops the entries that start at end or later; it reports whether there were any.
func (c *epochCache) truncateFromEnd(end int64) bool {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start >= end })
	dropped := n < len(c.entries)
	c.entries = c.entries[:n]
	return dropped
}

// truncateFromStart forgets what lies below start, but for the entry of the record just before it: only by that can a leader
// tell a follower which is at start, with its own log or with another's.
//
// Counter-example to Kafka's, whose first entry then begins at start: B has records 0 to 3 of epoch 0, never committed. A leads epoch
// 1, commits its own 0 to 3, and retention takes them. B asks for 4 after epoch 0; A has nothing but (1, 4) and finds it in order.
func (c *epochCache) truncateFromStart(start int64) bool {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start >= start })
	if n <= 1 {
		return false
	}
	c.entries = slices.Delete(c.entries, 0, n-1)
	return true
}

// endOffsetFor answers OffsetForLeaderEpoch: the largest epoch known that is not above the one
// asked for, and where it ends; (-1, -1) is undefined. The latest epoch ends at logEndOffset. An epoch before
// all known ones is answered with itself and the first known start, which may be below the log's: its data is gone.
func (c *epochCache) endOffsetFor(epoch int32, logEndOffset int64) (int32, int64) {
	if epoch < 0 || len(c.entries) == 0 {
		return -1, -1
	}
	if epoch == c.latest().Epoch {
		return epoch, logEndOffset
	}
	higher := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Epoch > epoch })
	switch {
	case higher == len(c.entries):
		return -1, -1
	case higher == 0:
		return epoch, c.entries[0].Start
	}
	return c.entries[higher-1].Epoch, c.entries[higher].Start
}

// epochAt is the epoch of the batch at offset, or -1. It is known of the one before the log start too, unless the log began there.
func (c *epochCache) epochAt(offset int64) int32 {
	n := sort.Search(len(c.entries), func(i int) bool { return c.entries[i].Start > offset })
	if n == 0 {
		return -1
	}
	return c.entries[n-1].Epoch
}
