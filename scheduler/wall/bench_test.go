package wall_test

import (
	"context"
	"testing"

	"github.com/benbjohnson/clock"

	"github.com/lockstep/lockstep/scheduler/wall"
)

func running(b *testing.B) *wall.Loop {
	l := wall.New(clock.New(), wall.Options{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(context.Background())
	}()
	b.Cleanup(func() {
		l.Stop()
		<-ended
	})
	return l
}

// One request at a time: the loop falls asleep between any two.
func BenchmarkPostAndAnswer(b *testing.B) {
	l, answer := running(b), make(chan struct{}, 1)
	f := func() { answer <- struct{}{} }
	for b.Loop() {
		l.Post(f)
		<-answer
	}
}

// The same by a goroutine that lends itself.
func BenchmarkPostAndRunAndAnswer(b *testing.B) {
	l, answer := running(b), make(chan struct{}, 1)
	f := func() { answer <- struct{}{} }
	for b.Loop() {
		l.PostAndRun(f)
		<-answer
	}
}

// Sixteen requests under way from four senders, as pipelining clients do.
func BenchmarkPostPipelined(b *testing.B) {
	l := running(b)
	b.SetParallelism(2)
	b.RunParallel(func(p *testing.PB) {
		window := make(chan struct{}, 4)
		f := func() { <-window }
		for p.Next() {
			window <- struct{}{}
			l.Post(f)
		}
	})
}

func BenchmarkOffload(b *testing.B) {
	l, answer := running(b), make(chan struct{}, 64)
	f := func() { l.Offload(func() {}, func() { answer <- struct{}{} }) }
	for b.Loop() {
		for range 16 {
			l.Post(f)
		}
		for range 16 {
			<-answer
		}
	}
}
