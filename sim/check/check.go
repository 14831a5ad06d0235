// Package check judges a simulated run: one property per file.
//
// State sees every event of every node at once and looks into nodes and disks through an Inspector;
// it keeps a model of each replica's log and knows, at any moment, which records are committed. It
// looks only at what events marked dirty. History sees what clients saw. Neither has an effect on
// the run.
package check

import (
	"fmt"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/scheduler"
)

// Observation is an event, with when, where and why.
type Observation struct {
	Seq, Cause uint64
	T          scheduler.Instant
	Node       int32
	Event      *event.Event // valid during Observe only
}

// Violation is a broken promise (P1 to P9 of DESIGN §4).
type Violation struct {
	Promise    string            `json:"promise"`              // "P1"
	Checker    string            `json:"checker"`              // "I1": the property of BUGBANK.md that noticed
	Anomaly    string            `json:"anomaly,omitempty"`    // "lost-write": of H1, Jepsen's name for it; may be empty
	Text       string            `json:"text"`                 // "P1 broken: ": the promise, the record and its fate
	Seq        uint64            `json:"seq"`                  // the event at which it was noticed
	T          scheduler.Instant `json:"t"`                    // ns
	FirstCause string            `json:"firstCause,omitempty"` // empty if it is the event itself
}

// Error is the verdict's sentence.
func (v *Violation) Error() string {
	if v.FirstCause == "" {
		return v.Text
	}
	return v.Text + "; first cause: " + v.FirstCause
}

// Loss counts records that were lost as the configuration allows.
type Loss struct {
	Reason  string `json:"reason"`
	Records int64  `json:"records"`
}

// Inspector is how checkers look into the cluster. What it returns is read at once and not kept.
type Inspector interface {
	// Nodes are the ids of all nodes, up or down.
	Nodes() []int32
	// Image is the committed metadata of a node; nil while it is down or has none yet.
	Image(node int32) *metadata.Image
	// ControllerImage is the metadata as the node's controller wrote it; nil unless it is active.
	ControllerImage(node int32) *metadata.Image
	// Replica is a node's log; nil while the node is down or the log is not open.
	Replica(node int32, p event.Partition) Replica
	// Voters are those that a node counts, by id; nil while it is down.
	Voters(node int32) []int32
	// Files are the names of all files in a directory of a node's disk, sorted, with the directory's, which ends in a slash. Of several disks with
	// a log of that name the topic's is meant, here as below.
	Files(node int32, topicID [16]byte, dir string) []string
	// File is a file's bytes as reads see them; nil if there is none.
	File(node int32, topicID [16]byte, name string) []byte
	// UnixMilli is what a node's wall clock says.
	UnixMilli(node int32) int64
	// Durable is a file's bytes that are there whatever a power loss takes; nil if there are none.
	Durable(node int32, topicID [16]byte, name string) []byte
}

// Replica is what checkers ask of an open log: *storage.Log.
type Replica interface {
	TopicID() [16]byte // zero if it is not known
	LogStartOffset() int64
	HighWatermark() int64
	LogEndOffset() int64
	Epochs() []storage.EpochEntry
	Producers() []storage.ProducerState
	LastStableOffset() int64
	IsRebuilding() bool
	IsTruncating() bool
	IsMoving() bool
}

// Promises is the configuration a run is judged by.
type Promises struct {
	Default Topic            // of topics that are not named
	Topics  map[string]Topic // by name
	Voters  []int32          // of the quorum
	// Unbounded: machines may lose their power while no eligible leader replicas are kept.
	Unbounded bool
	// ProducerExpiry is producer.id.expiration.ms; 0: Kafka's default. A wall clock may have been ahead by ClockAhead.
	ProducerExpiry, ClockAhead time.Duration
	Unclean                    []event.Partition // for which an operator may ask for an unclean election (KIP-460)
}

// Topic is what a topic's configuration promises.
type Topic struct {
	RF, MinISR        int
	Unclean           bool  // unclean.leader.election.enable
	FlushEveryAppend  bool  // flush.messages=1
	RetentionMs       int64 // 0: Kafka's default; negative: for ever
	RetentionBytes    int64 // 0 and negative: any number
	Compact           bool  // cleanup.policy has compact
	DeleteRetentionMs int64 // how long tombstones stay
}

// minISR is min.insync.replicas, at most the replication factor.
func (t Topic) minISR() int {
	if t.RF > 0 && t.MinISR > t.RF {
		return t.RF
	}
	return max(t.MinISR, 1)
}

// promise is the row of the table that a lost record of the topic breaks.
func (t Topic) promise() string {
	if t.FlushEveryAppend {
		return "P2"
	}
	return "P1"
}

// seconds is an instant for people, to the millisecond.
func seconds(t scheduler.Instant) string {
	ms := int64(t) / 1e6
	return fmt.Sprintf("%d.%03d s", ms/1000, ms%1000)
}

// recordName names a record: orders-2@1841; orders-2@? if nobody was told its offset.
func recordName(p event.Partition, offset int64) string {
	if offset < 0 {
		return p.String() + "@?"
	}
	return fmt.Sprintf("%s@%d", p, offset)
}
