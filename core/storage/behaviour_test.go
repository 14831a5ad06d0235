package storage

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// follow appends as a follower and waits.
func (n *node) follow(l *Log, batches ...record.Batch) (AppendInfo, error) {
	n.t.Helper()
	var all []byte
	for _, b := range batches {
		all = append(all, b...)
	}
	f := frame(all)
	var info AppendInfo
	var err error
	n.await("follow", func(done func(error)) {
		if info, err = l.AppendAsFollower(all, f, done); err != nil {
			done(err)
		}
	})
	f.Release()
	return info, err
}

func TestFollowerAppendsAllOrNothing(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	a, b, c := batch(0, 1, 2, 900, 1), batch(2, 1, 1, 900, 2), batch(3, 2, 3, 100, 3)
	info, err := n.follow(l, a, b, c)
	if err != nil || info.FirstOffset != 0 || info.NextOffset != 6 || l.LogEndOffset() != 6 {
		t.Fatalf("%+v %v, end %d", info, err, l.LogEndOffset())
	}
	if want := []EpochEntry{{1, 0}, {2, 3}}; !slices.Equal(l.Epochs(), want) {
		t.Fatalf("epochs %v", l.Epochs())
	}
	for want, bad := range map[error][]record.Batch{ // order: cases are independent
		ErrUnexpectedOffset:  {batch(5, 2, 1, 1, 1)},
		ErrOffsetsOutOfOrder: {batch(6, 2, 2, 1, 1), batch(7, 2, 1, 1, 1)},
		ErrEpochOutOfOrder:   {batch(6, 2, 1, 1, 1), batch(7, 1, 1, 1, 1)},
		kerr.CorruptMessage:  {batch(6, 2, 1, 1, 1), make(record.Batch, 70)},
	} {
		if _, err := n.follow(l, bad...); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if l.NextOffset() != 6 {
		t.Fatalf("a refused append moved the end to %d", l.NextOffset())
	}
	info, err = n.follow(l, batch(6, 2, 1, 1, 1), batch(7, 2, 1, 50, 1)[:80])
	if err != nil || info.NextOffset != 7 {
		t.Fatalf("append with a cut tail: %+v %v", info, err)
	}
}

func TestEpochWithoutBatchesGivesWayToAnOlderLeadersBatches(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 3, 1, 1), 4)
	l.AssignEpoch(5, 3)
	if e, end := l.EndOffsetForEpoch(4); e != 4 || end != 3 {
		t.Fatalf("epoch 4 ends at %d,%d", e, end)
	}
	n.must("truncate", func(done func(error)) { l.TruncateTo(3, done) }) // KAFKA-10706
	if l.LatestEpoch() != 4 {
		t.Fatalf("epoch %d stays behind", l.LatestEpoch())
	}
	l.AssignEpoch(5, 3)
	if _, err := n.follow(l, batch(3, 4, 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if want := []EpochEntry{{4, 0}}; !slices.Equal(l.Epochs(), want) {
		t.Fatalf("epochs %v, want %v", l.Epochs(), want)
	}
}

func TestDuplicateIsAnsweredWithItsFirstOffset(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 3, 1, 1), 0)
	first, _ := n.lead(l, producerBatch(0, 0, 2, 1, 1, 9, 0, 0), 0, nil)
	info := n.append(l, producerBatch(0, 0, 2, 1, 1, 9, 0, 0), 0)
	if !info.Duplicate || info.FirstOffset != first.FirstOffset || info.NextOffset != 5 || l.LogEndOffset() != 5 {
		t.Fatalf("%+v, first was %+v, end %d", info, first, l.LogEndOffset())
	}
	if _, err := n.lead(l, producerBatch(0, 0, 2, 1, 1, 9, 0, 7), 0, nil); err != kerr.OutOfOrderSequenceNumber {
		t.Fatalf("a gap: %v", err)
	}
	if _, err := n.lead(l, producerBatch(0, 0, 2, 1, 1, 9, 1, 7), 0, nil); err != kerr.OutOfOrderSequenceNumber {
		t.Fatalf("a new epoch not from 0: %v", err)
	}
}

func TestProducersAppendedDuringARebuildAreNotForgotten(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, producerBatch(0, 0, 2, 1, 1, 9, 0, 0), 0)
	n.append(l, producerBatch(0, 0, 1, 1, 1, 9, 0, 2), 0)
	rebuilt := false
	l.TruncateTo(2, func(error) { rebuilt = true })
	if _, err := n.lead(l, producerBatch(0, 0, 1, 1, 1, 9, 0, 2), 1, nil); err != kerr.NotLeaderForPartition {
		t.Fatalf("a leader append during a rebuild: %v", err)
	}
	if _, err := l.AppendAsFollower(producerBatch(2, 1, 3, 1, 1, 9, 0, 2), nil, nil); err != nil {
		t.Fatal(err)
	}
	if !l.IsRebuilding() {
		t.Error("the rebuild has ended already")
	}
	n.run("rebuild", &rebuilt)
	if l.IsRebuilding() {
		t.Error("the rebuild has not ended")
	}
	if p := l.Producers(); len(p) != 1 || len(p[0].Batches()) != 2 || p[0].Batches()[1].LastSequence != 4 {
		t.Fatalf("producers %+v", p)
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.MaxMessageBytes = 3000
	l := n.open(n.options(c))
	if _, err := n.lead(l, batch(0, 0, 1, 4000, 1), 0, nil); err != kerr.MessageTooLarge {
		t.Fatal(err)
	}
	if _, err := n.lead(l, batch(0, 0, 1, 2000, 1), 0, nil); err != kerr.RecordListTooLarge {
		t.Fatal(err)
	}
}

// The metadata log's batches must never be refused for its segments' size: they get segments of their own.
func TestABatchLargerThanASegmentHasOneAlone(t *testing.T) {
	n := newNode(t, 1)
	o := n.options(smallConfig())
	o.AnyBatch = true
	l := n.open(o)
	for _, size := range []int{10, 2000, 3000, 10, 10} {
		n.append(l, batch(0, 0, 1, size, 1), 0)
	}
	want := n.content(l)
	if bases := n.segmentsOf(); !slices.Equal(bases, []int64{0, 1, 2, 3}) {
		t.Errorf("segments at %v", bases)
	}
	n.must("close", l.Close)
	if l = n.open(o); l.LogEndOffset() != 5 || !slices.EqualFunc(n.content(l), want, func(a, b record.Batch) bool { return bytes.Equal(a, b) }) {
		t.Errorf("after a restart it ends at %d", l.LogEndOffset())
	}
}

func TestTruncatedAppendsLearnOfIt(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 1, 1, 1), 0)
	answers := map[int]error{}
	for i := range 3 {
		n.lead(l, batch(0, 0, 1, 1, 1), 0, func(err error) { answers[i] = err })
	}
	n.must("truncate", func(done func(error)) { l.TruncateTo(2, done) })
	if answers[0] != nil || answers[1] != ErrTruncated || answers[2] != ErrTruncated || len(answers) != 3 {
		t.Fatalf("answers %v", answers)
	}
	if l.LogEndOffset() != 2 {
		t.Fatalf("log ends at %d", l.LogEndOffset())
	}
}

func TestALogIsTruncatingUntilItsFilesHaveFollowed(t *testing.T) {
	for _, fully := range []bool{false, true} {
		n := newNode(t, 1)
		l := n.open(n.options(smallConfig()))
		n.append(l, batch(0, 0, 1, 600, 1), 3)
		ended := false
		done := func(error) { ended = true }
		if fully {
			l.TruncateFullyAndStartAt(42, done)
		} else {
			l.TruncateTo(0, done)
		}
		if !l.IsTruncating() {
			t.Error("it has truncated its files already")
		}
		n.run("truncate", &ended)
		if l.IsTruncating() {
			t.Error("it does not end")
		}
	}
}

func TestTruncateFullyBeginsAnew(t *testing.T) {
	n := newNode(t, 1)
	o := n.options(smallConfig())
	l := n.open(o)
	for range 10 {
		n.append(l, batch(0, 0, 1, 600, 1), 3)
	}
	n.must("truncate", func(done func(error)) { l.TruncateFullyAndStartAt(42, done) })
	n.append(l, batch(0, 0, 2, 1, 1), 4)
	check := func() {
		t.Helper()
		if l.LogStartOffset() != 42 || l.LogEndOffset() != 44 || l.LatestEpoch() != 4 || len(l.Epochs()) != 1 {
			t.Fatalf("[%d,%d) epochs %v", l.LogStartOffset(), l.LogEndOffset(), l.Epochs())
		}
	}
	check()
	n.must("flush", l.Flush)
	n.loop.Kill()
	n.disk.PowerLoss()
	l = n.open(o)
	check()
}

func TestRetentionStaysBelowTheHighWatermark(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.RetentionMs, c.RetentionBytes = 1000, -1
	l := n.open(n.options(c))
	for i := range 10 {
		n.append(l, batch(0, 0, 1, 600, int64(i)), 0)
	}
	n.must("retention", l.DeleteOldSegments)
	if l.LogStartOffset() != 0 {
		t.Fatalf("log starts at %d above the high watermark", l.LogStartOffset())
	}
	l.SetHighWatermark(5)
	n.must("retention", l.DeleteOldSegments)
	if l.LogStartOffset() != 4 || l.Epochs()[0] != (EpochEntry{0, 0}) {
		t.Fatalf("log starts at %d, epochs %v", l.LogStartOffset(), l.Epochs())
	}
	if _, err := n.read(l, ReadRequest{Offset: 3, UpTo: 10, MaxBytes: 1}); err != kerr.OffsetOutOfRange {
		t.Fatalf("read below the log start: %v", err)
	}
	if slices.Contains(n.disk.Names(), "t-0/00000000000000000002.log") {
		t.Fatalf("files %v", n.disk.Names())
	}
}

func TestTimestampIsFoundInTheFirstRecordNotBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(t, 1)
		l := n.open(n.options(smallConfig()))
		var stamps []int64
		for range rapid.IntRange(0, 20).Draw(t, "batches") {
			base, count := rapid.Int64Range(0, 40).Draw(t, "ts"), rapid.IntRange(1, 3).Draw(t, "n")
			n.append(l, batch(0, 0, count, 150, base), 0)
			for i := range count {
				stamps = append(stamps, base+int64(i))
			}
		}
		if rapid.Bool().Draw(t, "reopen") {
			n.must("close", l.Close)
			o := n.options(smallConfig())
			o.Clean = true
			l = n.open(o)
		}
		ts := rapid.Int64Range(0, 45).Draw(t, "asked")
		want := int64(slices.IndexFunc(stamps, func(s int64) bool { return s >= ts }))
		n.must("search", func(done func(error)) {
			l.OffsetForTimestamp(ts, l.LogEndOffset(), func(offset, stamp int64, epoch int32, err error) {
				if offset != want || offset >= 0 && (stamp != stamps[offset] || epoch != 0) {
					t.Fatalf("%d at %d, want %d of %v", offset, stamp, want, stamps)
				}
				done(err)
			})
		})
		n.must("max", func(done func(error)) {
			l.MaxTimestampOffset(l.LogEndOffset(), func(offset, stamp int64, _ int32, err error) {
				if len(stamps) > 0 && (offset != int64(slices.Index(stamps, slices.Max(stamps))) || stamp != slices.Max(stamps)) {
					t.Fatalf("max at %d: %d of %v", offset, stamp, stamps)
				}
				done(err)
			})
		})
	})
}

func TestFlushedAppendsSurvivePowerLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(t, rapid.Uint64().Draw(t, "seed"))
		c := smallConfig()
		c.FlushMessages = 1
		o := n.options(c)
		l := n.open(o)
		done := int64(0)
		for i := range rapid.IntRange(1, 30).Draw(t, "appends") {
			end := int64(i + 1)
			n.lead(l, batch(0, 0, 1, 400, 1), 0, func(err error) { done = end })
			for range rapid.IntRange(0, 4).Draw(t, "turns") {
				n.world.Step()
			}
		}
		n.loop.Kill()
		n.disk.PowerLoss()
		if l = n.open(o); l.LogEndOffset() < done {
			t.Fatalf("%d records acknowledged, %d left", done, l.LogEndOffset())
		}
		n.content(l)
	})
}

func TestFlushMsMovesTheRecoveryPoint(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.FlushMs = 100
	l := n.open(n.options(c))
	n.append(l, batch(0, 0, 3, 1, 1), 0)
	if l.RecoveryPoint() != 0 {
		t.Fatalf("recovery point %d", l.RecoveryPoint())
	}
	n.world.RunUntil(n.loop.Now().Add(time.Second))
	if l.RecoveryPoint() != 3 {
		t.Fatalf("recovery point %d", l.RecoveryPoint())
	}
}

func TestTheLongestFlushMsDoesNotSync(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.FlushMs = Never - 1
	l := n.open(n.options(c))
	n.append(l, batch(0, 0, 3, 1, 1), 0)
	n.world.RunUntil(n.loop.Now().Add(time.Second))
	if l.RecoveryPoint() != 0 {
		t.Errorf("recovery point %d", l.RecoveryPoint())
	}
}

func TestFlippedBitEndsTheRecoveredLog(t *testing.T) {
	n := newNode(t, 1)
	o := n.options(DefaultLogConfig())
	l := n.open(o)
	for range 5 {
		n.append(l, batch(0, 0, 1, 100, 1), 0)
	}
	size := l.Size()
	n.loop.Kill()
	n.disk.Kill()
	n.disk.CorruptBit("t-0/00000000000000000000.log", size/5*3+80, 3)
	if l = n.open(o); l.LogEndOffset() != 3 {
		t.Fatalf("log ends at %d", l.LogEndOffset())
	}
	if e := n.events[len(n.events)-1]; e.Kind != event.Recovered || e.Len != size/5*2 {
		t.Fatalf("last event %v", e)
	}
}

func TestDamageAfterACleanCloseIsCutAndAppendsGoOn(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	for range 7 {
		n.append(l, batch(0, 0, 1, 600, 1), 0)
	}
	n.must("close", l.Close)
	n.disk.CorruptBit("t-0/00000000000000000006.log", 16, 7) // the magic
	o := n.options(smallConfig())
	o.Clean = true
	if l = n.open(o); l.LogEndOffset() != 6 {
		t.Fatalf("log ends at %d", l.LogEndOffset())
	}
	for range 7 {
		n.append(l, batch(0, 0, 1, 600, 1), 1)
	}
	if got := n.content(l); len(got) != 13 {
		t.Fatalf("%d batches", len(got))
	}
}

func TestFlippedBitInAnOlderSegmentEndsTheLogThere(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	for range 9 {
		n.append(l, batch(0, 0, 1, 600, 1), 0)
	}
	n.loop.Kill()
	n.disk.Kill()
	n.disk.CorruptBit("t-0/00000000000000000004.log", 100, 1)
	if l = n.open(n.options(smallConfig())); l.LogEndOffset() != 4 {
		t.Fatalf("log ends at %d", l.LogEndOffset())
	}
	n.append(l, batch(0, 0, 1, 600, 1), 1)
	if got := n.content(l); len(got) != 5 {
		t.Fatalf("%d batches", len(got))
	}
}

func TestLostEpochCheckpointIsReadFromTheBatches(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	for i := range 9 {
		n.append(l, batch(0, 0, 1, 500, 1), int32(i/3))
	}
	want := l.Epochs()
	n.must("close", l.Close)
	n.must("remove", func(done func(error)) { n.disk.Remove("t-0/leader-epoch-checkpoint", done) })
	o := n.options(smallConfig())
	o.Clean = true
	if l = n.open(o); !slices.Equal(l.Epochs(), want) || want[0].Epoch != 0 { // KAFKA-10432: epoch 0 counts
		t.Fatalf("epochs %v, want %v", l.Epochs(), want)
	}
}

func TestSliceOutlivesTruncationAndClose(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	b := batch(0, 0, 1, 300, 1)
	want := len(b)
	n.append(l, b, 0)
	s, err := l.Read(ReadRequest{Offset: 0, MaxBytes: 1000, UpTo: 1}, nil)
	if err != nil || s.Len != want || s.Chunks[0].Region.File != nil {
		t.Fatalf("%+v %v: above the high watermark there is memory only", s, err)
	}
	n.must("truncate", func(done func(error)) { l.TruncateTo(0, done) })
	n.must("close", l.Close)
	if split(t, n.bytes(&s)); bytes.Count(s.Chunks[0].Bytes, []byte{0xdb}) > 50 {
		t.Fatal("its frame was released")
	}
	s.Release()
}

func (n *node) openManager() (m *Manager) {
	n.t.Helper()
	n.must("manager", func(done func(error)) {
		OpenManager(n.env, oneDir(n.env), func(event.Partition) LogConfig { return smallConfig() }, func(opened *Manager, err error) {
			m = opened
			done(err)
		})
	})
	return m
}

func (n *node) create(m *Manager, p event.Partition, id byte) (l *Log) {
	n.t.Helper()
	n.must("create", func(done func(error)) {
		m.Create(m.Emptiest(), p, [16]byte{id}, smallConfig(), func(made *Log, err error) { l = made; done(err) })
	})
	return l
}

func TestManagerFindsItsLogsAgain(t *testing.T) {
	n := newNode(t, 1)
	m := n.openManager()
	if m.Clean() {
		t.Fatal("an empty disk was not shut down")
	}
	a, b := event.Partition{Topic: "a-b", Index: 1}, event.Partition{Topic: "a-b", Index: 0}
	l := n.create(m, a, 1)
	n.create(m, b, 1)
	for range 5 {
		n.append(l, batch(0, 0, 1, 600, 1), 7)
	}
	l.SetHighWatermark(4)
	l.AdvanceLogStart(3)
	if err := n.await("create", func(done func(error)) {
		m.Create(m.Emptiest(), a, [16]byte{1}, smallConfig(), func(_ *Log, err error) { done(err) })
	}); err != ErrExists {
		t.Fatal(err)
	}
	m.SetBrokerEpoch(77)
	n.must("shutdown", m.Shutdown)
	if got := string(n.disk.Peek("replication-offset-checkpoint")); got != "0\n2\na-b 0 0\na-b 1 4\n" {
		t.Fatalf("%q", got)
	}
	m = n.openManager()
	if slices.Contains(n.disk.Names(), cleanShutdownFile) {
		t.Fatal("the mark stays")
	}
	l = m.Get(a)
	if m.CleanShutdownEpoch() != 77 {
		t.Fatalf("broker epoch %d", m.CleanShutdownEpoch())
	}
	if !m.Clean() || l == nil || l.LogStartOffset() != 3 || l.HighWatermark() != 4 || l.LogEndOffset() != 5 || l.TopicID() != [16]byte{1} {
		t.Fatalf("clean %v, log %+v", m.Clean(), l)
	}
	var order []int32
	m.Each(func(l *Log) { order = append(order, l.Partition().Index) })
	if !slices.Equal(order, []int32{0, 1}) {
		t.Fatalf("order %v", order)
	}
}

func TestPartitionIsRecreatedUnderItsName(t *testing.T) {
	n := newNode(t, 1)
	m := n.openManager()
	p := event.Partition{Topic: "x", Index: 0}
	l := n.create(m, p, 1)
	n.append(l, batch(0, 0, 1, 10, 1), 0)
	var under error
	n.lead(l, batch(0, 0, 1, 10, 1), 0, func(err error) { under = err })
	m.Delete(p, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	l = n.create(m, p, 2) // while the old one is being removed
	if under != kerr.KafkaStorageError || l.LogEndOffset() != 0 || l.TopicID() != [16]byte{2} {
		t.Fatalf("append under way: %v; new log ends at %d", under, l.LogEndOffset())
	}
	n.append(l, batch(0, 0, 1, 10, 1), 0)
	for _, name := range n.disk.Names() {
		if strings.Contains(name, deleteSuffix) {
			t.Fatalf("left: %v", n.disk.Names())
		}
	}
}

func TestFailedSyncTakesTheLogOffline(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 1, 10, 1), 0)
	n.disk.FailNext(simdisk.OpSync, disk.ErrIO)
	var failure error
	l.OnFailure(func(err error) { failure = err })
	if err := n.await("flush", l.Flush); err != kerr.KafkaStorageError || !errors.Is(failure, disk.ErrIO) {
		t.Fatalf("%v, failure %v", err, failure)
	}
	if _, err := l.Read(ReadRequest{Offset: 0, UpTo: 1, MaxBytes: 10}, nil); err != kerr.KafkaStorageError {
		t.Fatalf("read of an offline log: %v", err)
	}
}

func TestMetaPropertiesAreReadBack(t *testing.T) {
	n := newNode(t, 1)
	want := MetaProperties{Version: 1, ClusterID: "abc", NodeID: 4, DirectoryID: [16]byte{9}}
	if err := n.await("read", func(done func(error)) {
		ReadMetaProperties(n.disk, func(_ MetaProperties, err error) { done(err) })
	}); !errors.Is(err, disk.ErrNotExist) {
		t.Fatal(err)
	}
	n.must("write", func(done func(error)) { WriteMetaProperties(n.disk, want, done) })
	n.must("read", func(done func(error)) {
		ReadMetaProperties(n.disk, func(got MetaProperties, err error) {
			if got != want {
				t.Errorf("%+v", got)
			}
			done(err)
		})
	})
}
