package check

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
)

// I8: in a log, the batches of an idempotent producer follow each other without a gap and none comes twice (P5), also where what
// came before has left the log with retention; and what a log remembers of its producers is what its batches say. A leader knows a producer since its own
// log was begun and until the producer has expired, no longer: see meet.

// checkSequence compares a batch with the same producer's batch before it in the log.
func (s *State) checkSequence(r *replica, slot int) {
	b, before := r.at(slot), r.slots[slot].previous
	if b.sequence < 0 {
		return
	}
	isWriter := r.role == leading && r.epoch == b.epoch
	if before < 0 {
		if isWriter {
			r.part.meet(b, r.part.start)
		}
		return
	}
	a := r.at(int(before))
	want := nextSequence(a, b)
	switch {
	case a.lastSequence < 0, b.producerEpoch >= a.producerEpoch && b.sequence == want:
		if isWriter && a.repeats {
			r.part.noteRepetition(b, b.base)
		}
		return
	case s.mayHaveExpired(r, a):
		if isWriter {
			r.part.meet(b, b.base)
		}
		return
	case b.stranger && (a.gone || a.next <= r.part.start):
		return // its leader's log was begun after a, or compaction had taken all of the producer from it, and a truncation what came later
	case r.part.tookBetween(a, b):
		return
	}
	name := recordName(r.part.id, b.base)
	switch {
	case b.producerEpoch < a.producerEpoch:
		s.violate("P5", "I8", s.did(r.node.id, "appended it"), "record %s on broker %d is of producer epoch %d, after epoch %d of the same producer at %d",
			name, r.node.id, b.producerEpoch, a.producerEpoch, a.base)
	case b.producerEpoch == a.producerEpoch && s.repeats(r, slot):
		s.violate("P5", "I8", s.did(r.node.id, "appended it"), "record %s on broker %d repeats sequence %d of its producer, which the log has already", name, r.node.id, b.sequence)
	default:
		s.violate("P5", "I8", s.did(r.node.id, "appended it"), "record %s on broker %d has sequence %d where its producer's next is %d", name, r.node.id, b.sequence, want)
	}
}

// meet notes that a leader took a batch of a producer of which it knew nothing: the producer had expired, or the leader's log was begun
// after all that the producer had written, when that had gone with retention (a replica that is new, or was away for so long that it had to
// start over). Kafka's knows nothing then either, and takes any sequence, also that of a batch which lies below an offset already.
func (p *partition) meet(b *batch, below int64) {
	b.stranger = true
	p.noteRepetition(b, below)
}

// noteRepetition notes that a batch is written a second time if one below an offset has its sequence.
func (p *partition) noteRepetition(b *batch, below int64) {
	b.repeats = slices.ContainsFunc(p.batches, func(a batch) bool {
		return a.next <= below && a.producer == b.producer && a.producerEpoch == b.producerEpoch && a.sequence == b.sequence
	})
	if b.repeats {
		p.repeated = append(p.repeated, offsetRange{b.base, b.next})
	}
}

// isRepeated reports whether there is a repetition at an offset that nobody could know for one.
func (p *partition) isRepeated(offset int64) bool {
	return slices.ContainsFunc(p.repeated, func(r offsetRange) bool { return r.from <= offset && offset < r.to })
}

// nextSequence is what the batch b of a producer must begin with after a.
func nextSequence(a, b *batch) int32 {
	if a.producerEpoch != b.producerEpoch {
		return 0
	}
	return sequenceAfter(a)
}

// sequenceAfter is the sequence of the batch that follows one in the same producer epoch.
func sequenceAfter(b *batch) int32 {
	if b.lastSequence == math.MaxInt32 {
		return 0
	}
	return b.lastSequence + 1
}

// repeats reports whether the log has an earlier batch of the same producer, epoch and sequence.
func (s *State) repeats(r *replica, slot int) bool {
	b := r.at(slot)
	for i := r.slots[slot].previous; i >= int32(r.first); i = r.slots[i].previous {
		a := r.at(int(i))
		if a.producerEpoch != b.producerEpoch {
			return false
		}
		if a.sequence == b.sequence {
			return true
		}
	}
	return false
}

// checkProducerState compares what a log knows of its producers with its batches. While a log reads its producers back
// it knows none, so that is accepted unless it must be settled.
func (s *State) checkProducerState(r *replica, log Replica, settled bool) {
	states := log.Producers()
	if r.part == s.metadata || len(states) == 0 && !settled {
		return
	}
	known := 0
	for i := range states {
		dense, ok := s.producers[states[i].ProducerID]
		if !ok || int(dense) >= len(r.lastOf) || r.lastOf[dense] < int32(r.first) {
			continue // its batches went with the start of the log
		}
		if s.isLiving(r, r.lastOf[dense]) {
			known++
		}
		s.compareProducer(r, &states[i], r.lastOf[dense])
	}
	if living := s.livingProducers(r); known < living {
		s.violate("P5", "I8", s.causeOfProducers(r), "broker %d knows %d of the %d producers that wrote to %s", r.node.id, known, living, r.part.id)
	}
}

// livingProducers is how many producers a log must know.
func (s *State) livingProducers(r *replica) (n int) {
	for _, last := range r.lastOf {
		if s.isLiving(r, last) {
			n++
		}
	}
	return n
}

// isLiving reports whether a producer whose last batch is in a slot has not expired. Compaction may have taken all of it before a truncation took what came
// after, and then nobody need know it.
func (s *State) isLiving(r *replica, last int32) bool {
	for last >= int32(r.first) && r.slots[last].gone {
		last = r.slots[last].previous
	}
	return last >= int32(r.first) && !s.mayHaveExpired(r, r.at(int(last)))
}

// mayHaveExpired reports whether a log may have forgotten a producer since one of its batches: producer.id.expiration.ms
// have passed by the node's clock, which may have been ahead for a while.
func (s *State) mayHaveExpired(r *replica, b *batch) bool {
	expiry := int64(24 * time.Hour / time.Millisecond)
	if s.promises.ProducerExpiry > 0 {
		expiry = s.promises.ProducerExpiry.Milliseconds()
	}
	return s.in.UnixMilli(r.node.id)+s.promises.ClockAhead.Milliseconds()-b.maxTimestamp > expiry
}

// rememberedBatches is how many of a producer's last batches a broker knows again.
const rememberedBatches = 5

// Awaits reports whether a broker leads a partition and must take a batch when it is sent: it has it among the last of its producer and knows it
// again, or the batch follows the last of them. The leader epoch tells one leadership from the next.
func (s *State) Awaits(broker int32, id event.Partition, producerID int64, producerEpoch int16, sequence int32) (epoch int32, yes bool) {
	r := s.find(broker, s.intern(id))
	dense, known := s.producers[producerID]
	if r == nil || r.role != leading || !known || int(dense) >= len(r.lastOf) {
		return none, false
	}
	slot := r.lastOf[dense]
	for i := range rememberedBatches {
		if slot < int32(r.first) {
			break
		}
		b := r.at(int(slot))
		if b.producerEpoch != producerEpoch || s.mayHaveExpired(r, b) {
			break
		}
		if b.sequence == sequence || i == 0 && !r.slots[slot].gone && sequence == sequenceAfter(b) {
			return r.epoch, true
		}
		slot = r.slots[slot].previous
	}
	return none, false
}

// Refused says that a broker refused a batch that it had to take, both when it was sent and when it was answered.
func (s *State) Refused(broker int32, id event.Partition, sequence int32, why string) Violation {
	s.violate("P5", "I8", s.did(broker, "answered"), "broker %d refused sequence %d (%s), which is among the last %d batches of its producer in %s, or follows them",
		broker, sequence, why, rememberedBatches, id)
	v := s.violations[len(s.violations)-1]
	s.violations = s.violations[:len(s.violations)-1]
	return v
}

// compareProducer walks a producer's remembered batches and its batches in the log, from the last one back.
func (s *State) compareProducer(r *replica, p *storage.ProducerState, last int32) {
	for r.slots[last].gone && !knowsBatch(p, r.at(int(last))) && r.slots[last].previous >= int32(r.first) {
		last = r.slots[last].previous // compaction took it before what came after it was truncated
	}
	if b := r.at(int(last)); b.producerEpoch != p.Epoch {
		if b.producerEpoch < p.Epoch && r.part.tookOfEpoch(b, p.Epoch) {
			return // a snapshot has it still
		}
		s.violate("P5", "I8", s.causeOfProducers(r), "broker %d thinks that producer %d of %s is in epoch %d; its last batch, at %d, has %d",
			r.node.id, p.ProducerID, r.part.id, p.Epoch, b.base, b.producerEpoch)
		return
	}
	batches := p.Batches()
	slot := last
	for i := len(batches) - 1; i >= 0 && slot >= int32(r.first); i-- {
		for r.slots[slot].gone && batches[i].LastOffset < r.at(int(slot)).base && r.slots[slot].previous >= int32(r.first) {
			slot = r.slots[slot].previous // compaction took it before the log was opened
		}
		b := r.at(int(slot))
		if b.control || b.producerEpoch != p.Epoch {
			return
		}
		if m := batches[i]; m.LastOffset >= b.next && m.LastOffset < r.part.cleaned.to {
			continue // compaction took it, when a later one was in the log that was lost since: a snapshot has it still
		}
		if m := batches[i]; m.LastSequence != b.lastSequence || m.LastOffset != b.next-1 || b.sequence >= 0 && m.FirstSequence() != b.sequence { // a coordinator's have none
			s.violate("P5", "I8", s.causeOfProducers(r), "broker %d remembers sequences %d to %d of producer %d at offset %d of %s; its log has %d to %d at %d",
				r.node.id, m.FirstSequence(), m.LastSequence, p.ProducerID, m.LastOffset, r.part.id, b.sequence, b.lastSequence, b.next-1)
			return
		}
		slot = r.slots[slot].previous
	}
	if len(batches) == 0 && !r.at(int(last)).control {
		s.violate("P5", "I8", s.causeOfProducers(r), "broker %d forgot the batches of producer %d of %s", r.node.id, p.ProducerID, r.part.id)
	}
}

// knowsBatch reports whether a producer's state may be that after a batch of it.
func knowsBatch(p *storage.ProducerState, b *batch) bool {
	return p.Epoch == b.producerEpoch && (b.control || slices.ContainsFunc(p.Batches(), func(m storage.ProducerBatch) bool { return m.LastOffset == b.next-1 }))
}

// causeOfProducers is what a log's memory of its producers was taken from last: an opened log reads it from a snapshot and its batches,
// one that was truncated goes back to one.
func (s *State) causeOfProducers(r *replica) string {
	for i := len(r.part.removals) - 1; i >= 0; i-- {
		if m := &r.part.removals[i]; m.node == r.node.id && m.t > r.openedAt {
			return m.String()
		}
	}
	return fmt.Sprintf("broker %d opened the log at %s", r.node.id, seconds(r.openedAt))
}
