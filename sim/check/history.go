package check

import (
	"fmt"
	"slices"
	"sort"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// Producer is how a producer produces.
type Producer struct {
	Acks       int16 // -1: all
	Idempotent bool
}

// Counts are the sizes of a history.
type Counts struct {
	Sent, Acked, GaveUp, Read, Lost, Reread int64 // records; Lost were acknowledged
	SendSkips                               int64 // within a transaction: see workload.go
	WriteCycles                             int64 // 1 if there is one: see cycles.go
}

// History is what the clients of a run saw, as columns: a few bytes for each record and each offset, no map, no pointer, so that
// a million operations are taken and judged in a second. Partitions, producers and consumers are ordinals. workload.go says
// what is judged from it alone, final.go what is judged against the logs that are left in the end.
type History struct {
	state       *State // nil: nobody knows of causes, nor of losses that the configuration allows
	partitions  []*historyPart
	producers   []Producer
	writing     []int32  // by producer: the transaction that its next records are in; none
	lanes       []lane   // by producer, then partition
	pollers     []poller // by consumer, then partition
	reading     []int32  // by consumer: the transaction that it reads in; none
	uncommitted []bool   // by consumer: it reads what is not committed too
	txns        []txn
	inits       []initialized // in order
	copies      copies
	skips       []skip
	unseen      unseen
	losses      []Loss
	counts      Counts
	lostBy      []int64 // of Counts.Lost, by producer
	violations  []Violation
}

// historyPart is one partition as clients see it.
type historyPart struct {
	id    event.Partition
	read  []value // by offset: what was read there last
	start int64   // where the log begins at least, as a consumer was told
}

// end is one more than the highest offset that was read.
func (p *historyPart) end() int64 { return int64(len(p.read)) }

// value names a record.
type value struct {
	lane    int32 // none: not known
	crc     uint32
	counter int64
}

// hash is a few bytes for a value, never 0.
func (v value) hash() uint32 {
	return uint32((uint64(v.counter)*31+uint64(uint32(v.lane))+1)*0x9e3779b97f4a7c15>>32) | 1
}

// lane is what one producer sent to one partition: batches with consecutive counters.
type lane struct {
	batches []sent
	seen    []int64 // by counter: the offset where the record was read last; none or awaited
}

// awaited, for an offset, is that of a record which was acknowledged and never read.
const awaited = -2

// fate is what a client knows of a batch.
type fate int8

const (
	pending fate = iota
	acked
	gaveUp
)

// sent is a batch of records from its first send on.
type sent struct {
	first  int64             // counter
	offset int64             // of an acknowledged one; none: not told
	t      scheduler.Instant // when it was made; of an acknowledged one, when that was
	count  int32
	batch  int32 // in State's partition, of an acknowledged one; none
	txn    int32 // none
	fate   fate
	seen   bool // in a transaction, by somebody who reads only what is committed
}

// next is the offset after an acknowledged batch.
func (b *sent) next() int64 { return b.offset + int64(b.count) }

// poller is a consumer in a partition.
type poller struct {
	position int64    // the next offset; none: not known
	start    int64    // where the log began when it asked last
	passed   int64    // the position behind what it was answered last, records or not
	within   bool     // what it reads next is of the same answer as what it read last
	read     []uint32 // by offset: a hash of what it read there last; 0: nothing
}

// skip is offsets that a consumer passed over.
type skip struct {
	consumer, partition int
	from, to            int64 // to was read
	t                   scheduler.Instant
	within              bool // one answer
}

// NewHistory starts the history of a run's clients. state may be nil; else it is asked for causes, and told what was acknowledged.
func NewHistory(state *State, partitions []event.Partition, producers []Producer, consumers int) *History {
	h := &History{
		state: state, producers: producers,
		writing: slices.Repeat([]int32{none}, len(producers)), reading: slices.Repeat([]int32{none}, consumers),
		uncommitted: make([]bool, consumers),
		lanes:       make([]lane, len(producers)*len(partitions)),
		pollers:     slices.Repeat([]poller{{position: none}}, consumers*len(partitions)),
		lostBy:      make([]int64, len(producers)),
	}
	for _, id := range partitions {
		h.partitions = append(h.partitions, &historyPart{id: id})
	}
	if state != nil {
		state.describe, state.txnOf, state.onMarker = h.describe, h.txnOf, h.onMarker
	}
	return h
}

func (h *History) laneOf(producer, partition int) int { return producer*len(h.partitions) + partition }

// Sent says that a producer made the records with counters [first, first+n), which follow those before, as one batch.
func (h *History) Sent(producer, partition int, first int64, n int, t scheduler.Instant) {
	l := &h.lanes[h.laneOf(producer, partition)]
	if first != int64(len(l.seen)) {
		panic(fmt.Sprintf("check: producer %d made record %d of partition %d after %d", producer, first, partition, len(l.seen)-1))
	}
	for range n {
		l.seen = append(l.seen, none)
	}
	l.batches = append(l.batches, sent{first: first, offset: none, t: t, count: int32(n), batch: none, txn: h.writing[producer]})
	h.counts.Sent += int64(n)
}

// find is the batch that holds a counter: most often one of the last.
func (l *lane) find(counter int64) *sent {
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].first > counter })
	return &l.batches[i-1]
}

// Acked says that a batch was acknowledged; offset is none (-1) if the answer did not tell it.
func (h *History) Acked(producer, partition int, first int64, n int, offset int64, t scheduler.Instant) {
	l := &h.lanes[h.laneOf(producer, partition)]
	b := l.find(first)
	b.fate, b.offset, b.t = acked, offset, t
	h.counts.Acked += int64(n)
	if h.producers[producer].Acks != -1 {
		return
	}
	if b.txn < 0 {
		h.await(l.seen[first:first+int64(n)], t)
	}
	if h.state != nil && offset >= 0 {
		b.batch = h.state.acknowledged(h.partitions[partition].id, offset, int64(n), producer, t)
	}
}

// GaveUp says that nobody will ever know whether a batch was written.
func (h *History) GaveUp(producer, partition int, first int64, n int, t scheduler.Instant) {
	h.lanes[h.laneOf(producer, partition)].find(first).fate = gaveUp
	h.counts.GaveUp += int64(n)
}

// Reset says that a consumer was told where the log starts, and begins there.
func (h *History) Reset(consumer, partition int, offset int64, t scheduler.Instant) {
	p := h.partitions[partition]
	p.start = max(p.start, offset)
	h.pollers[consumer*len(h.partitions)+partition].start = offset
	h.Moved(consumer, partition, offset, t)
}

// Moved says that a consumer put its position to offset because the broker told it that what it had read is gone.
func (h *History) Moved(consumer, partition int, offset int64, _ scheduler.Instant) {
	r := &h.pollers[consumer*len(h.partitions)+partition]
	r.position, r.within = offset, false
}

// Polled says that what a consumer reads next in a partition is of another answer than what it read last.
func (h *History) Polled(consumer, partition int) {
	h.pollers[consumer*len(h.partitions)+partition].within = false
}

// Passed says that a consumer has come to an offset, past whatever is no record for it.
func (h *History) Passed(consumer, partition int, offset int64) {
	h.pollers[consumer*len(h.partitions)+partition].passed = offset
}

// Read says that a consumer read, at an offset, the record of a producer with a counter. crc is of its value, or 0.
func (h *History) Read(consumer, partition int, offset int64, producer int, counter int64, crc uint32, t scheduler.Instant) {
	h.counts.Read++
	r := &h.pollers[consumer*len(h.partitions)+partition]
	switch {
	case r.position >= 0 && offset < r.position:
		h.violateAs(anomaly("nonmonotonic-poll", r.within), "P3", t, readAt(consumer, t), "consumer %d read %s after it had read up to %d",
			consumer, h.record(partition, offset), r.position-1)
	case r.position >= 0 && offset > r.position:
		h.skips = append(h.skips, skip{consumer, partition, r.position, offset, t, r.within})
	}
	h.checkCommitted(consumer, partition, offset, t)
	r.position, r.within = offset+1, true
	h.see(consumer, partition, offset, producer, counter, crc, t)
}

// checkCommitted: what is served to a consumer is below a high watermark that a leader had by then.
func (h *History) checkCommitted(consumer, partition int, offset int64, t scheduler.Instant) {
	if h.state == nil {
		return
	}
	if end, known := h.state.committedEnd(h.partitions[partition].id); known && offset >= end {
		h.violateAs("", "P3", t, readAt(consumer, t), "consumer %d read %s, though only what is below %d is committed", consumer, h.record(partition, offset), end)
	}
}

// Corrupted says that a consumer got bytes whose CRC is wrong or that are no record of ours.
func (h *History) Corrupted(consumer, partition int, offset int64, t scheduler.Instant) {
	h.violateAs("", "P8", t, readAt(consumer, t), "consumer %d was served corrupt bytes at %s", consumer, h.record(partition, offset))
}

// Counts are the sizes of the history; Lost is known after Judge.
func (h *History) Counts() Counts { return h.counts }

// LostBy is how many records that a producer had acknowledged are lost; known after Judge.
func (h *History) LostBy(producer int) int64 { return h.lostBy[producer] }

// Losses are the acknowledged records that were lost as the configuration allows, by reason; known after Judge.
func (h *History) Losses() []Loss { return slices.Clone(h.losses) }

// mostViolations is how many of one history are told.
const mostViolations = 32

// violateAs notes an anomaly, by Jepsen's name if it has one.
func (h *History) violateAs(name, promise string, t scheduler.Instant, cause, format string, args ...any) {
	if name != "" {
		format, args = format+" (%s)", append(args, name)
	}
	h.violate(promise, "H1", name, t, cause, format, args)
}

func (h *History) violate(promise, checker, anomaly string, t scheduler.Instant, cause, format string, args []any) {
	if len(h.violations) == mostViolations {
		return
	}
	v := Violation{Promise: promise, Checker: checker, Anomaly: anomaly, T: t, FirstCause: cause, Text: promise + " broken: " + fmt.Sprintf(format, args...)}
	if h.state != nil {
		v.Seq = h.state.seq
	}
	h.violations = append(h.violations, v)
}

// readAt is the first cause of what only an answer to a fetch shows.
func readAt(consumer int, t scheduler.Instant) string {
	return fmt.Sprintf("consumer %d was answered so at %s", consumer, seconds(t))
}

func (h *History) record(partition int, offset int64) string {
	return recordName(h.partitions[partition].id, offset)
}

func (h *History) valueName(v value) string {
	return fmt.Sprintf("record %d of producer %d", v.counter, int(v.lane)/len(h.partitions))
}

// describe says which client was told what of a record; "" if none was.
func (h *History) describe(id event.Partition, offset int64) string {
	partition := slices.IndexFunc(h.partitions, func(p *historyPart) bool { return p.id == id })
	if partition < 0 {
		return ""
	}
	for producer := range h.producers {
		for i := range h.lanes[h.laneOf(producer, partition)].batches {
			b := &h.lanes[h.laneOf(producer, partition)].batches[i]
			if b.fate == acked && b.offset >= 0 && b.offset <= offset && offset < b.next() {
				return h.ackText(producer, b)
			}
		}
	}
	return ""
}

func (h *History) ackText(producer int, b *sent) string {
	return fmt.Sprintf("acknowledged to producer %d at %s with acks=%s", producer, seconds(b.t), acksName(h.producers[producer].Acks))
}

func acksName(acks int16) string {
	if acks == -1 {
		return "all"
	}
	return fmt.Sprint(acks)
}
