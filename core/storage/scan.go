package storage

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
)

// scanChunk is how much of a segment a scan reads at a time.
const scanChunk = 256 << 10

// scan walks the batches of a file from pos to end and stops early at the first bytes that are no
// whole batch (with crc: or whose CRC is wrong), or where visit says so.
type scan struct {
	env   *env.Env
	file  disk.File
	pos   int64
	end   int64
	crc   bool
	visit func(b record.Batch, pos int64) bool // b is valid during the call
	done  func(pos int64, err error)           // pos: up to where batches were visited
	buf   []byte
}

func (s *scan) start() {
	s.file.Retain()
	chunk := int64(scanChunk)
	if x := s.env.Buggify; x.Fires(buggify.ScanChunk) {
		chunk = int64(record.HeaderSize + x.Pick(buggify.ScanChunk, 200))
	}
	s.buf = make([]byte, min(chunk, max(s.end-s.pos, 0)))
	s.read()
}

func (s *scan) finish(err error) {
	s.file.Close()
	s.done(s.pos, err)
}

func (s *scan) read() {
	if s.pos >= s.end {
		s.finish(nil)
		return
	}
	want := s.buf[:min(int64(len(s.buf)), s.end-s.pos)]
	s.file.ReadAt(want, s.pos, func(n int, err error) {
		if err != nil {
			s.finish(err)
			return
		}
		s.check(want[:n])
	})
}

// check walks a chunk off the loop as far as it holds good batches.
func (s *scan) check(chunk []byte) {
	good, short := 0, false
	work := func() {
		for good < len(chunk) {
			b, _, err := record.Parse(chunk[good:])
			if err != nil || s.crc && !b.CheckCRC() {
				short = err == record.ErrShort
				return
			}
			good += len(b)
		}
		short = true
	}
	if !s.crc && len(chunk) <= 16<<10 {
		work()
		s.take(chunk, good, short)
		return
	}
	s.env.Loop.Offload(work, func() {
		if x := s.env.Buggify; x.Fires(buggify.ScanLate) {
			s.env.Loop.AfterFunc(x.Delay(buggify.ScanLate, 20*time.Millisecond), func() { s.take(chunk, good, short) })
			return
		}
		s.take(chunk, good, short)
	})
}

// take visits the good batches of a chunk; short says that what follows them may be a batch cut by the chunk's end.
func (s *scan) take(chunk []byte, good int, short bool) {
	for at := 0; at < good; {
		b, _, _ := record.Parse(chunk[at:good])
		if !s.visit(b, s.pos) {
			s.finish(nil)
			return
		}
		at += len(b)
		s.pos += int64(len(b))
	}
	switch {
	case !short || s.pos >= s.end:
		s.finish(nil)
	case good > 0:
		s.read()
	default:
		s.widen(chunk)
	}
}

// widen makes room for a batch larger than the buffer, as far as the file has that many bytes.
func (s *scan) widen(chunk []byte) {
	h, err := record.ParseHeader(chunk)
	if err != nil || int64(h.Size) > s.end-s.pos || h.Size <= len(s.buf) {
		s.finish(nil)
		return
	}
	s.buf = make([]byte, h.Size)
	s.read()
}
