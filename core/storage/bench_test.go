package storage

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
)

// null is a loop and a disk that do nothing, at once, when pumped.
type null struct {
	scheduler.Loop
	disk.Disk
	deferred []func()
	done     []func(error)
}

func (n *null) UnixMilli() int64 { return 1 }
func (n *null) Defer(f func())   { n.deferred = append(n.deferred, f) }
func (n *null) AfterFunc(time.Duration, func()) scheduler.Timer {
	return nil
}

func (n *null) pump() {
	for len(n.deferred)+len(n.done) > 0 {
		for i := 0; i < len(n.deferred); i++ {
			n.deferred[i]()
		}
		n.deferred = n.deferred[:0]
		if last := len(n.done) - 1; last >= 0 {
			f := n.done[last]
			n.done = n.done[:last]
			f(nil)
		}
	}
}

func (n *null) Name() string                                  { return "" }
func (n *null) WriteAt(_ [][]byte, _ int64, done func(error)) { n.done = append(n.done, done) }
func (n *null) ReadAt([]byte, int64, func(int, error))        {}
func (n *null) Sync(done func(error))                         { n.done = append(n.done, done) }
func (n *null) Truncate(_ int64, done func(error))            { n.done = append(n.done, done) }
func (n *null) Retain()                                       {}
func (n *null) Close()                                        {}

func nullLog(n *null) *Log {
	c := DefaultLogConfig()
	c.MaxMessageBytes, c.SegmentBytes = 1<<30, 1<<31-1
	l := newLog(&env.Env{Loop: n, Disk: n, Event: event.Discard}, &OpenOptions{Config: c, KeepProducers: true})
	l.activate(newSegment(0, 0))
	l.active.file = n
	l.epochs.assign(0, 0)
	return l
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10} {
		for _, turn := range []int{1, 32} {
			b.Run(fmt.Sprintf("%dKiB/%d-a-turn", size>>10, turn), func(b *testing.B) { benchmarkAppend(b, size, turn) })
		}
	}
}

func benchmarkAppend(b *testing.B, size, turn int) {
	n := &null{}
	l := nullLog(n)
	one := producerBatch(0, 0, 1, size, 1, 1, 0, 0)
	f := network.NewFrame(one, nil)
	seq, done := int32(0), func(error) {}
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		for range turn {
			putSequence(one, seq)
			seq++
			if l.active.size > 1<<30 {
				l.active.size, l.active.index.entries, l.active.times.entries = 0, nil, nil
			}
			if _, err := l.AppendAsLeader(one, 0, f, done); err != nil {
				b.Fatal(err)
			}
		}
		n.pump()
		l.SetHighWatermark(l.written)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*turn), "ns/append")
}

// putSequence sets the base sequence in a header.
func putSequence(b []byte, seq int32) {
	b[53], b[54], b[55], b[56] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
}

func BenchmarkReadTail(b *testing.B) {
	for _, below := range []bool{false, true} {
		b.Run(fmt.Sprintf("below-high-watermark=%v", below), func(b *testing.B) {
			n := &null{}
			l := nullLog(n)
			for range 200 {
				one := batch(0, 0, 1, 1<<10, 1)
				l.AppendAsLeader(one, 0, network.NewFrame(one, nil), nil)
			}
			n.pump()
			if below {
				l.SetHighWatermark(l.written)
			}
			b.ReportAllocs()
			for b.Loop() {
				s, err := l.Read(ReadRequest{Offset: 190, MaxBytes: 1 << 20, UpTo: l.written}, nil)
				if err != nil || s.Len == 0 {
					b.Fatal(err)
				}
				s.Release()
			}
		})
	}
}
