package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lockstep/lockstep/sim"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

const testBuild = "build"

func newCampaign(t *testing.T) Options {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return Options{Seeds: cluster.ListenAddrs(), Topic: "seeds", Partitions: 4}
}

func enqueue(t *testing.T, o Options, from, to, size uint64) {
	t.Helper()
	if _, err := Enqueue(t.Context(), o, Range{From: from, To: to, Build: testBuild}, size); err != nil {
		t.Fatal(err)
	}
}

func runRange(_ context.Context, r Range, write func(*sim.Record)) error {
	for seed := r.From; seed <= r.To; seed++ {
		write(&sim.Record{Seed: seed, Build: testBuild, Digest: sim.Digest(seed), Verdict: sim.Passed})
	}
	return nil
}

func status(t *testing.T, o Options) *Status {
	t.Helper()
	s, err := ReadStatus(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEverySeedIsCountedOnceThoughAWorkerDies(t *testing.T) {
	o := newCampaign(t)
	enqueue(t, o, 1, 50, 7)
	dying, kill := context.WithCancel(t.Context())
	first := Worker{Options: o, Build: testBuild, Idle: time.Minute, Run: func(ctx context.Context, r Range, write func(*sim.Record)) error {
		err := runRange(ctx, r, write)
		kill() // before the range is committed
		return err
	}}
	if _, err := first.Work(dying); !errors.Is(err, context.Canceled) {
		t.Fatalf("the worker that was killed ended with %v", err)
	}
	workUntilDone(t, o)
	if s := status(t, o); !s.Done() || s.Seeds != 50 || s.Results.Len() != 50 || s.Results.Sum().Runs != 50 {
		t.Errorf("%d of %d seeds", s.Results.Len(), s.Seeds)
	}
}

// workUntilDone has two workers at work until every seed has a result.
func workUntilDone(t *testing.T, o Options) {
	working, end := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			w := Worker{Options: o, Build: testBuild, Idle: time.Minute, Run: runRange}
			if _, err := w.Work(working); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for !status(t, o).Done() {
		time.Sleep(50 * time.Millisecond)
	}
	end()
	workers.Wait()
}

func TestEnqueuingTwiceAddsNoSeed(t *testing.T) {
	o := newCampaign(t)
	enqueue(t, o, 1, 20, 6)
	enqueue(t, o, 11, 30, 6)
	if s := status(t, o); s.Seeds != 30 || s.Done() {
		t.Errorf("%d seeds", s.Seeds)
	}
}

func TestTwoDigestsOfOneSeedAreFound(t *testing.T) {
	o := newCampaign(t)
	enqueue(t, o, 1, 1, 1)
	client, err := o.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, digest := range []sim.Digest{1, 2} {
		value, _ := json.Marshal(&sim.Record{Seed: 1, Build: testBuild, Digest: digest})
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: o.results(), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadStatus(t.Context(), o); !errors.Is(err, sim.ErrTwoDigests) {
		t.Errorf("error %v", err)
	}
}

func TestWorkerRefusesRangesOfAnotherBuild(t *testing.T) {
	o := newCampaign(t)
	enqueue(t, o, 1, 1, 1)
	w := Worker{Options: o, Build: "another", Idle: time.Minute, Run: runRange}
	if _, err := w.Work(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestSeedsOfOverlappingRangesCountOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[uint64]bool{}
		var ranges []Range
		for range rapid.IntRange(0, 6).Draw(t, "ranges") {
			from := rapid.Uint64Range(0, 30).Draw(t, "from")
			r := Range{From: from, To: from + rapid.Uint64Range(0, 10).Draw(t, "more")}
			for seed := r.From; seed <= r.To; seed++ {
				seen[seed] = true
			}
			ranges = append(ranges, r)
		}
		if n := seedsIn(ranges); n != uint64(len(seen)) {
			t.Fatalf("%d seeds, not %d", n, len(seen))
		}
	})
}
