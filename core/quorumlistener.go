package core

import (
	"github.com/lockstep/lockstep/core/raft"
)

// quorumListener hands what the quorum commits to the image first and the controller after it.
type quorumListener Broker

// OnCommit implements raft.Listener.
func (b *quorumListener) OnCommit(batches []byte, next int64) {
	b.loader.OnCommit(batches, next)
	if b.controller != nil {
		b.controller.OnCommit(next)
	}
	(*Broker)(b).maybeSnapshot()
}

// OnSnapshot implements raft.Listener.
func (b *quorumListener) OnSnapshot(id raft.SnapshotID, records [][]byte) {
	b.loader.OnSnapshot(id.EndOffset, id.Epoch, records)
}

// OnLeader implements raft.Listener.
func (b *quorumListener) OnLeader(leader, epoch int32) {
	if b.controller != nil {
		b.controller.OnLeader(leader, epoch, b.loader.Image(), b.loader.InTransaction())
	}
	if b.server != nil {
		b.server.ControllerChanged()
	}
	if b.lifecycle != nil {
		b.lifecycle.onController()
	}
}
