package check

import (
	"fmt"

	"github.com/lockstep/lockstep/scheduler"
)

// H1, the history of the clients: the error types of Jepsen's Kafka workload (jepsen-io/jepsen, jepsen/tests/kafka.clj, which
// jepsen-io/redpanda and jepsen-io/bufstream use), judged from what clients saw and from nothing else, in linear time. The
// names are Jepsen's; G1a of Elle's anomalies is aborted-read here, and cycles.go looks for cycles.
//
//	inconsistent-offsets  two records at one offset
//	duplicate             one record at two offsets; of a producer that is not idempotent no error
//	lost-write            acknowledged and never read, though a higher offset was
//	unseen                acknowledged and never read, above all that was: see unseen.go
//	poll-skip             a consumer passed over a record that another one read, or read something else in its place that is gone;
//	                      int-poll-skip within one answer
//	nonmonotonic-poll     a consumer's offsets went back; int-nonmonotonic-poll within one answer
//	nonmonotonic-send     a producer's records are not in the order in which it sent them; int-nonmonotonic-send within one transaction
//	int-send-skip         another's record between two sends of one transaction: counted, since transactions are not isolated from each
//	                      other's writes. Jepsen allows it and does not look for it between transactions either
//	aborted-read          a record of a transaction that was aborted was read
//	precommitted-read     a transaction read what it had written itself
//
// A rebalance would allow external skips and regress; consumers here assign their partitions themselves. An offset that
// holds no record, such as a transaction's marker, is no skip.

// anomaly is the name of an error within one answer or transaction, or between two.
func anomaly(name string, within bool) string {
	if within {
		return "int-" + name
	}
	return name
}

// see compares a record read with what was sent, and with what was read at the same offset and of the same record before.
func (h *History) see(consumer, partition int, offset int64, producer int, counter int64, crc uint32, t scheduler.Instant) {
	if producer < 0 || producer >= len(h.producers) || counter < 0 || counter >= int64(len(h.lanes[h.laneOf(producer, partition)].seen)) {
		h.violateAs("", "P3", t, readAt(consumer, t), "consumer %d read %s as record %d of producer %d, which was never sent",
			consumer, h.record(partition, offset), counter, producer)
		return
	}
	p, at := h.partitions[partition], h.laneOf(producer, partition)
	for p.end() <= offset {
		p.read = append(p.read, value{lane: none})
	}
	v, before := value{int32(at), crc, counter}, p.read[offset]
	if before.lane >= 0 && before != v {
		h.onInconsistentOffset(consumer, partition, offset, before, v, t)
	}
	p.read[offset] = v
	h.pollers[consumer*len(h.partitions)+partition].note(offset, v)
	l := &h.lanes[at]
	switch seen := l.seen[counter]; {
	case seen == awaited:
		h.unseen.records--
	case seen >= 0 && seen != offset:
		h.onDuplicate(partition, seen, offset, v, t, readAt(consumer, t))
	}
	l.seen[counter] = offset
	if len(h.txns) > 0 {
		if b := l.find(counter); b.txn >= 0 {
			h.seeInTxn(consumer, partition, offset, b, v, t)
		}
	}
	if h.reading[consumer] >= 0 {
		h.checkPrecommitted(consumer, partition, offset, l.find(counter), v, t)
	}
}

// note remembers what a consumer read.
func (r *poller) note(offset int64, v value) {
	for int64(len(r.read)) <= offset {
		r.read = append(r.read, 0)
	}
	r.read[offset] = v.hash()
}

// onInconsistentOffset is an offset that had another record before.
func (h *History) onInconsistentOffset(consumer, partition int, offset int64, before, now value, t scheduler.Instant) {
	h.counts.Reread++
	reason, cause := h.whyGone(partition, offset, none)
	if reason != "" {
		return
	}
	if cause == "" {
		cause = readAt(consumer, t)
	}
	h.violateAs("inconsistent-offsets", "P3", t, cause, "consumer %d read %s as %s, and before that it was %s",
		consumer, h.record(partition, offset), h.valueName(now), h.valueName(before))
}

// onDuplicate is a record at a second offset. Where the first one was lost as the configuration allows, it was sent again.
func (h *History) onDuplicate(partition int, first, second int64, v value, t scheduler.Instant, cause string) {
	if !h.producers[int(v.lane)/len(h.partitions)].Idempotent || h.isRepeated(partition, first, second) {
		return
	}
	for _, offset := range [2]int64{first, second} {
		if reason, _ := h.whyGone(partition, offset, none); reason != "" {
			return
		}
	}
	h.violateAs("duplicate", "P5", t, cause, "record %s is a duplicate of %s (%s, which is idempotent)", h.record(partition, second), h.record(partition, first), h.valueName(v))
}

// startOf is where the log may begin by now: a consumer that would have to go back below finds nothing there.
func (h *History) startOf(partition int) int64 {
	if h.state == nil {
		return 0
	}
	return h.state.intern(h.partitions[partition].id).start
}

// isRepeated reports whether at one of two offsets is a repetition that nobody could know for one.
func (h *History) isRepeated(partition int, a, b int64) bool {
	if h.state == nil {
		return false
	}
	p := h.state.intern(h.partitions[partition].id)
	return p.isRepeated(a) || p.isRepeated(b)
}

// judgeWorkload judges what shows only in the end.
func (h *History) judgeWorkload(partition int, now scheduler.Instant) {
	known := h.knownOffsets(partition)
	h.judgeSkips(partition, known)
	p := h.partitions[partition]
	h.judgePassed(partition, max(p.start, h.startOf(partition)), p.end(), func(offset int64) value { return p.read[offset] }, now)
	for producer := range h.producers {
		h.judgeLane(producer, partition, known, now)
	}
}

// offsets counts, for each offset, the records below it that somebody has read.
type offsets []int32

func (h *History) knownOffsets(partition int) offsets {
	p := h.partitions[partition]
	known := make(offsets, len(p.read)+1)
	for i, v := range p.read {
		known[i+1] = known[i]
		if v.lane >= 0 {
			known[i+1]++
		}
	}
	return known
}

// between is how many there are in [from, to).
func (k offsets) between(from, to int64) int32 {
	last := int64(len(k) - 1)
	return k[max(min(to, last), 0)] - k[max(min(from, last), 0)]
}

// first is the first one from an offset on; there is one.
func (p *historyPart) first(from int64) int64 {
	for p.read[from].lane < 0 {
		from++
	}
	return from
}

// judgeSkips: what a consumer passed over was no record.
func (h *History) judgeSkips(partition int, known offsets) {
	p := h.partitions[partition]
	for _, k := range h.skips {
		if k.partition != partition {
			continue
		}
		for from := max(k.from, p.start); known.between(from, k.to) > 0; from++ {
			from = p.first(from)
			if reason, _ := h.whyGone(partition, from, none); reason != "" || h.isHidden(k.consumer, partition, from, p.read[from]) {
				continue
			}
			h.violateAs(anomaly("poll-skip", k.within), "P3", k.t, readAt(k.consumer, k.t), "consumer %d passed over record %s (%s) and read %d",
				k.consumer, h.record(partition, from), h.valueName(p.read[from]), k.to)
			break
		}
	}
}

// judgePassed: what lies below a consumer's position in the end it has read, and as it is in the end. A tail that it had read may be
// lost as the configuration allows, and other records be there now: then it was to be told, and to go back (KIP-320).
func (h *History) judgePassed(partition int, start, end int64, final func(offset int64) value, now scheduler.Instant) {
	for consumer := range h.reading {
		r := &h.pollers[consumer*len(h.partitions)+partition]
		for offset := max(start, r.start); offset < min(r.position, end); offset++ {
			v := final(offset)
			if v.lane < 0 || offset < int64(len(r.read)) && r.read[offset] == v.hash() || h.isSuperseded(partition, offset) || h.isHidden(consumer, partition, offset, v) {
				continue // another replica, which had compacted its log, may have answered
			}
			h.violateAs("poll-skip", "P3", now, fmt.Sprintf("consumer %d was past it before %s", consumer, seconds(now)),
				"consumer %d never read record %s (%s), though it is at %d", consumer, h.record(partition, offset), h.valueName(v), r.position)
			break
		}
	}
}

// judgeLane judges what a producer sent to a partition, in the order in which it did.
func (h *History) judgeLane(producer, partition int, known offsets, now scheduler.Instant) {
	l := &h.lanes[h.laneOf(producer, partition)]
	for i := range l.batches {
		b := &l.batches[i]
		if b.fate == acked && h.producers[producer].Acks == -1 {
			h.judgeAcked(producer, partition, l, b, now)
		}
		if b.txn >= 0 {
			h.judgeTxn(producer, partition, l, i, known, now)
		}
	}
	if h.producers[producer].Idempotent {
		h.judgeOrder(producer, partition, l, now)
	}
}

// judgeAcked looks for the records of a batch that was acknowledged, where it was.
func (h *History) judgeAcked(producer, partition int, l *lane, b *sent, now scheduler.Instant) {
	p := h.partitions[partition]
	if b.offset < 0 || b.txn >= 0 && h.txns[b.txn].fate != Committed {
		return
	}
	for i := range int64(b.count) {
		offset, seen := b.offset+i, l.seen[b.first+i]
		switch {
		case seen >= 0 && seen != offset && offset >= p.start:
			h.onDuplicate(partition, offset, seen, value{int32(h.laneOf(producer, partition)), 0, b.first + i}, now, ackedAt(producer, b))
		case seen == awaited && offset < p.end() && offset >= p.start:
			h.onLostWrite(producer, partition, b, i, now)
			return
		}
	}
}

// onLostWrite is an acknowledged record, the i-th of a batch, that nobody has read, though a higher offset was.
func (h *History) onLostWrite(producer, partition int, b *sent, i int64, now scheduler.Instant) {
	offset := b.offset + i
	reason, cause := h.whyGone(partition, offset, b.batch)
	if reason != "" || b.txn >= 0 && h.mayDiffer(b.txn, partition, int64(b.count)) {
		return
	}
	if cause == "" {
		cause = ackedAt(producer, b)
	}
	h.violateAs("lost-write", h.promiseOf(partition), now, cause, "record %s (%s) was never read, though %s was",
		h.record(partition, offset), h.ackText(producer, b), h.record(partition, h.partitions[partition].end()-1))
}

// judgeOrder: an idempotent producer's records are in the order in which it made them.
func (h *History) judgeOrder(producer, partition int, l *lane, now scheduler.Instant) {
	newest, of := int64(none), int64(none)
	for counter, at := range l.seen {
		if at < 0 {
			continue
		}
		if at > newest {
			newest, of = at, int64(counter)
			continue
		}
		if reason, _ := h.whyGone(partition, at, none); reason != "" || at == newest || h.isRepeated(partition, at, newest) {
			continue
		}
		a, b := l.find(of), l.find(int64(counter))
		h.violateAs(anomaly("nonmonotonic-send", a.txn >= 0 && a.txn == b.txn), "P5", now, ackedAt(producer, b),
			"record %s (record %d of idempotent producer %d) comes before its record %d at %s", h.record(partition, at), counter, producer, of, h.record(partition, newest))
		return
	}
}

// ackedAt is the first cause of what only an answer to a producer shows.
func ackedAt(producer int, b *sent) string {
	verb := "made it"
	if b.fate == acked {
		verb = "was answered so"
	}
	return "producer " + itoa(producer) + " " + verb + " at " + seconds(b.t)
}
