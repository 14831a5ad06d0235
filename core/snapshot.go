package core

import (
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/raft"
)

// maybeSnapshot writes the image as a snapshot when the metadata log has grown enough since the last
// (metadata.log.max.record.bytes.between.snapshots); the log below it then goes (KIP-630).
func (b *Broker) maybeSnapshot() {
	if b.snapshotting || !b.quorum.SnapshotDue() {
		return
	}
	image := b.loader.Image()
	id := raft.SnapshotID{EndOffset: image.Offset(), Epoch: image.Epoch()}
	var records [][]byte
	for _, r := range image.Records() {
		records = append(records, metadata.Marshal(nil, r))
	}
	b.snapshotting = true
	b.quorum.Snapshot(id, records, func(err error) {
		b.snapshotting = false // a failure is tried again at the next commit
	})
}
