package sim

import (
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
)

func short(seed uint64) *Schedule { return DrawFor(seed, 8*time.Second) }

func TestSeedPassesTwiceWithTheSameDigest(t *testing.T) {
	world := virtual.New(0)
	for seed := range uint64(20) {
		first := Run(short(seed), RunOptions{})
		second := Run(short(seed), RunOptions{World: world}) // used before, by other seeds
		if v := first.Verdict(); v != Passed && v != Inconclusive {
			t.Errorf("seed %d: %s: %s\n%s", seed, v, first.Reason(), first.Stack)
		}
		if first.Digest != second.Digest {
			t.Errorf("seed %d: digests %016x and %016x", seed, first.Digest, second.Digest)
		}
	}
}

func TestTracingAndCheckingChangeNothing(t *testing.T) {
	for seed := range uint64(5) {
		plain := Run(short(seed), RunOptions{Unchecked: true})
		traced := Run(short(seed), RunOptions{Trace: TracerFunc(func(*Entry) {})})
		if traced.Verdict() == Passed && plain.Digest != traced.Digest {
			t.Errorf("seed %d: digests %016x and %016x", seed, plain.Digest, traced.Digest)
		}
	}
}

func TestDifferentSeedsHaveDifferentDigests(t *testing.T) {
	if a, b := Run(short(1), RunOptions{}), Run(short(2), RunOptions{}); a.Digest == b.Digest {
		t.Errorf("both %016x", a.Digest)
	}
}

// calm is a small world with the given faults.
func calm(faults ...Fault) *Schedule {
	o := Options{Cluster: defaultCluster(), For: 4 * time.Second, Settle: 60 * time.Second}
	o.Topics = []TopicOptions{{Name: "t0", Partitions: 2, RF: 3, MinISR: 2, SegmentBytes: 1 << 20}}
	o.Producers = []ProducerOptions{{Acks: -1, Idempotent: true, Interval: 20 * time.Millisecond, Records: 1, Size: 50, Version: 9}}
	o.Consumers = []ConsumerOptions{{Wait: 500 * time.Millisecond, MaxBytes: 1 << 20, Sessions: true, Version: 12}}
	return &Schedule{Build: Build(), Scenario: "test", Seed: 1, Options: o, Faults: faults}
}

func TestRunWithoutFaultsPasses(t *testing.T) {
	r := Run(calm(), RunOptions{})
	if r.Verdict() != Passed || r.Stats.Acked == 0 || r.Stats.Read != r.Stats.Acked || r.Stats.Attempted != r.Stats.Acked {
		t.Errorf("%s: %s %+v", r.Verdict(), r.Reason(), r.Stats)
	}
}

func TestRunWhoseFaultsDidNothingIsInconclusive(t *testing.T) {
	faults := []Fault{
		{Label: "kill/0", Kind: Kill, At: time.Second, For: time.Second, Target: "p0"},                                     // no node
		{Label: "slow-link/0", Kind: SlowLink, At: time.Second, For: time.Second, Target: "p0", Peer: "c0", Size: 1},       // nobody speaks there
		{Label: "full-disk/0", Kind: FullDisk, At: 2 * time.Second, For: 0, Target: "n1"},                                  // over at once
		{Label: "partition/0", Kind: PartitionTwo, At: time.Second, For: 500 * time.Millisecond, Target: "c0", Peer: "p0"}, // the same
	}
	if r := Run(calm(faults...), RunOptions{}); r.Verdict() != Inconclusive {
		t.Errorf("%s: %s, effects %v", r.Verdict(), r.Reason(), r.Stats.Effective)
	}
}

func TestTwoFaultsDoNotFightOverOneThing(t *testing.T) {
	a := Fault{Label: "kill/0", Kind: Kill, At: time.Second, For: 2 * time.Second, Target: "n1"}
	b := Fault{Label: "power-loss/0", Kind: PowerLoss, At: 2 * time.Second, For: time.Second / 4, Target: "n1"}
	r := Run(calm(a, b), RunOptions{})
	if r.Verdict() != Passed || r.Stats.Effective[Kill] != 1 || r.Stats.Effective[PowerLoss] != 0 {
		t.Errorf("%s: %s, effects %v", r.Verdict(), r.Reason(), r.Stats.Effective)
	}
}

// With min.insync.replicas 2 only one node at a time may have lost power and not be back in every ISR.
func TestBudgetAllowsOnlyThePowerLossesThatThePromiseSurvives(t *testing.T) {
	var faults []Fault
	for i, n := range []string{"n1", "n2", "n3"} {
		faults = append(faults, Fault{Label: "power-loss/" + n, Kind: PowerLoss, At: time.Duration(10+i) * 100 * time.Millisecond, For: time.Second, Target: n})
	}
	if r := Run(calm(faults...), RunOptions{}); r.Verdict() != Passed || r.Stats.Effective[PowerLoss] != 1 {
		t.Errorf("%s: %s, effects %v", r.Verdict(), r.Reason(), r.Stats.Effective)
	}
	flushed := calm(faults...)
	flushed.Options.Topics[0].FlushMessages = 1
	if r := Run(flushed, RunOptions{}); r.Verdict() != Passed || r.Stats.Effective[PowerLoss] != 3 {
		t.Errorf("with a sync of each append: %s: %s, effects %v", r.Verdict(), r.Reason(), r.Stats.Effective)
	}
}

// The bar is 1,000 simulated seconds per second and core (sim-s/s).
func BenchmarkCanonical(b *testing.B) { benchmark(b, 1, canonical, RunOptions{}) }

func BenchmarkCanonicalUnchecked(b *testing.B) {
	benchmark(b, 1, canonical, RunOptions{Unchecked: true})
}

// Two groups of three members beside all else, who come and go.
func BenchmarkCanonicalWithGroups(b *testing.B) {
	benchmark(b, 1, func(i int) *Schedule {
		s := canonical(i)
		g := plainGroup()
		g.Members, g.Churn = 3, 10*time.Second
		s.Options.Groups, s.Options.Offsets = []GroupOptions{g, g}, plainOffsets()
		return s
	}, RunOptions{})
}

// Four transactional producers beside all else, some of whom crash, a group of three members that copies into another topic, and consumers of both isolations.
func BenchmarkCanonicalWithTransactions(b *testing.B) {
	benchmark(b, 1, func(i int) *Schedule {
		s := canonical(i)
		o := &s.Options
		o.Topics = append(o.Topics, TopicOptions{Name: "t1", Partitions: 4, RF: 3, MinISR: 2, SegmentBytes: 1 << 20})
		x, g := plainTxn(), plainGroup()
		x.IDs, x.Churn = 4, 10*time.Second
		g.Members, g.Topics, g.Into, g.Timeout = 3, "t0", "t1", 5*time.Second
		o.Txns, o.Groups, o.Offsets, o.Transactions = []TxnOptions{x}, []GroupOptions{g}, plainOffsets(), plainTransactions()
		o.Consumers = append(o.Consumers, o.Consumers[0])
		o.Consumers[1].Committed = true
		return s
	}, RunOptions{})
}

// The figures are those of both workers together.
func BenchmarkCanonicalTwoWorkers(b *testing.B) { benchmark(b, 2, canonical, RunOptions{}) }

// Seeds of 60 simulated seconds and 30 faults or more. The bar is 15 a second and core (runs/s).
func BenchmarkShortSeeds(b *testing.B) {
	draw := shortSeed()
	benchmark(b, 1, func(i int) *Schedule {
		s := draw(i)
		s.Options.Groups, s.Options.Offsets = nil, TopicOptions{}
		s.Faults = slices.DeleteFunc(s.Faults, func(f Fault) bool { return strings.HasPrefix(f.Target, "m") || strings.HasPrefix(f.Peer, "m") })
		return s
	}, RunOptions{})
}

// The same seeds as they are drawn, a quarter of them with groups.
func BenchmarkShortSeedsWithGroups(b *testing.B) { benchmark(b, 1, shortSeed(), RunOptions{}) }

func canonical(i int) *Schedule {
	return &Schedule{Build: Build(), Scenario: "canonical", Seed: uint64(i), Options: Canonical()}
}

func shortSeed() func(int) *Schedule {
	seed := uint64(0)
	return func(int) *Schedule {
		for {
			s := DrawFor(seed, 60*time.Second)
			if seed++; len(s.Faults) >= 30 {
				return s
			}
		}
	}
}

// benchmark plays b.N schedules in each worker's world, with the collector tuned as lockstep tunes it.
func benchmark(b *testing.B, workers int, draw func(int) *Schedule, o RunOptions) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(1<<30)
	defer debug.SetMemoryLimit(limit)
	defer debug.SetGCPercent(percent)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	b.ReportAllocs()
	began := time.Now()
	sums, played := make([]Stats, workers), make([]int, workers)
	var running sync.WaitGroup
	for w := range sums {
		running.Go(func() { benchmarkWorker(b, w, draw, o, &sums[w], &played[w]) })
	}
	running.Wait()
	wall := time.Since(began)
	runtime.ReadMemStats(&after)
	var sum Stats
	runs := 0
	for i := range sums {
		sum.Add(&sums[i])
		runs += played[i]
	}
	b.ReportMetric(sum.Simulated.Seconds()/wall.Seconds(), "sim-s/s")
	b.ReportMetric(float64(runs)/wall.Seconds(), "runs/s")
	b.ReportMetric(float64(sum.Events)/wall.Seconds(), "events/s")
	b.ReportMetric(float64(sum.Acked)/sum.Simulated.Seconds(), "records/sim-s")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(sum.Events), "B/event")
}

func benchmarkWorker(b *testing.B, worker int, draw func(int) *Schedule, o RunOptions, sum *Stats, played *int) {
	o.World = virtual.New(0)
	for i := range b.N {
		r := Run(draw(worker*b.N+i), o)
		if v := r.Verdict(); v != Passed && v != Inconclusive {
			b.Log("seed", r.Schedule.Seed, "is not counted:", r.Verdict(), r.Reason(), r.Stack)
			continue
		}
		*played++
		sum.Add(&r.Stats)
	}
}
