package storage

import (
	"encoding/hex"
	"math"
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

func TestTransactionIndexIsKafkas(t *testing.T) {
	all := []AbortedTxn{{1000, 7, 11, 12}, {1001, 9, 300, 257}}
	b := marshalAborted(all)
	want := "0000" + "00000000000003e8" + "0000000000000007" + "000000000000000b" + "000000000000000c" +
		"0000" + "00000000000003e9" + "0000000000000009" + "000000000000012c" + "0000000000000101"
	if got := hex.EncodeToString(b); got != want {
		t.Fatalf("index\n%s, want\n%s", got, want)
	}
	parsed, err := parseAborted(b, 5)
	if err != nil || !slices.Equal(parsed, all) {
		t.Fatalf("parsed %v, %v", parsed, err)
	}
	for name, bad := range map[string][]byte{"short": b[:67], "version": append([]byte{1}, b[1:]...)} {
		if _, err := parseAborted(bad, 5); err == nil {
			t.Error(name, "went unseen")
		}
	}
	if _, err := parseAborted(b, 12); err == nil {
		t.Error("an entry of another segment went unseen")
	}
}

func txnBatch(pid int64, epoch int16, seq int32, count, size int) record.Batch {
	b := record.NewBuilder(nil, record.BatchOptions{ProducerID: pid, ProducerEpoch: epoch, BaseSequence: seq, BaseTimestamp: 1, Transactional: true})
	for range count {
		b.Append(1, nil, make([]byte, size))
	}
	return b.Build()
}

func marker(pid int64, epoch int16, commit bool) record.Batch {
	return record.BuildMarker(pid, epoch, record.Marker{Commit: commit, CoordinatorEpoch: 1}, 1)
}

// decided is what a walk over all batches finds out: the transactions that were aborted, and the first offset that is not decided below hw.
func decided(batches []record.Batch, hw int64) (aborted []AbortedTxn, lso int64) {
	open, lso := map[int64]int64{}, hw
	for _, b := range batches {
		first, isOpen := open[b.ProducerID()]
		m, ok := record.ParseMarker(b)
		switch {
		case !b.IsTransactional() || b.IsControl() && !(ok && isOpen):
		case !b.IsControl() && !isOpen:
			open[b.ProducerID()] = b.BaseOffset()
		case b.IsControl():
			delete(open, b.ProducerID())
			if b.BaseOffset() >= hw {
				lso = min(lso, first)
			}
			if !m.Commit {
				aborted = append(aborted, AbortedTxn{ProducerID: b.ProducerID(), FirstOffset: first, LastOffset: b.BaseOffset()})
			}
		}
	}
	for _, first := range open { // order: a minimum
		lso = min(lso, first)
	}
	return aborted, lso
}

// txnMachine is a log to which three producers write transactions.
type txnMachine struct {
	node   *node
	log    *Log
	config LogConfig
	seqs   [3]int32
}

func (m *txnMachine) append(b record.Batch) {
	m.node.append(m.log, b, max(0, m.log.LatestEpoch()))
}

func (m *txnMachine) data(t *rapid.T) {
	p := rapid.IntRange(0, 2).Draw(t, "producer")
	n := rapid.IntRange(1, 3).Draw(t, "records")
	m.append(txnBatch(int64(p), 0, m.seqs[p], n, rapid.IntRange(0, 300).Draw(t, "size")))
	m.seqs[p] += int32(n)
}

func (m *txnMachine) end(t *rapid.T) {
	b := marker(int64(rapid.IntRange(0, 2).Draw(t, "producer")), 0, rapid.IntRange(0, 2).Draw(t, "commit") == 0)
	m.node.must("marker", func(done func(error)) {
		if _, err := m.log.AppendMarker(b, max(0, m.log.LatestEpoch()), 1, done); err != nil {
			t.Fatalf("marker: %v", err)
		}
	})
}

func (m *txnMachine) truncate(t *rapid.T) {
	at := m.log.NextOffset()
	if all := m.node.content(m.log); len(all) > 0 {
		at = rapid.SampledFrom(all).Draw(t, "batch").BaseOffset()
	}
	if rapid.Bool().Draw(t, "forget") {
		m.log.recent.releaseAll() // so that only the disk knows where
	}
	m.node.must("truncate", func(done func(error)) { m.log.TruncateTo(at, done) })
	for p := range m.seqs {
		m.seqs[p] = 0
	}
	for _, p := range m.log.Producers() {
		m.seqs[p.ProducerID] = p.LastSequence() + 1
	}
}

func (m *txnMachine) reopen(t *rapid.T) {
	o := m.node.options(m.config)
	o.HighWatermark = m.log.HighWatermark()
	if o.Clean = rapid.Bool().Draw(t, "clean"); o.Clean {
		m.node.must("close", m.log.Close)
		o.RecoveryPoint = m.log.RecoveryPoint()
	} else {
		o.RecoveryPoint = m.log.RecoveryPoint()
		m.node.must("flush", m.log.Flush)
		m.node.losePower()
	}
	m.log = m.node.open(o)
	m.log.SetHighWatermark(o.HighWatermark)
}

func (m *txnMachine) check(t *rapid.T) {
	if m.log.IsRebuilding() {
		t.Fatal("still rebuilding")
	}
	m.log.SetHighWatermark(rapid.Int64Range(0, m.log.LogEndOffset()).Draw(t, "hw"))
	all, lso := decided(m.node.content(m.log), m.log.HighWatermark())
	if got := m.log.LastStableOffset(); got != lso {
		t.Fatalf("last stable offset %d, want %d; high watermark %d", got, lso, m.log.HighWatermark())
	}
	from := rapid.Int64Range(0, m.log.LogEndOffset()).Draw(t, "from")
	upTo := rapid.Int64Range(from, m.log.LogEndOffset()).Draw(t, "upTo")
	want := slices.DeleteFunc(all, func(x AbortedTxn) bool { return x.LastOffset < from || x.FirstOffset >= upTo })
	got := m.log.AbortedTxns(from, upTo)
	for i := range got {
		got[i].LastStableOffset = 0
	}
	if !slices.Equal(got, want) {
		t.Fatalf("aborted in [%d,%d): %v, want %v", from, upTo, got, want)
	}
	m.checkFiles(t)
}

// checkFiles compares the files with the memory: of the active segment too, whose entries follow the markers.
func (m *txnMachine) checkFiles(t *rapid.T) {
	for _, g := range m.log.segments.all() {
		if !g.aborted.exists {
			if len(g.aborted.entries) > 0 {
				t.Fatalf("segment %d has no transaction index", g.base)
			}
			continue
		}
		m.node.must("read", func(done func(error)) {
			ReadFile(m.node.env.Disk, m.log.path(fileName(g.base, txnIndexSuffix)), func(b []byte, err error) {
				if entries, bad := parseAborted(b, g.base); bad != nil || !slices.Equal(entries, g.aborted.entries) {
					t.Fatalf("segment %d: file has %v, %v, memory %v", g.base, entries, bad, g.aborted.entries)
				}
				done(err)
			})
		})
	}
}

func TestAbortedTransactionsAreThoseThatAWalkFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &txnMachine{node: newNode(t, 1), config: smallConfig()}
		m.config.ProducerIDExpirationMs = math.MaxInt64 // the timestamps here are of long ago
		m.log = m.node.open(m.node.options(m.config))
		t.Repeat(map[string]func(*rapid.T){
			"data": m.data, "data again": m.data, "data once more": m.data, "end": m.end, "end again": m.end,
			"truncate": m.truncate, "reopen": m.reopen, "": func(t *rapid.T) {
				m.node.must("settle", m.log.Flush)
				m.check(t)
			},
		})
	})
}

// Two that overlap in time: the search ends at the first that nothing before its range outlived.
func TestSearchForAbortedGoesOnToLaterSegments(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.SegmentBytes = 200
	l := n.open(n.options(c))
	n.append(l, txnBatch(1, 0, 0, 1, 10), 0)
	for i := range 5 {
		n.append(l, txnBatch(2, 0, int32(i), 1, 100), 0)
	}
	for _, pid := range []int64{2, 1} {
		if _, err := l.AppendMarker(marker(pid, 0, false), 0, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	n.must("flush", l.Flush)
	want := []AbortedTxn{{2, 1, 6, 0}, {1, 0, 7, 8}}
	if got := l.AbortedTxns(0, 2); !slices.Equal(got, want) {
		t.Errorf("in [0,2): %v, want %v", got, want)
	}
	if got := l.AbortedTxns(0, 1); !slices.Equal(got, want[1:]) {
		t.Errorf("in [0,1): %v, want %v", got, want[1:])
	}
	if len(l.segments.all()) < 4 {
		t.Errorf("%d segments: nothing was searched", len(l.segments.all()))
	}
}

// While the producer states are read back from the disk, nobody knows which transactions are open.
func TestNothingIsStableWhileProducersAreRebuilt(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 2, 10, 1), 0)
	n.append(l, txnBatch(1, 0, 0, 1, 10), 0)
	n.append(l, batch(0, 0, 2, 10, 1), 0)
	l.SetHighWatermark(3)
	ended := false
	l.TruncateTo(3, func(error) { ended = true })
	if got := l.LastStableOffset(); got != 0 || !l.IsRebuilding() {
		t.Errorf("last stable offset %d while rebuilding %v", got, l.IsRebuilding())
	}
	n.run("truncate", &ended)
	if got := l.LastStableOffset(); got != 2 {
		t.Errorf("last stable offset %d, want 2", got)
	}
}

func TestMarkersAreJudgedByTransactionVersion(t *testing.T) {
	for _, c := range []struct {
		name    string
		epoch   int16 // of the marker; the producer's is 5
		version int16
		open    bool
		want    error
	}{
		{"version 1, same epoch", 5, 1, true, nil},
		{"version 1, older epoch", 4, 1, true, kerr.InvalidProducerEpoch},
		{"version 2, next epoch", 6, 2, true, nil},
		{"version 2, late", 5, 2, true, kerr.InvalidProducerEpoch},
		{"version 2, repeated", 5, 2, false, nil},
		{"version 2, older epoch", 4, 2, false, kerr.InvalidProducerEpoch},
	} {
		n := newNode(t, 1)
		l := n.open(n.options(smallConfig()))
		n.append(l, txnBatch(1, 5, 0, 1, 10), 0)
		if !c.open {
			if _, err := l.AppendMarker(marker(1, 5, false), 0, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.AppendMarker(marker(1, c.epoch, false), 0, c.version, nil); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, txnBatch(1, math.MaxInt16, 0, 1, 10), 0)
	if _, err := l.AppendMarker(marker(1, math.MaxInt16, false), 0, 2, nil); err != nil {
		t.Errorf("the last epoch there is cannot be followed by another, and yet: %v", err)
	}
	old := record.BuildMarker(1, math.MaxInt16, record.Marker{CoordinatorEpoch: 0}, 1)
	if _, err := l.AppendMarker(old, 0, 1, nil); err != kerr.TransactionCoordinatorFenced {
		t.Errorf("marker of an old coordinator: %v", err)
	}
}

func TestFailedTransactionIndexTakesTheLogOffline(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, txnBatch(1, 0, 0, 1, 10), 0)
	n.must("marker", func(done func(error)) {
		if _, err := l.AppendMarker(marker(1, 0, false), 0, 1, done); err != nil {
			t.Fatal(err)
		}
	})
	n.disk.FailNext(simdisk.OpWrite, disk.ErrIO) // the entry's: it follows the marker's
	failed := false
	l.OnFailure(func(error) { failed = true })
	n.run("failure", &failed)
	if _, err := n.lead(l, batch(0, 0, 1, 1, 1), 0, nil); err != ErrOffline {
		t.Errorf("append after the failure: %v", err)
	}
	if l.NextOffset() != 2 {
		t.Errorf("next offset %d: what was appended has its offset", l.NextOffset())
	}
}

// A producer that was silent for a day is known still when its coordinator has just ended its transaction (KAFKA-9144).
func TestMarkerIsASignOfLife(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.ProducerIDExpirationMs = 1000
	l := n.open(n.options(c))
	n.append(l, txnBatch(1, 0, 0, 1, 1), 0)
	now := n.env.Loop.UnixMilli()
	m := record.BuildMarker(1, 0, record.Marker{CoordinatorEpoch: 5}, now)
	if _, err := l.AppendMarker(m, 0, 1, nil); err != nil {
		t.Fatal(err)
	}
	l.producers.expire(now+999, 1000)
	old := record.BuildMarker(1, 0, record.Marker{CoordinatorEpoch: 4}, now)
	if _, err := l.AppendMarker(old, 0, 1, nil); err != kerr.TransactionCoordinatorFenced {
		t.Errorf("marker of an old coordinator: %v", err)
	}
	l.producers.expire(now+1000, 1000)
	if len(l.Producers()) != 0 {
		t.Error("known for ever")
	}
}

// A replica that was down for longer than delete.retention.ms has a transaction open of which the leader's log has nothing any more but
// an empty control batch, where the producer's last is.
func TestTransactionThatWasCompactedAwayIsOver(t *testing.T) {
	p := producers{states: map[int64]*ProducerState{}}
	for _, epoch := range []int16{0, 1} {
		data := txnBatch(7, epoch, 0, 1, 10)
		data.SetBaseOffset(10 * int64(epoch))
		p.update(data)
		gone := record.Batch(record.AppendEmpty(nil, marker(7, epoch, true)))
		gone.SetBaseOffset(10*int64(epoch) + 5)
		ended, aborted := p.update(gone)
		if want := (AbortedTxn{7, 10 * int64(epoch), 10*int64(epoch) + 5, 10*int64(epoch) + 6}); !aborted || ended != want {
			t.Errorf("ended %v, aborted %t; want %v", ended, aborted, want)
		}
		if at := p.firstUnstable(100); at != math.MaxInt64 {
			t.Errorf("a transaction is open at %d", at)
		}
	}
	gone := record.Batch(record.AppendEmpty(nil, marker(8, 3, false)))
	if _, aborted := p.update(gone); aborted {
		t.Error("a producer without a transaction has one aborted")
	}
	if p.expire(gone.MaxTimestamp()+10, 20); p.get(8).Epoch != 3 {
		t.Error("a producer is forgotten before its time if all that is left of it is an emptied marker")
	}
}
