package tcpnet

import "github.com/lockstep/lockstep/network"

// batch is the frames that leave together: what the loop queued while the writer was busy.
type batch struct {
	chunks []network.Chunk // of all frames, in order
	frames []outgoing
	regs   bool // some chunk is a region
	tell   bool // some frame has a done
}

type outgoing struct {
	chunks int // how many of the batch's
	size   int
	done   func(error)
}

func (b *batch) add(frame []network.Chunk, done func(error)) {
	size := 0
	for i := range frame {
		size += frame[i].Len()
		b.regs = b.regs || frame[i].Region.File != nil
	}
	b.chunks = append(b.chunks, frame...)
	b.frames = append(b.frames, outgoing{len(frame), size, done})
	b.tell = b.tell || done != nil
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
