package storage

import (
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/network"
)

const (
	// Written batches whose position a log remembers: with those that are being written they fit a ring of 512.
	recentBatches = 448

	// Bytes of batches that logs keep in memory: each may keep ownBytes, and mostBytes as long as all of
	// a broker's keep no more than allBytes. A replica that lags by more is served by reads of the disk, and copies.
	ownBytes  = 1 << 20
	mostBytes = 8 << 20
	allBytes  = 64 << 20
)

// heldMemory is the bytes that the logs of a broker keep.
type heldMemory struct {
	bytes  int
	window []byte // of a cold read that is over, for the next; nil: none
}

// takeWindow returns memory for a cold read.
func (m *heldMemory) takeWindow() []byte {
	w := m.window
	if m.window = nil; w == nil {
		w = make([]byte, 0, readWindow)
	}
	return w
}

// recentBatch is a batch near the log's end: where it is on disk, and its bytes as long as they are held.
type recentBatch struct {
	base, next   int64
	maxTimestamp int64
	seg          *segment
	pos, size    int32
	epoch        int32
	bytes        []byte // nil: not held. Valid while frame is retained
	frame        *network.Frame
}

// recent is a ring of the log's last batches, dense: none is missing between the first and the
// log's next offset. Reads at the tail find positions in it without a disk, and the bytes above the
// high watermark, which must not be promised as regions of a file.
//
// Invariant: the batches that hold bytes are the last ones.
type recent struct {
	buf   []recentBatch // length is a power of two
	head  int
	n     int
	held  int // batches that hold bytes
	bytes int // and how many bytes
	all   *heldMemory
}

func (r *recent) at(i int) *recentBatch { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *recent) last() *recentBatch { return r.at(r.n - 1) }

// push adds a batch at the end. With hold its bytes and frame are kept until they are released.
func (r *recent) push(b record.Batch, seg *segment, pos int32, hold bool, frame *network.Frame) {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.n++
	e := r.last()
	*e = recentBatch{base: b.BaseOffset(), next: b.NextOffset(), maxTimestamp: b.MaxTimestamp(), seg: seg, pos: pos, size: int32(len(b)), epoch: b.LeaderEpoch()}
	if !hold {
		return
	}
	frame.Retain()
	e.bytes, e.frame = b, frame
	r.held++
	r.bytes += len(b)
	r.all.bytes += len(b)
	for r.holdsTooMuch() {
		r.releaseOldest()
	}
}

func (r *recent) holdsTooMuch() bool {
	return r.bytes > mostBytes || r.bytes > ownBytes && r.all.bytes > allBytes
}

func (r *recent) grow() {
	buf := make([]recentBatch, max(16, 2*len(r.buf)))
	for i := range r.n {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}

// releaseOldest lets go of the bytes held longest.
func (r *recent) releaseOldest() {
	r.release(r.at(r.n - r.held))
	r.held--
}

func (r *recent) release(e *recentBatch) {
	r.bytes -= len(e.bytes)
	r.all.bytes -= len(e.bytes)
	e.frame.Release()
	e.bytes, e.frame = nil, nil
}

// releaseBelow lets go of the bytes of batches that end at or below offset.
func (r *recent) releaseBelow(offset int64) {
	for r.held > 0 && r.at(r.n-r.held).next <= offset {
		r.releaseOldest()
	}
}

// forget drops batches from the front until limit are left; only such as are below written.
func (r *recent) forget(limit int, written int64) {
	for r.n > limit && r.at(0).next <= written {
		r.dropFirst()
	}
}

func (r *recent) dropFirst() {
	if r.held == r.n {
		r.releaseOldest()
	}
	*r.at(0) = recentBatch{}
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
}

// truncate drops the batches that hold offsets from offset on.
func (r *recent) truncate(offset int64) {
	for r.n > 0 && r.last().next > offset {
		if r.held > 0 {
			r.release(r.last())
			r.held--
		}
		*r.last() = recentBatch{}
		r.n--
	}
}

// find is the place of the batch that holds offset, or of the next one after a gap that compaction left; -1 if it is not there.
func (r *recent) find(offset int64) int {
	lo, hi := 0, r.n
	if hi > 0 && r.last().base <= offset { // what most reads are for
		lo = hi
	}
	for lo < hi {
		if mid := (lo + hi) / 2; r.at(mid).base <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	switch {
	case lo == 0:
		return -1
	case offset < r.at(lo-1).next:
		return lo - 1
	case lo < r.n:
		return lo
	}
	return -1
}

// forgetBelow drops the batches that begin below offset.
func (r *recent) forgetBelow(offset int64) {
	for r.n > 0 && r.at(0).base < offset {
		r.dropFirst()
	}
}

// releaseAll lets go of everything.
func (r *recent) releaseAll() {
	for r.n > 0 {
		r.dropFirst()
	}
}
