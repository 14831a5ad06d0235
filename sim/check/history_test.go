package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"pgregory.net/rapid"
)

// clients is a history of two producers and two consumers of one partition, without a State: the log is what is read.
func clients(acks int16) *History {
	return NewHistory(nil, []event.Partition{orders}, []Producer{{Acks: acks, Idempotent: true}, {Acks: acks}}, 2)
}

// produced sends and acknowledges n records of a producer, one by one, from offset on.
func produced(h *History, producer int, n int, offset int64) {
	for i := range int64(n) {
		first := h.lanes[h.laneOf(producer, 0)].next
		h.Sent(producer, 0, first, 1, 1)
		h.Acked(producer, 0, first, 1, offset+i, 2)
	}
}

func expectHistory(t *testing.T, found []Violation, promise, words string) {
	t.Helper()
	for _, v := range found {
		if v.Promise == promise && strings.Contains(v.Error(), words) {
			return
		}
	}
	t.Errorf("no %s with %q in %v", promise, words, found)
}

func TestHistoryInOrderIsSilent(t *testing.T) {
	h := clients(-1)
	produced(h, 0, 5, 0)
	for offset := range int64(5) {
		h.Read(0, 0, offset, 0, offset, 9, 3)
		h.Read(1, 0, offset, 0, offset, 9, 3)
	}
	if found := h.Judge(4); len(found) != 0 {
		t.Error(found)
	}
	if c := h.Counts(); c != (Counts{Sent: 5, Acked: 5, Read: 10}) {
		t.Errorf("%+v", c)
	}
}

func TestHistoryViolationsFire(t *testing.T) {
	for _, c := range []struct {
		name, promise, words string
		do                   func(h *History)
	}{
		{"lost", "P1", "record orders-2@1 (acknowledged to producer 0 at 0.000 s with acks=all) is gone", func(h *History) {
			h.Read(0, 0, 0, 0, 0, 0, 3)
		}},
		{"moved elsewhere", "P1", "orders-2@1", func(h *History) {
			h.Read(0, 0, 0, 0, 0, 0, 3)
			h.Moved(0, 0, 7, 3)
			h.Read(0, 0, 7, 0, 1, 0, 3)
		}},
		{"duplicate", "P5", "record orders-2@2 is a duplicate of orders-2@1", func(h *History) {
			for offset, counter := range []int64{0, 1, 1} {
				h.Read(0, 0, int64(offset), 0, counter, 0, 3)
			}
		}},
		{"reorder", "P5", "comes after its record 2 at orders-2@1", func(h *History) {
			for offset, counter := range []int64{0, 2, 1} {
				h.Read(0, 0, int64(offset), 0, counter, 0, 3)
			}
		}},
		{"inconsistent offsets", "P3", "consumer 1 read orders-2@0 as record 1 of producer 0, and before that it was record 0 of producer 0", func(h *History) {
			h.Read(0, 0, 0, 0, 0, 0, 3)
			h.Read(1, 0, 0, 0, 1, 0, 3)
		}},
		{"other bytes", "P3", "consumer 1 read orders-2@0", func(h *History) {
			h.Read(0, 0, 0, 0, 0, 1, 3)
			h.Read(1, 0, 0, 0, 0, 2, 3)
		}},
		{"skip", "P3", "consumer 1 passed over record orders-2@1 (record 1 of producer 0) and read 2", func(h *History) {
			for offset := range int64(3) {
				h.Read(0, 0, offset, 0, offset, 0, 3)
			}
			h.Read(1, 0, 0, 0, 0, 0, 3)
			h.Read(1, 0, 2, 0, 2, 0, 3)
		}},
		{"backwards", "P3", "consumer 0 read orders-2@0 after it had read up to 1", func(h *History) {
			h.Read(0, 0, 1, 0, 1, 0, 3)
			h.Read(0, 0, 0, 0, 0, 0, 3)
		}},
		{"never sent", "P3", "as record 99 of producer 0, which was never sent", func(h *History) { h.Read(0, 0, 0, 0, 99, 0, 3) }},
		{"corrupt", "P8", "corrupt bytes at orders-2@4", func(h *History) { h.Corrupted(0, 0, 4, 3) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := clients(-1)
			produced(h, 0, 3, 0)
			c.do(h)
			expectHistory(t, h.Judge(9), c.promise, c.words)
		})
	}
}

func TestLossWithoutAcksAllIsExpected(t *testing.T) {
	h := clients(1)
	produced(h, 0, 3, 0)
	h.Read(0, 0, 0, 0, 0, 0, 3)
	if found := h.Judge(4); len(found) != 0 {
		t.Error(found)
	}
	if l := h.Losses(); !slices.Equal(l, []Loss{{"acks=1", 2}}) || h.Counts().Lost != 2 {
		t.Errorf("%v, %+v", l, h.Counts())
	}
}

func TestPlainProducersMayRepeat(t *testing.T) {
	h := clients(-1)
	produced(h, 1, 2, 0)
	for offset, counter := range []int64{0, 1, 0, 1} {
		h.Read(0, 0, int64(offset), 1, counter, 0, 3)
	}
	if found := h.Judge(4); len(found) != 0 {
		t.Error(found)
	}
}

func TestUnansweredSendIsNotLive(t *testing.T) {
	h := clients(-1)
	produced(h, 0, 1, 0)
	if found := h.Liveness(4); len(found) != 0 {
		t.Error(found)
	}
	h.Sent(1, 0, 0, 1, 3)
	expectHistory(t, h.Liveness(4), "P9", "record 0 of producer 1 to orders-2, made at 0.000 s, is not acknowledged")
	h.GaveUp(1, 0, 0, 1, 4)
	if found := h.Liveness(4); len(found) != 0 {
		t.Error(found)
	}
}

func TestAcknowledgedBeforeItIsCommittedFires(t *testing.T) {
	f := cluster(t, safe)
	h := NewHistory(f.s, []event.Partition{orders}, []Producer{{Acks: -1}}, 0)
	f.append(write(0, 3, "m3"), 1)
	h.Sent(0, 0, 0, 1, 1)
	h.Acked(0, 0, 0, 1, 3, 2)
	f.fires("I1", "P1", "orders-2@3 was acknowledged to producer 0", "before it was committed")
}

// recorded is a cluster whose leader has n records of an idempotent producer, committed and acknowledged.
func recorded(t *testing.T, topic Topic, n int64) (*fake, *History) {
	f := newFake(t, topic)
	f.open(1, 2, 3)
	f.elect(1, 0, 1, 2, 3)
	h := NewHistory(f.s, []event.Partition{orders}, []Producer{{Acks: -1, Idempotent: true}}, 1)
	for i := range n {
		h.Sent(0, 0, i, 1, f.now)
		f.append(produce(0, i, 5, 0, int32(i), AppendValue(nil, 0, 0, i)), 1, 2, 3)
		f.commit(0, i+1, 1, 2, 3)
		h.Acked(0, 0, i, 1, i, f.now)
	}
	f.silent()
	return f, h
}

func TestHistoryReadsTheFinalLeadersFiles(t *testing.T) {
	f, h := recorded(t, safe, 4)
	if found := h.Judge(f.now); len(found) != 0 {
		t.Error(found)
	}
	expectHistory(t, h.Liveness(f.now), "P9", "consumer 0 is at 0 of orders-2, which ends at 4")
	f.truncate(1, 3)
	f.s.violations = nil
	expectHistory(t, h.Judge(f.now), "P1", "record orders-2@3 (acknowledged to producer 0 at 0.0")
	expectHistory(t, h.Judge(f.now), "P1", "first cause: broker 1 truncated to 3")
}

func TestVerdictNamesTheAcknowledgement(t *testing.T) {
	f, _ := recorded(t, safe, 4)
	f.truncate(2, 3)
	f.elect(2, 1, 1, 2, 3)
	f.fires("I1", "P1", "record orders-2@3 (acknowledged to producer 0 at 0.0", "with acks=all) is gone from leader 2's log; first cause: broker 2 truncated to 3 at")
}

func TestAcknowledgedLossByUncleanElectionIsCounted(t *testing.T) {
	f, h := recorded(t, Topic{RF: 3, MinISR: 1, Unclean: true}, 4)
	f.truncate(2, 2)
	f.emit(1, event.Event{Kind: event.UncleanElection, Partition: orders, Peer: 2, Epoch: 1})
	f.elect(2, 1, 2)
	f.silent()
	h.Read(0, 0, 3, 0, 3, 0, f.now)
	if found := h.Judge(f.now); len(found) != 0 {
		t.Error(found)
	}
	if l := h.Losses(); !slices.Equal(l, []Loss{{reasonUnclean, 2}}) {
		t.Error(l)
	}
}

// TestEveryLostRecordIsFound drops any records of any log and expects the count to be right.
func TestEveryLostRecordIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := clients(1)
		kept := rapid.SliceOfN(rapid.Bool(), 1, 50).Draw(t, "kept")
		produced(h, 0, len(kept), 0)
		lost := int64(0)
		for i, k := range kept {
			h.Moved(0, 0, int64(i), 0)
			if !k {
				lost++
				continue
			}
			h.Read(0, 0, int64(i), 0, int64(i), 0, 3)
		}
		if found := h.Judge(4); len(found) != 0 {
			t.Fatal(found)
		}
		if h.Counts().Lost != lost {
			t.Fatalf("%d lost of %v", h.Counts().Lost, kept)
		}
	})
}

func BenchmarkHistory(b *testing.B) {
	for b.Loop() {
		h := clients(-1)
		for i := range int64(250_000) {
			h.Sent(0, 0, i, 1, 1)
			h.Acked(0, 0, i, 1, i, 2)
			h.Read(0, 0, i, 0, i, 1, 3)
			h.Read(1, 0, i, 0, i, 1, 3)
		}
		if found := h.Judge(4); len(found) != 0 {
			b.Fatal(found)
		}
	}
}
