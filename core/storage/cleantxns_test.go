package storage

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"pgregory.net/rapid"
)

// txnRecord is a record that a transaction wrote to a compacted log.
type txnRecord struct {
	logRecord
	producer int64
	fate     byte // 'o'pen, 'c'ommitted, 'a'borted
}

// cleanTxnModel is a compacted log to which three producers write transactions.
type cleanTxnModel struct {
	*node
	log     *Log
	cfg     CleanerConfig
	written map[int64]*txnRecord
	seqs    [3]int32
}

func (m *cleanTxnModel) data(t *rapid.T) {
	p := rapid.IntRange(0, 2).Draw(t, "producer")
	var all []kv
	for range rapid.IntRange(1, 3).Draw(t, "records") {
		all = append(all, put(fmt.Sprint(rapid.IntRange(0, 4).Draw(t, "key")), fmt.Sprint(m.log.NextOffset())))
	}
	b := producerOf(m.node, int64(p), m.seqs[p], true, all...)
	info := m.append(m.log, b, 0)
	m.seqs[p] += int32(len(all))
	for i, r := range all {
		at := info.FirstOffset + int64(i)
		m.written[at] = &txnRecord{logRecord{at, 0, r.key, string(r.value), false}, int64(p), 'o'}
	}
	m.log.SetHighWatermark(m.log.LogEndOffset())
}

func (m *cleanTxnModel) end(t *rapid.T) {
	p, commit := int64(rapid.IntRange(0, 2).Draw(t, "producer")), rapid.Bool().Draw(t, "commit")
	b := record.BuildMarker(p, 0, record.Marker{Commit: commit, CoordinatorEpoch: 1}, m.loop.UnixMilli())
	m.must("marker", func(done func(error)) {
		if _, err := m.log.AppendMarker(b, 0, 1, done); err != nil {
			t.Fatalf("marker: %v", err)
		}
	})
	for _, r := range m.written { // order: independent
		if r.producer == p && r.fate == 'o' {
			r.fate = map[bool]byte{true: 'c', false: 'a'}[commit]
		}
	}
	m.log.SetHighWatermark(m.log.LogEndOffset())
}

// committed reads the log as a read_committed consumer does.
func (m *cleanTxnModel) committed() (all []logRecord) {
	aborted := m.log.AbortedTxns(m.log.LogStartOffset(), m.log.LogEndOffset())
	slices.SortFunc(aborted, func(a, b AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	out := map[int64]bool{} // producers that are in an aborted transaction
	for _, b := range m.content(m.log) {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			out[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if b.IsControl() {
			if marker, ok := record.ParseMarker(b); ok && !marker.Commit {
				delete(out, b.ProducerID())
			}
		} else if !out[b.ProducerID()] && b.BaseOffset() < m.log.LastStableOffset() {
			all = append(all, recordsOf(m.t, b)...)
		}
	}
	return all
}

func (m *cleanTxnModel) check(t *rapid.T) {
	last := map[string]int64{} // committed and stable
	for _, at := range slices.Sorted(maps.Keys(m.written)) {
		if r := m.written[at]; r.fate == 'c' && at < m.log.LastStableOffset() {
			last[r.key] = at
		}
	}
	found := map[int64]bool{}
	for _, r := range m.committed() {
		if w := m.written[r.offset]; w == nil || w.fate != 'c' || w.key != r.key || w.value != r.value {
			t.Fatalf("read_committed reads %v, written as %+v", r, w)
		}
		found[r.offset] = true
	}
	for key, at := range last { // order: independent checks
		if !found[at] {
			t.Fatalf("the last record of key %s, at %d, is gone; stable up to %d", key, at, m.log.LastStableOffset())
		}
	}
	for _, b := range m.content(m.log) {
		if w := m.written[b.BaseOffset()]; w != nil && w.fate == 'a' && b.LastOffset() < m.log.cleaned && b.Count() > 0 {
			t.Fatalf("aborted records at %d are there, and the log was compacted up to %d", b.BaseOffset(), m.log.cleaned)
		}
	}
}

// reopen opens the log again, knowing of its producers what the batches tell, and a snapshot if it has one.
func (m *cleanTxnModel) reopen(t *rapid.T) {
	stable, before := m.log.LastStableOffset(), m.log.Producers()
	if rapid.Bool().Draw(t, "without snapshots") {
		m.must("snapshots", func(done func(error)) { m.log.removeSnapshots(func(int64) bool { return true }, done) })
	}
	o := m.options(m.log.config)
	o.RecoveryPoint, o.HighWatermark, o.CleanedUpTo = rapid.Int64Range(0, m.log.RecoveryPoint()).Draw(t, "recovery point"), m.log.highWatermark, m.log.cleaned
	hw := m.log.highWatermark
	m.must("flush", m.log.Flush)
	m.losePower()
	m.log = m.open(o)
	m.log.SetHighWatermark(hw)
	if m.log.LastStableOffset() != stable {
		t.Fatalf("stable up to %d, before a restart %d", m.log.LastStableOffset(), stable)
	}
	for i, p := range m.log.Producers() {
		if b := before[i]; p.ProducerID != b.ProducerID || p.LastSequence() != b.LastSequence() || p.TxnFirstOffset != b.TxnFirstOffset {
			t.Fatalf("producer %+v, before a restart %+v", p, b)
		}
	}
	if len(before) != len(m.log.Producers()) {
		t.Fatalf("%d producers, before a restart %d", len(m.log.Producers()), len(before))
	}
}

func TestCompactionKeepsTransactions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &cleanTxnModel{node: newNode(t, 1), cfg: DefaultCleanerConfig(), written: map[int64]*txnRecord{}}
		m.cfg.IOBufferBytes = rapid.IntRange(61, 600).Draw(t, "chunk")
		c := compactConfig()
		c.DeleteRetentionMs = 1000
		m.log = m.open(m.options(c))
		t.Repeat(map[string]func(*rapid.T){
			"data": m.data, "data2": m.data, "end": m.end, "reopen": m.reopen,
			"roll":  func(*rapid.T) { m.roll(m.log) },
			"time":  func(t *rapid.T) { m.pass(rapid.Int64Range(1, 1500).Draw(t, "ms")) },
			"clean": func(*rapid.T) { m.cleanAs(m.log, &m.cfg) },
			"all":   func(*rapid.T) { m.log.cleaned = 0; m.cleanAs(m.log, &m.cfg) },
			"":      m.check,
		})
	})
}

func TestMarkerStaysForDeleteRetentionAfterItsTransactionsDataIsGone(t *testing.T) {
	n := newNode(t, 1)
	c := compactConfig()
	c.DeleteRetentionMs = 1000
	l := n.open(n.options(c))
	end := func(seq int32, commit bool) {
		n.append(l, producerOf(n, 7, seq, true, put("a", fmt.Sprint(seq))), 0)
		n.must("marker", func(done func(error)) {
			l.AppendMarker(record.BuildMarker(7, 0, record.Marker{Commit: commit, CoordinatorEpoch: 1}, n.loop.UnixMilli()), 0, 1, done)
		})
	}
	end(0, false) // 0, 1
	end(1, true)  // 2, 3
	end(2, true)  // 4, 5
	n.roll(l)
	l.SetHighWatermark(l.LogEndOffset())
	left := func(want string) {
		t.Helper()
		n.clean(l)
		got := ""
		for _, b := range n.content(l) {
			got += fmt.Sprintf("%d:%d ", b.BaseOffset(), b.Count())
		}
		if got != want {
			t.Errorf("left %s, want %s", got, want)
		}
		l.cleaned = 0
	}
	left("1:1 3:1 4:1 5:1 ") // the data at 0 and 2 goes, and was there still: nothing is decided of the markers
	if b := n.content(l)[0]; b.HasDeleteHorizon() || len(l.AbortedTxns(0, 6)) != 1 {
		t.Errorf("horizon %d, aborted %v", b.DeleteHorizon(), l.AbortedTxns(0, 6))
	}
	left("1:1 3:1 4:1 5:1 ")
	horizon := n.content(l)[0].DeleteHorizon()
	if horizon == record.NoDeleteHorizon || len(l.AbortedTxns(0, 6)) != 0 {
		t.Errorf("horizon %d, aborted %v", horizon, l.AbortedTxns(0, 6))
	}
	n.pass(horizon - 300 - n.loop.UnixMilli())
	left("1:1 3:1 4:1 5:1 ")
	n.pass(horizon - n.loop.UnixMilli())
	left("4:1 5:1 ")
}
