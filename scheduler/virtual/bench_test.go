package virtual

import (
	"math/rand/v2"
	"testing"
	"time"
)

// again schedules itself anew each time it runs, so that the queue keeps its size.
type again struct {
	node *Node
	rand *rand.Rand
}

func (a *again) Run(arg int64) { a.node.AfterEvent(time.Duration(a.rand.Uint64()%1_000_000), a, arg) }

func benchmarkEvents(b *testing.B, queued int) {
	w := New(1)
	for i := range queued {
		a := &again{w.Node(int32(i % 3)), rand.New(rand.NewPCG(1, uint64(i)))}
		a.Run(0)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Step()
	}
}

func BenchmarkPushPop100(b *testing.B)   { benchmarkEvents(b, 100) }
func BenchmarkPushPop1000(b *testing.B)  { benchmarkEvents(b, 1000) }
func BenchmarkPushPop10000(b *testing.B) { benchmarkEvents(b, 10000) }

func BenchmarkTimerResetLater(b *testing.B) {
	n := New(1).Node(0)
	t := n.AfterFunc(time.Second, func() {})
	b.ReportAllocs()
	for b.Loop() {
		t.Reset(time.Second)
	}
}

func BenchmarkTimerStopped(b *testing.B) {
	n := New(1).Node(0)
	f := func() {}
	b.ReportAllocs()
	for b.Loop() {
		n.AfterFunc(time.Second, f).Stop()
	}
}
