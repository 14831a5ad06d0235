package storage

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// segmentsOf lists the base offsets of the segment files on disk.
func (n *node) segmentsOf() (bases []int64) {
	for _, name := range n.disk.Names() {
		if base, ok := parseFileName(strings.TrimPrefix(name, "t-0/"), logSuffix); ok {
			bases = append(bases, base)
		}
	}
	return bases
}

func TestALogToWhichNobodyAppendsBecomesEmpty(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.RetentionMs = 1000
	l := n.open(n.options(c))
	for i := range 5 {
		n.append(l, batch(0, 0, 1, 600, int64(i)), 0)
	}
	l.SetHighWatermark(4)
	n.must("retention", l.DeleteOldSegments)
	if l.LogStartOffset() != 4 {
		t.Fatalf("log starts at %d: the active segment has a record above the high watermark", l.LogStartOffset())
	}
	l.SetHighWatermark(5)
	n.must("retention", l.DeleteOldSegments)
	if l.LogStartOffset() != 5 || l.LogEndOffset() != 5 || l.Size() != 0 || !slices.Equal(n.segmentsOf(), []int64{5}) {
		t.Fatalf("[%d,%d) of %d bytes in %v", l.LogStartOffset(), l.LogEndOffset(), l.Size(), n.segmentsOf())
	}
	n.must("retention", l.DeleteOldSegments)
	if _, err := n.read(l, ReadRequest{Offset: 4, UpTo: 5, MaxBytes: 1}); err != kerr.OffsetOutOfRange {
		t.Errorf("read below the log start: %v", err)
	}
	if info := n.append(l, batch(0, 0, 1, 600, 9), 2); info.FirstOffset != 5 {
		t.Errorf("the next record went to %d", info.FirstOffset)
	}
}

// A flush may find that retention has taken all that it was to make durable.
func TestAFlushOfWhatRetentionHasTaken(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.RetentionMs = 1000
	l := n.open(n.options(c))
	n.append(l, batch(0, 0, 1, 600, 1), 0)
	l.SetHighWatermark(1)
	flushed := false
	l.Flush(func(err error) { flushed = err == nil })
	n.must("retention", l.DeleteOldSegments)
	if n.append(l, batch(0, 0, 1, 600, 2), 0); !flushed || l.LogStartOffset() != 1 {
		t.Errorf("flushed: %t; the log starts at %d", flushed, l.LogStartOffset())
	}
}

// What a new segment follows is synced although it is about to be removed: a loss of power may undo the removal, and then a hole
// before the new segment would cost all that is in it.
func TestAPowerLossDuringRetentionKeepsWhatCameAfter(t *testing.T) {
	for seed := range uint64(40) {
		n := newNode(t, seed)
		c := smallConfig()
		c.RetentionMs, c.FlushMessages = 1000, 1
		o := n.options(c)
		l := n.open(o)
		n.append(l, producerBatch(0, 0, 2, 600, 1, 7, 0, 0), 0)
		l.SetHighWatermark(2)
		l.DeleteOldSegments(func(error) {})
		n.append(l, producerBatch(0, 0, 1, 600, 2, 7, 0, 2), 0)
		n.loop.Kill()
		n.disk.PowerLoss()
		l = n.open(o)
		if l.LogEndOffset() != 3 {
			t.Fatalf("seed %d: log ends at %d", seed, l.LogEndOffset())
		}
		if p := l.Producers(); len(p) != 1 || p[0].Batches()[len(p[0].Batches())-1].LastSequence != 2 {
			t.Fatalf("seed %d: producers %+v", seed, p)
		}
	}
}

// M53, KAFKA-7190: a producer outlives its records.
func TestRetentionForgetsRecordsNotProducers(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.RetentionMs = 1000
	now := n.loop.UnixMilli()
	o := n.options(c)
	l := n.open(o)
	old := producerBatch(0, 0, 1, 600, now-2000, 7, 0, 0)
	n.append(l, slices.Clone(old), 0)
	l.SetHighWatermark(1)
	n.must("retention", l.DeleteOldSegments)
	again := func(what string) {
		t.Helper()
		info, err := n.lead(l, slices.Clone(old), 0, nil)
		if err != nil || !info.Duplicate || info.FirstOffset != 0 {
			t.Fatalf("%s a retry of a record that is gone: %+v, %v", what, info, err)
		}
	}
	if l.LogStartOffset() != 1 {
		t.Fatalf("log starts at %d", l.LogStartOffset())
	}
	again("at once")
	n.must("flush", l.Flush)
	n.loop.Kill()
	n.disk.PowerLoss()
	l = n.open(o)
	again("after a loss of power")

	c.ProducerIDExpirationMs = 2000
	l.SetConfig(c)
	n.must("retention", l.DeleteOldSegments)
	if len(l.Producers()) != 0 {
		t.Error("a producer that was silent for producer.id.expiration.ms is still known")
	}
}

func TestRetentionBySizeKeepsThatManyBytes(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.RetentionMs, c.RetentionBytes = -1, 2000
	l := n.open(n.options(c))
	for range 10 {
		n.append(l, batch(0, 0, 1, 600, 1), 0)
	}
	l.SetHighWatermark(10)
	n.must("retention", l.DeleteOldSegments)
	if l.Size() < 2000 || l.Size() > 2000+1500 || l.LogStartOffset() == 0 {
		t.Errorf("%d bytes are left from %d on", l.Size(), l.LogStartOffset())
	}
	c.RetentionBytes = 0
	l.SetConfig(c)
	n.must("retention", l.DeleteOldSegments)
	if l.Size() != 0 || l.LogStartOffset() != 10 {
		t.Errorf("%d bytes are left from %d on", l.Size(), l.LogStartOffset())
	}
}

// reopened is a log of ten batches of 600 bytes, four to a segment, of whose last ones memory knows nothing.
func (n *node) reopened() (l *Log, size int64) {
	n.t.Helper()
	c := smallConfig()
	c.SegmentBytes, c.RetentionMs = 3000, -1
	l = n.open(n.options(c))
	for range 10 {
		n.append(l, batch(0, 0, 1, 600, 1), 0)
	}
	size = l.Size() / 10
	n.must("close", l.Close)
	return n.open(n.options(c)), size
}

// Until the disk has told where a truncated segment ends, it may hold much less than it did.
func TestRetentionBySizeDoesNotCountWhatATruncationTakes(t *testing.T) {
	n := newNode(t, 1)
	l, size := n.reopened()
	c := l.config
	c.RetentionBytes = 2 * size
	l.SetConfig(c)
	cut, deleted := false, false
	l.TruncateTo(5, func(error) { cut = true })
	l.SetHighWatermark(5)
	l.DeleteOldSegments(func(error) { deleted = true })
	n.run("truncate", &cut)
	n.run("retention", &deleted)
	if l.LogStartOffset() != 0 || l.Size() != 5*size {
		t.Fatalf("log starts at %d and has %d bytes, want all 5 batches of %d: one is too few for retention.bytes=%d", l.LogStartOffset(), l.Size(), size, c.RetentionBytes)
	}
	c.RetentionBytes = size
	l.SetConfig(c)
	n.must("retention", l.DeleteOldSegments)
	if l.LogStartOffset() != 4 || l.Size() != size {
		t.Errorf("log starts at %d and has %d bytes, want the last of 5 batches of %d", l.LogStartOffset(), l.Size(), size)
	}
}

// The first of two truncations of a segment finds an end that the second has passed.
func TestATruncationOfATruncatedSegmentServesNothingThatIsGone(t *testing.T) {
	for seed := range uint64(20) {
		n := newNode(t, seed)
		l, size := n.reopened()
		cut, reading := false, false
		l.TruncateTo(7, func(error) {})
		l.TruncateTo(5, func(error) { cut = true })
		read := func(s Slice, err error) {
			reading = false
			if err == nil && s.Len != int(size) {
				t.Errorf("seed %d: read %d bytes from 4 on of a log that ends at 5, after a batch of %d", seed, s.Len, size)
			}
			s.Release()
		}
		for !cut {
			if !reading {
				s, err := l.Read(ReadRequest{Offset: 4, MaxBytes: 1 << 20, UpTo: 5, MinOneBatch: true}, read)
				if reading = err == ErrPending; !reading {
					read(s, err)
				}
			}
			if !n.world.Step() {
				t.Fatal("the truncation never ends")
			}
		}
	}
}

// A follower whose log is empty, and that could not say of which epoch its last record was, would pass for caught up with
// a leader that was elected uncleanly and never had what it deleted.
func TestAnEmptiedLogKnowsItsLastEpoch(t *testing.T) {
	n := newNode(t, 1)
	c := smallConfig()
	c.RetentionMs = 1000
	o := n.options(c)
	l := n.open(o)
	n.append(l, batch(0, 0, 2, 600, 1), 3)
	l.SetHighWatermark(2)
	n.must("retention", l.DeleteOldSegments)
	n.must("flush", l.Flush)
	for range 3 {
		if l.LogEndOffset() != 2 || l.Size() != 0 || l.LatestEpoch() != 3 {
			t.Fatalf("[%d,%d) in epoch %d", l.LogStartOffset(), l.LogEndOffset(), l.LatestEpoch())
		}
		n.loop.Kill()
		n.disk.PowerLoss()
		l = n.open(o)
	}
}
