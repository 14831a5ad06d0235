package check

import (
	"fmt"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// Judge judges the history: by itself (workload.go), and against the final leaders' logs, which are read from their disks. A partition
// without a leader is not compared: Liveness tells of it.
func (h *History) Judge(now scheduler.Instant) []Violation {
	for i := range h.partitions {
		h.judgeWorkload(i, now)
		h.judgeFinal(i, now)
	}
	h.judgeOutcomes()
	h.judgeCopies(now)
	h.judgeCycles(now)
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

// judgeFinal looks in the final log for acknowledged records that are not there (P1), idempotent producers' duplicates and reorder
// (P5), and records that were read and are gone, or that a consumer passed over (P3).
func (h *History) judgeFinal(partition int, now scheduler.Instant) {
	if h.state == nil {
		return
	}
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
	h.judgePassed(partition, f.start, f.start+int64(len(f.values)), f.at, now)
}

// readFinal reads the log of the partition's leader; known is false if there is none.
func (h *History) readFinal(partition int, now scheduler.Instant) (f finalLog) {
	s := h.state
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
	if log == nil || r == nil || s.isBeingReplaced(r) {
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
		places := make([]int64, len(h.lanes[h.laneOf(producer, partition)].seen))
		for i := range places {
			places[i] = none
		}
		f.places[producer] = places
	}
	return f
}

func (h *History) takeBatch(f *finalLog, partition int, b record.Batch, scratch *record.Scratch, now scheduler.Instant) {
	err := b.Each(scratch, func(r record.Record) error {
		offset := b.BaseOffset() + int64(r.OffsetDelta)
		producer, at, counter, ok := ParseValue(ValueOf(r))
		if !ok || at != partition || producer >= len(h.producers) || counter >= int64(len(f.places[producer])) {
			h.violateFinal("P3", "I2", now, f.found(now), "leader %d's log has a record at %s that was never sent", f.leader, h.record(partition, offset))
			return nil
		}
		if offset >= f.start {
			h.take(f, partition, offset, producer, counter, now)
		}
		return nil
	})
	if err != nil {
		h.violateFinal("P8", "I13", now, f.found(now), "leader %d's log has records at %s that cannot be read: %v", f.leader, h.record(partition, b.BaseOffset()), err)
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
	if !h.producers[producer].Idempotent || h.isRepeated(partition, offset, before) {
		return
	}
	switch {
	case before >= 0:
		h.violateFinal("P5", "I8", now, f.found(now), "record %s is a duplicate of %s (record %d of idempotent producer %d)",
			h.record(partition, offset), h.record(partition, before), counter, producer)
	case counter < f.newest[producer]:
		h.violateFinal("P5", "I8", now, f.found(now), "record %s (record %d of idempotent producer %d) comes after its record %d at %s",
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
		there := at >= 0 || b.offset < 0 && h.isCompacted(partition)
		if b.offset >= 0 {
			there = b.offset+i < f.start || h.isSuperseded(partition, b.offset+i) || f.at(b.offset+i) == value{lane: int32(h.laneOf(producer, partition)), counter: b.first + i}
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
	if reason == "" && b.txn >= 0 && h.state != nil && !h.state.decisionsWhole() {
		reason = reasonForgotten
	}
	if reason != "" {
		h.losses = count(h.losses, reason, lost)
		return
	}
	if cause == "" {
		cause = f.found(now)
	}
	h.violateFinal(h.promiseOf(partition), "I1", now, cause, "record %s (%s) is gone from leader %d's log",
		h.record(partition, offset), h.ackText(producer, b), f.leader)
}

// violateFinal notes what a comparison with the final logs shows.
func (h *History) violateFinal(promise, checker string, t scheduler.Instant, cause, format string, args ...any) {
	h.violate(promise, checker, "", t, cause, format, args)
}

// found is the first cause where nothing but the final log is known.
func (f *finalLog) found(now scheduler.Instant) string {
	return fmt.Sprintf("leader %d has it so since before %s", f.leader, seconds(now))
}

func (h *History) lose(producer int, records int64) {
	h.counts.Lost += records
	h.lostBy[producer] += records
}

func (h *History) promiseOf(partition int) string {
	if h.state == nil {
		return "P1"
	}
	return h.state.intern(h.partitions[partition].id).topic.promise()
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
		if p.isSuperseded(offset) {
			return reasonCompacted, ""
		}
	}
	if id >= 0 && int(id) < len(p.batches) {
		cause = h.state.causeOfRemoval(p, id)
	}
	return "", cause
}

// isSuperseded reports whether a record may be gone because a later one has its key.
func (h *History) isSuperseded(partition int, offset int64) bool {
	return h.state != nil && h.state.intern(h.partitions[partition].id).isSuperseded(offset)
}

// isCompacted reports whether a partition's records may be so.
func (h *History) isCompacted(partition int) bool {
	return h.state.intern(h.partitions[partition].id).cleaned.to > 0
}

// judgeReads: what was read is committed, so it is still there.
func (h *History) judgeReads(f *finalLog, partition int, now scheduler.Instant) {
	for i, v := range h.partitions[partition].read {
		offset := int64(i)
		if v.lane < 0 || offset < f.start {
			continue
		}
		if at := f.at(offset); at.lane == v.lane && at.counter == v.counter {
			continue
		}
		if reason, cause := h.whyGone(partition, offset, none); reason == "" {
			if cause == "" {
				cause = f.found(now)
			}
			h.violateFinal("P3", "I1", now, cause, "record %s was read as %s, and is gone from leader %d's log", h.record(partition, offset), h.valueName(v), f.leader)
			return
		}
	}
}

// Liveness returns what clients still wait for, some time after the heal (P9): sends without an answer, consumers that are not at the end.
func (h *History) Liveness(now scheduler.Instant) []Violation {
	for i := range h.lanes {
		h.checkAnswered(i, now)
	}
	for i := range h.pollers {
		h.checkAtEnd(i, now)
	}
	h.checkSeen(now)
	found := h.violations
	h.violations = nil
	return found
}

func (h *History) checkAnswered(i int, now scheduler.Instant) {
	for _, b := range h.lanes[i].batches {
		if b.fate == pending && !h.mayWaitForEver(&b) {
			h.violateFinal("P9", "LV", now, ackedAt(i/len(h.partitions), &b), "record %d of producer %d to %s, made at %s, is not acknowledged",
				b.first, i/len(h.partitions), h.partitions[i%len(h.partitions)].id, seconds(b.t))
			return
		}
	}
}

// mayWaitForEver reports whether a batch is of a transaction whose producer may be told for ever that its last one is not over: a coordinator that has lost
// what it decided has markers of an epoch that partitions take no more, and Kafka's, too, sends them once.
func (h *History) mayWaitForEver(b *sent) bool {
	return b.txn >= 0 && h.state != nil && h.state.MayHang()
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
	if log == nil || !h.uncommitted[i/len(h.partitions)] && log.LastStableOffset() < log.HighWatermark() && h.state.MayHang() {
		return
	}
	if at := max(h.pollers[i].position, h.pollers[i].passed, 0); at < log.LogEndOffset() {
		h.violateFinal("P9", "LV", now, fmt.Sprintf("consumer %d was there before %s", i/len(h.partitions), seconds(now)), "consumer %d is at %d of %s, which ends at %d", i/len(h.partitions), at, id, log.LogEndOffset())
	}
}
