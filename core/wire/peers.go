package wire

import (
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The wait before a connection is dialled anew doubles from minBackoff to maxBackoff, give or take
// a fifth so that those who lost a node together do not come back together.
const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

// Peers are the connections to other nodes: one for each address, made when there is something to
// send. Requests on a connection pipeline and are answered in order.
type Peers struct {
	e        *env.Env
	clientID string
	maxFrame int
	rand     *rand.Rand
	name     string // of the lane; empty for the first
	lanes    []*Peers
	byAddr   map[network.Addr]*peer
	peers    []*peer // in the order of their first use
	free     []*call
	closed   bool
}

// NewPeers has no connection yet. maxFrame bounds an answer, in bytes.
func NewPeers(e *env.Env, clientID string, maxFrame int) *Peers {
	return &Peers{e: e, clientID: clientID, maxFrame: maxFrame, rand: e.Rand("peers/" + clientID), byAddr: map[network.Addr]*peer{}}
}

// Lane is a set of connections apart, so that long polls do not stand in the way of what is
// urgent. The same name gives the same lane; closing p closes it.
func (p *Peers) Lane(name string) *Peers {
	for _, l := range p.lanes {
		if l.name == name {
			return l
		}
	}
	l := &Peers{e: p.e, clientID: p.clientID, maxFrame: p.maxFrame, rand: p.rand, name: name, byAddr: map[network.Addr]*peer{}, closed: p.closed}
	p.lanes = append(p.lanes, l)
	return l
}

// Send sends req, whose version is set, or -1 for the latest we know, and which may be used again
// at once. done runs exactly once, in a later turn or at the end of this one, or within Close or Abandon: with
// a response that it owns and must release, with ErrTimeout, or with ErrDisconnected; after an error
// the request may have taken effect or still will.
//
// A request that times out closes its connection, and with it all that was sent there: an answer
// that is late blocks all behind it.
func (p *Peers) Send(to network.Addr, req kmsg.Request, timeout time.Duration, done func(*Response, error)) {
	if p.closed {
		p.e.Loop.Defer(func() { done(nil, ErrDisconnected) })
		return
	}
	if req.GetVersion() < 0 {
		a := lookup(req.Key())
		invariant.Check(a != nil, "a request of unknown key %d is sent", req.Key())
		req.SetVersion(a.Max)
	}
	peer := p.peer(to)
	c := p.call()
	c.done, c.deadline = done, p.e.Loop.Now().Add(timeout)
	c.id = CorrelationID(req.Key(), req.GetVersion(), peer.seq)
	peer.seq++
	c.buf = AppendRequest(c.buf[:0], req, c.id, p.clientID)
	peer.add(c)
}

// Close ends all connections and fails what is not answered; so is what is sent later.
func (p *Peers) Close() {
	p.closed = true
	for _, l := range p.lanes {
		l.Close()
	}
	for _, peer := range p.peers {
		peer.close()
	}
}

// Abandon fails at once all that waits for an answer of one address, when nothing good is expected from there any
// more. What is sent to it later dials anew.
func (p *Peers) Abandon(to network.Addr) {
	if peer := p.byAddr[to]; peer != nil {
		peer.close()
	}
}

func (p *Peers) peer(to network.Addr) *peer {
	if q := p.byAddr[to]; q != nil {
		return q
	}
	q := &peer{p: p, addr: to}
	p.byAddr[to] = q
	p.peers = append(p.peers, q)
	return q
}

// call is one request until it is answered and its bytes are no longer in use; then it is another.
type call struct {
	p        *Peers
	id       int32 // correlation id
	deadline scheduler.Instant
	done     func(*Response, error)
	buf      []byte
	chunk    [1]network.Chunk
	sending  bool
	finished bool
	onSent   func(error)
}

// maxKept is the largest request whose memory is used again.
const maxKept = 64 << 10

func (p *Peers) call() *call {
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		c.finished = false
		return c
	}
	c := &call{p: p}
	c.onSent = func(error) {
		c.sending = false
		c.recycle()
	}
	return c
}

func (c *call) send(conn network.Conn) {
	c.sending = true
	c.chunk[0].Bytes = c.buf
	conn.Send(c.chunk[:], c.onSent)
}

func (c *call) finish(r *Response, err error) {
	done := c.done
	c.done, c.finished = nil, true
	c.recycle()
	done(r, err)
}

func (c *call) recycle() {
	if c.sending || !c.finished {
		return
	}
	c.chunk[0].Bytes = nil
	if cap(c.buf) > maxKept {
		c.buf = nil
	}
	c.p.free = append(c.p.free, c)
}

// peer is the connection to one address, or the lack of one.
type peer struct {
	p    *Peers
	addr network.Addr
	link *link // dialling or connected; else nil
	seq  uint32
	// calls wait for an answer, oldest first. Invariant: once the link is up all of them were sent on it.
	calls    []*call
	failures int               // since the last answer
	retryAt  scheduler.Instant // no dial before
	timer    scheduler.Timer
	wakeAt   scheduler.Instant // when timer fires; 0: not armed
}

// link is one connection of a peer; a peer that has another takes no notice of it any more.
type link struct {
	peer *peer
	conn network.Conn // nil while dialling
}

func (q *peer) now() scheduler.Instant { return q.p.e.Loop.Now() }

func (q *peer) add(c *call) {
	q.calls = append(q.calls, c)
	q.wake(c.deadline)
	switch {
	case q.link == nil:
		q.dial()
	case q.link.conn != nil:
		c.send(q.link.conn)
	}
}

// dial connects, or waits until it may.
func (q *peer) dial() {
	if q.now() < q.retryAt {
		q.wake(q.retryAt)
		return
	}
	l := &link{peer: q}
	q.link = l
	proto := network.Protocol{Decode: DecodeResponse, MaxFrame: q.p.maxFrame}
	q.p.e.Net.Dial(q.addr, proto, l, l.onDialled)
}

func (l *link) onDialled(conn network.Conn, err error) {
	q := l.peer
	if q.link != l { // closed meanwhile
		if conn != nil {
			conn.Close()
		}
		return
	}
	if err != nil {
		q.lost(err)
		return
	}
	l.conn = conn
	for _, c := range q.calls {
		c.send(conn)
	}
}

// Receive gets an answer: to the oldest request.
func (l *link) Receive(_ network.Conn, msg any, f *network.Frame) {
	q, r := l.peer, msg.(*Response)
	if q.link != l {
		f.Release()
		return
	}
	if len(q.calls) == 0 || q.calls[0].id != r.CorrelationID {
		f.Release()
		l.conn.Close()
		q.lost(ErrMalformed)
		return
	}
	c := q.calls[0]
	q.shift()
	q.failures = 0
	r.frame = f
	c.finish(r, nil)
}

// shift drops the oldest call. The few that are under way are moved rather than leaving a hole.
func (q *peer) shift() {
	n := copy(q.calls, q.calls[1:])
	q.calls[n] = nil
	q.calls = q.calls[:n]
}

// Closed says that the connection ended.
func (l *link) Closed(_ network.Conn, err error) {
	if l.peer.link == l {
		l.peer.lost(err)
	}
}

// lost gives up the link and fails all that waited for it.
func (q *peer) lost(err error) {
	q.giveUp(err)
	for _, c := range q.takeCalls() {
		c.finish(nil, ErrDisconnected)
	}
}

// giveUp forgets the link and sets when there may be another.
func (q *peer) giveUp(err error) {
	q.link = nil
	q.retryAt = q.now().Add(q.backoff())
	q.failures++
	q.p.e.Event.Emit(&event.Event{Kind: event.ConnectionLost, Peer: -1, Epoch: -1, Offset: -1, Note: string(q.addr) + ": " + err.Error()})
}

func (q *peer) takeCalls() []*call {
	calls := q.calls
	q.calls = nil
	return calls
}

func (q *peer) backoff() time.Duration {
	d := min(minBackoff<<min(q.failures, 5), maxBackoff)
	return d * time.Duration(80+q.p.rand.IntN(41)) / 100
}

// wake arms the timer for at, unless it fires before that. It is not set back when what it was
// armed for is answered: that costs one idle turn per timeout instead of work per request.
func (q *peer) wake(at scheduler.Instant) {
	if q.wakeAt != 0 && q.wakeAt <= at {
		return
	}
	q.wakeAt = at
	d := max(at.Sub(q.now()), 0)
	if q.timer == nil {
		q.timer = q.p.e.Loop.AfterFunc(d, q.onTimer)
		return
	}
	q.timer.Reset(d)
}

func (q *peer) onTimer() {
	q.wakeAt = 0
	if q.p.closed {
		return
	}
	if q.expired() {
		q.expire()
	}
	if len(q.calls) == 0 {
		return
	}
	if q.link == nil {
		q.dial()
	}
	for _, c := range q.calls {
		q.wake(c.deadline)
	}
}

func (q *peer) expired() bool {
	now := q.now()
	for _, c := range q.calls {
		if c.deadline <= now {
			return true
		}
	}
	return false
}

// expire fails the calls that are late, and if they were sent closes the connection and fails the
// others too.
func (q *peer) expire() {
	now, sent := q.now(), q.link != nil && q.link.conn != nil
	if sent {
		q.link.conn.Close()
		q.giveUp(ErrTimeout)
	}
	calls := q.takeCalls()
	var late []*call
	for _, c := range calls {
		if sent || c.deadline <= now {
			late = append(late, c)
		} else {
			q.calls = append(q.calls, c)
		}
	}
	for _, c := range late {
		err := ErrTimeout
		if c.deadline > now {
			err = ErrDisconnected
		}
		c.finish(nil, err)
	}
}

func (q *peer) close() {
	if q.timer != nil {
		q.timer.Stop()
		q.wakeAt = 0
	}
	if l := q.link; l != nil {
		q.link = nil
		if l.conn != nil {
			l.conn.Close()
		}
	}
	for _, c := range q.takeCalls() {
		c.finish(nil, ErrDisconnected)
	}
}
