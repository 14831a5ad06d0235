package quota

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
	"pgregory.net/rapid"
)

var defaults = Window{Samples: 11, Length: time.Second}

// Kafka computes with floats: X = (O - T) / T * W.
func TestThrottleIsKafkasFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Window{Samples: rapid.IntRange(1, 12).Draw(t, "samples"), Length: time.Duration(rapid.IntRange(1, 5).Draw(t, "seconds")) * time.Second}
		limit := rapid.Int64Range(1, 1<<40).Draw(t, "limit")
		r, now := Rate{}, scheduler.Instant(0)
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "later")) * time.Millisecond)
			r.Record(w, now, rapid.Int64Range(0, 1<<32).Draw(t, "amount"))
		}
		got := r.Throttle(w, now, limit)
		total, windowMs := r.measure(w, now)
		rate := float64(total) / (float64(windowMs) / 1000)
		want := math.Max(0, math.Round((rate-float64(limit))/float64(limit)*float64(windowMs)))
		if math.Abs(float64(got)-want) > 1+want*1e-9 {
			t.Fatalf("%d ms, want %v: %d in %d ms with a limit of %d", got, want, total, windowMs, limit)
		}
	})
}

// A client that waits as it is told gets its limit: not more, nor much less.
func TestAnObedientClientGetsItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit, seed := rapid.Int64Range(1000, 1<<30).Draw(t, "limit"), rapid.Uint64().Draw(t, "seed")
		random := rand.New(rand.NewPCG(seed, 1))
		r, now, used := Rate{}, scheduler.Instant(0), int64(0)
		for now < scheduler.Instant(10*time.Minute) {
			request := 1 + random.Int64N(limit)
			r.Record(defaults, now, request)
			used += request
			wait := time.Duration(r.Throttle(defaults, now, limit)) * time.Millisecond
			now = now.Add(max(wait, time.Second/2))
		}
		// The first windows give what they had saved up.
		if perSecond := used / int64(time.Duration(now)/time.Second); perSecond > limit+limit/8 {
			t.Fatalf("%d a second with a limit of %d", perSecond, limit)
		}
	})
}

func TestTheLimitCountsTheLastWindowsOnly(t *testing.T) {
	var r Rate
	r.Record(defaults, 0, 20_000)
	if got := r.Throttle(defaults, 0, 1000); got != 10_000 {
		t.Errorf("20,000 of 1,000 a second over 10 s: %d ms", got)
	}
	if got := r.Throttle(defaults, scheduler.Instant(12*time.Second), 1000); got != 0 {
		t.Errorf("after all windows: %d ms", got)
	}
	r.Record(defaults, scheduler.Instant(12*time.Second), 1000)
	r.Record(defaults, scheduler.Instant(12*time.Second), -1000)
	if total, _ := r.measure(defaults, scheduler.Instant(12*time.Second)); total != 0 {
		t.Errorf("what was taken back counts: %d", total)
	}
}

func name(s string) *string { return &s }

// Kafka's order, most specific first.
func TestTheMostSpecificLimitHolds(t *testing.T) {
	levels := [][]metadata.EntityPart{
		{{Type: "user", Name: name(User)}, {Type: "client-id", Name: name("c")}},
		{{Type: "user", Name: name(User)}, {Type: "client-id"}},
		{{Type: "user", Name: name(User)}},
		{{Type: "user"}, {Type: "client-id", Name: name("c")}},
		{{Type: "user"}, {Type: "client-id"}},
		{{Type: "user"}},
		{{Type: "client-id", Name: name("c")}},
		{{Type: "client-id"}},
	}
	image := metadata.NewImage()
	others := [][]metadata.EntityPart{{{Type: "user", Name: name("other")}}, {{Type: "client-id", Name: name("d")}}, {{Type: "ip", Name: name("10.0.0.1")}}}
	for _, entity := range others {
		apply(t, image, entity, 1)
	}
	for i := len(levels) - 1; i >= 0; i-- {
		apply(t, image, levels[i], float64(100+i))
		l := limitsOf(image, Produce, User)
		limit, together := l.find([]byte("c"))
		if limit != int64(100+i) || together != (i == 2 || i == 5) {
			t.Errorf("with level %d: limit %d, together %v", i, limit, together)
		}
	}
	if l := limitsOf(image, Consume, User); l.isAnyLimitPresent {
		t.Error("a limit of another kind")
	}
}

func apply(t *testing.T, image *metadata.Image, entity []metadata.EntityPart, value float64) {
	t.Helper()
	if err := image.Apply(&metadata.ClientQuotaRecord{Entity: entity, Name: "producer_byte_rate", Value: value}); err != nil {
		t.Fatal(err)
	}
}

func TestAMutationQuotaMayBeOverdrawnOnce(t *testing.T) {
	image := metadata.NewImage()
	if err := image.Apply(&metadata.ClientQuotaRecord{Entity: []metadata.EntityPart{{Type: "client-id"}}, Name: "controller_mutation_rate", Value: 0.5}); err != nil {
		t.Fatal(err)
	}
	m := NewManager(defaults, defaults)
	if ms := m.Mutate([]byte("c"), 0, 1000, true); ms != 0 {
		t.Errorf("without a limit: %d", ms)
	}
	m.SetLimits(image)
	take := func(at time.Duration, n int, strict bool) int64 {
		return m.Mutate([]byte("c"), scheduler.Instant(at), n, strict)
	}
	if ms := take(0, 10, true); ms != 0 { // of a burst of 5.5
		t.Errorf("a full bucket: %d", ms)
	}
	if ms := take(0, 1, true); ms != 9000 {
		t.Errorf("an overdrawn bucket: %d", ms)
	}
	if ms := take(8*time.Second, 1, true); ms != 1000 {
		t.Errorf("8 s later: %d", ms)
	}
	if ms := take(9*time.Second, 1, false); ms != 2000 {
		t.Errorf("an older client is throttled: %d", ms)
	}
	if ms := m.Mutate([]byte("d"), scheduler.Instant(9*time.Second), 1, true); ms != 0 {
		t.Errorf("another client: %d", ms)
	}
}

func TestClientIdsWithoutEndCostNoMemoryWithoutEnd(t *testing.T) {
	image := metadata.NewImage()
	apply(t, image, []metadata.EntityPart{{Type: "client-id"}}, 1000)
	m := NewManager(defaults, defaults)
	m.SetLimits(image)
	for i := range 3 * maxMeters {
		m.Record(Produce, []byte(fmt.Sprint("c", i)), 0, 10)
	}
	if n := len(m.rates[Produce]); n > maxMeters+1 {
		t.Errorf("%d meters", n)
	}
	m.Record(Produce, []byte("new"), scheduler.Instant(time.Hour), 10)
	if n := len(m.rates[Produce]); n != 1 {
		t.Errorf("%d meters are left when all are idle", n)
	}
}

func TestWithoutQuotasNothingIsAllocated(t *testing.T) {
	m := NewManager(defaults, defaults)
	m.SetLimits(metadata.NewImage())
	if n := testing.AllocsPerRun(100, func() { m.Record(Produce, []byte("c"), 0, 10) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
