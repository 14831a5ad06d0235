package simnet

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

const (
	firstEphemeral = 32768
	firstRetry     = time.Second // of a dial; doubles
)

var errInUse = errors.New("network: address in use")

// Host is one machine's network, through all incarnations of its process.
type Host struct {
	net       *Net
	id        int
	name      string
	node      *virtual.Node
	off       bool    // lost power and did not come back
	links     []*link // to other hosts, by id; nil if never used
	listeners map[int]*listener
	conns     []*conn // alive
	nextPort  int
	crashes   uint32

	// Of frames that were handed over within Send. They run with the next event of any of the host's connections.
	dones     []func(error)
	dueDones  []func(error) // those being run
	willDones bool          // an event is on its way that runs them if nothing else happens before
}

var _ network.Network = (*Host)(nil)

// Name is what Net.Host was given.
func (h *Host) Name() string { return h.name }

// Crash ends all the process had, without a word to it; the caller kills the node too. After a mere
// kill its system resets the peers' connections, or sends on what the process had handed to it and
// then ends them. After a power loss they learn nothing until the host is back, which it is with its
// first Listen or Dial, or until they give up by themselves.
func (h *Host) Crash(power bool) {
	h.off = power
	h.crashes++
	clear(h.listeners)
	clear(h.dones)
	h.dones, h.willDones = h.dones[:0], false
	for len(h.conns) > 0 {
		c := h.conns[len(h.conns)-1]
		if !power && c.mayOutlive() {
			c.outlive()
			continue
		}
		c.vanish()
		c.sendReset()
	}
}

// latestDone is how long after a Send its done runs at the latest.
const latestDone = 100 * time.Millisecond

// doneLater has done run in a later turn of the host's process.
func (h *Host) doneLater(done func(error)) {
	h.dones = append(h.dones, done)
	if !h.willDones {
		h.willDones = true
		h.node.AfterEvent(latestDone, h, 0)
	}
}

// Run tells an otherwise idle process that its frames were sent.
func (h *Host) Run(int64) {
	h.willDones = false
	h.runDones()
}

func (h *Host) runDones() {
	if len(h.dones) == 0 {
		return
	}
	dones := h.dones
	h.dones, h.dueDones = h.dueDones[:0], nil
	for i, done := range dones {
		dones[i] = nil
		done(nil)
	}
	h.dueDones = dones[:0]
}

// boot ends a power loss: what others repeat is answered from now on.
func (h *Host) boot() {
	if !h.off {
		return
	}
	h.off = false
	for _, from := range h.net.hosts {
		if h.id < len(from.links) && from.links[h.id] != nil {
			from.links[h.id].wake()
		}
	}
}

type listener struct {
	host   *Host
	port   int
	proto  network.Protocol
	accept func(network.Conn) network.Handler
	closed bool
}

func (l *listener) Addr() network.Addr { return l.host.addr(l.port) }

func (l *listener) Close() {
	l.closed = true
	if l.host.listeners[l.port] == l {
		delete(l.host.listeners, l.port)
	}
}

func (h *Host) addr(port int) network.Addr {
	return network.Addr(h.name + ":" + strconv.Itoa(port))
}

func (h *Host) ephemeral() int {
	h.nextPort++
	return h.nextPort
}

// split parses "host:port".
func split(addr network.Addr) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(string(addr))
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(service)
	return host, port, err
}

// Listen implements network.Network. The host part of addr is this host's name, or empty.
func (h *Host) Listen(addr network.Addr, p network.Protocol, accept func(network.Conn) network.Handler) (network.Listener, error) {
	h.boot()
	name, port, err := split(addr)
	if err != nil {
		return nil, err
	}
	if name != "" && name != h.name {
		return nil, fmt.Errorf("network: %s is not an address of %s", addr, h.name)
	}
	if port == 0 {
		port = h.ephemeral()
	}
	if h.listeners[port] != nil {
		return nil, fmt.Errorf("%w: %s", errInUse, addr)
	}
	l := &listener{host: h, port: port, proto: p, accept: accept}
	h.listeners[port] = l
	return l, nil
}

// dial is a connection being asked for.
type dial struct {
	from    *Host
	to      *Host // nil: no such host
	port    int
	proto   network.Protocol
	handler network.Handler
	done    func(network.Conn, error)
	left    time.Duration // until it gives up
	retry   time.Duration
}

// Dial implements network.Network.
func (h *Host) Dial(addr network.Addr, p network.Protocol, handler network.Handler, done func(network.Conn, error)) {
	invariant.Check(handler != nil && done != nil, "dial of %s without a handler or done", addr)
	h.boot()
	name, port, err := split(addr)
	if err != nil {
		h.node.After(0, func() { done(nil, err) })
		return
	}
	d := &dial{h, h.net.byName[name], port, p, handler, done, h.net.opts.DialTimeout, firstRetry}
	h.node.AfterEvent(0, d, 0)
}

// Run sends the dial's packet, at first and whenever it may have been lost. On the dialer's node.
func (d *dial) Run(int64) {
	if d.to == nil {
		d.done(nil, fmt.Errorf("%w: no such host", network.ErrRefused))
		return
	}
	if d.left <= 0 {
		d.done(nil, network.ErrTimeout)
		return
	}
	there := d.from.net.link(d.from, d.to)
	if there.blocked() || d.to.off {
		d.again()
		return
	}
	from, before := d.from, d.from.crashes
	from.net.world.After(there.control(), func() {
		if from.crashes == before {
			d.arrive()
		}
	})
}

// again waits as TCP does before it repeats a packet.
func (d *dial) again() {
	wait := min(d.retry, d.left)
	d.left -= wait
	d.retry *= 2
	d.from.node.AfterEvent(wait, d, 0)
}

// arrive is the packet at the other host, whose system answers even while its process stands still.
func (d *dial) arrive() {
	back := d.from.net.link(d.to, d.from)
	if d.to.off || back.blocked() {
		d.again()
		return
	}
	l := d.to.listeners[d.port]
	if l == nil {
		d.from.node.After(back.control(), func() { d.done(nil, network.ErrRefused) })
		return
	}
	d.connect(l, back.control())
}

// connect makes both sides. The listener's is handed out at once, the dialer's when the answer is there.
func (d *dial) connect(l *listener, delay time.Duration) {
	n := d.from.net
	ours := n.newConn(d.from, d.to, l.Addr(), d.proto)
	theirs := n.newConn(d.to, d.from, d.from.addr(d.from.ephemeral()), l.proto)
	ours.peer, theirs.peer = theirs, ours
	ours.handler = d.handler
	theirs.lastDue = n.world.Now().Add(delay) // nothing overtakes the answer
	d.to.node.After(0, func() { theirs.accept(l) })
	d.from.node.After(delay, func() { ours.establish(d.done) })
}
