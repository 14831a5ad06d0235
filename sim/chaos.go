package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network/simnet"
)

// chaos strikes with the faults of a schedule, and knows what each of them changed: a fault that
// changed nothing proves nothing.
type chaos struct {
	run     *run
	claims  map[string]*strike // who has hold of a process, a disk or a direction of a link
	active  []*strike          // in the order they began
	healing bool               // no fault begins any more
	budget  budget
	drawn   [numKinds]int
	effects [numKinds]int
}

// strike is a fault that has begun.
type strike struct {
	fault  *Fault
	claims []string
	undo   func()      // once
	did    func() bool // whether the fault changed anything so far
	ended  bool
}

func newChaos(r *run) *chaos {
	c := &chaos{run: r, claims: map[string]*strike{}}
	c.budget = newBudget(r.cluster, r.schedule.Options.Topics)
	return c
}

// schedule arms all faults; times count from now.
func (c *chaos) schedule(faults []Fault) {
	for i := range faults {
		f := &faults[i]
		c.drawn[f.Kind]++
		c.run.world.After(f.At, func() {
			if !c.healing {
				c.begin(f)
			}
		})
	}
}

func (c *chaos) begin(f *Fault) *strike {
	s := &strike{fault: f, undo: func() {}, did: func() bool { return false }}
	target := c.resolve(f.Target)
	c.run.fault(f, "begins", target)
	c.apply(s, target)
	c.active = append(c.active, s)
	if f.Kind != Reset {
		c.run.world.After(f.For, func() { c.end(s) })
	} else {
		c.end(s)
	}
	return s
}

// end undoes a fault, once.
func (c *chaos) end(s *strike) {
	if s.ended {
		return
	}
	s.ended = true
	note := "ends without effect"
	if s.did() {
		note = "ends"
		c.effects[s.fault.Kind]++
	}
	c.run.fault(s.fault, note, "")
	for _, name := range s.claims {
		delete(c.claims, name)
	}
	s.undo()
}

// heal ends all faults; none begins after it.
func (c *chaos) heal() {
	c.healing = true
	for _, s := range c.active {
		c.end(s)
	}
	for _, n := range c.run.cluster.nodes {
		n.loop.Resume()
		n.disk.Thaw()
		n.disk.SetSlow(1)
		n.repair()
		if !n.Up() || n.logDirLost || n.failed != nil || n.stopping {
			n.restart()
		}
	}
	c.run.cluster.net.HealAll()
}

// claim takes hold of something that nobody else has hold of.
func (c *chaos) claim(s *strike, name string) bool {
	if c.claims[name] != nil {
		return false
	}
	c.claims[name] = s
	s.claims = append(s.claims, name)
	return true
}

// resolve names the host that a target means at this moment; empty if there is none.
func (c *chaos) resolve(target string) string {
	if target == "controller" {
		if n := c.run.cluster.controller(); n != nil {
			return n.name
		}
		return ""
	}
	name, ok := strings.CutPrefix(target, "leader:")
	if !ok {
		return target
	}
	var p event.Partition
	topic, index, _ := strings.Cut(name, "/")
	p.Topic = topic
	fmt.Sscan(index, &p.Index)
	if n := c.run.cluster.leader(p); n != nil {
		return n.name
	}
	return ""
}

func (c *chaos) apply(s *strike, target string) {
	if target == "" {
		return
	}
	f, n := s.fault, c.run.cluster.node(target)
	switch f.Kind {
	case Reset, PartitionOne, PartitionTwo, Isolate, IsolateNodes, SlowLink, Clog, Delay:
		c.applyToNetwork(s, target)
	case Kill, PowerLoss, Pause, CleanRestart, RestartStorm:
		if n != nil && n.Up() && c.claim(s, "process "+n.name) {
			c.applyToProcess(s, n)
		}
	case SlowDisk, FrozenDisk:
		if n != nil && c.claim(s, "disk "+n.name) {
			c.applyToSpeed(s, n)
		}
	case FailingDisk, FullDisk:
		if n != nil && n.Up() && c.claim(s, "process "+n.name) && c.claim(s, "disk "+n.name) {
			c.applyToDisk(s, n)
		}
	}
}

// direction is one way of a link.
type direction struct{ from, to string }

// directions are the ways that a network fault is about.
func (c *chaos) directions(f *Fault, target string) (ways []direction) {
	both := func(a, b string) {
		if a != b {
			ways = append(ways, direction{a, b}, direction{b, a})
		}
	}
	switch f.Kind {
	case PartitionOne, Clog:
		if f.Peer != target {
			ways = append(ways, direction{target, f.Peer})
		}
	case PartitionTwo, SlowLink:
		both(target, f.Peer)
	case Isolate, Delay:
		for _, name := range hostNames(&c.run.schedule.Options) {
			both(target, name)
		}
	case IsolateNodes:
		for _, name := range nodeNames(&c.run.schedule.Options.Cluster) {
			both(target, name)
		}
	}
	return ways
}

func (c *chaos) applyToNetwork(s *strike, target string) {
	f, net := s.fault, c.run.cluster.net
	if f.Kind == Reset {
		hits := 0
		if target != f.Peer {
			hits = net.Reset(target, f.Peer)
		}
		s.did = func() bool { return hits > 0 }
		return
	}
	var ways []direction
	before := 0
	for _, w := range c.directions(f, target) {
		if c.claim(s, "link "+w.from+">"+w.to) {
			ways = append(ways, w)
			before += affected(f.Kind, net.Affected(w.from, w.to))
			c.strikeLink(f, w)
		}
	}
	s.did = func() bool {
		now := 0
		for _, w := range ways {
			now += affected(f.Kind, net.Affected(w.from, w.to))
		}
		return now > before
	}
	s.undo = func() {
		for _, w := range ways {
			c.healLink(f, w)
		}
	}
}

func affected(k Kind, a simnet.Affected) int {
	switch k {
	case Delay, SlowLink:
		return a.Slowed
	case Clog:
		return a.Clogged
	}
	return a.Cut
}

func (c *chaos) strikeLink(f *Fault, w direction) {
	net := c.run.cluster.net
	switch f.Kind {
	case Delay:
		net.SetDelay(w.from, w.to, 0, time.Duration(f.Size)*time.Microsecond)
	case SlowLink:
		net.SetBandwidth(w.from, w.to, f.Size)
	case Clog:
		net.Clog(w.from, w.to)
	default:
		net.Cut(w.from, w.to)
	}
}

func (c *chaos) healLink(f *Fault, w direction) {
	net, normal := c.run.cluster.net, c.run.schedule.Options.Cluster.MaxLinkDelay
	switch f.Kind {
	case Delay:
		net.SetDelay(w.from, w.to, min(50*time.Microsecond, normal), normal)
	case SlowLink:
		net.SetBandwidth(w.from, w.to, 0)
	case Clog:
		net.Unclog(w.from, w.to)
	default:
		net.Heal(w.from, w.to)
	}
}

func (c *chaos) applyToProcess(s *strike, n *Node) {
	s.did = func() bool { return true } // it was up, and then it was not
	switch f := s.fault; f.Kind {
	case Kill:
		n.crash(false)
		s.undo = n.restart
	case PowerLoss:
		if !c.run.schedule.Options.Unbounded && !c.budget.allows(n) {
			s.did = func() bool { return false }
			return
		}
		if f.Size == 1 {
			n.crashWorst()
		} else {
			n.crash(true)
		}
		s.undo = n.restart
	case Pause:
		n.loop.Pause()
		s.undo = n.loop.Resume
	case CleanRestart:
		c.stopCleanly(s, n)
	case RestartStorm:
		s.undo = n.restart
		c.storm(s, n, f.Size, f.For/time.Duration(max(f.Size, 1)))
	}
}

// stopCleanly shuts a node down; it is started when the fault ends, or later if it takes longer.
func (c *chaos) stopCleanly(s *strike, n *Node) {
	stopped := false
	n.shutDown(func() {
		stopped = true
		c.run.world.After(0, func() {
			if !n.stopping { // killed meanwhile, by another fault
				return
			}
			n.crash(false)
			if s.ended {
				n.start()
			}
		})
	})
	s.undo = func() {
		if stopped && !n.Up() {
			n.start()
		}
	}
}

// storm kills and starts a node again and again.
func (c *chaos) storm(s *strike, n *Node, times int64, gap time.Duration) {
	n.crash(false)
	c.run.world.After(gap/2, func() {
		if s.ended {
			return
		}
		n.restart()
		if times > 1 {
			c.run.world.After(gap/2, func() {
				if !s.ended && n.Up() {
					c.storm(s, n, times-1, gap)
				}
			})
		}
	})
}

func (c *chaos) applyToSpeed(s *strike, n *Node) {
	before := n.written
	s.did = func() bool { return n.written > before || s.fault.Kind == FrozenDisk && n.Up() }
	if s.fault.Kind == FrozenDisk {
		n.disk.Freeze()
		s.undo = n.disk.Thaw
		return
	}
	n.disk.SetSlow(s.fault.Size)
	s.undo = func() { n.disk.SetSlow(1) }
}

// applyToDisk breaks a disk. If the node noticed it is started again, with the disk repaired.
func (c *chaos) applyToDisk(s *strike, n *Node) {
	switch {
	case s.fault.Kind == FullDisk:
		n.disk.SetCapacity(max(n.disk.Used(), 1))
	case s.fault.Size == 1:
		n.disk.FailSyncs(disk.ErrIO)
	default:
		n.disk.FailWrites(disk.ErrIO)
	}
	s.did = func() bool { return n.logDirLost || n.failed != nil }
	s.undo = func() {
		n.repair()
		if n.logDirLost || n.failed != nil {
			n.restart()
		}
	}
}
