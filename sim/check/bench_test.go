package check

import (
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
)

// BenchmarkState is the steady state: a produce is three appends, writes and moves of the high watermark, each in a turn of its own.
func BenchmarkState(b *testing.B) {
	f := newFake(&testing.T{}, safe)
	f.open(1, 2, 3)
	f.elect(1, 0, 1, 2, 3)
	batch := produce(0, 0, 5, 0, 0, make([]byte, 100))
	for _, id := range f.Nodes() {
		f.logs[id][orders].epochs = []storage.EpochEntry{firstEpoch}
	}
	offset := int64(0)
	turn := func(node int32, e event.Event) {
		f.seq++
		f.s.Observe(&Observation{Seq: f.seq, T: f.now, Node: node, Event: &e})
		if v := f.s.AfterTurn(node, f.now); v != nil {
			b.Fatal(v.Error())
		}
	}
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		record.Batch(batch).SetBaseOffset(offset)
		sequence(batch, int32(offset))
		for node := int32(1); node <= 3; node++ {
			turn(node, event.Event{Kind: event.Appended, Partition: orders, TopicID: ordersID, Peer: -1, Offset: offset, Len: 1, Batch: batch})
			turn(node, event.Event{Kind: event.Written, Partition: orders, TopicID: ordersID, Peer: -1, Epoch: -1, Offset: offset + 1})
		}
		offset++
		for node := int32(1); node <= 3; node++ {
			turn(node, event.Event{Kind: event.HighWatermark, Partition: orders, TopicID: ordersID, Peer: -1, Offset: offset})
		}
		events += 9
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}

// sequence gives a batch another base sequence; the CRC is not looked at.
func sequence(b record.Batch, s int32) {
	b[53], b[54], b[55], b[56] = byte(s>>24), byte(s>>16), byte(s>>8), byte(s)
}
