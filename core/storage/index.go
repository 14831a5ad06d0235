package storage

import (
	"encoding/binary"
	"fmt"
	"math"
	"sort"
)

// indexEntry says that the batch whose last offset is base+relative begins at position.
type indexEntry struct{ relative, position int32 }

// offsetIndex is a segment's sparse map from offsets to positions.
//
// Invariant: relative and position both increase strictly.
type offsetIndex struct{ entries []indexEntry }

const indexEntrySize = 8

func (x *offsetIndex) append(relative, position int32) {
	x.entries = append(x.entries, indexEntry{relative, position})
}

// lookup is the position of a batch from which a walk forward meets the batch that holds relative.
func (x *offsetIndex) lookup(relative int64) int64 {
	n := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].relative) > relative })
	if n == 0 {
		return 0
	}
	return int64(x.entries[n-1].position)
}

// before is the last indexed position that is not above position, 0 if none. Batches begin there.
func (x *offsetIndex) before(position int64) int64 {
	n := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].position) > position })
	if n == 0 {
		return 0
	}
	return int64(x.entries[n-1].position)
}

// offsetAfter is a relative offset above those of all batches that begin before position.
func (x *offsetIndex) offsetAfter(position int64) int64 {
	n := sort.Search(len(x.entries), func(i int) bool { return int64(x.entries[i].position) >= position })
	if n == len(x.entries) {
		return math.MaxInt32 + 1
	}
	return int64(x.entries[n].relative)
}

// truncate drops the entries of batches that begin at size or later, or hold offsets from relative on.
func (x *offsetIndex) truncate(relative, size int64) {
	n := len(x.entries)
	for n > 0 && (int64(x.entries[n-1].relative) >= relative || int64(x.entries[n-1].position) >= size) {
		n--
	}
	x.entries = x.entries[:n]
}

// lastPosition is where the last indexed batch begins.
func (x *offsetIndex) lastPosition() int64 {
	if len(x.entries) == 0 {
		return 0
	}
	return int64(x.entries[len(x.entries)-1].position)
}

// marshal is the content of an .index file.
func (x *offsetIndex) marshal() []byte {
	b := make([]byte, 0, len(x.entries)*indexEntrySize)
	for _, e := range x.entries {
		b = binary.BigEndian.AppendUint32(b, uint32(e.relative))
		b = binary.BigEndian.AppendUint32(b, uint32(e.position))
	}
	return b
}

// parseIndex reads an .index file for a segment of size bytes.
func parseIndex(b []byte, size int64) (offsetIndex, error) {
	if len(b)%indexEntrySize != 0 {
		return offsetIndex{}, fmt.Errorf("%w: index of %d bytes", ErrCorrupt, len(b))
	}
	x := offsetIndex{entries: make([]indexEntry, 0, len(b)/indexEntrySize)}
	last := indexEntry{-1, 0}
	for ; len(b) > 0; b = b[indexEntrySize:] {
		e := indexEntry{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:]))}
		if e.relative <= last.relative || e.position <= last.position || int64(e.position) >= size {
			return offsetIndex{}, fmt.Errorf("%w: index entry %d,%d after %d,%d in %d bytes", ErrCorrupt,
				e.relative, e.position, last.relative, last.position, size)
		}
		x.entries, last = append(x.entries, e), e
	}
	return x, nil
}
