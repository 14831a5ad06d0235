package tcpnet

// flush writes a short answer to a peer that seems to wait for it, without a switch to the writer's
// goroutine, which would take longer than the write. It never blocks: what the socket does not take, and all that
// is longer or came meanwhile, is the writer's. On the loop, in the turn after Send, so that answers of one
// turn still leave together.
func (c *conn) flush() {
	b := c.takeShort()
	if b == nil {
		return
	}
	p := b.appendTo(c.net.short[:0])
	c.net.short = p
	n := c.direct.write(p)
	if n < len(p) {
		b.begun, b.rest = len(b.frames), append([]byte(nil), p[n:]...)
		c.putBack(b)
		return
	}
	c.mu.Lock()
	c.stopWriting()
	c.mu.Unlock()
	c.complete(b, nil)
}

// takeShort takes the queued batch if it still fits, or wakes the writer for it.
func (c *conn) takeShort() *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.out == nil || c.ended || c.writing: // c.writing: the writer will find it
		return nil
	case !c.out.isShort():
		c.work.Signal()
		return nil
	}
	return c.takeOut()
}

// stopWriting ends what takeOut began. Holds mu.
func (c *conn) stopWriting() {
	c.writing = false
	if c.out != nil || c.ended {
		c.work.Signal()
	}
}

// putBack leaves the rest of a batch to the writer. Nothing was queued meanwhile: we are on the loop.
func (c *conn) putBack(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = b
	c.stopWriting()
}
