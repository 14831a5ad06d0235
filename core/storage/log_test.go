package storage

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

func TestAppendIsReadBackAfterReopen(t *testing.T) {
	for _, clean := range []bool{true, false} {
		n := newNode(t, 1)
		l := n.open(n.options(smallConfig()))
		var want [][]byte
		for i := range 40 {
			b := batch(0, 0, 1+i%3, 50, int64(1000+i))
			n.append(l, b, int32(i/10))
			want = append(want, bytes.Clone(b))
			if i%4 == 0 {
				l.SetHighWatermark(l.LogEndOffset())
			}
		}
		check := func() {
			t.Helper()
			got := n.content(l)
			if !slices.EqualFunc(got, want, func(a record.Batch, b []byte) bool { return len(a) == len(b) && a.CRC() == record.Batch(b).CRC() }) {
				t.Fatalf("clean=%v: %d batches, want %d", clean, len(got), len(want))
			}
		}
		check()
		end, epochs := l.LogEndOffset(), l.Epochs()
		n.must("close", l.Close)
		o := n.options(smallConfig())
		o.Clean = clean
		l = n.open(o)
		if l.LogEndOffset() != end || !slices.Equal(l.Epochs(), epochs) {
			t.Fatalf("reopened at %d with %v, want %d with %v", l.LogEndOffset(), l.Epochs(), end, epochs)
		}
		check()
		n.append(l, batch(0, 0, 1, 10, 1), 5)
	}
}

// model is a log as a slice.
type model struct {
	batches []record.Batch
	start   int64
	end     int64
}

// truncate drops the batches that hold offsets from offset on.
func (m *model) truncate(offset int64) {
	for len(m.batches) > 0 && m.batches[len(m.batches)-1].NextOffset() > offset {
		m.end = m.batches[len(m.batches)-1].BaseOffset()
		m.batches = m.batches[:len(m.batches)-1]
	}
}

// machine drives a log and its model.
type machine struct {
	*node
	l     *Log
	o     OpenOptions
	m     model
	epoch int32
	seqs  map[int64]int32
	// durable is how many batches of the model must survive anything.
	durable int
	// older is what the log was before truncations that may not have reached the disk.
	older [][]record.Batch
}

func (c *machine) appendOne(t *rapid.T) {
	count := rapid.IntRange(1, 4).Draw(t, "records")
	size := rapid.SampledFrom([]int{1, 50, 300, 1000}).Draw(t, "size")
	pid := rapid.Int64Range(-1, 2).Draw(t, "pid")
	stamp := rapid.Int64Range(1_767_225_600_000, 1_767_225_600_900).Draw(t, "ts")
	b := batch(0, 0, count, min(size, 1200/count), stamp)
	if pid >= 0 {
		b = producerBatch(0, 0, count, min(size, 1200/count), stamp, pid, 0, c.seqs[pid])
	}
	info, err := c.lead(c.l, b, c.epoch, nil)
	if err == kerr.NotLeaderForPartition {
		return // producers are being rebuilt
	}
	if err != nil || info.FirstOffset != c.m.end {
		t.Fatalf("append at %d, want %d: %v", info.FirstOffset, c.m.end, err)
	}
	if pid >= 0 {
		c.seqs[pid] = record.IncrementSequence(c.seqs[pid], int32(count))
	}
	c.m.batches = append(c.m.batches, bytes.Clone(b))
	c.m.end = info.NextOffset
}

// settle waits until all that was asked for is done.
func (c *machine) settle(t *rapid.T) {
	c.must("flush", c.l.Flush)
	c.durable, c.older = len(c.m.batches), nil
	if c.l.LogEndOffset() != c.m.end {
		t.Fatalf("flushed log ends at %d, want %d", c.l.LogEndOffset(), c.m.end)
	}
}

func (c *machine) truncate(t *rapid.T) {
	if len(c.m.batches) == 0 {
		return
	}
	i := rapid.IntRange(0, len(c.m.batches)).Draw(t, "cut")
	at := c.m.end
	if i < len(c.m.batches) {
		at = c.m.batches[i].BaseOffset()
	}
	c.older = append(c.older, slices.Clone(c.m.batches))
	c.m.truncate(at)
	c.epoch++
	wait := rapid.Bool().Draw(t, "wait")
	ended := false
	c.l.TruncateTo(at, func(err error) {
		if err != nil {
			t.Fatalf("truncate: %v", err)
		}
		ended = true
	})
	if c.l.NextOffset() != c.m.end {
		t.Fatalf("truncated to %d, want %d", c.l.NextOffset(), c.m.end)
	}
	if wait {
		c.run("truncate", &ended)
		c.older = nil
	}
	c.durable = min(c.durable, len(c.m.batches))
	c.resync()
}

// resync takes the producers' next sequences from the model.
func (c *machine) resync() {
	clear(c.seqs)
	for _, b := range c.m.batches {
		if b.ProducerID() >= 0 {
			c.seqs[b.ProducerID()] = record.IncrementSequence(b.LastSequence(), 1)
		}
	}
}

func (c *machine) reopen(t *rapid.T) {
	c.must("close", c.l.Close)
	c.durable, c.older = len(c.m.batches), nil
	o := c.o
	o.Clean = rapid.Bool().Draw(t, "clean")
	c.l = c.node.open(o)
	c.compare(t, len(c.m.batches))
}

// die takes the log through a kill or a power loss: what is left is a prefix that has everything synced.
func (c *machine) die(t *rapid.T) {
	for range rapid.IntRange(0, 30).Draw(t, "turns") {
		c.world.Step()
	}
	c.loop.Kill()
	if rapid.Bool().Draw(t, "power") {
		c.disk.PowerLoss()
	} else {
		c.disk.Kill()
	}
	c.l = c.node.open(c.o)
	got := c.content(c.l)
	c.m.batches = c.origin(t, got)
	c.m.end = c.l.NextOffset()
	c.older = nil
	c.compare(t, len(got))
	c.durable = len(got)
	c.epoch++
	c.resync()
}

// origin finds what was recovered to be a prefix of the log, or of what it was before a truncation that did not
// reach the disk.
func (c *machine) origin(t *rapid.T, got []record.Batch) []record.Batch {
	if len(got) < c.durable {
		t.Fatalf("%d batches recovered, %d were synced", len(got), c.durable)
	}
	for _, m := range append(c.older, c.m.batches) {
		if len(got) <= len(m) && slices.EqualFunc(got, m[:len(got)], func(a, b record.Batch) bool { return bytes.Equal(a, b) }) {
			return slices.Clone(m[:len(got)])
		}
	}
	t.Fatalf("%d batches recovered that never were a prefix of the log", len(got))
	return nil
}

// compare checks all of the log against the model.
func (c *machine) compare(t *rapid.T, batches int) {
	got := c.content(c.l)
	if len(got) != batches || len(got) != len(c.m.batches) {
		t.Fatalf("log has %d batches, model %d", len(got), len(c.m.batches))
	}
	var want epochCache
	for i, b := range c.m.batches {
		if !bytes.Equal(b, got[i]) {
			t.Fatalf("batch %d differs at offset %d", i, b.BaseOffset())
		}
		want.assign(b.LeaderEpoch(), b.BaseOffset())
	}
	if !slices.Equal(want.entries, c.l.Epochs()) {
		t.Fatalf("epochs %v, want %v", c.l.Epochs(), want.entries)
	}
	c.compareProducers(t)
}

func (c *machine) compareProducers(t *rapid.T) {
	want := producers{states: map[int64]*ProducerState{}}
	for _, b := range c.m.batches {
		want.update(b)
	}
	got := c.l.Producers()
	all := want.sorted()
	if len(got) != len(all) {
		t.Fatalf("%d producers, want %d", len(got), len(all))
	}
	for i := range got {
		g, w := &got[i], &all[i]
		if g.ProducerID != w.ProducerID || g.Epoch != w.Epoch || g.LastSequence() != w.LastSequence() ||
			g.Batches()[len(g.Batches())-1] != w.Batches()[len(w.Batches())-1] {
			t.Fatalf("producer %+v, want %+v", *g, *w)
		}
	}
}

func (c *machine) read(t *rapid.T) {
	if c.l.LogEndOffset() == 0 {
		return
	}
	c.l.SetHighWatermark(rapid.Int64Range(0, c.l.LogEndOffset()).Draw(t, "hw"))
	r := ReadRequest{
		Offset:      rapid.Int64Range(0, c.l.LogEndOffset()-1).Draw(t, "offset"),
		UpTo:        rapid.Int64Range(0, c.l.LogEndOffset()).Draw(t, "upTo"),
		MaxBytes:    rapid.SampledFrom([]int{0, 1, 500, 5000, 1 << 20}).Draw(t, "max"),
		MinOneBatch: rapid.Bool().Draw(t, "minOne"),
	}
	b, err := c.node.read(c.l, r)
	if err != nil {
		t.Fatalf("read %+v: %v", r, err)
	}
	c.judge(t, r, split(t, b))
}

// judge checks an answer: it holds the offset in its first batch, is contiguous, bounded, and not empty without reason.
func (c *machine) judge(t *rapid.T, r ReadRequest, got []record.Batch) {
	i := slices.IndexFunc(c.m.batches, func(b record.Batch) bool { return b.NextOffset() > r.Offset })
	first := c.m.batches[i]
	if len(got) == 0 {
		if r.Offset < r.UpTo && first.NextOffset() <= r.UpTo && (r.MinOneBatch || len(first) <= r.MaxBytes) {
			t.Fatalf("empty answer to %+v", r)
		}
		return
	}
	size := 0
	for k, b := range got {
		size += len(b)
		if !bytes.Equal(b, c.m.batches[i+k]) || b.NextOffset() > r.UpTo {
			t.Fatalf("answer to %+v has a wrong batch at %d", r, b.BaseOffset())
		}
	}
	if size > r.MaxBytes && !(len(got) == 1 && r.MinOneBatch) {
		t.Fatalf("answer to %+v has %d bytes", r, size)
	}
}

func (c *machine) someTurns(t *rapid.T) {
	for range rapid.IntRange(1, 20).Draw(t, "turns") {
		c.world.Step()
	}
}

func TestLogIsASliceThroughTruncationsAndDeaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(t, rapid.Uint64().Draw(t, "seed"))
		c := &machine{node: n, o: n.options(smallConfig()), seqs: map[int64]int32{}}
		c.l = n.open(c.o)
		t.Repeat(map[string]func(*rapid.T){
			"append":   c.appendOne,
			"append2":  c.appendOne,
			"append3":  c.appendOne,
			"turns":    c.someTurns,
			"flush":    c.settle,
			"truncate": c.truncate,
			"reopen":   c.reopen,
			"die":      c.die,
			"read":     c.read,
		})
		c.settle(t)
		c.compare(t, len(c.m.batches))
	})
}

func TestFailedWriteTakesTheLogOffline(t *testing.T) {
	n := newNode(t, 1)
	l := n.open(n.options(smallConfig()))
	n.append(l, batch(0, 0, 1, 10, 1), 0)
	var failure error
	l.OnFailure(func(err error) { failure = err })
	n.disk.FailNext(simdisk.OpWrite, disk.ErrNoSpace)
	err := n.await("append", func(done func(error)) { n.lead(l, batch(0, 0, 1, 10, 1), 0, done) })
	if err != kerr.KafkaStorageError || !errors.Is(failure, disk.ErrNoSpace) || l.LogEndOffset() != 1 {
		t.Fatalf("append %v, failure %v, end %d", err, failure, l.LogEndOffset())
	}
	if _, err := n.lead(l, batch(0, 0, 1, 10, 1), 0, nil); err != kerr.KafkaStorageError {
		t.Fatalf("append after failure: %v", err)
	}
}
