package storage

import (
	"testing"

	"github.com/lockstep/lockstep/core/record"
)

// stamped is a batch of records with these timestamps.
func stamped(base int64, stamps ...int64) record.Batch {
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: base, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1})
	for _, s := range stamps {
		b.Append(s, []byte("k"), []byte("v"))
	}
	return b.Build()
}

func emptied(b record.Batch) record.Batch { return record.AppendEmpty(nil, b) }

func appendTime(b record.Batch, ms int64) record.Batch {
	b.SetLogAppendTime(ms)
	return b
}

// A batch may have a timestamp that is late enough, and no record that has it: compaction has emptied it, or the log begins behind that record.
func TestASearchByTimestampGoesOnBehindABatchWithoutAMatch(t *testing.T) {
	for name, c := range map[string]struct { // order: cases are independent
		all      []record.Batch
		logStart int64
		ts, want int64
	}{
		"emptied":                 {[]record.Batch{emptied(stamped(0, 100)), stamped(1, 200), stamped(2, 300)}, 0, 50, 1},
		"emptied, log append":     {[]record.Batch{emptied(appendTime(stamped(0, 1), 100)), appendTime(stamped(1, 1), 200)}, 0, 50, 1},
		"emptied, last":           {[]record.Batch{stamped(0, 10), emptied(stamped(1, 100))}, 0, 50, -1},
		"below the log start":     {[]record.Batch{stamped(0, 300, 100), stamped(2, 100), stamped(3, 200)}, 1, 150, 3},
		"several below the start": {[]record.Batch{stamped(0, 300, 300, 100), stamped(3, 120), stamped(4, 150, 160)}, 2, 160, 5},
	} {
		n := newNode(t, 1)
		l := n.open(n.options(DefaultLogConfig()))
		for _, b := range c.all {
			n.must("append", func(done func(error)) {
				if _, err := l.AppendAsFollower(b, nil, done); err != nil {
					t.Fatal(err)
				}
			})
		}
		l.SetHighWatermark(l.LogEndOffset())
		l.AdvanceLogStart(c.logStart)
		if got := n.search(l, c.ts); got != c.want {
			t.Errorf("%s: offset %d, want %d", name, got, c.want)
		}
	}
}

// search is the offset of the first record that is not before ts.
func (n *node) search(l *Log, ts int64) (found int64) {
	n.t.Helper()
	n.must("search", func(done func(error)) {
		l.OffsetForTimestamp(ts, l.LogEndOffset(), func(offset, _ int64, _ int32, err error) { found = offset; done(err) })
	})
	return found
}

// All records of a batch have the time of its append, but the first ones may have been compacted away.
func TestASearchByAppendTimeFindsARecordThatIsThere(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(compactConfig()))
	o := record.BatchOptions{ProducerID: -1}
	n.append(l, appendTime(keyed(o, 1, put("a", "1"), put("b", "1")), 100), 0)
	n.append(l, appendTime(keyed(o, 1, put("a", "2")), 200), 0)
	l.SetHighWatermark(3)
	n.roll(l)
	n.clean(l)
	if all := n.records(l); len(all) != 2 {
		t.Fatalf("nothing was compacted: %v", all)
	}
	if got := n.search(l, 50); got != 1 {
		t.Errorf("offset %d, where no record is", got)
	}
}
