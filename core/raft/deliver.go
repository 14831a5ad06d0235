package raft

import (
	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
)

// Listener is the state machine on top of the log. All calls are made on the loop, in offset order.
// They may call the node back, Append included.
type Listener interface {
	// OnCommit gets whole committed batches, control batches too, and the offset after them. The bytes are valid during the call.
	OnCommit(batches []byte, next int64)
	// OnSnapshot replaces all that came before with the records of a snapshot.
	OnSnapshot(id SnapshotID, records [][]byte)
	// OnLeader says who leads; -1 if nobody is known to. leader is this node only after the
	// LeaderChange record of the epoch has committed and been delivered, so that the listener then
	// has all of its predecessors' records.
	OnLeader(leader, epoch int32)
}

// feed gives the listener what is committed, and the leader, in order.
type feed struct {
	n             *Node
	next          int64 // offset to deliver
	reading       bool
	delivering    bool // inside a call of the listener
	leader, epoch int32
}

// publish runs after every step.
func (n *Node) publish() {
	if n.gone || n.feed.delivering {
		return
	}
	n.feed.announce()
	n.feed.deliver()
}

// announce tells a change of leader or epoch.
func (f *feed) announce() {
	leader, epoch := f.visibleLeader()
	if leader == f.leader && epoch == f.epoch {
		return
	}
	f.leader, f.epoch = leader, epoch
	f.delivering = true
	f.n.listener.OnLeader(leader, epoch)
	f.delivering = false
}

// visibleLeader hides our own leadership until its first record was delivered.
func (f *feed) visibleLeader() (id, epoch int32) {
	id, epoch = f.n.LeaderAndEpoch()
	if id != f.n.cfg.NodeID {
		return id, epoch
	}
	if s, ok := f.n.state.(*leader); !ok || f.next <= s.epochStart {
		return none, epoch
	}
	return id, epoch
}

// deliver reads what is committed and not delivered, a piece at a time.
func (f *feed) deliver() {
	for !f.reading && !f.n.gone && f.next < f.n.hw {
		offset := f.next
		if f.isReplaced(offset) {
			return // what comes next is the snapshot
		}
		f.reading = true
		most := deliverMaxBytes
		if f.n.env.Buggify.Fires(buggify.DeliverOne) {
			most = 0
		}
		slice, err := f.n.log.Read(storage.ReadRequest{Offset: offset, MaxBytes: most, UpTo: f.n.hw, MinOneBatch: true},
			func(slice storage.Slice, err error) { f.n.step(func() { f.onRead(offset, slice, err) }) })
		if err == storage.ErrPending {
			return
		}
		f.onRead(offset, slice, err)
	}
}

// onRead gathers the bytes of a read; what lies on the disk takes more turns.
func (f *feed) onRead(offset int64, slice storage.Slice, err error) {
	switch {
	case f.isReplaced(offset):
		f.reading = false
		if err == nil {
			slice.Release()
		}
		return
	case err != nil:
		f.n.fail(err)
		return
	}
	if len(slice.Chunks) == 1 && slice.Chunks[0].Region.File == nil {
		f.commit(offset, slice.Chunks[0].Bytes)
		slice.Release()
		return
	}
	slice.Gather(func(b []byte, err error) {
		slice.Release()
		f.n.step(func() {
			switch {
			case err == nil:
				f.commit(offset, b)
			case f.isReplaced(offset):
				f.reading = false
			default:
				f.n.fail(err)
			}
		})
	})
}

// isReplaced reports whether what is at offset need not be read any more: a snapshot of the leader has been delivered in its place, or is
// about to be, and the log may begin behind it by now.
func (f *feed) isReplaced(offset int64) bool {
	return f.next != offset || offset < f.n.snapshots.latest.EndOffset
}

// commit hands batches to the listener that were read at offset, unless a snapshot came first.
func (f *feed) commit(offset int64, b []byte) {
	f.reading = false
	if f.next != offset {
		return
	}
	b, next := committed(b, f.n.hw)
	if next <= f.next {
		f.n.fail(errNoProgress)
		return
	}
	f.next = next
	f.delivering = true
	f.n.listener.OnCommit(b, next)
	f.delivering = false
	f.announce()
}

// committed is the run of whole batches at the start of b that end at or below hw, and where they end.
func committed(b []byte, hw int64) (batches []byte, next int64) {
	rest := b
	for len(rest) > 0 {
		batch, after, err := record.Parse(rest)
		if err != nil || batch.NextOffset() > hw {
			break
		}
		rest, next = after, batch.NextOffset()
	}
	return b[:len(b)-len(rest)], next
}
