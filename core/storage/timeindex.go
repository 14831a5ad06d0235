package storage

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// timeEntry says that no batch up to the one that ends at base+relative has a later timestamp.
type timeEntry struct {
	timestamp int64
	relative  int32
}

// timeIndex is a segment's sparse map from timestamps to offsets.
//
// Invariant: timestamp increases strictly, relative does not decrease.
type timeIndex struct{ entries []timeEntry }

const timeEntrySize = 12

// maybeAppend adds an entry if it is later than the last one.
func (x *timeIndex) maybeAppend(timestamp int64, relative int32) {
	if n := len(x.entries); timestamp >= 0 && (n == 0 || timestamp > x.entries[n-1].timestamp) {
		x.entries = append(x.entries, timeEntry{timestamp, relative})
	}
}

// lookup is the relative offset of the last entry that is not later than timestamp, or 0: no record
// up to there is later than timestamp.
func (x *timeIndex) lookup(timestamp int64) int64 {
	n := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].timestamp > timestamp })
	if n == 0 {
		return 0
	}
	return int64(x.entries[n-1].relative)
}

// last is the last entry, or {-1, 0}.
func (x *timeIndex) last() timeEntry {
	if len(x.entries) == 0 {
		return timeEntry{-1, 0}
	}
	return x.entries[len(x.entries)-1]
}

// truncate drops the entries for offsets from relative on.
func (x *timeIndex) truncate(relative int64) {
	n := len(x.entries)
	for n > 0 && int64(x.entries[n-1].relative) >= relative {
		n--
	}
	x.entries = x.entries[:n]
}

// marshal is the content of a .timeindex file.
func (x *timeIndex) marshal() []byte {
	b := make([]byte, 0, len(x.entries)*timeEntrySize)
	for _, e := range x.entries {
		b = binary.BigEndian.AppendUint64(b, uint64(e.timestamp))
		b = binary.BigEndian.AppendUint32(b, uint32(e.relative))
	}
	return b
}

// parseTimeIndex reads a .timeindex file.
func parseTimeIndex(b []byte) (timeIndex, error) {
	if len(b)%timeEntrySize != 0 {
		return timeIndex{}, fmt.Errorf("%w: time index of %d bytes", ErrCorrupt, len(b))
	}
	x := timeIndex{entries: make([]timeEntry, 0, len(b)/timeEntrySize)}
	last := timeEntry{-1, 0}
	for ; len(b) > 0; b = b[timeEntrySize:] {
		e := timeEntry{int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:]))}
		if e.timestamp <= last.timestamp || e.relative < last.relative {
			return timeIndex{}, fmt.Errorf("%w: time index entry %d,%d after %d,%d", ErrCorrupt,
				e.timestamp, e.relative, last.timestamp, last.relative)
		}
		x.entries, last = append(x.entries, e), e
	}
	return x, nil
}
