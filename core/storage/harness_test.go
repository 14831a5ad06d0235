package storage

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// fataler is what tests and rapid checks have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

var testPartition = event.Partition{Topic: "t", Index: 0}

// node is one broker's disk and loop in a world of its own.
type node struct {
	t      fataler
	world  *virtual.World
	loop   *virtual.Node
	disk   *simdisk.Disk
	env    *env.Env
	events []event.Event
}

func newNode(t fataler, seed uint64) *node {
	w := virtual.New(seed)
	n := &node{t: t, world: w, loop: w.Node(1)}
	n.disk = simdisk.New(n.loop, seed, simdisk.Options{})
	n.env = &env.Env{Loop: n.loop, Disk: n.disk, Event: n,
		Rand: func(purpose string) *rand.Rand { return virtual.Rand(seed, purpose) }}
	return n
}

func (n *node) Emit(e *event.Event) {
	kept := *e
	kept.Batch = nil
	n.events = append(n.events, kept)
}

// run makes turns until ok.
func (n *node) run(what string, ok *bool) {
	n.t.Helper()
	for i := 0; !*ok; i++ {
		if i > 1_000_000 || !n.world.Step() {
			n.t.Fatalf("%s never ends", what)
		}
	}
}

// must waits for an operation that is to succeed.
func (n *node) must(what string, start func(done func(error))) {
	n.t.Helper()
	if err := n.await(what, start); err != nil {
		n.t.Fatalf("%s: %v", what, err)
	}
}

func (n *node) await(what string, start func(done func(error))) (err error) {
	n.t.Helper()
	ended := false
	start(func(e error) { err, ended = e, true })
	n.run(what, &ended)
	return err
}

func oneDir(e *env.Env) []*LogDir { return []*LogDir{NewLogDir(e, "d", [16]byte{1})} }

func smallConfig() LogConfig {
	c := DefaultLogConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 1500, 200
	return c
}

func (n *node) options(c LogConfig) OpenOptions {
	return OpenOptions{Dir: "t-0", Partition: testPartition, TopicID: [16]byte{1, 2, 3}, Config: c, KeepProducers: true}
}

func (n *node) open(o OpenOptions) (l *Log) {
	n.t.Helper()
	n.must("open", func(done func(error)) {
		Open(n.env, o, func(opened *Log, err error) { l = opened; done(err) })
	})
	return l
}

// batch makes a batch of count records with values of size bytes.
func batch(base int64, epoch int32, count, size int, timestamp int64) record.Batch {
	return producerBatch(base, epoch, count, size, timestamp, -1, -1, -1)
}

func producerBatch(base int64, epoch int32, count, size int, timestamp, pid int64, pepoch int16, seq int32) record.Batch {
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: base, LeaderEpoch: epoch, ProducerID: pid, ProducerEpoch: pepoch, BaseSequence: seq, BaseTimestamp: timestamp})
	for i := range count {
		b.Append(timestamp+int64(i), nil, fmt.Appendf(nil, "%0*d", size, i))
	}
	return b.Build()
}

// frame wraps bytes such that a use after their release shows.
func frame(b []byte) *network.Frame {
	return network.NewFrame(b, func(f *network.Frame) {
		for i := range f.Bytes {
			f.Bytes[i] = 0xdb
		}
	})
}

// lead appends a batch as leader without waiting.
func (n *node) lead(l *Log, b record.Batch, epoch int32, done func(error)) (AppendInfo, error) {
	f := frame(b)
	defer f.Release()
	return l.AppendAsLeader(b, epoch, f, done)
}

// append appends as leader and waits.
func (n *node) append(l *Log, b record.Batch, epoch int32) (info AppendInfo) {
	n.t.Helper()
	n.must("append", func(done func(error)) {
		var err error
		if info, err = n.lead(l, b, epoch, done); err != nil {
			n.t.Fatalf("append: %v", err)
		}
	})
	return info
}

// read reads and resolves regions to bytes.
func (n *node) read(l *Log, r ReadRequest) ([]byte, error) {
	n.t.Helper()
	var out Slice
	var failed error
	ended := false
	s, err := l.Read(r, func(s Slice, err error) { out, failed, ended = s, err, true })
	if err == ErrPending {
		n.run("read", &ended)
	} else {
		out, failed = s, err
	}
	if failed != nil {
		return nil, failed
	}
	b := n.bytes(&out)
	out.Release()
	return b, nil
}

func (n *node) bytes(s *Slice) (all []byte) {
	n.t.Helper()
	for _, c := range s.Chunks {
		if c.Region.File == nil {
			all = append(all, c.Bytes...)
			continue
		}
		all = append(all, n.fileBytes(c.Region)...)
	}
	if len(all) != s.Len {
		n.t.Fatalf("slice of %d bytes says %d", len(all), s.Len)
	}
	return all
}

func (n *node) fileBytes(r disk.Region) []byte {
	p := make([]byte, r.Len)
	n.must("region", func(done func(error)) {
		r.File.ReadAt(p, r.Pos, func(got int, err error) {
			if got != r.Len {
				err = fmt.Errorf("region %d at %d has %d bytes", r.Len, r.Pos, got)
			}
			done(err)
		})
	})
	return p
}

// split cuts bytes into batches and checks their CRC.
func split(t fataler, b []byte) (all []record.Batch) {
	t.Helper()
	for len(b) > 0 {
		first, rest, err := record.Parse(b)
		if err != nil || !first.CheckCRC() {
			t.Fatalf("%d bytes that are no good batch: %v", len(b), err)
		}
		all, b = append(all, first), rest
	}
	return all
}

// content reads the log from its start to its end.
func (n *node) content(l *Log) (all []record.Batch) {
	n.t.Helper()
	for at := l.LogStartOffset(); at < l.LogEndOffset(); {
		b, err := n.read(l, ReadRequest{Offset: at, MaxBytes: 700, UpTo: l.LogEndOffset(), MinOneBatch: true})
		if err != nil || len(b) == 0 {
			n.t.Fatalf("read at %d of [%d,%d): %d bytes, %v", at, l.LogStartOffset(), l.LogEndOffset(), len(b), err)
		}
		got := split(n.t, b)
		all = append(all, got...)
		at = got[len(got)-1].NextOffset()
	}
	return all
}

var _ fataler = (*testing.T)(nil)
