package raft

// Shutdown leaves the quorum. A leader asks the others to elect a successor and waits for one, two
// election timeouts at most; done then finds the log closed. No other call may follow.
func (n *Node) Shutdown(done func()) {
	if n.gone || !n.started {
		n.finish(done)
		return
	}
	n.step(func() {
		n.onGone = func() { n.finish(done) }
		if _, ok := n.state.(*leader); !ok || n.isOnlyVoter() {
			n.say(n.close)
			return
		}
		n.becomeResigned()
		n.env.Loop.AfterFunc(2*n.cfg.ElectionTimeout, func() { n.step(n.close) })
	})
}

// close ends a graceful shutdown, once.
func (n *Node) close() {
	done := n.onGone
	n.onGone = nil
	n.stop()
	done()
}

// finish closes the log. Its errors change nothing: all that was promised is synced.
func (n *Node) finish(done func()) {
	n.stop()
	n.log.Close(func(error) { done() })
}
