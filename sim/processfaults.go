package sim

import (
	"time"
)

// applyToProcess strikes at a process or its machine.
func (c *chaos) applyToProcess(s *strike, n *Node) {
	switch s.fault.Kind {
	case Blackout:
		c.blackout(s)
	case RollingRestart:
		c.roll(s)
	case Pause:
		c.pause(s, n)
	case CleanRestart:
		c.restartCleanly(s, n)
	default:
		if n.Up() && c.claim(s, "process "+n.name) {
			c.kill(s, n)
		}
	}
}

// kill ends a process one way or another; it is started again at the end.
func (c *chaos) kill(s *strike, n *Node) {
	switch f := s.fault; f.Kind {
	case Kill:
		n.crash(false)
	case RestartStorm:
		c.storm(s, n, f.Size, f.For/time.Duration(max(f.Size, 1)))
	case UnregisterBroker:
		c.unregister(s, n)
		return
	default:
		if !c.loseStorage(s, n) {
			return
		}
	}
	s.did = happened // it was up, and then it was not
	if k := s.fault.Kind; k == BitRot || k == MisdirectedWrite {
		damaged := c.damage(s, n)
		s.did = func() bool { return damaged }
	}
	s.undo = n.restart
}

func happened() bool { return true }

// loseStorage is the death of a machine that takes more with it than its memory. It reports false if the budget is against it.
func (c *chaos) loseStorage(s *strike, n *Node) bool {
	if !c.allows(s, n) {
		return false
	}
	switch f := s.fault; {
	case f.Kind == RenameNotDurable:
		n.crashDirectories()
	case f.Kind == WipedDisk:
		n.crashAndWipe()
	case f.Kind == BitRot || f.Kind == MisdirectedWrite:
		n.crash(true) // the damage follows
	case f.Size == 1:
		n.crashWorst()
	default:
		n.crash(true)
	}
	return true
}

// allows asks the budget whether a node may lose what a fault takes.
func (c *chaos) allows(s *strike, n *Node) bool {
	if c.budget.allows(n, s.fault.Kind) {
		return true
	}
	c.run.fault(s.fault, "is more than the promise survives", n.name)
	return false
}

// blackout takes the power from all nodes that the budget has left.
func (c *chaos) blackout(s *strike) {
	var out []*Node
	for _, n := range c.run.cluster.nodes {
		if n.Up() && c.claims["process "+n.name] == nil && c.loseStorage(s, n) {
			c.claim(s, "process "+n.name)
			out = append(out, n)
		}
	}
	s.did = func() bool { return len(out) > 0 }
	s.undo = func() {
		for _, n := range out {
			n.restart()
		}
	}
}

func (c *chaos) pause(s *strike, n *Node) {
	if !n.Up() || !c.claim(s, "pause "+n.name) {
		return
	}
	n.loop.Pause()
	s.did = happened
	if s.undo = n.loop.Resume; s.fault.Size == 1 {
		s.undo = n.loop.ResumeTimersFirst
	}
}

// restartCleanly shuts a node down; it is started when the fault ends, or later if it takes longer.
func (c *chaos) restartCleanly(s *strike, n *Node) {
	if !n.Up() || n.stopping || !c.claim(s, "shutdown "+n.name) {
		return
	}
	s.did = happened
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

// roll restarts the nodes one after the other, as an operator would, each in its share of the time.
func (c *chaos) roll(s *strike) {
	nodes := c.run.cluster.nodes
	if !c.claim(s, "rolling restart") {
		return
	}
	share := s.fault.For / time.Duration(len(nodes))
	done := 0
	s.did = func() bool { return done > 0 }
	for i, n := range nodes {
		c.run.world.After(time.Duration(i)*share, func() {
			if s.ended || !n.Up() || n.stopping || c.claims["process "+n.name] != nil {
				return
			}
			done++
			n.shutDown(func() {
				c.run.world.After(0, func() {
					if n.stopping {
						n.restart()
					}
				})
			})
		})
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
