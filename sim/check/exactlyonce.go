package check

import (
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// P6, exactly once: of each record that a group read to copy it there is one copy among those that were committed, whoever crashed, was fenced or lost its
// place in the group meanwhile.

// copies is what the members of groups copied.
type copies struct {
	groups []copyingGroup
	made   []copied
}

// copyingGroup is a group whose members copy what they read.
type copyingGroup struct {
	name        string
	home        event.Partition // of its offsets
	partitions  []int           // that it reads
	first, next int             // its members, among the producers
	misled      bool            // see Misled
}

// copied is a record that is a copy of another.
type copied struct {
	txn      int32
	to, from value
}

// AddCopiers says that the producers from first up to next are members of a group, whose offsets are at home. They copy what others than such
// have written to some partitions.
func (h *History) AddCopiers(group string, home event.Partition, partitions []int, first, next int) {
	h.copies.groups = append(h.copies.groups, copyingGroup{group, home, partitions, first, next, false})
}

// Misled says that a member of such a group was told how far that had come by a coordinator that has a successor, where it may have come further.
func (h *History) Misled(group string) {
	for i := range h.copies.groups {
		if g := &h.copies.groups[i]; g.name == group {
			g.misled = true
		}
	}
}

// Copied says that a producer, in a transaction, made a record as a copy of another one.
func (h *History) Copied(id int32, producer, partition int, counter int64, ofProducer, ofPartition int, ofCounter int64) {
	h.copies.made = append(h.copies.made, copied{id,
		value{lane: int32(h.laneOf(producer, partition)), counter: counter}, value{lane: int32(h.laneOf(ofProducer, ofPartition)), counter: ofCounter}})
}

// Consumed says that a transaction has read a record.
func (h *History) Consumed(id int32, partition, producer int, counter int64) {
	h.txns[id].reads = append(h.txns[id].reads, value{lane: int32(h.laneOf(producer, partition)), counter: counter})
}

// isCommitted reports whether a transaction is, as its producer was told or the logs say.
func (x *txn) isCommitted() bool {
	return x.fate == Committed || x.fate == Undecided && x.committedIn >= 0
}

// judgeCopies counts the copies of each record.
func (h *History) judgeCopies(now scheduler.Instant) {
	for i := range h.copies.groups {
		g := &h.copies.groups[i]
		if h.mayCopyOtherwise(g) {
			continue
		}
		counts := h.countCopies(g, now)
		for _, partition := range g.partitions {
			h.judgeMissing(g, partition, counts, now)
		}
	}
}

// mayCopyOtherwise reports whether the group may have lost its place: its offsets, or decisions about its transactions, are lost as the configuration
// allows, a coordinator without office has misled a member, or a late request has changed a transaction of one of its members.
func (h *History) mayCopyOtherwise(g *copyingGroup) bool {
	if g.misled {
		return true
	}
	if h.state != nil {
		if _, whole := h.state.committedEnd(g.home); !whole || !h.state.decisionsWhole() {
			return true
		}
	}
	return slices.ContainsFunc(h.txns, func(x txn) bool { return x.late && g.has(int(x.producer)) })
}

func (g *copyingGroup) has(producer int) bool { return g.first <= producer && producer < g.next }

// countCopies counts by lane and counter, and tells of records of which there are two.
func (h *History) countCopies(g *copyingGroup, now scheduler.Instant) [][]uint8 {
	counts := make([][]uint8, len(h.lanes))
	for i := range h.lanes {
		counts[i] = make([]uint8, len(h.lanes[i].seen))
	}
	for _, c := range h.copies.made {
		if !g.has(int(c.to.lane)/len(h.partitions)) || !h.txns[c.txn].isCommitted() {
			continue
		}
		n := &counts[c.from.lane][c.from.counter]
		if *n++; *n == 2 && h.isWholeAt(c.from) && h.isWholeAt(c.to) && h.producers[int(c.from.lane)/len(h.partitions)].Idempotent {
			h.violate("P6", "P6", "", now, fmt.Sprintf("producer %d committed the second before %s", h.txns[c.txn].producer, seconds(h.txns[c.txn].decided)),
				"%s was copied twice by group %s", []any{h.valueIn(c.from), g.name})
			return counts
		}
	}
	return counts
}

// isWholeAt reports whether all is there that was ever committed where a record was sent.
func (h *History) isWholeAt(v value) bool {
	if h.state == nil {
		return true
	}
	_, whole := h.state.committedEnd(h.partitions[int(v.lane)%len(h.partitions)].id)
	return whole
}

// judgeMissing looks for records that were read by consumers, and not copied.
func (h *History) judgeMissing(g *copyingGroup, partition int, counts [][]uint8, now scheduler.Instant) {
	p := h.partitions[partition]
	for offset := max(p.start, h.startOf(partition)); offset < p.end(); offset++ {
		v := p.read[offset]
		if v.lane < 0 || counts[v.lane][v.counter] > 0 || h.isCopier(int(v.lane)/len(h.partitions)) || !h.isWholeAt(v) || h.isSuperseded(partition, offset) {
			continue
		}
		if b := h.lanes[v.lane].find(v.counter); b.txn >= 0 && (h.outcomeOf(partition, offset, b) != Committed || h.isLate(b.txn, 1)) {
			continue
		}
		if h.mayBeCopied(v) {
			continue
		}
		h.violate("P6", "P6", "", now, fmt.Sprintf("producer %d, and all others of the group, were past it before %s", g.first, seconds(now)),
			"%s was not copied by group %s", []any{h.record(partition, offset), g.name})
		return
	}
}

// mayBeCopied reports whether there is a copy of a record of whose transaction nobody knows the end: its producer was not told, and its marker is in a
// partition that has lost something, as the configuration allows.
func (h *History) mayBeCopied(v value) bool {
	return slices.ContainsFunc(h.copies.made, func(c copied) bool { return c.from == v && h.txns[c.txn].fate == Undecided && !h.isWholeAt(c.to) })
}

// isCopier reports whether a producer is a member of some group.
func (h *History) isCopier(producer int) bool {
	return slices.ContainsFunc(h.copies.groups, func(g copyingGroup) bool { return g.has(producer) })
}

// valueIn names a record and where it was sent.
func (h *History) valueIn(v value) string {
	return fmt.Sprintf("%s to %s", h.valueName(v), h.partitions[int(v.lane)%len(h.partitions)].id)
}
