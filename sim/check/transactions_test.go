package check

import (
	"strings"
	"testing"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// transacted is leader 1 of a partition, its followers, and the history of two transactional producers, with ids 70 and 71.
type transacted struct {
	*fake
	h    *History
	next int64 // offset
	made [2]int64
}

func newTransacted(t *testing.T) *transacted {
	f := newFake(t, safe)
	f.open(1, 2, 3)
	f.elect(1, 0, 1, 2, 3)
	h := NewHistory(f.s, []event.Partition{orders, {Topic: "orders", Index: 1}}, []Producer{{-1, true}, {-1, true}}, 1)
	return &transacted{fake: f, h: h}
}

// write has a producer write a record in its transaction.
func (x *transacted) write(producer int) {
	first := x.made[producer]
	x.made[producer]++
	x.h.Sent(producer, 0, first, 1, x.now)
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: x.next, ProducerID: 70 + int64(producer), BaseSequence: int32(first), BaseTimestamp: 1, Transactional: true})
	b.Append(1, nil, AppendValue(nil, producer, 0, first))
	x.append(b.Build(), 1, 2, 3)
	x.next++
}

// mark ends what a producer wrote.
func (x *transacted) mark(producer int, commit bool) {
	m := record.BuildMarker(70+int64(producer), 0, record.Marker{Commit: commit}, 1)
	m.SetBaseOffset(x.next)
	m.SetLeaderEpoch(0)
	x.append(m, 1, 2, 3)
	x.next++
}

// stable moves the high watermark to the end, and has the broker say up to where its log is stable.
func (x *transacted) stable(offset int64) {
	x.logs[1][orders].stable = offset
	x.commit(0, x.next, 1)
}

func TestStableOffsetIsWhereTheFirstOpenTransactionBegins(t *testing.T) {
	x := newTransacted(t)
	x.h.BeginAs(0, false, 1)
	x.write(0)
	x.stable(0)
	x.mark(0, false)
	x.logs[1][orders].stable = 0
	x.turn()
	x.stable(2)
	x.silent()
}

func TestStableOffsetThatIsWrongFires(t *testing.T) {
	for words, offset := range map[string]int64{"though a transaction is open from 1 on": 2, "though no transaction is open below 1": 0, "above the high watermark": 9} {
		x := newTransacted(t)
		x.append(write(0, 0, "plain"), 1, 2, 3)
		x.next = 1
		x.h.BeginAs(0, false, 1)
		x.write(0)
		x.stable(offset)
		x.fires("I7", "P6", words)
	}
}

func TestStableOffsetGoesOnAfterATruncation(t *testing.T) { // M39
	x := newTransacted(t)
	x.append(write(0, 0, "plain"), 1, 2, 3)
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: 1, ProducerID: 70, BaseTimestamp: 1, Transactional: true})
	b.Append(1, nil, AppendValue(nil, 0, 0, 0))
	x.append(b.Build(), 1)
	x.elect(2, 1, 1, 2, 3)
	x.truncate(1, 1)
	x.append(write(1, 1, "plain"), 2, 1, 3)
	x.commit(1, 2, 2, 1, 3)
	x.silent()
	x.elect(1, 2, 1, 2, 3)
	x.logs[1][orders].stable = 1
	x.append(write(2, 2, "plain"), 1, 2, 3)
	x.commit(2, 3, 1)
	x.fires("I7", "P6", "the last stable offset of orders-2 on broker 1 is 1, though no transaction is open below 3")
}

func TestTransactionThatEndsAsItsProducerWasToldIsSilent(t *testing.T) {
	x := newTransacted(t)
	for _, commit := range []bool{true, false} {
		id := x.h.BeginAs(0, false, 1)
		x.write(0)
		x.write(0)
		x.h.Ending(id, commit, x.now)
		x.mark(0, commit)
		x.stable(none)
		x.h.End(id, commit, !commit, x.now)
	}
	x.silent()
	if x.s.outcomeAt(orders, 1) != Committed || x.s.outcomeAt(orders, 4) != Aborted || x.s.outcomeAt(orders, 2) != Open {
		t.Error("the outcomes are others")
	}
}

func TestTornTransactionsFire(t *testing.T) {
	for _, c := range []struct {
		words string
		do    func(x *transacted, id int32)
	}{
		{"begun at 0.001 s, is committed in orders-2 and aborted in orders-1", func(x *transacted, id int32) {
			x.h.txns[id].abortedIn = 1
			x.h.Ending(id, true, x.now)
			x.mark(0, true)
		}},
		{"which was told at 0.009 s that it is aborted, is committed by the marker orders-2@1", func(x *transacted, id int32) {
			x.h.Ending(id, true, x.now)
			x.h.End(id, false, true, 9e6)
			x.mark(0, true)
		}},
		{"is committed by the marker orders-2@1, and nobody has asked for that", func(x *transacted, _ int32) { x.mark(0, true) }},
		{"marker orders-2@2 ends what producer 0 wrote in two transactions", func(x *transacted, id int32) { // M44
			x.h.End(id, false, true, x.now)
			x.h.BeginAs(0, false, x.now)
			x.write(0)
			x.mark(0, false)
		}},
	} {
		x := newTransacted(t)
		id := x.h.BeginAs(0, false, 1e6)
		x.write(0)
		c.do(x, id)
		x.stable(none)
		x.fires("I9", "P6", c.words)
	}
}

func TestWhatALateRequestChangesIsALesson(t *testing.T) { // KAFKA-17754
	x := newTransacted(t)
	id := x.h.BeginAs(0, true, 1e6)
	x.write(0)
	x.h.End(id, false, true, x.now)
	x.mark(0, true)
	x.stable(none)
	x.silent()
	if l := x.h.Losses(); len(l) != 1 || l[0].Reason != reasonLate {
		t.Error(l)
	}
}

func TestOutcomeThatIsOtherThanToldLaterFires(t *testing.T) {
	x := newTransacted(t)
	id := x.h.BeginAs(0, false, 1)
	x.write(0)
	x.h.Ending(id, true, x.now)
	x.mark(0, false)
	x.stable(none)
	x.h.End(id, true, false, x.now)
	x.h.judgeOutcomes()
	expectHistory(t, x.h.violations, "P6", "which was told that it is committed, is aborted in orders-2")
}

func TestReadOfAnOpenTransactionFires(t *testing.T) { // G1a
	h := clients(-1)
	h.BeginAs(0, false, 1)
	produced(h, 0, 1, 0)
	h.ReadsUncommitted(1)
	h.Read(1, 0, 0, 0, 0, 0, 3)
	if len(h.violations) != 0 {
		t.Error(h.violations)
	}
	h.Read(0, 0, 0, 0, 0, 0, 3)
	expectHistory(t, h.violations, "P6", "consumer 0 read orders-2@0 (record 0 of producer 0), and its transaction is open")
}

func TestRecordsOfAbortedTransactionsAreNoSkip(t *testing.T) {
	h := clients(-1)
	h.ReadsUncommitted(1)
	produced(h, 0, 1, 0)
	id := h.Begin(0, none)
	produced(h, 0, 1, 1)
	h.End(id, false, true, 5)
	produced(h, 0, 1, 2)
	for _, offset := range []int64{0, 2} {
		h.Read(0, 0, offset, 0, offset, 0, 6)
	}
	for offset := range int64(3) {
		h.Read(1, 0, offset, 0, offset, 0, 6)
	}
	if found := h.Judge(9); len(found) != 0 {
		t.Error(found)
	}
}

func TestFencedProducerThatCommitsFires(t *testing.T) {
	for _, c := range []struct {
		epoch  int16
		ending int64
		fires  bool
	}{{2, 9, true}, {2, 4, false}, {0, 9, false}} { // taken before it asked; after; by one whose answer came late
		h := clients(-1)
		h.Initialized(0, 70, 1, 1)
		id := h.BeginAs(0, false, 2)
		h.Initialized(1, 70, c.epoch, 5)
		h.Ending(id, true, scheduler.Instant(c.ending))
		h.End(id, true, false, 12)
		if fired := len(h.violations) > 0; fired != c.fires {
			t.Errorf("%+v: %v", c, h.violations)
		}
	}
}

// decide has the coordinator write a record of a transactional id, and commits it.
func (x *transacted) decide(offset int64, epoch int16, state int8, partitions ...int32) {
	k, v := kmsg.NewTxnMetadataKey(), kmsg.NewTxnMetadataValue()
	k.TransactionalID = "t0"
	v.ProducerID, v.ProducerEpoch, v.State = 70, epoch, kmsg.TransactionState(state)
	if len(partitions) > 0 {
		v.Topics = []kmsg.TxnMetadataValueTopic{{Topic: "orders", Partitions: partitions}}
	}
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: offset, ProducerID: -1, BaseTimestamp: 1})
	b.Append(1, k.AppendTo(nil), v.AppendTo(nil))
	x.emitAppend(b.Build())
	x.emit(1, event.Event{Kind: event.HighWatermark, Partition: transactionState, Peer: -1, Offset: offset + 1})
	x.turn()
}

var transactionState = event.Partition{Topic: config.TransactionState}

func (x *transacted) emitAppend(b record.Batch) {
	x.emit(1, event.Event{Kind: event.Appended, Partition: transactionState, Peer: -1, Offset: b.BaseOffset(), Len: 1, Batch: b})
	x.emit(1, event.Event{Kind: event.Written, Partition: transactionState, Peer: -1, Epoch: -1, Offset: b.NextOffset()})
}

func (x *transacted) coordinate() {
	x.logs[1][transactionState] = &fakeLog{stable: none, epochs: []storage.EpochEntry{{}}}
	x.emit(1, event.Event{Kind: event.Recovered, Partition: transactionState, Epoch: -1})
	x.emit(1, event.Event{Kind: event.BecameLeader, Partition: transactionState, Peer: -1})
}

func TestCoordinatorsStatesFollowEachOther(t *testing.T) {
	x := newTransacted(t)
	x.coordinate()
	for i, d := range []struct {
		epoch int16
		state int8
	}{{0, txnEmpty}, {0, txnOngoing}, {0, txnOngoing}, {1, txnPrepareCommit}, {1, txnCompleteCommit}, {1, txnOngoing}, {2, txnPrepareAbort}, {2, txnCompleteAbort}, {3, txnEmpty}} {
		x.decide(int64(i), d.epoch, d.state)
	}
	x.silent()
}

func TestCoordinatorsStatesThatDoNotFollowFire(t *testing.T) {
	for _, c := range []struct {
		words string
		epoch int16
		state int8
	}{
		{"went from Ongoing to CompleteCommit", 5, txnCompleteCommit},
		{"went from producer epoch 5 to 4", 4, txnPrepareAbort},
		{"went from producer epoch 5 to 7", 7, txnPrepareAbort},    // M49
		{"has the producer epoch -32768", -32768, txnPrepareAbort}, // M50
	} {
		x := newTransacted(t)
		x.coordinate()
		x.decide(0, 5, txnOngoing)
		x.decide(1, c.epoch, c.state)
		found := false
		for _, v := range x.s.violations {
			checkSentence(t, &v)
			found = found || v.Checker == "I9" && strings.Contains(v.Text, c.words)
		}
		if !found {
			t.Errorf("no %q in %v", c.words, x.s.violations)
		}
	}
}

func TestTransactionThatIsCompleteWithoutAMarkerFires(t *testing.T) {
	x := newTransacted(t)
	x.coordinate()
	x.h.BeginAs(0, false, 1)
	x.write(0)
	x.stable(0)
	x.decide(0, 0, txnOngoing, 2)
	x.decide(1, 1, txnPrepareAbort, 2)
	x.silent()
	x.decide(2, 1, txnCompleteAbort)
	x.fires("I9", "P6", "transactional id t0 is in CompleteAbort, though what its producer wrote to orders-2 from 0 on has no marker")
}

func TestMarkerThatNobodyHasDecidedFires(t *testing.T) {
	x := newTransacted(t)
	x.coordinate()
	x.h.BeginAs(0, false, 1)
	x.write(0)
	x.decide(0, 0, txnOngoing, 2)
	x.decide(1, 1, txnPrepareAbort, 2)
	x.mark(0, false) // of epoch 0
	x.stable(none)
	x.fires("I9", "P6", "the marker orders-2@1, of producer epoch 0, ends a transaction in a way that its coordinator has not decided")
}

// copying makes a history in which producer 1 copies the record of producer 0 in each of some transactions.
func copying(committed ...bool) *History {
	h := clients(-1)
	h.AddCopiers("g0", offsetsHome, []int{0}, 1, 2)
	produced(h, 0, 1, 0)
	h.Read(0, 0, 0, 0, 0, 0, 3)
	for i, commit := range committed {
		id := h.BeginAs(1, false, 3)
		h.Consumed(id, 0, 0, 0)
		produced(h, 1, 1, int64(1+i))
		h.Copied(id, 1, 0, int64(i), 0, 0, 0)
		h.End(id, commit, !commit, 4)
	}
	return h
}

func TestCopiesAreCounted(t *testing.T) {
	for want, h := range map[string]*History{
		"":                                     copying(false, true, false),
		"was copied twice by group g0":         copying(true, false, true),
		"orders-2@0 was not copied by group g": copying(false, false),
	} {
		h.judgeCopies(9)
		if want == "" && len(h.violations) == 0 {
			continue
		}
		expectHistory(t, h.violations, "P6", want)
	}
}

func TestTransactionsThatReadFromEachOtherFire(t *testing.T) { // G1c
	h := clients(-1)
	a, b := h.BeginAs(0, false, 1), h.BeginAs(1, false, 1)
	produced(h, 0, 1, 0)
	produced(h, 1, 1, 1)
	h.Consumed(b, 0, 0, 0)
	h.Consumed(a, 0, 1, 0)
	h.End(a, true, false, 4)
	h.judgeCycles(9)
	if len(h.violations) > 0 {
		t.Error(h.violations)
	}
	h.End(b, true, false, 5)
	h.judgeCycles(9)
	expectHistory(t, h.violations, "P6", "have each read, perhaps by way of others, what the other wrote (G1c)")
}

func TestWritesBetweenEachOtherAreCounted(t *testing.T) { // G0
	h := clients(-1)
	a, b := h.BeginAs(0, false, 1), h.BeginAs(1, false, 1)
	for i := range int64(3) {
		produced(h, int(i%2), 1, i)
		h.Read(0, 0, i, int(i%2), i/2, 0, 3)
	}
	h.violations = nil
	h.End(a, true, false, 4)
	h.End(b, true, false, 5)
	if h.judgeCycles(9); len(h.violations) > 0 || h.counts.WriteCycles != 1 {
		t.Errorf("%v, %d", h.violations, h.counts.WriteCycles)
	}
}

// TestCyclesAreFound compares the search with one that follows all paths.
func TestCyclesAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "n")
		edges := make([][]int32, n)
		reach := make([][]bool, n)
		for i := range reach {
			reach[i] = make([]bool, n)
		}
		for range rapid.IntRange(0, 12).Draw(t, "edges") {
			a, b := rapid.IntRange(0, n-1).Draw(t, "a"), rapid.IntRange(0, n-1).Draw(t, "b")
			edges[a] = append(edges[a], int32(b))
			reach[a][b] = true
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
				}
			}
		}
		want := false
		for i := range n {
			for j := range i {
				want = want || reach[i][j] && reach[j][i]
			}
		}
		got := firstCycle(n, edges)
		if (got != nil) != want || got != nil && !(reach[got[0]][got[1]] && reach[got[1]][got[0]]) {
			t.Fatalf("%v: %v, want %t", edges, got, want)
		}
	})
}
