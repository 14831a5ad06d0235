package raft

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
)

// step runs f as one step of the state machine: now, or after the steps before it. f changes the
// node at once and says things with say.
func (n *Node) step(f func()) {
	if n.gone {
		return
	}
	if n.busy {
		n.inbox = append(n.inbox, f)
		return
	}
	n.busy = true
	f()
	n.settle()
}

// say has f run when all that the running step changed is durable.
func (n *Node) say(f func()) { n.outbox = append(n.outbox, f) }

// settle ends a step: it makes the election state durable if the step changed it, and the version of its file follows kraft.version (KIP-853).
func (n *Node) settle() {
	version := n.history.version()
	if n.election == n.durable && (version <= max(n.written, 0) || len(n.cfg.Voters) == 0) {
		n.release()
		return
	}
	e := n.election
	n.store.write(e, quorum{version, n.voters}, func(err error) {
		if n.gone {
			return
		}
		if err != nil {
			n.fail(err)
			return
		}
		n.emitVote(e)
		n.durable, n.written = e, version
		n.release()
	})
}

func (n *Node) emitVote(e electionState) {
	if e.voted != none && (e.voted != n.durable.voted || e.epoch != n.durable.epoch) {
		n.env.Event.Emit(&event.Event{Kind: event.RaftVoted, Partition: event.MetadataPartition, TopicID: metadataTopicID,
			Peer: e.voted, Epoch: e.epoch, Offset: -1})
	}
}

// release lets out what the step said and goes on with the next one.
func (n *Node) release() {
	for i := 0; i < len(n.outbox) && !n.gone; i++ {
		n.outbox[i]()
	}
	clear(n.outbox)
	n.outbox = n.outbox[:0]
	n.busy = false
	n.publish()
	if len(n.inbox) > 0 && !n.busy && !n.gone {
		f := n.inbox[0]
		n.inbox = n.inbox[:copy(n.inbox, n.inbox[1:])]
		n.step(f)
	}
}

// arm has the state's onTimeout run d from now, in place of whatever was armed.
func (n *Node) arm(d time.Duration) {
	n.deadline, n.armed = n.env.Loop.Now().Add(d), true
	if n.timer == nil {
		n.timer = n.env.Loop.AfterFunc(d, func() { n.step(n.onTimer) })
		return
	}
	n.timer.Reset(d)
}

func (n *Node) disarm() {
	n.armed = false
	if n.timer != nil {
		n.timer.Stop()
	}
}

// remaining is how long the state's timer still has to run.
func (n *Node) remaining() time.Duration { return max(0, n.deadline.Sub(n.env.Loop.Now())) }

// onTimer re-checks the deadline: the step may have waited while another one armed the timer anew.
func (n *Node) onTimer() {
	if !n.armed || n.env.Loop.Now() < n.deadline || n.onGone != nil {
		return // on the way out a node takes no part in what comes
	}
	n.armed = false
	n.state.onTimeout()
}

// randomElectionTimeout is between one and two election timeouts, so that one voter comes first.
func (n *Node) randomElectionTimeout() time.Duration {
	if n.env.Buggify.Fires(buggify.ElectionEarly) {
		return n.cfg.ElectionTimeout
	}
	return n.cfg.ElectionTimeout + time.Duration(n.rand.Int64N(int64(n.cfg.ElectionTimeout)))
}

// fail stops the node for good: its disk is in an unknown state, so it can promise nothing.
func (n *Node) fail(err error) {
	if n.gone {
		return
	}
	n.failure = err
	n.env.Event.Emit(&event.Event{Kind: event.LogDirFailed, Partition: event.MetadataPartition,
		Peer: -1, Epoch: -1, Offset: -1, Note: err.Error()})
	n.stop()
	if done := n.onGone; done != nil {
		n.onGone = nil
		done()
	}
	if n.onFailure != nil {
		n.onFailure(err)
	}
}

// OnFailure sets who is told, once, that the node has stopped for good because its disk failed.
func (n *Node) OnFailure(f func(error)) { n.onFailure = f }

// stop ends all steps. What waits for an answer gets none: its connection closes with the broker.
func (n *Node) stop() {
	n.gone = true
	n.disarm()
	n.fetcher.stop()
	n.joiner.stop()
	if l, ok := n.state.(*leader); ok {
		l.purgatory.stop()
	}
	n.inbox, n.outbox = nil, nil
}
