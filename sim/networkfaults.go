package sim

import (
	"time"

	"github.com/lockstep/lockstep/network/simnet"
)

// direction is one way of a link.
type direction struct{ from, to string }

func (d direction) String() string { return d.from + ">" + d.to }

func (c *chaos) applyToNetwork(s *strike, target string) {
	switch f := s.fault; f.Kind {
	case Reset:
		c.reset(s, target)
	case HalfOpen:
		c.halfOpen(s, target)
	case Delay, SlowLink, Clog:
		c.slow(s, c.directions(s, target))
	default:
		c.cut(s, c.directions(s, target))
	}
}

// directions are the ways that a network fault is about.
func (c *chaos) directions(s *strike, target string) (ways []direction) {
	both := func(a, b string) {
		if a != b && a != "" && b != "" {
			ways = append(ways, direction{a, b}, direction{b, a})
		}
	}
	o := &c.run.schedule.Options
	switch s.fault.Kind {
	case PartitionOne, Clog:
		if s.peer != target && s.peer != "" {
			ways = append(ways, direction{target, s.peer})
		}
	case PartitionTwo, SlowLink:
		both(target, s.peer)
	case Isolate, Delay:
		for _, name := range hostNames(o) {
			both(target, name)
		}
	case IsolateNodes:
		for _, name := range nodeNames(&o.Cluster) {
			both(target, name)
		}
	case Split:
		c.between(s.fault.Size, "", both)
	case Bridge:
		c.between(s.fault.Size, target, both)
	}
	return ways
}

// between calls f for each pair of nodes of which one is in the set and the other is not. The bits of the set count the nodes
// without the one that is on both sides. If all would be on one side, the last is on the other.
func (c *chaos) between(set int64, on string, f func(a, b string)) {
	var in, out []string
	for _, name := range nodeNames(&c.run.schedule.Options.Cluster) {
		switch {
		case name == on:
		case set>>(len(in)+len(out))&1 == 1:
			in = append(in, name)
		default:
			out = append(out, name)
		}
	}
	switch {
	case len(in) == 0:
		in, out = out[len(out)-1:], out[:len(out)-1]
	case len(out) == 0:
		in, out = in[:len(in)-1], in[len(in)-1:]
	}
	for _, a := range in {
		for _, b := range out {
			f(a, b)
		}
	}
}

func (c *chaos) reset(s *strike, target string) {
	hits := 0
	if target != s.peer && s.peer != "" {
		hits = c.run.cluster.net.Reset(target, s.peer)
	}
	s.did = func() bool { return hits > 0 }
}

// halfOpen has the connections that there are forgotten on the way, as by a firewall or a machine that was replaced.
func (c *chaos) halfOpen(s *strike, target string) {
	if target == s.peer || s.peer == "" {
		return
	}
	lost := c.run.cluster.net.LoseConnections(target, s.peer)
	s.claims = append(s.claims, "connections "+target+" "+s.peer)
	s.did = func() bool { return lost.Stalled() > 0 }
	s.undo = lost.Reset
}

// cut loses what goes some ways. Several faults may cut a way: it is whole again when the last has ended.
func (c *chaos) cut(s *strike, ways []direction) {
	net := c.run.cluster.net
	s.did = c.affects(ways, func(a simnet.Affected) int { return a.Cut })
	for _, w := range ways {
		s.claims = append(s.claims, "cut "+w.String())
		if c.cuts[w]++; c.cuts[w] == 1 {
			net.Cut(w.from, w.to)
		}
	}
	s.undo = func() {
		for _, w := range ways {
			if c.cuts[w]--; c.cuts[w] == 0 {
				net.Heal(w.from, w.to)
			}
		}
	}
}

// affects says later whether anything that count counts has happened on some ways since.
func (c *chaos) affects(ways []direction, count func(a simnet.Affected) int) func() bool {
	sum := func() (n int) {
		for _, w := range ways {
			n += count(c.run.cluster.net.Affected(w.from, w.to))
		}
		return n
	}
	before := sum()
	return func() bool { return sum() > before }
}

// slow delays what goes some ways. A way has one such fault at a time.
func (c *chaos) slow(s *strike, all []direction) {
	f := s.fault
	var ways []direction
	for _, w := range all {
		if c.claim(s, f.Kind.String()+" "+w.String()) {
			ways = append(ways, w)
		}
	}
	s.did = c.affects(ways, func(a simnet.Affected) int { return slowed(f.Kind, a) })
	for _, w := range ways {
		c.slowLink(f, w)
	}
	s.undo = func() {
		for _, w := range ways {
			c.hasten(f, w)
		}
	}
}

func slowed(k Kind, a simnet.Affected) int {
	if k == Clog {
		return a.Clogged
	}
	return a.Slowed
}

func (c *chaos) slowLink(f *Fault, w direction) {
	net := c.run.cluster.net
	switch f.Kind {
	case Delay:
		net.SetDelay(w.from, w.to, 0, time.Duration(f.Size)*time.Microsecond)
	case SlowLink:
		net.SetBandwidth(w.from, w.to, f.Size)
	case Clog:
		net.Clog(w.from, w.to)
	}
}

func (c *chaos) hasten(f *Fault, w direction) {
	net, normal := c.run.cluster.net, c.run.schedule.Options.Cluster.MaxLinkDelay
	switch f.Kind {
	case Delay:
		net.SetDelay(w.from, w.to, min(50*time.Microsecond, normal), normal)
	case SlowLink:
		net.SetBandwidth(w.from, w.to, 0)
	case Clog:
		net.Unclog(w.from, w.to)
	}
}
