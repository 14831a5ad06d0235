package storage

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk/simdisk"
	"pgregory.net/rapid"
)

// kv is a record of a compacted log; a nil value is a tombstone.
type kv struct {
	key   string
	value []byte
}

func put(key, value string) kv { return kv{key, []byte(value)} }
func tombstone(key string) kv  { return kv{key, nil} }
func compactConfig() (c LogConfig) {
	c = smallConfig()
	c.Compact, c.SegmentBytes, c.MinCleanableRatio = true, 400, 0
	return c
}

// keyed is a batch of records with keys.
func keyed(o record.BatchOptions, timestamp int64, all ...kv) record.Batch {
	o.BaseTimestamp = timestamp
	b := record.NewBuilder(nil, o)
	for i, r := range all {
		b.Append(timestamp+int64(i), []byte(r.key), r.value)
	}
	return b.Build()
}

// put appends one batch of keyed records as leader, and has it committed.
func (n *node) put(l *Log, all ...kv) {
	n.t.Helper()
	n.append(l, keyed(record.BatchOptions{ProducerID: -1}, n.loop.UnixMilli(), all...), 0)
	l.SetHighWatermark(l.LogEndOffset())
}

// roll ends the active segment.
func (n *node) roll(l *Log) {
	l.roll()
	n.must("roll", l.Flush)
}

// clean compacts all that may be compacted.
func (n *node) clean(l *Log) {
	n.t.Helper()
	cfg := DefaultCleanerConfig()
	n.cleanAs(l, &cfg)
}

func (n *node) cleanAs(l *Log, cfg *CleanerConfig) {
	n.t.Helper()
	span := l.cleanable()
	if span.ratio == 0 {
		return
	}
	n.must("clean", func(done func(error)) { l.clean(cfg, span, func() { done(l.failure) }) })
}

// records reads the whole log.
func (n *node) records(l *Log) (all []logRecord) {
	n.t.Helper()
	for _, b := range n.content(l) {
		all = append(all, recordsOf(n.t, b)...)
	}
	return all
}

type logRecord struct {
	offset, timestamp int64
	key, value        string
	tombstone         bool
}

func (r logRecord) String() string {
	if r.tombstone {
		return fmt.Sprintf("%d:%s-", r.offset, r.key)
	}
	return fmt.Sprintf("%d:%s=%s", r.offset, r.key, r.value)
}

func recordsOf(t fataler, b record.Batch) (all []logRecord) {
	t.Helper()
	err := b.Each(nil, func(r record.Record) error {
		all = append(all, logRecord{b.BaseOffset() + int64(r.OffsetDelta), b.BaseTimestamp() + r.TimestampDelta, string(r.Key), string(r.Value), r.Value == nil})
		return nil
	})
	if err != nil {
		t.Fatalf("batch at %d: %v", b.BaseOffset(), err)
	}
	return all
}

func TestCleaningKeepsTheLastRecordOfEachKey(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	n.put(l, put("a", "1"), put("b", "1"), put("c", "1"))
	n.put(l, put("a", "2"))
	n.roll(l)
	n.put(l, put("b", "2"), put("d", "1"))
	n.roll(l)
	n.put(l, put("c", "2"))
	n.clean(l)
	if got := fmt.Sprint(n.records(l)); got != "[2:c=1 3:a=2 4:b=2 5:d=1 6:c=2]" {
		t.Errorf("left: %s", got)
	}
	if len(l.segments.all()) != 2 || l.cleaned != 6 {
		t.Errorf("%d segments, cleaned up to %d", len(l.segments.all()), l.cleaned)
	}
	l = n.reopen(l)
	if got := fmt.Sprint(n.records(l)); got != "[2:c=1 3:a=2 4:b=2 5:d=1 6:c=2]" {
		t.Errorf("after a restart: %s", got)
	}
}

// reopen closes the log and opens it again.
func (n *node) reopen(l *Log) *Log {
	n.t.Helper()
	o := n.options(l.config)
	o.Clean, o.RecoveryPoint, o.LogStartOffset, o.CleanedUpTo = true, l.NextOffset(), l.logStart, l.cleaned
	hw := l.highWatermark
	n.must("close", l.Close)
	l = n.open(o)
	l.SetHighWatermark(hw)
	return l
}

func TestTombstoneStaysForDeleteRetentionAfterItsKeyIsGone(t *testing.T) {
	n := newNode(t, 1)
	c := compactConfig()
	c.DeleteRetentionMs = 1000
	l := n.open(n.options(c))
	n.put(l, put("a", "1"), tombstone("b"))
	n.put(l, tombstone("a"))
	n.roll(l)
	n.put(l, put("z", "1"))
	began := n.loop.UnixMilli()
	n.clean(l)
	if got := fmt.Sprint(n.records(l)); got != "[1:b- 2:a- 3:z=1]" {
		t.Fatalf("left: %s", got)
	}
	horizon := n.content(l)[0].DeleteHorizon()
	if other := n.content(l)[1].DeleteHorizon(); horizon != other || horizon < began+1000 || horizon > n.loop.UnixMilli()+1000 {
		t.Errorf("delete horizons %d and %d; the cleaning was from %d to %d", horizon, other, began, n.loop.UnixMilli())
	}
	again := func(at int64, want string) {
		t.Helper()
		n.pass(at - n.loop.UnixMilli())
		n.roll(l)
		n.put(l, put("z", "1"))
		n.clean(l)
		if got := fmt.Sprint(n.records(l)); got != want {
			t.Errorf("%d ms after the horizon: %s, want %s", at-horizon, got, want)
		}
	}
	again(horizon-300, "[1:b- 2:a- 3:z=1 4:z=1]")
	again(horizon, "[4:z=1 5:z=1]")
}

func TestANewBackoffOfTheCleanerCountsAtOnce(t *testing.T) {
	n := newNode(t, 1)
	m := n.openManager()
	l := n.create(m, event.Partition{Topic: "t"}, 1)
	l.SetConfig(compactConfig())
	n.put(l, put("a", "1"), put("a", "2"))
	n.roll(l)
	n.put(l, put("z", "1"))
	cfg := DefaultCleanerConfig()
	cfg.Backoff = time.Hour
	c := NewCleaner(m, cfg)
	n.pass(10_000)
	if got := fmt.Sprint(n.records(l)); got != "[0:a=1 1:a=2 2:z=1]" {
		t.Fatalf("before the backoff: %s", got)
	}
	cfg.Backoff = time.Second
	c.SetConfig(cfg)
	n.pass(2000)
	if got := fmt.Sprint(n.records(l)); got != "[1:a=2 2:z=1]" {
		t.Errorf("after the new backoff: %s", got)
	}
	c.Stop()
	cfg.Backoff = time.Hour
	c.SetConfig(cfg)
}

func TestTheLongestDeleteRetentionKeepsTombstones(t *testing.T) {
	n := newNode(t, 1)
	c := compactConfig()
	c.DeleteRetentionMs = math.MaxInt64
	l := n.open(n.options(c))
	n.put(l, put("a", "1"), tombstone("a"))
	for range 3 {
		n.roll(l)
		n.put(l, put("z", "1"))
		n.clean(l)
	}
	if got := fmt.Sprint(n.records(l)); !strings.HasPrefix(got, "[1:a- ") {
		t.Errorf("left: %s", got)
	}
}

// pass lets time go on.
func (n *node) pass(ms int64) {
	ended := false
	n.loop.AfterFunc(config.Duration(ms, time.Millisecond), func() { ended = true })
	n.run("time", &ended)
}

func TestWhatIsNotToBeCompactedYetStays(t *testing.T) {
	n := newNode(t, 1)
	c := compactConfig()
	c.MinCompactionLagMs = 1000
	l := n.open(n.options(c))
	n.put(l, put("a", "1"))
	n.roll(l)
	n.put(l, put("a", "2"))
	n.roll(l)
	if span := l.cleanable(); span.ratio != 0 {
		t.Errorf("records younger than min.compaction.lag.ms: %+v", span)
	}
	n.pass(2000)
	if span := l.cleanable(); span.upTo != 2 {
		t.Errorf("old enough: %+v", span)
	}
	n.append(l, keyed(record.BatchOptions{ProducerID: -1}, n.loop.UnixMilli(), put("a", "3")), 0)
	n.roll(l)
	n.pass(2000)
	if span := l.cleanable(); span.upTo != 2 {
		t.Errorf("above the high watermark: %+v", span)
	}
	l.SetHighWatermark(3)
	n.append(l, producerOf(n, 5, 0, true, put("b", "1")), 0)
	n.roll(l)
	l.SetHighWatermark(4)
	n.pass(2000)
	if span := l.cleanable(); span.upTo != 3 {
		t.Errorf("of an open transaction: %+v", span)
	}
}

func producerOf(n *node, id int64, seq int32, transactional bool, all ...kv) record.Batch {
	return keyed(record.BatchOptions{ProducerID: id, BaseSequence: seq, Transactional: transactional}, n.loop.UnixMilli(), all...)
}

func TestRecordsOlderThanMaxCompactionLagMakeALogDue(t *testing.T) {
	n := newNode(t, 1)
	c := compactConfig()
	c.MinCleanableRatio, c.MaxCompactionLagMs = million, 5000
	l := n.open(n.options(c))
	n.put(l, put("a", "1"))
	n.roll(l)
	n.put(l, put("a", "2"))
	n.roll(l)
	l = n.reopen(l)
	due := func() bool {
		n.must("ages", func(done func(error)) { l.learnAges(func() { done(nil) }); n.loop.Defer(func() {}) })
		span := l.cleanable()
		return l.isDue(&span)
	}
	n.pass(4000)
	if due() {
		t.Error("due too early")
	}
	n.pass(2000)
	if !due() {
		t.Error("not due")
	}
}

func TestProducersLastBatchStaysIfEmpty(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	for seq := range int32(3) {
		n.append(l, producerOf(n, 7, 2*seq, false, put("a", fmt.Sprint(seq)), put("b", fmt.Sprint(seq))), 0)
	}
	n.roll(l)
	n.put(l, put("a", "end"), put("b", "end"))
	n.roll(l)
	l.SetHighWatermark(l.LogEndOffset())
	n.clean(l)
	all := n.content(l)
	if len(all) != 2 || all[0].Count() != 0 || all[0].LastSequence() != 5 || all[0].BaseOffset() != 4 || all[0].ProducerID() != 7 {
		t.Fatalf("%d batches, %+v", len(all), all[0].Header())
	}
	l.snapshots = nil // the batches alone must tell
	l = n.reopen(l)
	if _, err := n.lead(l, producerOf(n, 7, 6, false, put("a", "next")), 0, nil); err != nil {
		t.Errorf("the next sequence: %v", err)
	}
}

func TestLastBatchOfWhatWasCompactedStaysSoThatTheLogHasItsEnd(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	n.put(l, put("a", "1"))
	n.put(l, tombstone("a"))
	n.roll(l)
	n.clean(l)
	n.pass(l.config.DeleteRetentionMs + 1)
	l.cleaned = 0
	n.clean(l)
	all := n.content(l)
	if len(all) != 1 || all[0].NextOffset() != l.LogEndOffset() || all[0].Count() != 0 {
		t.Fatalf("%d batches in a log that ends at %d", len(all), l.LogEndOffset())
	}
	follower := newNode(t, 2)
	f := follower.open(follower.options(compactConfig()))
	if info, err := follower.follow(f, all[0]); err != nil || info.NextOffset != l.LogEndOffset() || f.LogEndOffset() != l.LogEndOffset() {
		t.Errorf("a follower ends at %d, %v", f.LogEndOffset(), err)
	}
}

func TestRecordsWithoutKeysGoFromACompactedLog(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	n.append(l, batch(0, 0, 2, 10, n.loop.UnixMilli()), 0)
	n.put(l, put("a", "1"))
	n.roll(l)
	n.clean(l)
	if got := fmt.Sprint(n.records(l)); got != "[2:a=1]" {
		t.Error(got)
	}
}

func TestDamagedBatchMakesALogUncleanable(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	n.put(l, put("a", "1"))
	n.put(l, put("a", "2"))
	n.roll(l)
	n.must("damage", func(done func(error)) { l.segments.first().file.WriteAt([][]byte{{0xff}}, 70, done) })
	n.clean(l)
	if !l.uncleanable || l.failure != nil || l.cleaned != 0 || l.isCleanable() {
		t.Errorf("uncleanable %t, failure %v, cleaned %d", l.uncleanable, l.failure, l.cleaned)
	}
	if names := n.names("t-0"); slices.ContainsFunc(names, func(s string) bool { return bytes.HasSuffix([]byte(s), []byte(cleanedSuffix)) }) {
		t.Errorf("files %v", names)
	}
}

func (n *node) names(dir string) (names []string) {
	n.must("list", func(done func(error)) {
		n.disk.List(dir, func(all []string, err error) { names = all; done(err) })
	})
	return names
}

func TestRegionOfAReplacedSegmentStaysReadable(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	n.put(l, put("a", "1"))
	n.put(l, put("a", "2"))
	n.roll(l)
	n.put(l, put("b", "2"))
	s, err := l.Read(ReadRequest{Offset: 0, MaxBytes: 1000, UpTo: 2}, nil)
	if err != nil || s.Chunks[0].Region.File == nil {
		t.Fatalf("%+v %v", s, err)
	}
	want := n.bytes(&s)
	n.clean(l)
	if got := fmt.Sprint(n.records(l)); got != "[1:a=2 2:b=2]" {
		t.Fatal(got)
	}
	if !bytes.Equal(n.bytes(&s), want) {
		t.Error("the region has other bytes")
	}
	s.Release()
}

func TestColdReadGoesOnWhenItsSegmentIsReplaced(t *testing.T) {
	for turns := range 60 {
		n := newNode(t, 1)
		l := n.open(n.options(compactConfig()))
		for i := range 6 {
			n.put(l, put("a", fmt.Sprint(i)), put(fmt.Sprint("k", i), "v"))
		}
		n.roll(l)
		n.put(l, put("z", "1"))
		l.recent.releaseAll()
		ended := false
		cfg := DefaultCleanerConfig()
		l.clean(&cfg, l.cleanable(), func() { ended = true })
		for range turns {
			n.world.Step()
		}
		if got := fmt.Sprint(n.records(l)); got != "[0:a=0 1:k0=v 2:a=1 3:k1=v 4:a=2 5:k2=v 6:a=3 7:k3=v 8:a=4 9:k4=v 10:a=5 11:k5=v 12:z=1]" &&
			got != "[1:k0=v 3:k1=v 5:k2=v 7:k3=v 9:k4=v 10:a=5 11:k5=v 12:z=1]" && !ended {
			t.Logf("after %d turns: %s", turns, got) // a mixture, each part of which is right
		}
		n.run("clean", &ended)
		if got := fmt.Sprint(n.records(l)); got != "[1:k0=v 3:k1=v 5:k2=v 7:k3=v 9:k4=v 10:a=5 11:k5=v 12:z=1]" {
			t.Fatalf("after %d turns: %s", turns, got)
		}
	}
}

// TestCleaningMayBeInterrupted truncates, closes or deletes the log, or advances its start, after each number of turns of a cleaning.
func TestCleaningMayBeInterrupted(t *testing.T) {
	fill := func(n *node, l *Log) {
		for i := range 8 {
			n.put(l, put("a", fmt.Sprint(i)), put(fmt.Sprint("k", i), "v"))
		}
		n.put(l, put("z", "1"))
	}
	for name, interrupt := range map[string]func(l *Log, done func(error)){ // order: cases are independent
		"truncate": func(l *Log, done func(error)) { l.TruncateTo(6, done) },
		"empty":    func(l *Log, done func(error)) { l.TruncateFullyAndStartAt(3, done) },
		"close":    func(l *Log, done func(error)) { l.Close(done) },
		"delete":   func(l *Log, done func(error)) { l.Delete(done) },
		"retain":   func(l *Log, done func(error)) { l.AdvanceLogStart(10); l.DeleteOldSegments(done) },
	} {
		for turns := range 120 {
			n := newNode(t, 1)
			l := n.open(n.options(compactConfig()))
			fill(n, l)
			cleaned, ended := false, false
			cfg := DefaultCleanerConfig()
			l.clean(&cfg, l.cleanable(), func() { cleaned = true })
			for range turns {
				n.world.Step()
			}
			interrupt(l, func(err error) {
				if err != nil {
					t.Errorf("%s after %d turns: %v", name, turns, err)
				}
				ended = true
			})
			n.run(name, &ended)
			n.run("clean", &cleaned)
			if l.failure != nil {
				t.Fatalf("%s after %d turns: %v", name, turns, l.failure)
			}
			n.checkInterrupted(name, turns, l)
		}
	}
}

func (n *node) checkInterrupted(name string, turns int, l *Log) {
	n.t.Helper()
	if name == "delete" {
		if names := n.names("."); len(names) != 0 {
			n.t.Fatalf("deleted after %d turns: left %v", turns, names)
		}
		return
	}
	o := n.options(l.config)
	o.LogStartOffset = l.logStart
	if !l.closed {
		n.put(l, put("new", "1"))
		n.must("flush", l.Flush)
		want := fmt.Sprint(n.records(l))
		n.must("close", l.Close)
		o.RecoveryPoint = 0
		if got := fmt.Sprint(n.records(n.open(o))); got != want {
			n.t.Fatalf("%s after %d turns: %s, before a restart %s", name, turns, got, want)
		}
	} else {
		got := n.records(n.open(o))
		if len(got) < 9 || got[len(got)-1].key != "z" {
			n.t.Fatalf("%s after %d turns: %v", name, turns, got)
		}
	}
	for _, name := range n.names("t-0") {
		if bytes.HasSuffix([]byte(name), []byte(cleanedSuffix)) || bytes.HasSuffix([]byte(name), []byte(swapSuffix)) {
			n.t.Fatalf("after %d turns: left %v", turns, n.names("t-0"))
		}
	}
}

// cleanModel is a compacted log as a list of all that was ever written.
type cleanModel struct {
	*node
	log      *Log
	cfg      CleanerConfig
	written  []logRecord
	began    int64           // when the latest cleaning did
	horizons map[int64]int64 // of tombstones, by offset: not before
}

func (m *cleanModel) append(t *rapid.T) {
	o := record.BatchOptions{ProducerID: -1, Codec: rapid.SampledFrom([]record.Codec{record.None, record.Gzip, record.Lz4, record.Zstd}).Draw(t, "codec")}
	var all []kv
	for range rapid.IntRange(1, 5).Draw(t, "records") {
		r := kv{key: fmt.Sprint(rapid.IntRange(0, 6).Draw(t, "key"))}
		if size := rapid.IntRange(-1, 60).Draw(t, "size"); size >= 0 {
			r.value = fmt.Appendf(nil, "%0*d", size, len(m.written))
		}
		all = append(all, r)
	}
	b := keyed(o, m.loop.UnixMilli(), all...)
	if rapid.IntRange(0, 4).Draw(t, "log append time") == 0 {
		b.SetLogAppendTime(m.loop.UnixMilli())
	}
	m.node.append(m.log, b, int32(len(m.written)/10))
	for i, r := range all {
		m.written = append(m.written, logRecord{int64(len(m.written)), b.BaseTimestamp() + int64(i), r.key, string(r.value), r.value == nil})
	}
	m.log.SetHighWatermark(m.log.LogEndOffset())
}

// check: of each key the last record is there, but a tombstone may go in time; nothing is there that was not written, and in the
// part that was compacted nothing that is superseded there.
func (m *cleanModel) check(t *rapid.T) {
	last, lastCleaned := map[string]int64{}, map[string]int64{}
	for _, r := range m.written {
		last[r.key] = r.offset
		if r.offset >= m.log.logStart && r.offset < m.log.cleaned {
			lastCleaned[r.key] = r.offset
		}
	}
	found := map[int64]bool{}
	for _, r := range m.records(m.log) {
		w := m.written[r.offset]
		if r.offset < m.log.logStart {
			continue // in a batch with later records
		}
		if w.key != r.key || w.value != r.value || w.tombstone != r.tombstone {
			t.Fatalf("%v was written as %v", r, w)
		}
		if r.offset < m.log.cleaned && lastCleaned[r.key] != r.offset {
			t.Fatalf("%v is superseded at %d, and the log was compacted up to %d", r, lastCleaned[r.key], m.log.cleaned)
		}
		found[r.offset] = true
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		w := m.written[last[key]]
		if found[w.offset] || w.offset < m.log.LogStartOffset() {
			continue
		}
		if horizon, set := m.horizons[w.offset]; !w.tombstone || !set || horizon > m.loop.UnixMilli() {
			t.Fatalf("%v is gone at %d; horizon %d %t", w, m.loop.UnixMilli(), horizon, set)
		}
	}
	if m.log.LogEndOffset() != int64(len(m.written)) {
		t.Fatalf("the log ends at %d of %d", m.log.LogEndOffset(), len(m.written))
	}
}

// Emit notes when the cleaning began that first wrote each tombstone: it must stay for delete.retention.ms from then on.
func (m *cleanModel) Emit(e *event.Event) {
	if e.Kind == event.CleaningBegan {
		m.began = m.loop.UnixMilli()
	}
	if e.Kind == event.BatchRetained {
		for _, r := range recordsOf(m.t, e.Batch) {
			if _, known := m.horizons[r.offset]; r.tombstone && !known {
				m.horizons[r.offset] = m.began + m.log.config.DeleteRetentionMs
			}
		}
	}
	m.node.Emit(e)
}

func TestCompactedLogHasTheLastRecordOfEachKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &cleanModel{node: newNode(t, 1), cfg: DefaultCleanerConfig(), horizons: map[int64]int64{}}
		m.env.Event = m
		m.cfg.IOBufferBytes = rapid.IntRange(61, 600).Draw(t, "chunk")
		m.cfg.DedupeBufferBytes = int64(mapSlotSize * rapid.IntRange(6, 20).Draw(t, "slots"))
		c := compactConfig()
		c.DeleteRetentionMs = 1000
		m.log = m.open(m.options(c))
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"roll":   func(*rapid.T) { m.roll(m.log) },
			"time":   func(t *rapid.T) { m.pass(rapid.Int64Range(1, 1500).Draw(t, "ms")) },
			"clean":  func(*rapid.T) { m.cleanAs(m.log, &m.cfg) },
			"reopen": func(*rapid.T) { m.log = m.reopen(m.log) },
			"recover": func(t *rapid.T) {
				o := m.options(c)
				o.LogStartOffset = m.log.logStart
				m.must("close", m.log.Close)
				o.RecoveryPoint = rapid.Int64Range(0, m.log.written).Draw(t, "recovery point")
				m.log = m.open(o)
				m.log.SetHighWatermark(m.log.LogEndOffset())
			},
			"start": func(t *rapid.T) {
				m.log.AdvanceLogStart(rapid.Int64Range(m.log.logStart, m.log.written).Draw(t, "start"))
				m.must("delete", m.log.DeleteOldSegments)
			},
			"": m.check,
		})
	})
}

func TestOffsetMapIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 3000).Draw(t, "most")
		var m offsetMap
		m.init(int64(most*mapSlotSize), 100)
		model := map[keyHash]int64{}
		keys := rapid.IntRange(1, 4000).Draw(t, "keys")
		r := rapid.Uint64().Draw(t, "seed")
		for offset := range int64(rapid.IntRange(0, 6000).Draw(t, "puts")) {
			r = r*6364136223846793005 + 1442695040888963407
			h := hashKey(fmt.Append(nil, r>>33%uint64(keys)))
			_, known := model[h]
			if ok := m.put(h, offset); ok != (known || len(model) < most) {
				t.Fatalf("put %t with %d of %d keys, known %t", ok, len(model), most, known)
			} else if ok {
				model[h] = offset
			}
		}
		for h, offset := range model { // order: independent checks
			if m.get(h) != offset {
				t.Fatalf("%d, want %d", m.get(h), offset)
			}
		}
		if m.get(hashKey([]byte("other"))) != -1 || len(m.slots) > max(most*5/4+8, firstSlots) {
			t.Fatalf("a stranger is at %d, %d slots for %d", m.get(hashKey([]byte("other"))), len(m.slots), most)
		}
	})
}

// judgeLastRecords: of each producer that the batches know, the log knows the last one's sequence and epoch.
func (s *crashScene) judgeLastRecords(image *simdisk.Image, known, rebuilt *producers) {
	s.t.Helper()
	for id, p := range rebuilt.states { // order: independent checks
		if k := known.states[id]; k == nil || k.Epoch != p.Epoch || k.LastSequence() != p.LastSequence() {
			s.fail(image, "producer %d is %+v, its batches say %+v", id, k, p)
		}
	}
}

// cleanSink follows a cleaning: what the group under way may become, and became.
type cleanSink struct {
	*crashScene
	from     int64 // where the group begins
	retained []record.Batch
}

func (k *cleanSink) Emit(e *event.Event) {
	switch e.Kind {
	case event.BatchRetained:
		k.retained = append(k.retained, bytes.Clone(e.Batch))
		k.versions = []version{k.versions[0], k.replaced(e.Offset + e.Len)}
	case event.SegmentsReplaced: // what it replaces must not come back
		k.versions = []version{k.replaced(e.Offset + e.Len)}
		k.from, k.retained = e.Offset+e.Len, nil
	}
	k.node.Emit(e)
}

// replaced is the log with what is retained in place of what it had from k.from up to an offset.
func (k *cleanSink) replaced(upTo int64) (v version) {
	v.start = k.versions[0].start
	for _, b := range k.versions[0].batches {
		if b.BaseOffset() < k.from {
			v.batches = append(v.batches, b)
		}
	}
	v.batches = append(v.batches, k.retained...)
	for _, b := range k.versions[0].batches {
		if b.BaseOffset() >= upTo {
			v.batches = append(v.batches, b)
		}
	}
	return v
}

// clean compacts the log.
func (s *crashScene) clean() {
	s.t.Helper()
	s.compacts = true
	s.log.SetHighWatermark(s.log.LogEndOffset())
	s.env.Event = &cleanSink{crashScene: s}
	s.do("clean", func(done func(error)) {
		cfg := DefaultCleanerConfig()
		s.log.clean(&cfg, s.log.cleanable(), func() {
			s.versions = s.versions[:1]
			done(s.log.failure)
		})
	})
	s.env.Event = s.node
}

// keyed appends a batch of keyed records of an idempotent producer, whose only batches are these.
func (s *crashScene) keyed(all ...kv) {
	s.append(producerOf(s.node, 7, int32(s.log.NextOffset()), false, all...), 0)
	s.wait()
}

func TestEveryCrashStateOfACleaningRecovers(t *testing.T) {
	c := compactConfig()
	c.SegmentBytes = 300
	s := newCrashScene(t, c)
	for i := range int32(6) {
		s.keyed(put("a", fmt.Sprintf("%060d", i)), put(fmt.Sprint("k", i%3), "v"))
	}
	s.flush()
	before := len(s.log.segments.all())
	s.clean()
	s.log.cleaned = 0
	s.clean() // what is left fits in fewer segments
	if after := len(s.log.segments.all()); before < 3 || after != 2 {
		t.Fatalf("%d segments became %d", before, after)
	}
	s.report(50)
}

func TestEveryCrashStateOfACleaningWhileTheLogGrowsRecovers(t *testing.T) {
	c := compactConfig()
	c.SegmentBytes = 300
	s := newCrashScene(t, c)
	for i := range int32(4) {
		s.keyed(put("a", fmt.Sprintf("%060d", i)), put(fmt.Sprint("k", i%3), "v"))
	}
	s.keyed(tombstone("a"))
	s.flush()
	s.clean()
	s.keyed(put("a", "x"), put("k1", fmt.Sprintf("%060d", 5)))
	s.keyed(put("k2", fmt.Sprintf("%060d", 5)))
	s.flush()
	s.clean()
	s.report(100)
}
