package storage

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// begin asks about a transaction and expects to have to.
func begin(t *testing.T, l *Log, pid int64, epoch int16, seq int32, adds bool) Guard {
	t.Helper()
	g, err := l.StartVerification(pid, epoch, seq, adds)
	if err != nil || g == 0 {
		t.Fatalf("guard %d, %v", g, err)
	}
	return g
}

func TestABatchThatBeginsATransactionNeedsTheAnswerToItsOwnQuestion(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	first := txnBatch(1, 0, 0, 1, 1)
	if err := l.CheckVerified(first, 0); err != kerr.InvalidTxnState {
		t.Errorf("not asked: %v", err)
	}
	stale := begin(t, l, 1, 0, 0, false)
	if again := begin(t, l, 1, 0, 0, false); again != stale {
		t.Errorf("the question under way has guards %d and %d", stale, again)
	}
	if _, err := l.AppendMarker(marker(1, 0, false), 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.CheckVerified(first, stale); err != kerr.InvalidTxnState {
		t.Errorf("answered before the abort: %v", err)
	}
	guard := begin(t, l, 1, 0, 0, false)
	if err := l.CheckVerified(first, stale); err != kerr.InvalidTxnState {
		t.Errorf("an older answer, though another question is open: %v", err)
	}
	if err := l.CheckVerified(first, guard); err != nil {
		t.Error(err)
	}
	n.append(l, first, 0)
	if err := l.CheckVerified(txnBatch(1, 0, 1, 1, 1), 0); err != nil {
		t.Errorf("the transaction is open: %v", err)
	}
	if err := l.CheckVerified(txnBatch(1, 1, 0, 1, 1), 0); err != kerr.InvalidTxnState {
		t.Errorf("another epoch's: %v", err)
	}
	if _, err := l.AppendMarker(marker(1, 0, true), 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.CheckVerified(first, 0); err != nil {
		t.Errorf("a repeated batch of a transaction that has ended: %v", err)
	}
	if _, err := l.StartVerification(1, -1, 0, false); err != kerr.InvalidProducerEpoch {
		t.Errorf("an older epoch: %v", err)
	}
}

// With version 2 the marker of the last transaction has the epoch of the next, and may come after its first question.
func TestMarkerOfTheLastTransactionLeavesTheNextOnesQuestion(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, txnBatch(1, 0, 0, 1, 1), 0)
	guard := begin(t, l, 1, 1, 0, true)
	if _, err := l.AppendMarker(marker(1, 1, true), 0, 2, nil); err != nil {
		t.Fatal(err)
	}
	if err := l.CheckVerified(txnBatch(1, 1, 0, 1, 1), guard); err != nil {
		t.Error(err)
	}
	if err := l.CheckVerified(txnBatch(1, 1, 3, 1, 1), guard); err != kerr.OutOfOrderSequenceNumber {
		t.Errorf("a batch that is not the first of its epoch: %v", err)
	}
}

// A lower sequence that was refused for a while could never follow a higher one.
func TestTheLowestSequenceTriedComesFirst(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	begin(t, l, 1, 0, 7, false)
	guard := begin(t, l, 1, 0, 9, false)
	if err := l.CheckVerified(txnBatch(1, 0, 9, 1, 1), guard); err != kerr.OutOfOrderSequenceNumber {
		t.Errorf("the second before the first: %v", err)
	}
	if err := l.CheckVerified(txnBatch(1, 0, 7, 1, 1), guard); err != nil {
		t.Error(err)
	}
	l.producers.expire(n.env.Loop.UnixMilli()+1000, 1000)
	if err := l.CheckVerified(txnBatch(1, 0, 7, 1, 1), guard); err != kerr.InvalidTxnState {
		t.Errorf("a question that nobody answered for long: %v", err)
	}
}
