package tcpnet

import (
	"encoding/binary"

	"github.com/lockstep/lockstep/network"
)

// batch is the frames that leave together: what the loop queued while the writer was busy.
type batch struct {
	chunks []network.Chunk // of all frames, in order
	frames []outgoing
	regs   bool // some chunk is a region
	tell   bool // some frame has a done
	size   int  // of the chunks
	memory int  // what it holds: the chunks that are no regions, and frameCost for each frame
	// Of a batch that flush could only write a part of: the first begun frames, prefixes and all, are written but for rest.
	begun int
	rest  []byte
}

// frameCost is about what a queued frame takes beside its bytes.
const frameCost = 512

// maxDirect is the largest batch that the loop tries to write itself, with its prefixes.
const maxDirect = 4 << 10

// isShort reports whether the loop may write it: a few bytes in memory.
func (b *batch) isShort() bool { return !b.regs && b.size+4*len(b.frames) <= maxDirect }

type outgoing struct {
	chunks int // how many of the batch's
	size   int
	done   func(error)
}

func (b *batch) add(frame []network.Chunk, done func(error)) {
	size, memory := 0, frameCost
	for i := range frame {
		size += frame[i].Len()
		memory += len(frame[i].Bytes)
		b.regs = b.regs || frame[i].Region.File != nil
	}
	b.chunks = append(b.chunks, frame...)
	b.frames = append(b.frames, outgoing{len(frame), size, done})
	b.tell = b.tell || done != nil
	b.size += size
	b.memory += memory
}

// appendTo appends the frames as they go out; there are no regions.
func (b *batch) appendTo(p []byte) []byte {
	chunks := b.chunks
	for i := range b.frames {
		f := &b.frames[i]
		p = binary.BigEndian.AppendUint32(p, uint32(f.size))
		for j := range chunks[:f.chunks] {
			p = append(p, chunks[j].Bytes...)
		}
		chunks = chunks[f.chunks:]
	}
	return p
}

// finish gives back the files and answers the senders. On the loop.
func (b *batch) finish(err error) {
	if b.regs {
		for i := range b.chunks {
			if f := b.chunks[i].Region.File; f != nil {
				f.Close()
			}
		}
	}
	for i := range b.frames {
		if done := b.frames[i].done; done != nil {
			done(err)
		}
	}
}

func (b *batch) reset() {
	clear(b.chunks)
	clear(b.frames)
	*b = batch{chunks: b.chunks[:0], frames: b.frames[:0]}
}

// takeSpare returns an empty batch. Holds mu.
func (c *conn) takeSpare() *batch {
	b := c.spare
	c.spare = nil
	if b == nil {
		b = &batch{}
	}
	return b
}

// recycle keeps b for the next sends.
func (c *conn) recycle(b *batch) {
	b.reset()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spare = b
}

// complete reports a batch as written or failed.
func (c *conn) complete(b *batch, err error) {
	if !b.regs && !b.tell {
		c.recycle(b)
		return
	}
	c.net.loop.Post(func() {
		b.finish(err)
		c.recycle(b)
	})
}
