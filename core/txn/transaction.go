package txn

import (
	"math"
	"slices"
	"strings"

	"github.com/lockstep/lockstep/core/event"
)

// State is what a transactional id is about. The numbers are those of its records.
type State int8

// The states of KIP-98. Dead and PrepareEpochFence, which Kafka has in memory only, do not occur: an id that is to go goes at once,
// and so does a producer that is to be fenced.
const (
	Empty          State = 0
	Ongoing        State = 1
	PrepareCommit  State = 2 // decided: markers are on their way
	PrepareAbort   State = 3
	CompleteCommit State = 4
	CompleteAbort  State = 5
)

var stateNames = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

func (s State) String() string { return stateNames[s] }

// isPrepared reports whether the end is decided and not yet everywhere.
func (s State) isPrepared() bool { return s == PrepareCommit || s == PrepareAbort }

// Producer is a producer id and its epoch. Only the one that a transactional id has now may write in its name.
type Producer struct {
	ID    int64
	Epoch int16
}

// noProducer is what a client gets with an error.
var noProducer = Producer{-1, -1}

// isLast reports whether an epoch is the last that a client may have: the one above it is for the coordinator, to fence with.
func isLast(epoch int16) bool { return epoch >= math.MaxInt16-1 }

// transaction is what is known of a transactional id. It does not change: a new one takes its place.
type transaction struct {
	id         string
	producer   Producer
	previousID int64 // the producer id before the last change
	nextID     int64 // the producer id from the end of this transaction on; -1: the same
	timeoutMs  int32
	state      State
	partitions []event.Partition // sorted
	updatedMs  int64
	startedMs  int64 // -1: not started
	// version is the transaction.version of the client whose request brought the state.
	version int16

	// lastEpoch is the producer's before the last one, if a retry may still ask for it; -1. No record has it.
	lastEpoch int16
}

// next is a copy to be changed.
func (t *transaction) next(state State, nowMs int64) *transaction {
	n := *t
	n.previousID, n.state, n.updatedMs = t.producer.ID, state, nowMs
	return &n
}

// has reports whether all of the partitions are part of the transaction.
func (t *transaction) has(partitions []event.Partition) bool {
	return !slices.ContainsFunc(partitions, func(p event.Partition) bool { return !t.includes(p) })
}

func (t *transaction) includes(p event.Partition) bool {
	_, found := slices.BinarySearchFunc(t.partitions, p, comparePartitions)
	return found
}

func comparePartitions(a, b event.Partition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

// with is the state in which the partitions are part of the transaction, which begins if it has not.
func (t *transaction) with(partitions []event.Partition, version int16, nowMs int64) *transaction {
	n := t.next(Ongoing, nowMs)
	if t.state != Ongoing {
		n.startedMs, n.partitions = nowMs, nil
	}
	n.partitions = slices.Concat(n.partitions, partitions)
	slices.SortFunc(n.partitions, comparePartitions)
	n.partitions = slices.Compact(n.partitions)
	n.version = version
	return n
}

// ended is the state in which the end is decided.
//
// With version 2 each end raises the epoch, and the markers bear the new one: what the producer sent before can then be told from what
// belongs to its next transaction (KIP-890). When the epochs are used up, nextID follows at the end; -1 else.
func (t *transaction) ended(commit bool, version int16, nextID, nowMs int64) *transaction {
	state := PrepareAbort
	if commit {
		state = PrepareCommit
	}
	n := t.next(state, nowMs)
	n.version, n.nextID = version, -1
	if version >= 2 {
		n.lastEpoch, n.nextID = t.producer.Epoch, nextID
		n.raiseEpoch()
	}
	if t.state != Ongoing {
		n.startedMs, n.partitions = nowMs, nil
	}
	return n
}

// fenced is ended for a transaction that is taken from its producer: whatever the version, that one's epoch is over.
func (t *transaction) fenced(version int16, nextID, nowMs int64) *transaction {
	n := t.ended(false, version, nextID, nowMs)
	if version < 2 {
		n.lastEpoch = -1
		n.raiseEpoch()
	}
	return n
}

// raiseEpoch stays at the last epoch there is, which no client ever had.
func (t *transaction) raiseEpoch() {
	if t.producer.Epoch < math.MaxInt16 {
		t.producer.Epoch++
	}
}

// completed is the state in which every partition has its marker.
func (t *transaction) completed(nowMs int64) *transaction {
	state := CompleteAbort
	if t.state == PrepareCommit {
		state = CompleteCommit
	}
	n := t.next(state, nowMs)
	n.producer, n.nextID, n.partitions = t.successor(), -1, nil
	return n
}

// successor is the producer that the end of a prepared transaction leaves.
func (t *transaction) successor() Producer {
	if t.version >= 2 && t.nextID >= 0 {
		return Producer{t.nextID, 0}
	}
	return t.producer
}
