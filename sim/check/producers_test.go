package check

import (
	"testing"

	"github.com/lockstep/lockstep/core/event"
)

// idempotent has leader 1 append a producer's batches, given as epoch and sequence.
func idempotent(t *testing.T, batches ...[2]int) *fake {
	f := newFake(t, safe)
	f.open(1, 2, 3)
	f.elect(1, 0, 1, 2, 3)
	for i, b := range batches {
		f.append(produce(0, int64(i), 77, int16(b[0]), int32(b[1]), []byte("v")), 1)
	}
	return f
}

func TestSequencesInOrderAreSilent(t *testing.T) {
	idempotent(t, [2]int{0, 0}, [2]int{0, 1}, [2]int{0, 2}, [2]int{1, 0}, [2]int{1, 1}).silent()
}

func TestSequenceViolationsFire(t *testing.T) {
	for name, c := range map[string]struct {
		words   string
		batches [][2]int
	}{
		"duplicate":     {"repeats sequence 1", [][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 1}}},
		"gap":           {"has sequence 3 where its producer's next is 1", [][2]int{{0, 0}, {0, 3}}},
		"reorder":       {"has sequence 2 where its producer's next is 1", [][2]int{{0, 0}, {0, 2}, {0, 1}}},
		"zombie":        {"of producer epoch 0, after epoch 1", [][2]int{{0, 0}, {1, 0}, {0, 1}}},
		"new epoch gap": {"has sequence 4 where its producer's next is 0", [][2]int{{0, 0}, {1, 4}}},
	} {
		t.Run(name, func(t *testing.T) { idempotent(t, c.batches...).fires("I8", "P5", c.words) })
	}
}

func TestSequenceIsTakenBackByTruncation(t *testing.T) {
	f := idempotent(t, [2]int{0, 0}, [2]int{0, 1}, [2]int{0, 2})
	f.elect(2, 1, 1, 2, 3)
	f.truncate(1, 0)
	for i := range int64(3) {
		f.append(produce(1, i, 77, 0, int32(i), []byte("w")), 2, 1)
	}
	f.silent()
}

func TestForgottenProducersFireAtTheEnd(t *testing.T) {
	f := idempotent(t, [2]int{0, 0})
	f.s.violations = f.s.AtEnd(f.now)
	f.fires("I8", "P5", "broker 1 knows 0 of the 1 producers")
}

// It knows the last five again, and takes the next.
func TestLeaderTakesTheLastFiveBatchesAndTheNext(t *testing.T) { // K15
	var batches [][2]int
	for i := range 7 {
		batches = append(batches, [2]int{0, i})
	}
	f := idempotent(t, batches...)
	for sequence := range int32(9) {
		if _, yes := f.s.Awaits(1, orders, 77, 0, sequence); yes != (sequence >= 2 && sequence <= 7) {
			t.Errorf("sequence %d: %v", sequence, yes)
		}
	}
	if _, yes := f.s.Awaits(1, orders, 77, 1, 6); yes {
		t.Error("of another producer epoch")
	}
	v := f.s.Refused(1, orders, 3, "OUT_OF_ORDER_SEQUENCE_NUMBER")
	checkSentence(t, &v)
	f.emit(1, event.Event{Kind: event.BecameFollower, Partition: orders, Peer: 2, Epoch: 1, Offset: -1})
	if _, yes := f.s.Awaits(1, orders, 77, 0, 6); yes {
		t.Error("a follower has nothing to remember")
	}
}

// begunAnew has leader 1's batches 0 to 2 of a producer gone with retention, replica 2 begun at 3, where it is elected, and replica 3 with its
// batches still in mind.
func begunAnew(t *testing.T) *fake {
	f := newFake(t, safe)
	f.open(1, 2, 3)
	f.elect(1, 0, 1, 3)
	for i := range int64(3) {
		f.append(produce(0, i, 77, 0, int32(i), []byte("v")), 1, 3)
	}
	f.commit(0, 3, 1, 3)
	f.s.Deleted(orders, 3)
	f.started(1, 3)
	f.emit(2, event.Event{Kind: event.Truncated, Partition: orders, Peer: -1, Epoch: -1, Offset: 3})
	f.emit(2, event.Event{Kind: event.LogStartMoved, Partition: orders, Peer: -1, Epoch: -1, Offset: 3, Note: "emptied"})
	f.logs[2][orders].start, f.logs[2][orders].end, f.logs[2][orders].hw = 3, 3, 3
	return f
}

// Replica 2 never had the producer's batches: it takes the retries of two of them, and then what is new.
func TestLeaderWhoseLogWasBegunLaterTakesARetry(t *testing.T) { // KAFKA-7190
	f := begunAnew(t)
	f.elect(2, 1, 1, 2, 3)
	for i := range int64(3) {
		f.append(produce(1, 3+i, 77, 0, int32(1+i), []byte("v")), 2, 3, 1)
	}
	f.silent()
	for offset, want := range map[int64]bool{2: false, 3: true, 4: true, 5: false} {
		if f.s.intern(orders).isRepeated(offset) != want {
			t.Errorf("offset %d is a repetition: %v", offset, !want)
		}
	}
}

// Replica 3 has had them, though they have left its log.
func TestLeaderThatHadTheBatchMayNotTakeItsRetry(t *testing.T) { // M53
	f := begunAnew(t)
	f.started(3, 3)
	f.elect(3, 1, 1, 2, 3)
	f.append(produce(1, 3, 77, 0, 1, []byte("v")), 3)
	f.fires("I8", "P5", "has sequence 1 where its producer's next is 3")
}

// What one leader could not know excuses no other repetition in the partition.
func TestRepetitionThatNobodyCouldKnowIsNoDuplicate(t *testing.T) {
	f := begunAnew(t)
	f.elect(2, 1, 1, 2, 3)
	f.append(produce(1, 3, 77, 0, 1, []byte("v")), 2)
	f.append(produce(1, 4, 77, 0, 2, []byte("v")), 2)
	f.append(produce(1, 5, 77, 0, 3, []byte("v")), 2)
	f.append(produce(1, 6, 77, 0, 4, []byte("v")), 2)
	f.commit(1, 7, 2)
	for counters, duplicates := range map[[7]int64]int{{0, 1, 2, 1, 2, 3, 4}: 0, {0, 1, 2, 1, 2, 3, 3}: 1} {
		h := NewHistory(f.s, []event.Partition{orders}, []Producer{{Acks: -1, Idempotent: true}}, 1)
		h.Sent(0, 0, 0, 5, 1)
		for offset, counter := range counters {
			h.Read(0, 0, int64(offset), 0, counter, 0, 3)
		}
		found := 0
		for _, v := range h.Judge(4) {
			if v.Anomaly == "duplicate" {
				found++
			}
		}
		if found != duplicates {
			t.Errorf("%v: %d duplicates, want %d", counters, found, duplicates)
		}
	}
}
