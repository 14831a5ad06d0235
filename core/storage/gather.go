package storage

import (
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
)

// Gather reads a slice's bytes into memory of their own. done may run at once, if nothing is on the disk; s is to be released
// after it.
func (s *Slice) Gather(done func([]byte, error)) { gather(s.Chunks, make([]byte, 0, s.Len), done) }

// gather appends the bytes of chunks to dst, one after the other.
func gather(chunks []network.Chunk, dst []byte, done func([]byte, error)) {
	for i, c := range chunks {
		if c.Region.File == nil {
			dst = append(dst, c.Bytes...)
			continue
		}
		part := dst[len(dst) : len(dst)+c.Region.Len]
		c.Region.File.ReadAt(part, c.Region.Pos, func(n int, err error) {
			if err == nil && n < len(part) {
				err = disk.ErrIO
			}
			if err != nil {
				done(nil, err)
				return
			}
			gather(chunks[i+1:], dst[:len(dst)+len(part)], done)
		})
		return
	}
	done(dst, nil)
}

// WhenWritten calls done, never within this call, when all that has been appended is written, or never will be.
func (l *Log) WhenWritten(done func(error)) {
	switch {
	case l.down() != nil:
		l.env.Loop.Defer(func() { done(ErrOffline) })
	case l.next <= l.written:
		l.env.Loop.Defer(func() { done(nil) })
	default:
		l.pipeline.wait(l.next, done)
	}
}
