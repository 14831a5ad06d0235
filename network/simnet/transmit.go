package simnet

import (
	"fmt"
	"hash/crc32"
	"time"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
)

// The first repetition of a lost packet, and the longest pause between two.
const (
	firstRetransmit = 200 * time.Millisecond
	maxRetransmit   = 4 * time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pump has transmit run soon: a few microseconds, now and then many, so that bytes which change
// between Send and done are noticed.
func (c *conn) pump() {
	if c.pumping {
		return
	}
	c.pumping = true
	draw := mix(c.key, ^c.link.frames)
	d := between(draw>>8, time.Microsecond, 10*time.Microsecond)
	if draw%16 == 0 {
		d = between(draw>>8, 10*time.Microsecond, 200*time.Microsecond)
	}
	c.host.node.AfterEvent(d, c, opTransmit)
}

// mayHandOver reports whether a frame may be taken within Send: nothing is before it, nothing is in its way, and it
// holds no region, which is to be read later. One in eight is made to wait all the same, so that bytes which change
// between Send and done are noticed.
func (c *conn) mayHandOver(frame []network.Chunk) bool {
	if c.pumping || c.nextSend < len(c.sends) || len(c.stalled) > 0 || c.inFlight >= c.net.opts.Window {
		return false
	}
	l := c.link
	if l.cut || l.clogged || l.perSec > 0 || c.peer.host.off || c.peer.state == gone || mix(l.key, ^l.frames)%8 == 0 {
		return false
	}
	for i := range frame {
		if frame[i].Region.File != nil {
			return false
		}
	}
	return true
}

// handOver is transmit without an event of its own: most frames are sent on an idle connection of a whole link, and
// the sender hears of it when next something happens to it.
func (c *conn) handOver(frame []network.Chunk, size int, done func(error)) {
	c.put(frame, size)
	if done != nil {
		c.host.doneLater(done)
	}
}

// transmit takes as many frames of the process as the window allows. It is here, not in Send, that
// regions are read, as by sendfile.
func (c *conn) transmit() {
	c.pumping = false
	if c.state != open {
		return
	}
	dones := c.net.dones[:0]
	for c.nextSend < len(c.sends) && c.inFlight < c.net.opts.Window {
		s := c.sends[c.nextSend]
		c.sends[c.nextSend] = send{}
		c.nextSend++
		c.transmitFrame(s)
		if s.done != nil {
			dones = append(dones, s.done)
		}
	}
	c.full = c.nextSend < len(c.sends)
	c.sends, c.nextSend = squeeze(c.sends, c.nextSend)
	c.chunks, c.nextChunk = squeeze(c.chunks, c.nextChunk)
	c.net.dones = dones[:0]
	for i, done := range dones {
		dones[i] = nil
		done(nil)
	}
}

func (c *conn) transmitFrame(s send) {
	chunks := c.chunks[c.nextChunk : c.nextChunk+s.chunks]
	c.nextChunk += s.chunks
	c.put(chunks, s.size)
	closeFiles(chunks)
}

// put sends a frame: from here on it is the network's.
func (c *conn) put(chunks []network.Chunk, size int) {
	f := c.net.buffers.get(size)
	gather(f.Bytes, chunks, c.net.opts.ReadRegion)
	n := c.link.frames
	c.link.frames++
	c.inFlight += size
	c.net.world.Mix(c.link.key ^ n)
	c.net.world.Mix(uint64(size)<<32 | uint64(fingerprint(f.Bytes)))
	if tap := c.net.opts.Tap; tap != nil {
		tap(Message{c.host.name, c.peer.host.name, n, f.Bytes, false})
	}
	c.emit(segment{frame: f, n: n})
}

// sampled is how much of either end of a frame goes into the digest. The rest of a long one is records, which the disks that
// they are written to put there as well.
const sampled = 96

func fingerprint(frame []byte) uint32 {
	if len(frame) <= 2*sampled {
		return crc32.Checksum(frame, castagnoli)
	}
	return crc32.Update(crc32.Checksum(frame[:sampled], castagnoli), castagnoli, frame[len(frame)-sampled:])
}

func gather(p []byte, chunks []network.Chunk, read RegionReader) {
	for i := range chunks {
		n := chunks[i].Len()
		if chunks[i].Region.File != nil {
			read(chunks[i].Region, p[:n])
		} else {
			copy(p, chunks[i].Bytes)
		}
		p = p[n:]
	}
}

func closeFiles(chunks []network.Chunk) {
	for i := range chunks {
		if f := chunks[i].Region.File; f != nil {
			f.Close()
			chunks[i].Region = disk.Region{}
		}
	}
}

// emit sends a segment, after all that stalled before it.
func (c *conn) emit(s segment) {
	switch {
	case c.link.blocked() || c.peer.host.off || c.lost.takes() || len(c.stalled) > 0:
		c.stalled = append(c.stalled, s)
		c.waitFor(c.link)
	case c.peer.state == gone:
		c.drop(s)
		if s.frame != nil {
			c.peer.sendReset()
		}
	default:
		c.launch(s)
	}
}

// drop forgets a segment that nobody will receive.
func (c *conn) drop(s segment) {
	if s.frame != nil {
		c.net.buffers.put(s.frame)
	}
}

// launch puts a segment on the way.
func (c *conn) launch(s segment) {
	now := c.net.world.Now()
	if s.frame == nil {
		s.due = now.Add(c.link.control())
	} else {
		s.due = c.link.arrival(s.n, s.size())
	}
	s.due = max(s.due, c.lastDue)
	c.lastDue = s.due
	c.peer.arriving = append(c.peer.arriving, s)
	c.peer.host.node.AfterEvent(s.due.Sub(now), c.peer, opDeliver)
}

// hasten has what is on the way to this side arrive as if it had been sent now, if that is sooner.
func (c *conn) hasten() {
	now := c.net.world.Now()
	due := now
	for i := c.taken; i < len(c.arriving); i++ {
		s := &c.arriving[i]
		if s.due <= now {
			continue
		}
		if s.frame != nil {
			due = max(due, c.peer.link.pass(s.n, s.size()))
		}
		if due >= s.due {
			due = s.due
			continue
		}
		s.due = due
		c.host.node.AfterEvent(due.Sub(now), c, opDeliver)
	}
	c.peer.lastDue = due
}

// resetAfter has this side learn, d from now, that the connection is no more.
func (c *conn) resetAfter(d time.Duration) { c.host.node.AfterEvent(d, c, opReset) }

// sendReset is this side's system telling the peer that it knows no such connection. If that does
// not reach it, the peer finds out by what it has sent or will send.
func (c *conn) sendReset() {
	p := c.peer
	switch {
	case p.state == gone:
	case c.host.off:
		p.unanswered(p.link)
	case c.link.blocked() || c.lost.takes():
		p.unanswered(c.link)
	default:
		p.resetAfter(c.link.control())
	}
}

// unanswered starts a wait if something is under way that l keeps from being acknowledged.
func (c *conn) unanswered(l *link) {
	if c.inFlight > 0 {
		c.waitFor(l)
	}
}

// waitFor starts a wait for l to be free. It is mortal unless only a clog is in the way.
func (c *conn) waitFor(l *link) {
	if c.waiting {
		return
	}
	c.waiting, c.since = true, c.net.world.Now()
	c.mortal = l.cut || !l.clogged
	c.wait++
	l.waiting = append(l.waiting, waiter{c, c.wait})
	if c.mortal {
		t := c.net.opts.RetransmitTimeout
		c.host.node.AfterEvent(between(mix(c.key, uint64(c.wait)<<32), t, 2*t), c, int64(c.wait)<<opBits|opExpire)
	}
}

// resume is called when what the wait is for may have come. A sender notices at its next repetition.
func (c *conn) resume(wait uint32) {
	if c.crashed || !c.waiting || c.wait != wait {
		return
	}
	if !c.mortal {
		c.retry(wait)
		return
	}
	now := c.net.world.Now()
	next, pause := c.since, firstRetransmit
	for next <= now {
		next = next.Add(pause)
		pause = min(2*pause, maxRetransmit)
	}
	c.net.world.After(next.Sub(now), func() { c.retry(wait) })
}

// retry ends the wait and repeats what stalled.
func (c *conn) retry(wait uint32) {
	if c.crashed || !c.waiting || c.wait != wait {
		return
	}
	c.waiting = false
	stalled := c.stalled
	c.stalled = nil
	for _, s := range stalled {
		c.emit(s)
	}
	if len(stalled) == 0 && c.state != gone && c.peer.state == gone {
		c.peer.sendReset()
	}
}

// expire ends a connection that has waited too long.
func (c *conn) expire(wait uint32) {
	if c.crashed || !c.waiting || c.wait != wait {
		return
	}
	c.waiting = false
	for _, s := range c.stalled {
		c.drop(s)
	}
	c.stalled = nil
	if c.state == open {
		c.finish(fmt.Errorf("%w: no acknowledgement from %s for %s", network.ErrReset, c.remote, c.net.world.Now().Sub(c.since)))
		c.sendReset()
	}
}
