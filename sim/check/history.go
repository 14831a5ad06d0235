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
}

// History is what the clients of a run saw: Jepsen's Kafka workload without transactions, judged in linear time. Partitions,
// producers and consumers are ordinals.
type History struct {
	state      *State // nil: judged by the reads alone
	partitions []*historyPart
	producers  []Producer
	lanes      []lane  // by producer, then partition
	positions  []int64 // of consumers: by consumer, then partition; none: not known
	skips      []skip
	losses     []Loss
	counts     Counts
	lostBy     []int64 // of Counts.Lost, by producer
	violations []Violation
}

// historyPart is one partition as clients see it.
type historyPart struct {
	id   event.Partition
	read []value // by offset: what was read there first
}

// value names a record.
type value struct {
	lane    int32 // none: not known
	crc     uint32
	counter int64
}

// lane is what one producer sent to one partition: batches with consecutive counters.
type lane struct {
	batches []sent
	next    int64 // counter
}

// fate is what a client knows of a batch.
type fate int8

const (
	pending fate = iota
	acked
	gaveUp
)

// sent is a batch of records from its first send on.
type sent struct {
	first  int64 // counter
	offset int64 // of an acknowledged one; none: not told
	t      scheduler.Instant
	count  int32
	batch  int32 // in State's partition, of an acknowledged one; none
	fate   fate
}

// skip is offsets that a consumer passed over.
type skip struct {
	consumer, partition int
	from, to            int64 // to was read
	t                   scheduler.Instant
}

// NewHistory starts the history of a run's clients. state may be nil; else it is asked for causes, and told what was acknowledged.
func NewHistory(state *State, partitions []event.Partition, producers []Producer, consumers int) *History {
	h := &History{
		state: state, producers: producers,
		lanes:     make([]lane, len(producers)*len(partitions)),
		positions: slices.Repeat([]int64{none}, consumers*len(partitions)),
		lostBy:    make([]int64, len(producers)),
	}
	for _, id := range partitions {
		h.partitions = append(h.partitions, &historyPart{id: id})
	}
	if state != nil {
		state.describe = h.describe
	}
	return h
}

func (h *History) laneOf(producer, partition int) int { return producer*len(h.partitions) + partition }

// Sent says that a producer made the records with counters [first, first+n), which follow those before, as one batch.
func (h *History) Sent(producer, partition int, first int64, n int, t scheduler.Instant) {
	l := &h.lanes[h.laneOf(producer, partition)]
	if first != l.next {
		panic(fmt.Sprintf("check: producer %d made record %d of partition %d after %d", producer, first, partition, l.next-1))
	}
	l.next += int64(n)
	l.batches = append(l.batches, sent{first: first, offset: none, t: t, count: int32(n), batch: none})
	h.counts.Sent += int64(n)
}

// find is the batch that begins with a counter: most often one of the last.
func (l *lane) find(first int64) *sent {
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].first >= first })
	return &l.batches[i]
}

// Acked says that a batch was acknowledged; offset is none (-1) if the answer did not tell it.
func (h *History) Acked(producer, partition int, first int64, n int, offset int64, t scheduler.Instant) {
	b := h.lanes[h.laneOf(producer, partition)].find(first)
	b.fate, b.offset, b.t = acked, offset, t
	h.counts.Acked += int64(n)
	if h.state != nil && offset >= 0 && h.producers[producer].Acks == -1 {
		b.batch = h.state.acknowledged(h.partitions[partition].id, offset, int64(n), producer, t)
	}
}

// GaveUp says that nobody will ever know whether a batch was written.
func (h *History) GaveUp(producer, partition int, first int64, n int, t scheduler.Instant) {
	h.lanes[h.laneOf(producer, partition)].find(first).fate = gaveUp
	h.counts.GaveUp += int64(n)
}

// Moved says that a consumer put its position to offset: at the start, or because the broker told it that what it had read is gone.
func (h *History) Moved(consumer, partition int, offset int64, _ scheduler.Instant) {
	h.positions[consumer*len(h.partitions)+partition] = offset
}

// Read says that a consumer read, at an offset, the record of a producer with a counter. crc is of its value, or 0.
func (h *History) Read(consumer, partition int, offset int64, producer int, counter int64, crc uint32, t scheduler.Instant) {
	h.counts.Read++
	at := &h.positions[consumer*len(h.partitions)+partition]
	switch {
	case *at >= 0 && offset < *at:
		h.violate("P3", "H1", t, "", "consumer %d read %s after it had read up to %d", consumer, h.record(partition, offset), *at-1)
	case *at >= 0 && offset > *at:
		h.skips = append(h.skips, skip{consumer, partition, *at, offset, t})
	}
	*at = offset + 1
	h.see(consumer, partition, offset, producer, counter, crc, t)
}

// see compares a record read with what was sent, and with what was read at the same offset before.
func (h *History) see(consumer, partition int, offset int64, producer int, counter int64, crc uint32, t scheduler.Instant) {
	if producer < 0 || producer >= len(h.producers) || counter < 0 || counter >= h.lanes[h.laneOf(producer, partition)].next {
		h.violate("P3", "H1", t, "", "consumer %d read %s as record %d of producer %d, which was never sent", consumer, h.record(partition, offset), counter, producer)
		return
	}
	p := h.partitions[partition]
	for int64(len(p.read)) <= offset {
		p.read = append(p.read, value{lane: none})
	}
	v, first := value{int32(h.laneOf(producer, partition)), crc, counter}, &p.read[offset]
	if first.lane >= 0 && *first != v {
		h.reread(consumer, partition, offset, *first, v, t)
	}
	*first = v
}

// reread is an offset that had another record before.
func (h *History) reread(consumer, partition int, offset int64, before, now value, t scheduler.Instant) {
	h.counts.Reread++
	if reason, _ := h.whyGone(partition, offset, none); reason != "" {
		return
	}
	h.violate("P3", "H1", t, "", "consumer %d read %s as %s, and before that it was %s",
		consumer, h.record(partition, offset), h.valueName(now), h.valueName(before))
}

// Corrupted says that a consumer got bytes whose CRC is wrong or that are no record of ours.
func (h *History) Corrupted(consumer, partition int, offset int64, t scheduler.Instant) {
	h.violate("P8", "H1", t, "", "consumer %d was served corrupt bytes at %s", consumer, h.record(partition, offset))
}

// Counts are the sizes of the history; Lost is known after Judge.
func (h *History) Counts() Counts { return h.counts }

// LostBy is how many records that a producer had acknowledged are lost; known after Judge.
func (h *History) LostBy(producer int) int64 { return h.lostBy[producer] }

// Losses are the acknowledged records that were lost as the configuration allows, by reason; known after Judge.
func (h *History) Losses() []Loss { return slices.Clone(h.losses) }

func (h *History) violate(promise, checker string, t scheduler.Instant, cause, format string, args ...any) {
	v := Violation{Promise: promise, Checker: checker, T: t, FirstCause: cause, Text: promise + " broken: " + fmt.Sprintf(format, args...)}
	if h.state != nil {
		v.Seq = h.state.seq
	}
	h.violations = append(h.violations, v)
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
		for _, b := range h.lanes[h.laneOf(producer, partition)].batches {
			if b.fate == acked && b.offset >= 0 && b.offset <= offset && offset < b.offset+int64(b.count) {
				return h.ackText(producer, &b)
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
