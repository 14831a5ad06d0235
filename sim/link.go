package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds the answers that clients take, in bytes.
const maxAnswer = 64 << 20

// The pause before a broken connection is dialled again doubles between these.
const (
	minReconnect = 50 * time.Millisecond
	maxReconnect = time.Second
)

var (
	errTimedOut     = errors.New("sim: request timed out")
	errDisconnected = errors.New("sim: disconnected")
)

// asker gets the answer to a request, or why there is none: then the request may have taken effect
// all the same. resp and the bytes in it are valid during the call.
type asker interface {
	answered(resp kmsg.Response, err error)
}

// askerFunc is a function as an asker.
type askerFunc func(resp kmsg.Response, err error)

func (f askerFunc) answered(resp kmsg.Response, err error) { f(resp, err) }

// call is a request under way.
type call struct {
	link     *link
	conn     network.Conn // on which it was sent
	id       int32
	asker    asker
	deadline scheduler.Instant
	buf      []byte
	chunk    [1]network.Chunk
	mute     bool // there will be no answer (acks=0): it ends when it is sent
	sending  bool
	finished bool
	onSent   func(error)
}

// link is a client's connection to one broker.
type link struct {
	client  *client
	broker  int32
	conn    network.Conn // nil unless connected
	dialled *dialled     // the connection or the attempt at one; nil if there is neither
	queue   []*call      // wait for the connection
	waiting []*call      // sent, in the order of their answers
	seq     uint32

	failures int
	retryAt  scheduler.Instant
	timer    scheduler.Timer
	wakeAt   scheduler.Instant // 0: not armed
}

// dialled is the handler of one connection.
type dialled struct{ link *link }

// send asks a broker. version is the request's.
func (c *client) send(broker int32, req kmsg.Request, timeout time.Duration, a asker, mute bool) {
	c.sendOn(c.link(broker), req, timeout, a, mute)
}

// sendOn asks the broker that a connection leads to.
func (c *client) sendOn(l *link, req kmsg.Request, timeout time.Duration, a asker, mute bool) {
	k := c.newCall(l, a, mute)
	k.deadline = c.loop.Now().Add(timeout)
	k.id = wire.CorrelationID(req.Key(), req.GetVersion(), l.seq)
	l.seq++
	k.buf = wire.AppendRequest(k.buf[:0], req, k.id, c.name)
	l.wake(k.deadline)
	if l.conn != nil {
		l.transmit(k)
		return
	}
	l.queue = append(l.queue, k)
	l.dial()
}

func (c *client) newCall(l *link, a asker, mute bool) *call {
	var k *call
	if n := len(c.free); n > 0 {
		k = c.free[n-1]
		c.free = c.free[:n-1]
	} else {
		k = &call{}
		k.onSent = k.sent
	}
	k.link, k.asker, k.mute, k.finished = l, a, mute, false
	return k
}

func (l *link) transmit(k *call) {
	if !k.mute {
		l.waiting = append(l.waiting, k)
	}
	k.sending, k.conn = true, l.conn
	k.chunk[0].Bytes = k.buf
	l.conn.Send(k.chunk[:], k.onSent)
}

// sent ends a call that gets no answer. If the connection ended, Closed is about to say so: whoever asks again must not use it.
func (k *call) sent(err error) {
	k.sending = false
	if l := k.link; err != nil && l.conn == k.conn {
		l.lost()
	}
	if k.mute && !k.finished {
		if err != nil {
			err = errDisconnected
		}
		k.finish(nil, err)
		return
	}
	k.recycle()
}

func (k *call) finish(resp kmsg.Response, err error) {
	a := k.asker
	k.asker, k.finished = nil, true
	k.recycle()
	a.answered(resp, err)
}

func (k *call) recycle() {
	if k.finished && !k.sending {
		k.finished = false
		k.link.client.free = append(k.link.client.free, k)
	}
}

// dial connects, or waits until it may.
func (l *link) dial() {
	now := l.client.loop.Now()
	if l.dialled != nil {
		return
	}
	if now < l.retryAt {
		l.wake(l.retryAt)
		return
	}
	d := &dialled{l}
	l.dialled = d
	proto := network.Protocol{Decode: wire.DecodeResponse, MaxFrame: maxAnswer}
	l.client.host.Dial(brokerAddr(l.broker), proto, d, d.onDialled)
}

func (d *dialled) onDialled(conn network.Conn, err error) {
	l := d.link
	if l.dialled != d {
		if conn != nil {
			conn.Close()
		}
		return
	}
	if err != nil {
		l.lost()
		return
	}
	l.conn = conn
	l.askVersions()
	queue := l.queue
	l.queue = nil
	for _, k := range queue {
		l.transmit(k)
	}
}

// askVersions is the first request of every connection.
func (l *link) askVersions() {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 4
	req.ClientSoftwareName, req.ClientSoftwareVersion = "lockstep-sim", "1"
	l.client.sendOn(l, req, l.client.timeout, askerFunc(l.client.onVersions), false)
}

// Receive implements network.Handler.
func (d *dialled) Receive(_ network.Conn, msg any, f *network.Frame) {
	defer f.Release()
	l, r := d.link, msg.(*wire.Response)
	if l.dialled != d {
		return
	}
	if len(l.waiting) == 0 || l.waiting[0].id != r.CorrelationID {
		panic(harnessError(fmt.Sprintf("%s got an answer from n%d to what it did not ask: %s", l.client.name, l.broker, wire.KeyName(r.Key))))
	}
	k := l.waiting[0]
	n := copy(l.waiting, l.waiting[1:])
	l.waiting[n] = nil
	l.waiting = l.waiting[:n]
	l.failures = 0
	k.finish(r.Body, nil)
	r.Recycle()
}

// Closed implements network.Handler.
func (d *dialled) Closed(network.Conn, error) {
	if d.link.dialled == d {
		d.link.lost()
	}
}

// lost gives the connection up and fails all that hung on it.
func (l *link) lost() {
	waiting, queue := l.drop()
	l.client.refresh() // the leaders may have moved
	for _, k := range waiting {
		k.finish(nil, errDisconnected)
	}
	for _, k := range queue {
		k.finish(nil, errDisconnected)
	}
}

func (l *link) drop() (waiting, queue []*call) {
	waiting, queue = l.waiting, l.queue
	l.waiting, l.queue, l.conn, l.dialled = nil, nil, nil, nil
	l.retryAt = l.client.loop.Now().Add(min(minReconnect<<min(l.failures, 5), maxReconnect))
	l.failures++
	return waiting, queue
}

// wake arms the timer for at, unless it fires before.
func (l *link) wake(at scheduler.Instant) {
	if l.wakeAt != 0 && l.wakeAt <= at {
		return
	}
	l.wakeAt = at
	d := at.Sub(l.client.loop.Now())
	if l.timer == nil {
		l.timer = l.client.loop.AfterFunc(d, l.onTimer)
		return
	}
	l.timer.Reset(d)
}

func (l *link) onTimer() {
	l.wakeAt = 0
	now := l.client.loop.Now()
	if overdue(l.waiting, now) || overdue(l.queue, now) {
		l.expire(now)
		return
	}
	if len(l.queue) > 0 {
		l.dial()
	}
	for _, k := range l.waiting {
		l.wake(k.deadline)
	}
	for _, k := range l.queue {
		l.wake(k.deadline)
	}
}

func overdue(calls []*call, now scheduler.Instant) bool {
	for _, k := range calls {
		if k.deadline <= now {
			return true
		}
	}
	return false
}

// expire ends the connection because an answer is late: all behind it would be late too.
func (l *link) expire(now scheduler.Instant) {
	conn := l.conn
	waiting, queue := l.drop()
	if conn != nil {
		conn.Close()
	}
	for _, k := range append(waiting, queue...) {
		if k.deadline <= now {
			k.finish(nil, errTimedOut)
		} else {
			k.finish(nil, errDisconnected)
		}
	}
}
