package sim

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// calmTxn is a small world with transactional producers, and a consumer of each isolation.
func calmTxn(version int, x TxnOptions, faults ...Fault) *Schedule {
	s := calm(faults...)
	s.Options.For = 10 * time.Second
	s.Options.Txns, s.Options.Transactions = []TxnOptions{x}, plainTransactions()
	s.Options.Transactions.Version = version
	s.Options.Consumers = append(s.Options.Consumers, s.Options.Consumers[0])
	s.Options.Consumers[0].Committed = true
	return s
}

// speakers are the transaction.version of a cluster and whether its clients are from before it.
var speakers = []struct {
	version int
	old     bool
}{{1, false}, {2, false}, {2, true}}

func TestTransactionsWithoutTroubles(t *testing.T) {
	for _, c := range speakers {
		x := plainTxn()
		x.Old = c.old
		r, seen := notes(calmTxn(c.version, x))
		n := r.Stats.Transactions
		if r.Verdict() != Passed || n.Committed == 0 || n.Aborted == 0 || n.Unknown > 0 || n.Begun != n.Committed+n.Aborted || seen["txn-gives-up"] > 0 || seen["txn-batch-failed"] > 0 {
			t.Errorf("%+v: %s: %s; %+v, %v\n%s", c, r.Verdict(), r.Reason(), n, seen, r.Stack)
		}
	}
}

func TestGroupCopiesExactlyOnce(t *testing.T) {
	for _, version := range []int{1, 2} {
		g := plainGroup()
		g.Into, g.Timeout = "t0", 3*time.Second
		s := calmTxn(version, plainTxn())
		s.Options.Groups, s.Options.Offsets = []GroupOptions{g}, plainOffsets()
		r, seen := notes(s)
		n := r.Stats.Transactions
		if r.Verdict() != Passed || n.Unknown > 0 || n.Committed < 200 || seen["txn-gives-up"] > 0 {
			t.Errorf("version %d: %s: %s; %+v, %v\n%s", version, r.Verdict(), r.Reason(), n, seen, r.Stack)
		}
	}
}

func TestTransactionalProducersHaveTroubles(t *testing.T) {
	for _, c := range speakers {
		x := plainTxn()
		x.IDs, x.Twins, x.Churn, x.Timeout, x.Hold, x.Old = 2, 2, time.Second, time.Second, 2*time.Second, c.old
		r, seen := notes(calmTxn(c.version, x))
		if r.Verdict() != Passed || seen["txn-crashes"] == 0 || seen["txn-stands-still"] == 0 || seen["txn-gives-up"] == 0 || r.Stats.Transactions.Committed == 0 {
			t.Errorf("%+v: %s: %s; %+v, %v\n%s", c, r.Verdict(), r.Reason(), r.Stats.Transactions, seen, r.Stack)
		}
	}
}

func TestTransactionsOutliveTheirCoordinator(t *testing.T) {
	for _, version := range []int{1, 2} {
		x := plainTxn()
		x.IDs = 3
		s := calmTxn(version, x, Fault{Label: "kill/0", Kind: Kill, At: 3 * time.Second, For: 2 * time.Second, Target: "leader:__transaction_state/0"})
		s.Options.Cluster.Session, s.Options.Cluster.Heartbeat = 500*time.Millisecond, 100*time.Millisecond
		if r, seen := notes(s); r.Verdict() != Passed || r.Stats.Effective[Kill] != 1 || seen["coordinator-loaded"] < 2 || r.Stats.Transactions.Committed < 100 {
			t.Errorf("version %d: %s: %s, %+v, %v\n%s", version, r.Verdict(), r.Reason(), r.Stats.Transactions, seen, r.Stack)
		}
	}
}

func TestSomeSeedsHaveTransactions(t *testing.T) {
	with, copies, old := 0, 0, 0
	for seed := range uint64(200) {
		s := Draw(seed)
		if !s.Options.hasTransactions() {
			continue
		}
		with++
		for i := range s.Options.Txns {
			if s.Options.Txns[i].Old {
				old++
			}
		}
		for i := range s.Options.Groups {
			if s.Options.Groups[i].copies() {
				copies++
			}
		}
		again, err := ParseSchedule(s.String())
		if err != nil || !reflect.DeepEqual(again.Options, s.Options) {
			t.Errorf("seed %d: %v; wrote\n%s", seed, err, s)
		}
	}
	if with < 25 || with > 60 || copies < 10 || old == 0 {
		t.Errorf("%d of 200 seeds have transactions, %d groups copy, %d lines are of old clients", with, copies, old)
	}
}

func TestTransactionsThatCannotBeAreRefused(t *testing.T) {
	for _, lines := range []string{
		"txn ids=1", "group into=t0 timeout=1s\noffsets partitions=1", "transactions version=3", "transactions version=2\ntxn ids=0", "transactions version=2\ntxn topics=t7",
		"transactions version=2\ntxn topics=__transaction_state", "transactions version=2\ntxn timeout=0s", "transactions version=2\noffsets partitions=1\ngroup into=t7 timeout=1s",
		"transactions version=2\noffsets partitions=1\ngroup into=t0 timeout=1s version=5", "transactions version=2\noffsets partitions=1\ngroup into=t0",
	} {
		if _, err := ParseSchedule(calm().String() + lines + "\n"); err == nil {
			t.Errorf("%q is taken", lines)
		}
	}
}

// late is a schedule in which requests of a transactional producer to its coordinator come late, and others in their place before them.
func late(version int, old bool) *Schedule {
	x := plainTxn()
	x.IDs, x.Interval, x.Hold, x.Aborts, x.Timeout, x.Old = 4, 10*time.Millisecond, 2*time.Second, 4, 20*time.Second, old
	s := calmTxn(version, x)
	for i := range x.IDs * 15 {
		s.Faults = append(s.Faults, Fault{
			Label: fmt.Sprint("delay/", i), Kind: Delay, At: time.Duration(1+i/x.IDs*2) * time.Second, For: 300 * time.Millisecond,
			Target: transactorName(i % x.IDs), Peer: "leader:__transaction_state/0", Size: 1_500_000,
		})
	}
	s.Options.Cluster.RequestTimeout, s.Options.For = 1100*time.Millisecond, 30*time.Second
	s.Options.Producers, s.Options.Topics[0].Partitions = nil, 3
	return s
}

// With version 1 a late EndTxn ends the producer's next transaction, as Jepsen found (KAFKA-17754); with version 2 it is refused, if the
// client speaks it.
func TestLateRequestsOfVersion1AreALesson(t *testing.T) {
	for _, c := range speakers {
		lessons := int64(0)
		for seed := range uint64(3) {
			s := late(c.version, c.old)
			s.Seed = seed
			r := Run(s, RunOptions{})
			if r.Verdict() != Passed || r.Stats.Transactions.Committed < 5 {
				t.Errorf("%+v, seed %d: %s: %s, %+v\n%s", c, seed, r.Verdict(), r.Reason(), r.Stats.Transactions, r.Stack)
			}
			for _, l := range r.Stats.Losses {
				lessons += l.Records
			}
		}
		if lessons > 0 != (c.version == 1 || c.old) {
			t.Errorf("%+v: %d lessons", c, lessons)
		}
	}
}
