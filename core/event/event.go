// Package event is what happened inside a broker, as typed values with one stable text form. The
// simulator's digest, traces and checkers are built on it; the daemon logs some of it.
package event

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Partition names a topic's partition. The metadata log is MetadataPartition.
type Partition struct {
	Topic string
	Index int32
}

// MetadataPartition is the KRaft log.
var MetadataPartition = Partition{"__cluster_metadata", 0}

func (p Partition) String() string {
	if p.Topic == "" {
		return ""
	}
	return p.Topic + "-" + strconv.Itoa(int(p.Index))
}

// Compare orders partitions by topic, then index.
func (p Partition) Compare(q Partition) int {
	if c := strings.Compare(p.Topic, q.Topic); c != 0 {
		return c
	}
	return int(p.Index) - int(q.Index)
}

// Kind is the kind of an event.
type Kind uint8

// The kinds. The comment says which fields carry what; Partition, Epoch (a leader epoch) and Offset
// (a record offset) have their plain meaning unless said otherwise.
const (
	_ Kind = iota

	NodeStarting   // the core was created
	NodeReady      // all listeners serve
	NodeStopping   // a controlled shutdown began
	NodeStopped    // and ended
	LogDirFailed   // Note: what failed; the broker's disk is offline from here
	BadRequest     // Note: why; Peer is unknown
	ConnectionLost // Note: to whom and why (outgoing connections)

	Appended      // a batch was accepted into the log (perhaps not yet written). Offset: base, Len: offsets it spans, Epoch: of the batch, Batch: its bytes
	Written       // the log end offset moved. Offset: new log end offset
	Truncated     // Offset: new log end offset
	Recovered     // a log was opened. Offset: log end offset, Len: bytes cut from its tail, Epoch: latest
	LogStartMoved // Offset: new log start offset. Note: "emptied" if the log was truncated whole, to go on there
	SegmentRolled // Offset: base of the new segment
	CleaningBegan // the cleaner takes the log. Offset, Len: the part of it that was not compacted before
	BatchRetained // the cleaner wrote what is left of a batch, for the next SegmentsReplaced that covers it. Offset, Len, Epoch and Batch as Appended
	// SegmentsReplaced: what the cleaner wrote took the place of what the log had. Offset: from where on, Len: how many offsets
	SegmentsReplaced

	HighWatermark  // Offset: new high watermark, Epoch: leader epoch under which it was set
	BecameLeader   // Offset: start of the epoch
	BecameFollower // Peer: the leader, or -1
	Diverged       // a follower was told to truncate. Peer: leader, Offset: end offset of Epoch at the leader
	IsrProposed    // the leader asked for an ISR. Note: "1,2,3"
	IsrCommitted   // the leader learned of a committed ISR. Note: "1,2,3", Offset: partition epoch
	IsrRejected    // Note: error name
	ReplicaRemoved // this broker no longer hosts the partition

	RaftBecame        // Note: unattached, prospective, candidate, leader, follower, resigned, observer. Epoch: quorum epoch. Peer: leader or -1
	RaftVoted         // a vote was made durable. Peer: for whom, Epoch
	RaftHighWatermark // Offset, Epoch
	RaftTruncated     // Offset
	SnapshotWritten   // Offset, Epoch: the snapshot's id
	SnapshotLoaded    // Offset, Epoch

	MetadataApplied    // the node's image moved. Offset: highest record applied + 1, Len: hash of the image
	ControllerActive   // this node's controller became active in Epoch
	ControllerResigned // Epoch
	BrokerRegistered   // Peer: broker, Offset: broker epoch (emitted by the active controller when appended)
	BrokerFenced       // Peer: broker
	BrokerUnfenced     // Peer: broker
	PartitionChanged   // controller wrote a partition. Peer: leader or -1, Epoch: leader epoch, Offset: partition epoch, Note: "isr=1,2 elr= recovering"
	UncleanElection    // Peer: the new leader, Epoch

	CoordinatorLoaded   // a coordinator's partition was loaded. Offset: up to where, Epoch: leader epoch
	CoordinatorUnloaded // its leader epoch ended

	DiskFull    // something found no space, and waits for it. Note: what
	DiskHasRoom // nothing waits for space any more

	RaftVoters // the voters are those of the log's end now. Note: "1,2,3", Offset: of their record, -1 if they are not in the log

	LogDirOffline // a log directory failed, and the broker goes on with the others. Note: which, and why

	numKinds
)

var kindNames = [numKinds]string{
	NodeStarting: "node-starting", NodeReady: "node-ready", NodeStopping: "node-stopping", NodeStopped: "node-stopped",
	LogDirFailed: "log-dir-failed", BadRequest: "bad-request", ConnectionLost: "connection-lost",
	Appended: "appended", Written: "written", Truncated: "truncated", Recovered: "recovered",
	LogStartMoved: "log-start-moved", SegmentRolled: "segment-rolled",
	CleaningBegan: "cleaning-began", BatchRetained: "batch-retained", SegmentsReplaced: "segments-replaced",
	HighWatermark: "high-watermark", BecameLeader: "became-leader", BecameFollower: "became-follower", Diverged: "diverged",
	IsrProposed: "isr-proposed", IsrCommitted: "isr-committed", IsrRejected: "isr-rejected", ReplicaRemoved: "replica-removed",
	RaftBecame: "raft-became", RaftVoted: "raft-voted", RaftHighWatermark: "raft-high-watermark", RaftTruncated: "raft-truncated",
	SnapshotWritten: "snapshot-written", SnapshotLoaded: "snapshot-loaded",
	MetadataApplied: "metadata-applied", ControllerActive: "controller-active", ControllerResigned: "controller-resigned",
	BrokerRegistered: "broker-registered", BrokerFenced: "broker-fenced", BrokerUnfenced: "broker-unfenced",
	PartitionChanged: "partition-changed", UncleanElection: "unclean-election",
	CoordinatorLoaded: "coordinator-loaded", CoordinatorUnloaded: "coordinator-unloaded",
	DiskFull: "disk-full", DiskHasRoom: "disk-has-room",
	RaftVoters: "raft-voters", LogDirOffline: "log-dir-offline",
}

func (k Kind) String() string { return kindNames[k] }

// NumKinds is one more than the highest kind.
const NumKinds = int(numKinds)

// ParseKind finds a kind by its name.
func ParseKind(name string) (Kind, bool) {
	i := slices.Index(kindNames[1:], name)
	return Kind(i + 1), i >= 0
}

// Event is one thing that happened on one node. The world that receives it adds when, where and why.
type Event struct {
	Kind      Kind
	Partition Partition // zero if none
	TopicID   [16]byte  // of Partition, if it is known: a topic may be deleted and created again. Not in the text form
	Peer      int32     // a node id; -1 if none (0 is a valid node id)
	Epoch     int32     // -1 if none
	Offset    int64     // -1 if none
	Len       int64
	Note      string // Build it without cost on hot paths: a constant, or empty
	// Batch is the bytes of an appended batch, for checkers. Valid during Emit only; not in the text form.
	Batch []byte
}

// String is the event's one stable text form: golden traces and digests depend on it.
func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Partition.Topic != "" {
		b.WriteString(" " + e.Partition.String())
	}
	if e.Peer >= 0 {
		fmt.Fprintf(&b, " peer=%d", e.Peer)
	}
	if e.Epoch >= 0 {
		fmt.Fprintf(&b, " epoch=%d", e.Epoch)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " offset=%d", e.Offset)
	}
	if e.Len != 0 {
		fmt.Fprintf(&b, " len=%d", e.Len)
	}
	if e.Note != "" {
		fmt.Fprintf(&b, " %q", e.Note)
	}
	return b.String()
}

// Sink receives events, on the loop, in the order they happen. It must not call back into the core. The event is the caller's: it
// is used again for the next one.
type Sink interface {
	Emit(e *Event)
}

// Discard is a Sink that ignores everything.
var Discard Sink = discard{}

type discard struct{}

func (discard) Emit(*Event) {}
