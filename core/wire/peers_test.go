package wire

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// world is a loop, a clock and a network, all by hand.
type world struct {
	t       testing.TB
	now     scheduler.Instant
	queue   []func()
	timers  []*timer
	dials   []*dial
	refuse  bool
	emitted []event.Event
}

type timer struct {
	w     *world
	at    scheduler.Instant
	armed bool
	f     func()
}

func (t *timer) Stop() bool {
	was := t.armed
	t.armed = false
	return was
}

func (t *timer) Reset(d time.Duration) { t.at, t.armed = t.w.now.Add(d), true }

func (w *world) Now() scheduler.Instant { return w.now }
func (w *world) UnixMilli() int64       { return 0 }
func (w *world) Defer(f func())         { w.queue = append(w.queue, f) }
func (w *world) Offload(work, done func()) {
	work()
	w.queue = append(w.queue, done)
}

func (w *world) AfterFunc(d time.Duration, f func()) scheduler.Timer {
	t := &timer{w: w, at: w.now.Add(d), armed: true, f: f}
	w.timers = append(w.timers, t)
	return t
}

func (w *world) Emit(e *event.Event) { w.emitted = append(w.emitted, *e) }

// turn runs what is queued, and what that queues.
func (w *world) turn() {
	for len(w.queue) > 0 {
		f := w.queue[0]
		w.queue = w.queue[1:]
		f()
	}
}

// pass lets time go by, timers firing as they fall due.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		w.turn()
		var next *timer
		for _, t := range w.timers {
			if t.armed && t.at <= end && (next == nil || t.at < next.at) {
				next = t
			}
		}
		if next == nil {
			w.now = end
			return
		}
		w.now, next.armed = max(w.now, next.at), false
		next.f()
	}
}

// dial is one dial, and then the server's side of the connection.
type dial struct {
	w      *world
	to     network.Addr
	h      network.Handler
	got    []*Request
	closed bool
	up     bool
	ours   bool // closed by Close
}

func (w *world) Listen(network.Addr, network.Protocol, func(network.Conn) network.Handler) (network.Listener, error) {
	return nil, errors.New("unused")
}

func (w *world) Dial(to network.Addr, p network.Protocol, h network.Handler, done func(network.Conn, error)) {
	d := &dial{w: w, to: to, h: h}
	w.dials = append(w.dials, d)
	w.queue = append(w.queue, func() {
		if w.refuse || d.closed {
			d.closed = true
			done(nil, network.ErrRefused)
			return
		}
		d.up = true
		done(d, nil)
	})
}

func (d *dial) Remote() network.Addr { return d.to }
func (d *dial) SetReading(bool)      {}

func (d *dial) Send(frame []network.Chunk, done func(error)) {
	if d.ours {
		d.w.t.Fatal("sent on a closed connection")
	}
	if d.closed { // Closed is on its way
		d.w.queue = append(d.w.queue, func() { done(network.ErrReset) })
		return
	}
	msg, err := DecodeRequest(flatten(frame))
	if err != nil {
		d.w.t.Fatal(err)
	}
	d.got = append(d.got, msg.(*Request))
	d.w.queue = append(d.w.queue, func() { done(nil) })
}

func (d *dial) Close() {
	d.ours = true
	d.end(network.ErrClosed)
}

func (d *dial) end(err error) {
	if d.closed {
		return
	}
	d.closed = true
	d.w.queue = append(d.w.queue, func() {
		if d.up {
			d.h.Closed(d, err)
		}
	})
}

// answer answers the i-th request and says when the frame is released.
func (d *dial) answer(i int) (released *bool) {
	released = new(bool)
	b := AppendResponse(nil, d.got[i], d.got[i].Body.ResponseKind())
	d.w.queue = append(d.w.queue, func() {
		if d.closed {
			*released = true
			return
		}
		msg, err := DecodeResponse(b)
		if err != nil {
			d.w.t.Fatal(err)
		}
		d.h.Receive(d, msg, network.NewFrame(b, func(*network.Frame) { *released = true }))
	})
	return released
}

func newPeers(t testing.TB) (*world, *Peers) {
	w := &world{t: t}
	e := &env.Env{Loop: w, Net: w, Event: w, Rand: func(string) *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }}
	return w, NewPeers(e, "node-1", 1<<20)
}

// outcome is what done was called with, and how often.
type outcome struct {
	times int
	r     *Response
	err   error
}

func (o *outcome) done(r *Response, err error) {
	o.times++
	o.r, o.err = r, err
}

func vote() kmsg.Request {
	req := kmsg.NewPtrVoteRequest()
	req.Version = -1
	return req
}

func send(p *Peers, to network.Addr, timeout time.Duration) *outcome {
	o := &outcome{}
	p.Send(to, vote(), timeout, o.done)
	return o
}

func TestRequestsShareAConnectionAndAreAnsweredInOrder(t *testing.T) {
	w, p := newPeers(t)
	a, b := send(p, "x:1", time.Second), send(p, "x:1", time.Second)
	w.turn()
	if len(w.dials) != 1 || len(w.dials[0].got) != 2 {
		t.Fatalf("%d dials", len(w.dials))
	}
	released := w.dials[0].answer(0)
	w.turn()
	if a.times != 1 || a.err != nil || b.times != 0 || *released {
		t.Fatalf("%+v %+v", a, b)
	}
	if a.r.Body.Key() != 52 || a.r.Version != 2 || a.r.Frame() == nil {
		t.Errorf("%+v", a.r)
	}
	a.r.Release()
	w.dials[0].answer(1)
	w.turn()
	if !*released || b.times != 1 || b.err != nil {
		t.Errorf("released %v, %+v", *released, b)
	}
}

func TestLanesHaveConnectionsOfTheirOwn(t *testing.T) {
	w, p := newPeers(t)
	send(p, "x:1", time.Second)
	send(p.Lane("fetch"), "x:1", time.Second)
	send(p.Lane("fetch"), "x:1", time.Second)
	w.turn()
	if len(w.dials) != 2 || len(w.dials[1].got) != 2 {
		t.Fatalf("%d dials", len(w.dials))
	}
	o := send(p.Lane("fetch"), "x:1", time.Second)
	p.Close()
	w.turn()
	if o.err != ErrDisconnected || !w.dials[1].closed {
		t.Errorf("%+v", o)
	}
}

func TestATimeoutClosesTheConnectionAndFailsWhatIsBehind(t *testing.T) {
	w, p := newPeers(t)
	slow := send(p, "x:1", time.Second)
	behind := send(p, "x:1", time.Minute)
	w.pass(999 * time.Millisecond)
	if slow.times != 0 {
		t.Fatal("too early")
	}
	w.pass(time.Millisecond)
	if slow.err != ErrTimeout || behind.err != ErrDisconnected || !w.dials[0].closed {
		t.Errorf("%+v %+v", slow, behind)
	}
	again := send(p, "x:1", time.Second)
	w.pass(100 * time.Millisecond)
	w.dials[1].answer(0)
	w.turn()
	if again.err != nil || again.times != 1 {
		t.Errorf("%+v", again)
	}
}

func TestALaterRequestMayTimeOutFirst(t *testing.T) {
	w, p := newPeers(t)
	long := send(p, "x:1", time.Minute)
	short := send(p, "x:1", time.Second)
	w.pass(time.Second)
	if short.err != ErrTimeout || long.err != ErrDisconnected {
		t.Errorf("%+v %+v", short, long)
	}
}

func TestDialsBackOff(t *testing.T) {
	w, p := newPeers(t)
	w.refuse = true
	for range 20 {
		o := send(p, "x:1", time.Minute)
		w.pass(10 * time.Second)
		if o.err != ErrDisconnected {
			t.Fatalf("%+v", o)
		}
	}
	w.dials = nil
	var again func(*Response, error)
	again = func(*Response, error) { p.Send("x:1", vote(), time.Minute, again) }
	again(nil, nil)
	w.pass(10 * time.Second)
	if n := len(w.dials); n < 7 || n > 14 {
		t.Errorf("%d dials in 10 s by one that gives no rest", n)
	}
}

func TestWhatWaitsForADialTimesOutAlone(t *testing.T) {
	w, p := newPeers(t)
	w.refuse = true
	send(p, "x:1", time.Second)
	w.turn() // from here on there is a pause before the next dial
	short, long := send(p, "x:1", time.Millisecond), send(p, "x:1", time.Second)
	w.refuse = false
	w.pass(100 * time.Millisecond)
	if short.err != ErrTimeout || long.times != 0 || len(w.dials[1].got) != 1 {
		t.Fatalf("%+v %+v", short, long)
	}
	w.dials[1].answer(0)
	w.turn()
	if long.err != nil || long.times != 1 {
		t.Errorf("%+v", long)
	}
}

func TestAnAnswerOutOfTurnClosesTheConnection(t *testing.T) {
	w, p := newPeers(t)
	a, b := send(p, "x:1", time.Second), send(p, "x:1", time.Second)
	w.turn()
	released := w.dials[0].answer(1)
	w.turn()
	if a.err != ErrDisconnected || b.err != ErrDisconnected || !*released || !w.dials[0].closed {
		t.Errorf("%+v %+v released %v", a, b, *released)
	}
}

func TestSendAfterCloseFailsLater(t *testing.T) {
	w, p := newPeers(t)
	p.Close()
	o := send(p, "x:1", time.Second)
	if o.times != 0 {
		t.Error("within Send")
	}
	w.turn()
	if o.err != ErrDisconnected || len(w.dials) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestALinkThatComesUpAfterCloseIsClosed(t *testing.T) {
	w, p := newPeers(t)
	o := send(p, "x:1", time.Second)
	p.Close()
	w.turn()
	if o.times != 1 || !w.dials[0].closed {
		t.Errorf("%+v", o)
	}
}

// TestDoneRunsExactlyOnce whatever happens, in whatever order.
func TestDoneRunsExactlyOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, p := newPeers(t)
		var sent []*outcome
		answered := map[*dial]int{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1:
				to := rapid.SampledFrom([]network.Addr{"x:1", "y:1"}).Draw(rt, "to")
				sent = append(sent, send(p, to, time.Duration(rapid.IntRange(0, 200).Draw(rt, "timeout"))*time.Millisecond))
			case 2, 3:
				for _, d := range w.dials {
					if n := answered[d]; n < len(d.got) && !d.closed {
						d.answer(n)
						answered[d]++
					}
				}
			case 4:
				w.refuse = !w.refuse
			case 5:
				if n := len(w.dials); n > 0 {
					w.dials[rapid.IntRange(0, n-1).Draw(rt, "reset")].end(network.ErrReset)
				}
			case 6:
				w.pass(time.Duration(rapid.IntRange(0, 100).Draw(rt, "pass")) * time.Millisecond)
			}
		}
		if rapid.Bool().Draw(rt, "close") {
			p.Close()
		}
		w.pass(time.Minute)
		for i, o := range sent {
			if o.times != 1 || (o.r == nil) == (o.err == nil) {
				rt.Fatalf("request %d: %+v", i, o)
			}
		}
	})
}

func BenchmarkSend(b *testing.B) {
	w, p := newPeers(b)
	done := func(r *Response, err error) { r.Release() }
	send(p, "x:1", time.Hour)
	w.turn()
	w.dials[0].answer(0)
	w.turn()
	c := &echo{handler: w.dials[0].h}
	p.peers[0].link.conn = c
	req := vote()
	b.ReportAllocs()
	for b.Loop() {
		p.Send("x:1", req, time.Hour, done)
		c.answer()
	}
}

// echo answers each request with the same bytes but the correlation id.
type echo struct {
	network.Conn
	handler network.Handler
	sent    func(error)
	id      [4]byte
}

func (c *echo) Send(frame []network.Chunk, done func(error)) {
	copy(c.id[:], frame[0].Bytes[4:8])
	c.sent = done
}

func (c *echo) answer() {
	c.sent(nil)
	b := append(make([]byte, 0, 32), c.id[:]...)
	b = append(b, 0, 0, 0, 1, 0)
	msg, err := DecodeResponse(b)
	if err != nil {
		panic(err)
	}
	c.handler.Receive(c, msg, nil)
}
