package check

import (
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// Judge compares what clients were told with the final leaders' logs, which it reads from their disks: acknowledged records
// that are not there (P1), idempotent producers' duplicates and reorder (P5), records that were read and are not there
// or that a consumer passed over (P3). A partition without a leader is not judged: Liveness tells of it.
func (h *History) Judge(now scheduler.Instant) []Violation {
	for i := range h.partitions {
		h.judgePartition(i, now)
	}
	found := h.violations
	h.violations = nil
	return found
}

// finalLog is the records of a partition's last leader.
type finalLog struct {
	known  bool
	leader int32
	start  int64     // the log's start
	values []value   // by offset - start
	places [][]int64 // by producer: by counter, the offset of its last copy; none
	newest []int64   // by producer: the highest counter so far
}

func (f *finalLog) at(offset int64) value {
	if i := offset - f.start; i >= 0 && i < int64(len(f.values)) {
		return f.values[i]
	}
	return value{lane: none}
}

func (h *History) judgePartition(partition int, now scheduler.Instant) {
	f := h.readFinal(partition, now)
	if !f.known {
		return
	}
	for producer := range h.producers {
		for i := range h.lanes[h.laneOf(producer, partition)].batches {
			h.judgeSent(&f, producer, partition, &h.lanes[h.laneOf(producer, partition)].batches[i], now)
		}
	}
	h.judgeReads(&f, partition, now)
	h.judgeSkips(&f, partition)
}

// readFinal reads the log of the partition's leader; known is false if there is none.
func (h *History) readFinal(partition int, now scheduler.Instant) (f finalLog) {
	s := h.state
	if s == nil {
		return h.readsAsFinal(partition, now)
	}
	img := s.newestImage()
	if img == nil {
		return f
	}
	reg := img.Partition(h.partitions[partition].id)
	if reg == nil || reg.Leader < 0 {
		return f
	}
	log := s.in.Replica(reg.Leader, h.partitions[partition].id)
	r := s.find(reg.Leader, s.intern(h.partitions[partition].id))
	if log == nil || r == nil {
		return f
	}
	f = h.newFinal(partition, reg.Leader, log.LogStartOffset())
	var scratch record.Scratch
	s.walkLog(r, s.in.File, func(b record.Batch) {
		if !b.IsControl() && b.NextOffset() > f.start {
			h.takeBatch(&f, partition, b, &scratch, now)
		}
	})
	return f
}

func (h *History) newFinal(partition int, leader int32, start int64) finalLog {
	f := finalLog{known: true, leader: leader, start: start, places: make([][]int64, len(h.producers)), newest: make([]int64, len(h.producers))}
	for producer := range h.producers {
		places := make([]int64, h.lanes[h.laneOf(producer, partition)].next)
		for i := range places {
			places[i] = none
		}
		f.places[producer] = places
	}
	return f
}

// readsAsFinal takes what consumers read for the log, when there is no State to ask.
func (h *History) readsAsFinal(partition int, now scheduler.Instant) finalLog {
	f := h.newFinal(partition, none, 0)
	for offset, v := range h.partitions[partition].read {
		if v.lane >= 0 {
			h.take(&f, partition, int64(offset), int(v.lane)/len(h.partitions), v.counter, now)
		}
	}
	return f
}

func (h *History) takeBatch(f *finalLog, partition int, b record.Batch, scratch *record.Scratch, now scheduler.Instant) {
	err := b.Each(scratch, func(r record.Record) error {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		producer, at, counter, ok := ParseValue(r.Value)
		if !ok || at != partition || producer >= len(h.producers) || counter >= int64(len(f.places[producer])) {
			h.violate("P3", "H1", now, "", "leader %d's log has a record at %s that was never sent", f.leader, h.record(partition, offset))
			return nil
		}
		if offset >= f.start {
			h.take(f, partition, offset, producer, counter, now)
		}
		return nil
	})
	if err != nil {
		h.violate("P8", "H1", now, "", "leader %d's log has records at %s that cannot be read: %v", f.leader, h.record(partition, b.BaseOffset()), err)
	}
}

// take puts a record of the final log in its place. An idempotent producer's come once, in the order it made them.
func (h *History) take(f *finalLog, partition int, offset int64, producer int, counter int64, now scheduler.Instant) {
	for int64(len(f.values)) <= offset-f.start {
		f.values = append(f.values, value{lane: none})
	}
	f.values[offset-f.start] = value{lane: int32(h.laneOf(producer, partition)), counter: counter}
	places := f.places[producer]
	before := places[counter]
	places[counter] = offset
	if !h.producers[producer].Idempotent {
		return
	}
	switch {
	case before >= 0:
		h.violate("P5", "H1", now, "", "record %s is a duplicate of %s (record %d of idempotent producer %d)",
			h.record(partition, offset), h.record(partition, before), counter, producer)
	case counter < f.newest[producer]:
		h.violate("P5", "H1", now, "", "record %s (record %d of idempotent producer %d) comes after its record %d at %s",
			h.record(partition, offset), counter, producer, f.newest[producer], h.record(partition, places[f.newest[producer]]))
	}
	f.newest[producer] = max(f.newest[producer], counter)
}

// judgeSent looks for an acknowledged batch.
func (h *History) judgeSent(f *finalLog, producer, partition int, b *sent, now scheduler.Instant) {
	if b.fate != acked {
		return
	}
	lost, first := int64(0), int64(none)
	for i := range int64(b.count) {
		at := f.places[producer][b.first+i]
		there := at >= 0
		if b.offset >= 0 {
			there = b.offset+i < f.start || f.at(b.offset+i) == value{lane: int32(h.laneOf(producer, partition)), counter: b.first + i}
		}
		if !there {
			lost++
			if first < 0 {
				first = i
			}
		}
	}
	if lost > 0 {
		h.judgeLost(f, producer, partition, b, first, lost, now)
	}
}

// judgeLost decides what it means that records of an acknowledged batch are gone, the first of them the first-th.
func (h *History) judgeLost(f *finalLog, producer, partition int, b *sent, first, lost int64, now scheduler.Instant) {
	if acks := h.producers[producer].Acks; acks != -1 {
		h.lose(producer, lost)
		h.losses = count(h.losses, "acks="+acksName(acks), lost)
		return
	}
	offset := b.offset
	if offset >= 0 {
		offset += first
	} else if f.start > 0 {
		return // it may have gone with the start of the log
	}
	h.lose(producer, lost)
	reason, cause := h.whyGone(partition, offset, b.batch)
	if reason != "" {
		h.losses = count(h.losses, reason, lost)
		return
	}
	h.violate(h.promiseOf(partition), "H1", now, cause, "record %s (%s) is gone from leader %d's log",
		h.record(partition, offset), h.ackText(producer, b), f.leader)
}

func (h *History) lose(producer int, records int64) {
	h.counts.Lost += records
	h.lostBy[producer] += records
}

func (h *History) promiseOf(partition int) string {
	if h.state == nil {
		return "P1"
	}
	return h.state.topic(h.partitions[partition].id).promise()
}

// whyGone is the reason that allows a record to be gone, or the first cause of that it is.
func (h *History) whyGone(partition int, offset int64, id int32) (reason, cause string) {
	if h.state == nil {
		return "", ""
	}
	p := h.state.intern(h.partitions[partition].id)
	if offset >= 0 {
		if reason = p.expectedLoss(offset); reason != "" {
			return reason, ""
		}
	}
	if id >= 0 && int(id) < len(p.batches) {
		cause = h.state.causeOfRemoval(p, id)
	}
	return "", cause
}

// judgeReads: what was read is committed, so it is still there.
func (h *History) judgeReads(f *finalLog, partition int, now scheduler.Instant) {
	if f.leader < 0 {
		return // the log is what was read
	}
	for i, v := range h.partitions[partition].read {
		offset := int64(i)
		if v.lane < 0 || offset < f.start {
			continue
		}
		if at := f.at(offset); at.lane == v.lane && at.counter == v.counter {
			continue
		}
		if reason, cause := h.whyGone(partition, offset, none); reason == "" {
			h.violate("P3", "H1", now, cause, "record %s was read as %s, and is gone from leader %d's log", h.record(partition, offset), h.valueName(v), f.leader)
			return
		}
	}
}

// judgeSkips: what a consumer passed over was no record.
func (h *History) judgeSkips(f *finalLog, partition int) {
	for _, k := range h.skips {
		if k.partition != partition {
			continue
		}
		for offset := max(k.from, f.start); offset < k.to; offset++ {
			if f.at(offset).lane < 0 {
				continue
			}
			if reason, _ := h.whyGone(partition, offset, none); reason != "" {
				continue
			}
			h.violate("P3", "H1", k.t, "", "consumer %d passed over record %s (%s) and read %d", k.consumer, h.record(partition, offset), h.valueName(f.at(offset)), k.to)
			break
		}
	}
}

// Liveness returns what clients still wait for, some time after the heal (P9): sends without an answer, consumers that are not at the end.
func (h *History) Liveness(now scheduler.Instant) []Violation {
	for i := range h.lanes {
		h.checkAnswered(i, now)
	}
	for i := range h.positions {
		h.checkAtEnd(i, now)
	}
	found := h.violations
	h.violations = nil
	return found
}

func (h *History) checkAnswered(i int, now scheduler.Instant) {
	for _, b := range h.lanes[i].batches {
		if b.fate == pending {
			h.violate("P9", "LV", now, "", "record %d of producer %d to %s, made at %s, is not acknowledged",
				b.first, i/len(h.partitions), h.partitions[i%len(h.partitions)].id, seconds(b.t))
			return
		}
	}
}

func (h *History) checkAtEnd(i int, now scheduler.Instant) {
	if h.state == nil {
		return
	}
	id := h.partitions[i%len(h.partitions)].id
	img := h.state.newestImage()
	if img == nil {
		return
	}
	reg := img.Partition(id)
	if reg == nil || reg.Leader < 0 {
		return
	}
	log := h.state.in.Replica(reg.Leader, id)
	if log != nil && max(h.positions[i], 0) < log.LogEndOffset() {
		h.violate("P9", "LV", now, "", "consumer %d is at %d of %s, which ends at %d", i/len(h.partitions), max(h.positions[i], 0), id, log.LogEndOffset())
	}
}
