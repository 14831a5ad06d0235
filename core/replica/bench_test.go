package replica

import (
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/record"
)

// BenchmarkReplicatedProduce is one produce with acks=all through three brokers: two followers' fetches, six messages, three
// disk writes, all of it simulated.
func BenchmarkReplicatedProduce(b *testing.B) {
	c := newCluster(&testing.T{}, 3, nil)
	a := c.nodes[1]
	batches := make([]record.Batch, b.N)
	for i := range batches {
		batches[i] = batch("a record of some size, as records are")
	}
	done := false
	entries := make([]ProduceEntry, 1)
	onDone := func(r []ProduceResult) { done = r[0].Err == nil }
	next := 0
	produce := func() {
		entries[0] = ProduceEntry{Partition: tp, Batch: batches[next]}
		a.m.Produce(acksAll, 5*time.Second, entries, nil, onDone)
	}
	b.ReportAllocs()
	for b.Loop() {
		if next == len(batches) {
			batches = append(batches, batch("a record of some size, as records are"))
		}
		done = false
		a.loop.Post(produce)
		for !done {
			c.world.Step()
		}
		a.events, c.nodes[2].events, c.nodes[3].events = a.events[:0], c.nodes[2].events[:0], c.nodes[3].events[:0]
		next++
	}
}
