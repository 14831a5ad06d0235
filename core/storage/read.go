package storage

import (
	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ReadRequest asks for the batches from the one that holds Offset.
type ReadRequest struct {
	Offset   int64
	MaxBytes int
	// UpTo is exclusive; what is answered ends with a batch that ends at or below it.
	UpTo int64
	// MinOneBatch: the first batch is answered even if it is larger than MaxBytes (KIP-74).
	MinOneBatch bool
}

// Slice is whole batches of a log, perhaps none. What it refers to stays readable until Release.
type Slice struct {
	Chunks []network.Chunk
	Len    int // bytes
	// FirstOffset is the first batch's base, which may be below the offset asked for. NextOffset is
	// where the last batch ends; of a read from disk perhaps only where some earlier one does.
	FirstOffset, NextOffset int64
	// UpperBound is above every offset in the slice, perhaps far: the transactions that overlap [offset asked for, UpperBound)
	// are those that a reader of the slice may meet.
	UpperBound int64

	frames []*network.Frame
	files  []disk.File
}

// Release ends the use of the chunks. Call it once, also for an empty slice. Its memory serves the next ReadInto.
func (s *Slice) Release() {
	for _, f := range s.frames {
		f.Release()
	}
	for _, f := range s.files {
		f.Close()
	}
	clear(s.Chunks)
	clear(s.frames)
	clear(s.files)
	*s = Slice{Chunks: s.Chunks[:0], frames: s.frames[:0], files: s.files[:0]}
}

// Read answers at once when memory knows the positions: recent batches. Else it answers ErrPending and calls
// done in a later turn; a nil done asks memory only. Below the high watermark it gives regions of
// files, above it memory: what is there may yet be truncated and written anew.
//
// An offset at the end, or not below UpTo, gives an empty slice; one outside [log start, log end] OFFSET_OUT_OF_RANGE.
func (l *Log) Read(r ReadRequest, done func(Slice, error)) (Slice, error) {
	var s Slice
	err := l.ReadInto(&s, r)
	if err == ErrPending && done != nil {
		l.readCold(r, done)
	}
	return s, err
}

// ReadInto is Read from memory alone, into a slice that is new or was released.
func (l *Log) ReadInto(s *Slice, r ReadRequest) error {
	if err := l.checkRead(&r); err != nil {
		return err
	}
	if r.Offset >= r.UpTo {
		s.FirstOffset, s.NextOffset, s.UpperBound = r.Offset, r.Offset, r.Offset
		return nil
	}
	if l.env.Buggify.Fires(buggify.ShortRead) {
		r.MaxBytes = min(r.MaxBytes, l.env.Buggify.Pick(buggify.ShortRead, 1000))
	}
	if !l.readRecent(s, &r) {
		return ErrPending
	}
	return nil
}

// checkRead also bounds UpTo by what is written.
func (l *Log) checkRead(r *ReadRequest) error {
	if err := l.down(); err != nil {
		return err
	}
	if r.Offset < l.logStart || r.Offset > l.written {
		return kerr.OffsetOutOfRange
	}
	r.UpTo = min(r.UpTo, l.written)
	return nil
}

// readRecent answers from memory; false, and the slice is empty, if it cannot.
func (l *Log) readRecent(s *Slice, r *ReadRequest) bool {
	first := l.recent.find(r.Offset)
	if first < 0 || l.env.Buggify.Fires(buggify.RecentMiss) {
		return false
	}
	s.FirstOffset, s.NextOffset, s.UpperBound = l.recent.at(first).base, r.Offset, r.Offset
	for i := first; i < l.recent.n; i++ {
		e := l.recent.at(i)
		if e.next > r.UpTo || s.Len+int(e.size) > r.MaxBytes && !(i == first && r.MinOneBatch) {
			break
		}
		switch {
		case e.next <= l.highWatermark && e.seg.file != nil:
			s.addRegion(e.seg.file, int64(e.pos), int(e.size))
		case e.bytes != nil:
			s.addBytes(e)
		default:
			return i > first // its bytes are on disk only and may not be promised
		}
		s.NextOffset, s.UpperBound = e.next, e.next
	}
	return true
}

// addRegion adds a part of a file, joined to the chunk before if it continues it.
func (s *Slice) addRegion(f disk.File, pos int64, size int) {
	f = unwrapped(f)
	s.Len += size
	if n := len(s.Chunks); n > 0 {
		if last := &s.Chunks[n-1].Region; last.File == f && last.Pos+int64(last.Len) == pos {
			last.Len += size
			return
		}
	}
	f.Retain()
	s.files = append(s.files, f)
	s.Chunks = append(s.Chunks, network.Chunk{Region: disk.Region{File: f, Pos: pos, Len: size}})
}

// addBytes adds a batch in memory, joined to the chunk before if they are neighbours in one frame.
func (s *Slice) addBytes(e *recentBatch) {
	s.Len += len(e.bytes)
	n, k := len(s.Chunks), len(s.frames)
	if n > 0 && k > 0 && e.frame != nil && s.frames[k-1] == e.frame && neighbours(s.Chunks[n-1].Bytes, e.bytes) {
		before := s.Chunks[n-1].Bytes
		s.Chunks[n-1].Bytes = before[:len(before)+len(e.bytes)]
		return
	}
	e.frame.Retain()
	s.frames = append(s.frames, e.frame)
	s.Chunks = append(s.Chunks, network.Chunk{Bytes: e.bytes})
}

// neighbours says whether b begins where a ends in the same array.
func neighbours(a, b []byte) bool {
	return len(a) > 0 && cap(a) >= len(a)+len(b) && len(b) > 0 && &a[:len(a)+1][len(a)] == &b[0]
}
