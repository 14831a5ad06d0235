package replica

import (
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
	"pgregory.net/rapid"
)

func TestWaitsExpireInOrderUnlessRemoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := virtual.New(1)
		n := w.Node(0)
		g := newPurgatory(n)
		var got, want []int
		var waits []*expiry
		n.Post(func() {
			for i := range rapid.IntRange(1, 20).Draw(t, "waits") {
				e := &expiry{pos: notWaiting, onExpire: func() { got = append(got, i) }}
				waits = append(waits, e)
				g.add(e, time.Duration(rapid.IntRange(0, 5).Draw(t, "delay")))
			}
			for i, e := range waits {
				if rapid.Bool().Draw(t, "removed") {
					g.remove(e)
				} else {
					want = append(want, i)
				}
			}
		})
		w.RunUntil(scheduler.Instant(time.Second))
		slices.SortStableFunc(want, func(a, b int) int { return int(waits[a].at - waits[b].at) })
		if !slices.Equal(got, want) {
			t.Fatalf("expired %v, want %v", got, want)
		}
	})
}

func TestAWaitMayBeRemovedFromAPurgatoryThatHasStopped(t *testing.T) {
	w := virtual.New(1)
	n := w.Node(0)
	g := newPurgatory(n)
	n.Post(func() {
		e := &expiry{pos: notWaiting, onExpire: func() { t.Error("it has expired") }}
		g.add(e, time.Second)
		g.stop()
		g.remove(e)
	})
	w.RunUntil(scheduler.Instant(time.Minute))
}

func TestProduceListIsOrderedByRequiredOffset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l produceList
		var model []*produceWait
		for range rapid.IntRange(1, 40).Draw(t, "ops") {
			if len(model) > 0 && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
				l.remove(model[i])
				l.remove(model[i]) // idempotent
				model = slices.Delete(model, i, i+1)
				continue
			}
			w := &produceWait{required: rapid.Int64Range(0, 9).Draw(t, "required")}
			l.add(w)
			model = append(model, w)
			slices.SortStableFunc(model, func(a, b *produceWait) int { return int(a.required - b.required) })
		}
		var got []*produceWait
		for w := l.first; w != nil; w = w.next {
			got = append(got, w)
		}
		if !slices.Equal(got, model) || (len(got) > 0) != (l.last != nil) || len(got) > 0 && l.last != got[len(got)-1] {
			t.Fatalf("list %v, model %v", got, model)
		}
	})
}
