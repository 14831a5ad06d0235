package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// clients is a history of two producers and two consumers of one partition, without a State: the log is what is read.
func clients(acks int16) *History {
	return NewHistory(nil, []event.Partition{orders}, []Producer{{Acks: acks, Idempotent: true}, {Acks: acks}}, 2)
}

// produced sends and acknowledges n records of a producer, one by one, from offset on.
func produced(h *History, producer int, n int, offset int64) {
	for i := range int64(n) {
		first := int64(len(h.lanes[h.laneOf(producer, 0)].seen))
		h.Sent(producer, 0, first, 1, 1)
		h.Acked(producer, 0, first, 1, offset+i, 2)
	}
}

func expectHistory(t *testing.T, found []Violation, promise, words string) {
	t.Helper()
	for _, v := range found {
		checkSentence(t, &v)
	}
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

// TestEachErrorTypeOfJepsensWorkloadFires has three records of idempotent producer 0 at offsets 0 to 2, acknowledged.
func TestEachErrorTypeOfJepsensWorkloadFires(t *testing.T) {
	read := func(h *History, consumer int, offset, counter int64) { h.Read(consumer, 0, offset, 0, counter, 0, 3) }
	for _, c := range []struct {
		anomaly, promise, words string
		do                      func(h *History)
	}{
		{"lost-write", "P1", "record orders-2@1 (acknowledged to producer 0 at 0.000 s with acks=all) was never read, though orders-2@2 was", func(h *History) {
			read(h, 0, 0, 0)
			read(h, 0, 2, 2)
		}},
		{"duplicate", "P5", "record orders-2@3 is a duplicate of orders-2@1", func(h *History) {
			for offset, counter := range []int64{0, 1, 2, 1} {
				read(h, 0, int64(offset), counter)
			}
		}},
		{"duplicate", "P5", "record orders-2@7 is a duplicate of orders-2@1", func(h *History) { // acknowledged there
			read(h, 0, 0, 0)
			h.Moved(0, 0, 7, 3)
			read(h, 0, 7, 1)
		}},
		{"inconsistent-offsets", "P3", "consumer 1 read orders-2@0 as record 1 of producer 0, and before that it was record 0 of producer 0", func(h *History) {
			read(h, 0, 0, 0)
			read(h, 1, 0, 1)
		}},
		{"inconsistent-offsets", "P3", "consumer 1 read orders-2@0", func(h *History) { // other bytes
			h.Read(0, 0, 0, 0, 0, 1, 3)
			h.Read(1, 0, 0, 0, 0, 2, 3)
		}},
		{"int-poll-skip", "P3", "consumer 1 passed over record orders-2@1 (record 1 of producer 0) and read 2", func(h *History) {
			for offset := range int64(3) {
				read(h, 0, offset, offset)
			}
			read(h, 1, 0, 0)
			read(h, 1, 2, 2)
		}},
		{"poll-skip", "P3", "consumer 1 passed over record orders-2@1 (record 1 of producer 0) and read 2", func(h *History) {
			for offset := range int64(3) {
				read(h, 0, offset, offset)
			}
			read(h, 1, 0, 0)
			h.Polled(1, 0)
			read(h, 1, 2, 2)
		}},
		{"poll-skip", "P3", "consumer 0 never read record orders-2@1 (record 1 of producer 0), though it is at 3", func(h *History) { // M05
			read(h, 0, 0, 0)
			read(h, 0, 1, 2) // gone since
			read(h, 0, 2, 2)
			read(h, 1, 0, 0)
			read(h, 1, 1, 1)
		}},
		{"int-nonmonotonic-poll", "P3", "consumer 0 read orders-2@0 after it had read up to 1", func(h *History) {
			read(h, 0, 1, 1)
			read(h, 0, 0, 0)
		}},
		{"nonmonotonic-poll", "P3", "consumer 0 read orders-2@0 after it had read up to 1", func(h *History) {
			read(h, 0, 1, 1)
			h.Polled(0, 0)
			read(h, 0, 0, 0)
		}},
		{"nonmonotonic-send", "P5", "record orders-2@8 (record 4 of idempotent producer 0) comes before its record 3 at orders-2@9", func(h *History) {
			produced(h, 0, 1, 9)
			produced(h, 0, 1, 8)
			h.Moved(0, 0, 8, 3)
			read(h, 0, 8, 4)
			read(h, 0, 9, 3)
		}},
		{"int-nonmonotonic-send", "P5", "producer 0 sent orders-2@8 after orders-2@9 in one transaction", func(h *History) {
			id := h.Begin(0, none)
			produced(h, 0, 1, 9)
			produced(h, 0, 1, 8)
			h.End(id, true, false, 5)
		}},
		{"aborted-read", "P6", "record orders-2@3 (record 3 of producer 0) was read, though its transaction was aborted", func(h *History) { // G1a
			id := h.Begin(0, none)
			produced(h, 0, 1, 3)
			h.End(id, false, true, 5)
			read(h, 0, 3, 3)
		}},
		{"precommitted-read", "P6", "consumer 0 read orders-2@3 (record 3 of producer 0) within the transaction that wrote it", func(h *History) {
			id := h.Begin(0, 0)
			produced(h, 0, 1, 3)
			read(h, 0, 3, 3)
			h.End(id, true, false, 5)
		}},
		{"", "P3", "as record 99 of producer 0, which was never sent", func(h *History) { read(h, 0, 0, 99) }},
		{"", "P8", "corrupt bytes at orders-2@4", func(h *History) { h.Corrupted(0, 0, 4, 3) }},
	} {
		t.Run(c.anomaly, func(t *testing.T) {
			h := clients(-1)
			produced(h, 0, 3, 0)
			c.do(h)
			found := h.Judge(9)
			expectHistory(t, found, c.promise, c.words)
			if !slices.ContainsFunc(found, func(v Violation) bool { return v.Anomaly == c.anomaly }) {
				t.Errorf("no %s in %v", c.anomaly, found)
			}
		})
	}
}

func TestAnothersRecordWithinATransactionIsCountedOnly(t *testing.T) { // int-send-skip
	h := clients(-1)
	id := h.Begin(0, none)
	produced(h, 0, 1, 0)
	produced(h, 1, 1, 1)
	produced(h, 0, 1, 2)
	h.End(id, true, false, 5)
	for offset, of := range [][2]int64{{0, 0}, {1, 0}, {0, 1}} {
		h.Read(0, 0, int64(offset), int(of[0]), of[1], 0, 3)
	}
	if found := h.Judge(9); len(found) != 0 || h.Counts().SendSkips != 1 {
		t.Errorf("%v, %+v", found, h.Counts())
	}
}

func TestMarkersAreNoSkip(t *testing.T) {
	h := clients(-1)
	produced(h, 0, 1, 0)
	produced(h, 0, 1, 3)
	h.Read(0, 0, 0, 0, 0, 0, 3)
	h.Read(0, 0, 3, 0, 1, 0, 3)
	if found := h.Judge(9); len(found) != 0 {
		t.Error(found)
	}
}

func TestWhatRetentionTookIsNotLost(t *testing.T) {
	h := clients(-1)
	produced(h, 0, 5, 0)
	h.Read(0, 0, 0, 0, 0, 0, 3)
	h.Reset(0, 0, 4, 3)
	h.Read(0, 0, 4, 0, 4, 0, 3)
	if found := h.Judge(4); len(found) != 0 {
		t.Error(found)
	}
}

func TestUnseenRecordsAreNotLive(t *testing.T) {
	h := clients(-1)
	produced(h, 0, 3, 0)
	h.Read(0, 0, 0, 0, 0, 0, 3)
	if grown := h.Unseen(4); grown[len(grown)-1] != (Unseen{4, 2}) {
		t.Error(grown)
	}
	expectHistory(t, h.Liveness(4), "P9", "record orders-2@1 (acknowledged to producer 0 at 0.000 s with acks=all) was never read (unseen)")
	h.Read(0, 0, 1, 0, 1, 0, 3)
	h.Read(0, 0, 2, 0, 2, 0, 3)
	if found := h.Liveness(5); len(found) != 0 || h.unseen.records != 0 {
		t.Error(found)
	}
}

func TestTheGrowthOfTheUnseenIsThinnedOut(t *testing.T) {
	var u unseen
	for i := range 100_000 {
		u.records++
		u.sample(scheduler.Instant(i) * 1e6)
	}
	if len(u.samples) > mostSamples || u.samples[0].Records != 1 {
		t.Errorf("%d samples", len(u.samples))
	}
	for i := 1; i < len(u.samples); i++ {
		if u.samples[i].T < u.samples[i-1].T+u.step/2 {
			t.Errorf("samples at %v and %v", u.samples[i-1].T, u.samples[i].T)
		}
	}
}

func TestLossWithoutAcksAllIsExpected(t *testing.T) {
	f, h := recorded(t, safe, 4)
	h.producers[0].Acks = 1
	f.truncate(1, 2)
	f.s.violations = nil
	if found := h.Judge(f.now); len(found) != 0 {
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
	h.Read(0, 0, 0, 0, 0, 0, 3)
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
	h.Reset(0, 0, 3, f.now)
	h.Read(0, 0, 3, 0, 3, 0, f.now)
	if found := h.Judge(f.now); len(found) != 0 {
		t.Error(found)
	}
	if l := h.Losses(); !slices.Equal(l, []Loss{{reasonUnclean, 2}}) {
		t.Error(l)
	}
}

func BenchmarkHistory(b *testing.B) { // a million operations
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

func TestConsumerThatReadsBeyondWhatIsCommittedFires(t *testing.T) { // M38
	f := cluster(t, safe)
	h := NewHistory(f.s, []event.Partition{orders}, []Producer{{Acks: 1}}, 1)
	h.Sent(0, 0, 0, 5, 1)
	h.Read(0, 0, 2, 0, 2, 0, 3)
	f.append(write(0, 3, "tail"), 1)
	h.Read(0, 0, 3, 0, 3, 0, 4)
	if n := len(h.violations); n != 1 {
		t.Fatalf("%d violations", n)
	}
	expectHistory(t, h.violations, "P3", "consumer 0 read orders-2@3, though only what is below 3 is committed")
}
