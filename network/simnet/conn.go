package simnet

import (
	"encoding/binary"
	"fmt"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
)

type state uint8

const (
	opening state = iota // not handed out yet
	open
	closing // Close was called
	gone    // Closed was called, or the process died
)

// conn is one side of a connection: what its process sees of it, and what its system keeps of it.
type conn struct {
	net     *Net
	host    *Host
	peer    *conn
	link    *link // to the peer
	remote  network.Addr
	proto   network.Protocol
	handler network.Handler
	key     uint64
	slot    int // in host.conns
	state   state
	crashed bool  // the process died: its system forgot the connection
	err     error // why it is closing
	broken  bool  // reset before it was established
	lost    *Lost // nil unless what it sends vanishes

	// What the process has sent and what still waits for its turn. sends[nextSend:] own the chunks
	// from nextChunk on.
	sends     []send
	chunks    []network.Chunk
	nextSend  int
	nextChunk int
	pumping   bool // a transmit event is on its way
	full      bool // the window was full when transmit last ran

	// The system's.
	inFlight int               // bytes sent that the peer has not taken. Invariant: >= 0
	lastDue  scheduler.Instant // when the latest segment arrives. Invariant: none arrives before its predecessor
	stalled  []segment         // sent, but the link was blocked
	wait     uint32            // number of the current or next wait
	waiting  bool
	since    scheduler.Instant // when the wait began
	mortal   bool              // the wait ends the connection if it lasts

	// What has been sent to this side: arriving[taken:], by due.
	arriving []segment
	taken    int
	paused   bool // SetReading(false)
	grace    int  // frames that may come although paused
	pauses   uint64
}

// send is one frame of the process.
type send struct {
	chunks int
	size   int
	done   func(error)
}

// segment is a frame, or the end, on its way.
type segment struct {
	frame *network.Frame // nil: the end
	n     uint64         // of the link
	due   scheduler.Instant
}

func (s segment) size() int {
	if s.frame == nil {
		return 0
	}
	return len(s.frame.Bytes)
}

// The events of a connection. The number of a wait is above the op's bits.
const (
	opTransmit int64 = iota
	opDeliver
	opReset
	opClosed
	opExpire
	opBits = 3
)

func (n *Net) newConn(h, to *Host, remote network.Addr, p network.Protocol) *conn {
	n.conns++
	c := &conn{net: n, host: h, link: n.link(h, to), remote: remote, proto: p, key: mix(n.seed, n.conns), slot: len(h.conns)}
	h.conns = append(h.conns, c)
	return c
}

// Run is one of the connection's events. On its node.
func (c *conn) Run(arg int64) {
	if op := arg & (1<<opBits - 1); op == opExpire {
		c.expire(uint32(arg >> opBits))
	} else if c.state != gone {
		c.run(op)
	}
}

func (c *conn) run(op int64) {
	c.host.runDones()
	if c.state == gone {
		return
	}
	switch op {
	case opTransmit:
		c.transmit()
	case opDeliver:
		c.deliver()
	case opReset:
		c.onReset()
	case opClosed:
		c.finish(c.err)
	}
}

// accept hands the listener's side out.
func (c *conn) accept(l *listener) {
	switch {
	case c.state != opening:
	case l.closed || c.broken:
		c.vanish()
		c.sendReset()
	default:
		c.state = open
		c.handler = l.accept(c)
		invariant.Check(c.handler != nil, "accept returned no handler for %s", c.remote)
	}
}

// establish hands the dialer's side out.
func (c *conn) establish(done func(network.Conn, error)) {
	if c.state != opening {
		return
	}
	c.state = open
	if c.broken {
		c.resetAfter(0)
	}
	done(c, nil)
}

// String names the connection, for assertions.
func (c *conn) String() string { return c.host.name + "->" + string(c.remote) }

func (c *conn) Remote() network.Addr { return c.remote }

// Send implements network.Conn.
func (c *conn) Send(frame []network.Chunk, done func(error)) {
	if c.crashed {
		return
	}
	invariant.Check(c.state == open, "send on the closed connection %s", c)
	size := 0
	for i := range frame {
		size += frame[i].Len()
		if f := frame[i].Region.File; f != nil {
			f.Retain()
		}
	}
	if c.mayHandOver(frame) {
		c.handOver(frame, size, done)
		return
	}
	c.chunks = append(c.chunks, frame...)
	c.sends = append(c.sends, send{len(frame), size, done})
	c.pump()
}

// SetReading implements network.Conn. For one pause in four it lets a frame more through, as the
// contract allows.
func (c *conn) SetReading(on bool) {
	if c.crashed {
		return
	}
	invariant.Check(c.state == open, "SetReading on the closed connection %s", c)
	if on == !c.paused {
		return
	}
	c.paused = !on
	if on {
		c.host.node.AfterEvent(0, c, opDeliver)
		return
	}
	c.pauses++
	c.grace = 0
	if mix(c.key, c.pauses)%4 == 0 {
		c.grace = 1
	}
}

// Close implements network.Conn. What was not yet transmitted is not sent.
func (c *conn) Close() {
	if c.state != open {
		return
	}
	c.state, c.err = closing, network.ErrClosed
	c.emit(segment{})
	c.host.node.AfterEvent(0, c, opClosed)
}

// onReset learns that the connection no longer exists for the peer or on the way.
func (c *conn) onReset() {
	switch c.state {
	case opening:
		c.broken = true
	case open, closing:
		c.finish(fmt.Errorf("%w by %s", network.ErrReset, c.remote))
	}
}

// finish is the end as the process sees it: what was not sent fails, then Closed.
func (c *conn) finish(err error) {
	c.host.runDones() // first: they may send once more on what they do not know to be closed
	if c.state == gone {
		return
	}
	c.leave()
	if p := c.peer; p.inFlight > 0 { // what nobody will take must not keep the peer from asking
		p.inFlight = 0
		p.sendOn()
	}
	chunks, sends := c.chunks[c.nextChunk:], c.sends[c.nextSend:]
	c.chunks, c.sends = nil, nil
	closeFiles(chunks)
	for i := range sends {
		if sends[i].done != nil {
			sends[i].done(err)
		}
	}
	c.handler.Closed(c, err)
}

// vanish is the end of a connection whose process is dead, or never saw it.
func (c *conn) vanish() {
	c.leave()
	c.crashed = true
	c.chunks, c.sends, c.stalled = nil, nil, nil
}

// mayOutlive reports whether the system sends on what a killed process had sent on the connection. With something unread it does
// not, but resets; else every other time, as if nothing were unread.
func (c *conn) mayOutlive() bool {
	return c.state == open && c.taken == len(c.arriving) && mix(c.key, uint64(c.host.crashes))%2 == 0
}

// outlive is the end of a connection whose process is dead, but not what it has sent: its last words may come when it is
// long back.
func (c *conn) outlive() {
	c.leave()
	c.chunks, c.sends = nil, nil
	c.emit(segment{})
	if wait, t := c.wait, c.net.opts.RetransmitTimeout; c.waiting && c.mortal { // the event that ends the wait died with the process
		c.net.world.After(t, func() { c.expire(wait) })
	}
}

// leave takes the connection out of its host; what was on its way to it is lost.
func (c *conn) leave() {
	c.state = gone
	for _, s := range c.arriving[c.taken:] {
		if s.frame != nil {
			c.net.buffers.put(s.frame)
		}
	}
	c.arriving, c.taken = nil, 0
	h, last := c.host, len(c.host.conns)-1
	h.conns[c.slot] = h.conns[last]
	h.conns[c.slot].slot = c.slot
	h.conns[last] = nil
	h.conns = h.conns[:last]
}

// deliver gives the process what has arrived.
func (c *conn) deliver() {
	now := c.net.world.Now()
	for c.state == open && c.taken < len(c.arriving) && c.arriving[c.taken].due <= now && c.mayRead() {
		c.receive(c.take())
	}
}

func (c *conn) mayRead() bool {
	if c.paused && c.grace > 0 {
		c.grace--
		return true
	}
	return !c.paused
}

// take removes the first of what has arrived, which lets the peer send on.
func (c *conn) take() segment {
	s := c.arriving[c.taken]
	c.arriving[c.taken] = segment{}
	c.taken++
	c.arriving, c.taken = squeeze(c.arriving, c.taken)
	p := c.peer
	p.inFlight -= s.size()
	invariant.Check(p.inFlight >= 0, "more bytes taken than sent on %s", p)
	if c.link.cut { // the acknowledgement is lost
		c.link.affected.Cut++
		p.waitFor(c.link)
	}
	p.sendOn()
	return s
}

// sendOn has transmit run again when there is room in the window for what waits.
func (c *conn) sendOn() {
	if c.full && c.state == open && c.inFlight <= c.net.opts.Window/2 {
		c.pump()
	}
}

// squeeze drops the first used elements of a queue when that is cheap. They are zero, or hold on to little.
func squeeze[T any](q []T, used int) ([]T, int) {
	if used < len(q) && (used < 16 || 2*used < len(q)) {
		return q, used
	}
	if used == len(q) {
		return q[:0], 0
	}
	n := copy(q, q[used:])
	clear(q[n:])
	return q[:n], 0
}

func (c *conn) receive(s segment) {
	if s.frame == nil {
		c.finish(fmt.Errorf("%w: closed by %s", network.ErrReset, c.remote))
		return
	}
	size := len(s.frame.Bytes)
	if size > c.proto.MaxFrame {
		c.reject(s.frame, &network.FrameSizeError{Size: int64(size), Max: c.proto.MaxFrame, Prefix: prefixOf(size)})
		return
	}
	if tap := c.net.opts.Tap; tap != nil {
		tap(Message{c.peer.host.name, c.host.name, s.n, s.frame.Bytes, true})
	}
	msg, err := c.proto.Decode(s.frame.Bytes)
	if err != nil {
		c.reject(s.frame, err)
		return
	}
	c.peer.link.heard = c.net.world.Now()
	c.handler.Receive(c, msg, s.frame)
}

func prefixOf(size int) (p [4]byte) {
	binary.BigEndian.PutUint32(p[:], uint32(size))
	return p
}

// reject ends the connection because of a frame.
func (c *conn) reject(f *network.Frame, err error) {
	c.net.buffers.put(f)
	c.state = closing
	c.emit(segment{})
	c.finish(err)
}
