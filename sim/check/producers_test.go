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

func TestLeaderRemembersTheLastFiveBatches(t *testing.T) { // K15
	var batches [][2]int
	for i := range 7 {
		batches = append(batches, [2]int{0, i})
	}
	f := idempotent(t, batches...)
	for sequence := range int32(8) {
		if _, yes := f.s.Remembers(1, orders, 77, 0, sequence); yes != (sequence >= 2 && sequence < 7) {
			t.Errorf("sequence %d: %v", sequence, yes)
		}
	}
	if _, yes := f.s.Remembers(1, orders, 77, 1, 6); yes {
		t.Error("of another producer epoch")
	}
	v := f.s.Refused(1, orders, 3)
	checkSentence(t, &v)
	f.emit(1, event.Event{Kind: event.BecameFollower, Partition: orders, Peer: 2, Epoch: 1, Offset: -1})
	if _, yes := f.s.Remembers(1, orders, 77, 0, 6); yes {
		t.Error("a follower has nothing to remember")
	}
}
