package check

import (
	"fmt"
	"sort"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// role is what a replica is, by its last event.
type role int8

const (
	idle role = iota
	leading
	following
)

// replica is the model of one node's log of a partition.
//
// Invariant: written <= end. slots[:start] lie below the log start.
type replica struct {
	node *node
	part *partition

	slots    []slot
	first    int     // slots[:first] lie below the log start
	logStart int64   //
	end      int64   // the next append goes here
	written  int64   // the log end offset: what replication sees
	hw       int64   // none: not heard since the start
	lastOf   []int32 // by producer: the place of its last batch in slots; none

	role     role
	epoch    int32 // leader epoch
	isr      []int32
	isrKnown bool // isr is what the leader knows to be committed
	isrSince scheduler.Instant
	since    scheduler.Instant // of the role
	proposed []int32           // the ISR that the leader asked for and has no answer to
	diverged divergence

	// The log is known to be the committed one as far as agreed slots, which are the committed batches up to agreedCommit.
	agreed, agreedCommit int
	// hadEnd is how far the log agreed, in leader epoch hadEpoch, before the node's last crash.
	hadEnd   int64
	hadEpoch int32

	required    int64 // what the log must still hold after the crash: everything below
	requiredWhy string
	crashed     bool  // the node went down and the log was not opened since
	powerLoss   bool  // so
	damaged     bool  // so, and its files were damaged meanwhile
	opened      int32 // the node's incarnation that opened the log last
	openedAt    scheduler.Instant

	cleaning cleaningOf
	txns     []openTxn // in order

	dirty uint8
}

// slot is a batch in a log.
type slot struct {
	batch    int32 // in partition.batches
	previous int32 // place of the same producer's batch before it; none
	form     form  // what the files have of it
	gone     bool  // compaction took it; it stays in the model
	empty    bool  // compaction took its records
	horizon  int64 // of its tombstones, in ms; 0: none
	newest   int64 // the latest timestamp, in ms
}

// divergence is a leader's word that a follower's log is not its own.
type divergence struct {
	leader int32
	offset int64
	seq    uint64
}

func newReplica(n *node, p *partition) *replica {
	return &replica{node: n, part: p, hw: none, epoch: none, hadEpoch: none}
}

func (r *replica) resetRole() {
	r.role, r.epoch, r.hw, r.isrKnown = idle, none, none, false
	r.proposed = r.proposed[:0]
	r.diverged = divergence{}
}

// drop is the end of a replica that its node no longer hosts. A crash may bring back what is on the disk.
func (s *State) drop(r *replica) {
	s.remove(r, 0, truncated, "no longer hosted it")
	r.resetRole()
	r.clear(0)
	r.required, r.hadEpoch = 0, none
}

// clear empties the log; it goes on at offset.
func (r *replica) clear(offset int64) {
	r.slots, r.first = r.slots[:0], 0
	r.lastOf = r.lastOf[:0]
	r.txns = r.txns[:0]
	r.logStart, r.end, r.written = offset, offset, offset
	r.agreed, r.agreedCommit = 0, r.part.committed.after(r.part, offset)
}

// at is the batch in a slot.
func (r *replica) at(i int) *batch { return &r.part.batches[r.slots[i].batch] }

// last is the last batch's number, or none.
func (r *replica) last() int32 {
	if len(r.slots) == 0 {
		return none
	}
	return r.slots[len(r.slots)-1].batch
}

// slotAt is the place of the batch that holds offset, or of the first one after it.
func (r *replica) slotAt(offset int64) int {
	return sort.Search(len(r.slots), func(i int) bool { return r.at(i).next > offset })
}

// holds reports whether the log has a batch.
func (r *replica) holds(id int32) bool {
	i := r.slotAt(r.part.batches[id].base)
	return i < len(r.slots) && r.slots[i].batch == id
}

// push puts a batch at the log's end.
func (r *replica) push(id int32) {
	b := &r.part.batches[id]
	previous := int32(none)
	if b.producer >= 0 {
		for int(b.producer) >= len(r.lastOf) {
			r.lastOf = append(r.lastOf, none)
		}
		previous = r.lastOf[b.producer]
		r.lastOf[b.producer] = int32(len(r.slots))
	}
	r.slots = append(r.slots, slot{batch: id, previous: previous, form: form{b.crc, b.size}, newest: b.maxTimestamp})
	r.end = b.next
	if b.transactional {
		r.noteTxn(b)
	}
}

// cut leaves the first n slots; the log ends at offset.
func (r *replica) cut(n int, offset int64) {
	for i := len(r.slots) - 1; i >= n; i-- {
		if p := r.at(i).producer; p >= 0 {
			r.lastOf[p] = r.slots[i].previous
		}
	}
	r.slots = r.slots[:n]
	if r.part.hasTxns {
		r.recountTxns()
	}
	r.first = min(r.first, n)
	r.end, r.written = offset, min(r.written, offset)
	r.realign() // it may have been compared with what comes behind what compaction took
	if r.hw > offset {
		r.hw = offset
	}
}

// onAppended takes a batch that a node's log accepted.
func (s *State) onAppended(r *replica, e *event.Event) {
	b := record.Batch(e.Batch)
	if e.Offset != r.end && (e.Offset < r.end || !r.part.areGone(r.end, e.Offset)) {
		s.violate("P3", "I2", s.did(r.node.id, "appended it"), "broker %d appended %s after its log's end %d", r.node.id, recordName(r.part.id, e.Offset), r.end)
		return
	}
	if n := len(r.slots); n == 0 || r.at(n-1).epoch != e.Epoch {
		s.checkAppendEpoch(r, e)
		s.mark(r, dirtyEpochs)
	}
	id := s.match(r, b, e)
	if id < 0 {
		return
	}
	r.push(id)
	r.slots[len(r.slots)-1].took(b)
	s.checkSequence(r, len(r.slots)-1)
	s.onVotersAppended(r, b)
}

// onTruncated takes a log's new end.
func (s *State) onTruncated(r *replica, e *event.Event) {
	s.mark(r, dirtyEpochs)
	s.checkLeaderTruncates(r, e)
	if e.Offset > r.end { // everything goes: the next event says so
		r.end, r.written = e.Offset, e.Offset
		return
	}
	n := sort.Search(len(r.slots), func(i int) bool { return r.at(i).next > e.Offset })
	s.remove(r, n, truncated, s.truncationStory(r, e))
	r.cut(n, e.Offset)
}

// onLogStartMoved takes a log's new start; with a note everything was truncated, and the log goes on there.
func (s *State) onLogStartMoved(r *replica, e *event.Event) {
	if e.Note != "" {
		s.remove(r, 0, truncated, fmt.Sprintf("dropped its log to start at %d", e.Offset))
		r.clear(e.Offset)
		r.hw = max(r.hw, e.Offset)
		if r.part == s.metadata {
			r.node.voters.sets = nil // a snapshot has them
		}
	}
	s.checkRetention(r, e.Offset)
	r.startAt(e.Offset)
	s.mark(r, dirtyLogStart|dirtyEpochs)
}

// startAt moves the log start, or takes it from an opened log, whose checkpoint may have an older one.
func (r *replica) startAt(offset int64) {
	if offset < r.logStart {
		r.first = 0
	}
	r.logStart = offset
	for r.first < len(r.slots) && r.at(r.first).next <= offset {
		r.first++
	}
}
