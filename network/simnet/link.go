package simnet

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// Affected counts what the faults of a link changed: a fault that changed nothing proves nothing.
type Affected struct {
	Cut     int // frames, dials, acknowledgements and resets that a cut held back
	Clogged int // the same for a clog
	Slowed  int // frames that took another time than they would have on an untouched link
	Reset   int // connections ended by Reset
}

// waiter is a connection in one of its waits: it may have given up since.
type waiter struct {
	conn *conn
	wait uint32
}

// link is the way from one host to another.
type link struct {
	net      *Net
	from, to *Host
	key      uint64
	min, max time.Duration
	perSec   int64 // bytes; 0: no limit
	slowed   bool  // SetDelay changed the delay
	cut      bool
	clogged  bool

	frames   uint64            // sent so far; what happens to one is drawn by its number
	controls uint64            // the same for dials, answers and resets
	idleAt   scheduler.Instant // when the bandwidth has worked off what was sent
	waiting  []waiter          // those that wait for the link to be free again, in the order they began
	heard    scheduler.Instant // when a frame last reached the process at its end
	affected Affected
}

func (n *Net) link(from, to *Host) *link {
	for len(from.links) <= to.id {
		from.links = append(from.links, nil)
	}
	l := from.links[to.id]
	if l == nil {
		l = &link{net: n, from: from, to: to, key: mix(mix(n.seed, hash(from.name)), hash(to.name)), min: n.opts.MinDelay, max: n.opts.MaxDelay}
		from.links[to.id] = l
	}
	return l
}

func (n *Net) named(a, b string) *link { return n.link(n.host(a), n.host(b)) }

// SetDelay sets the range from which each frame's delay is drawn on the way from a to b.
func (n *Net) SetDelay(a, b string, min, max time.Duration) {
	l := n.named(a, b)
	l.min, l.max = min, max
	l.slowed = min != n.opts.MinDelay || max != n.opts.MaxDelay
}

// SetBandwidth limits the way from a to b; 0 is no limit. What an older, lower limit still holds up goes on at the new one.
func (n *Net) SetBandwidth(a, b string, bytesPerSec int64) { n.named(a, b).setBandwidth(bytesPerSec) }

// setBandwidth: a window full of frames that waited for an older limit would be under way for minutes after it.
func (l *link) setBandwidth(bytesPerSec int64) {
	l.perSec = bytesPerSec
	now := l.net.world.Now()
	if l.idleAt <= now {
		return
	}
	l.idleAt = now
	for _, c := range l.to.conns {
		if c.peer.link == l {
			c.hasten()
		}
	}
}

// Cut loses all packets from a to b. As in TCP the sender keeps and repeats them: they arrive after
// Heal, unless the connection has given up by then. Acknowledgements for b's frames are lost too,
// so that both directions of a busy connection end.
func (n *Net) Cut(a, b string) {
	l := n.named(a, b)
	l.cut = true
	if l.clogged {
		l.wake() // what waited for ever now waits for its death
	}
}

// Clog holds all packets from a to b until Unclog. No connection gives up because of it; dials do.
func (n *Net) Clog(a, b string) { n.named(a, b).clogged = true }

// Heal ends Cut.
func (n *Net) Heal(a, b string) {
	l := n.named(a, b)
	l.cut = false
	l.wake()
}

// Unclog ends Clog.
func (n *Net) Unclog(a, b string) {
	l := n.named(a, b)
	l.clogged = false
	l.wake()
}

// Reseed has all that is still to be sent meet another luck, as salt says.
func (n *Net) Reseed(salt uint64) {
	n.seed = mix(n.seed, salt)
	for _, from := range n.hosts {
		for _, l := range from.links {
			if l != nil {
				l.key = mix(l.key, salt)
			}
		}
		for _, c := range from.conns {
			c.key = mix(c.key, salt)
		}
	}
}

// HealAll makes every link as it was at first.
func (n *Net) HealAll() {
	for _, from := range n.hosts {
		for _, l := range from.links {
			if l != nil {
				l.cut, l.clogged, l.slowed = false, false, false
				l.min, l.max = n.opts.MinDelay, n.opts.MaxDelay
				l.setBandwidth(0)
				l.wake()
			}
		}
	}
}

// Reset ends all connections between a and b; both sides learn of it after a delay. It returns how many there were.
func (n *Net) Reset(a, b string) int {
	ha, hb, hits := n.host(a), n.host(b), 0
	for _, c := range ha.conns {
		if c.peer.host == hb {
			hits++
			c.resetAfter(c.peer.link.control())
			c.peer.resetAfter(c.link.control())
		}
	}
	if ha == hb {
		hits /= 2
	}
	n.link(ha, hb).affected.Reset += hits
	return hits
}

// Affected returns what the faults from a to b have changed so far.
func (n *Net) Affected(a, b string) Affected { return n.named(a, b).affected }

// LastHeard returns when a frame from a was last received by the process on b; 0 if none ever was.
func (n *Net) LastHeard(a, b string) scheduler.Instant { return n.named(a, b).heard }

// TotalAffected sums Affected over all links.
func (n *Net) TotalAffected() (sum Affected) {
	for _, from := range n.hosts {
		for _, l := range from.links {
			if l != nil {
				sum.Cut += l.affected.Cut
				sum.Clogged += l.affected.Clogged
				sum.Slowed += l.affected.Slowed
				sum.Reset += l.affected.Reset
			}
		}
	}
	return sum
}

// blocked reports whether a packet sent now does not arrive, and counts it.
func (l *link) blocked() bool {
	switch {
	case l.cut:
		l.affected.Cut++
	case l.clogged:
		l.affected.Clogged++
	default:
		return false
	}
	return true
}

// control draws the delay of a packet that carries no frame.
func (l *link) control() time.Duration {
	l.controls++
	return between(mix(^l.key, l.controls), l.min, l.max)
}

// arrival draws when the n-th frame, sent now, arrives.
func (l *link) arrival(n uint64, size int) scheduler.Instant {
	if l.perSec > 0 || l.slowed {
		l.affected.Slowed++
	}
	return l.pass(n, size)
}

// pass has the n-th frame take its share of the bandwidth, and its delay.
func (l *link) pass(n uint64, size int) scheduler.Instant {
	sent := l.net.world.Now()
	if l.perSec > 0 {
		sent = max(sent, l.idleAt).Add(time.Duration(int64(size) * int64(time.Second) / l.perSec))
		l.idleAt = sent
	}
	return sent.Add(between(mix(l.key, n), l.min, l.max))
}

// wake lets all that wait for this link try again.
func (l *link) wake() {
	waiting := l.waiting
	l.waiting = nil
	for _, w := range waiting {
		w.conn.resume(w.wait)
	}
}
