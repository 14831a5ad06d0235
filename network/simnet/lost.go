package simnet

// Lost is connections that the way between their ends has forgotten, as a firewall does or a machine that was replaced:
// what is sent vanishes without a word. Others between the same hosts work.
type Lost struct {
	conns   []*conn
	stalled int
}

// LoseConnections loses the connections that there are between a and b.
func (n *Net) LoseConnections(a, b string) *Lost {
	l := &Lost{}
	ha, hb := n.host(a), n.host(b)
	for _, c := range ha.conns {
		if c.peer.host == hb && ha != hb && c.lost == nil {
			l.conns = append(l.conns, c, c.peer)
			c.lost, c.peer.lost = l, l
		}
	}
	return l
}

// Stalled is how often something was sent in vain.
func (l *Lost) Stalled() int { return l.stalled }

// Reset ends it: what is sent is answered by a reset from now on, and both sides have something to repeat.
func (l *Lost) Reset() {
	for _, c := range l.conns {
		c.lost = nil
		if c.state != gone {
			c.resetAfter(c.peer.link.control())
		}
	}
}

// takes reports whether a packet sent now vanishes, and counts it. Most connections have no Lost.
func (l *Lost) takes() bool {
	if l == nil {
		return false
	}
	l.stalled++
	return true
}
