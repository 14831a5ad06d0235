// Package property draws whole schedules with rapid, options and faults, not seeds: what rapid shrinks is what a developer
// reads. A fail file of rapid and a schedule say the same thing; each can be turned into the other.
package property

import (
	"fmt"
	"time"

	"github.com/lockstep/lockstep/sim"
	"pgregory.net/rapid"
)

// families is in how many lists the faults are drawn: rapid shrinks several short lists better than a long one.
const families = 8

// mostOfFamily is the greatest number of faults in each list.
const mostOfFamily = 10

// Schedule draws schedules of at most length: what it draws shrinks towards few faults, early and short, in a small cluster.
func Schedule(length time.Duration) *rapid.Generator[*sim.Schedule] {
	return rapid.Custom(func(t *rapid.T) *sim.Schedule {
		if s := drawVerbatim(t); s != nil {
			return s
		}
		s := &sim.Schedule{Build: sim.Build(), Scenario: "property", Seed: rapid.Uint64().Draw(t, "seed"), Options: drawOptions(t, length)}
		for family := range families {
			n := 0
			kinds := kindsOf(family)
			s.Faults = append(s.Faults, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sim.Fault {
				n++
				return drawFault(t, fmt.Sprintf("%d/%d", family, n), kinds, &s.Options)
			}), 0, mostOfFamily).Draw(t, "faults")...)
		}
		sim.SortFaults(s.Faults)
		return s
	})
}

// kindsOf deals the kinds of fault to the families, as cards are dealt.
func kindsOf(family int) (kinds []sim.Kind) {
	for i, k := range sim.Kinds() {
		if i%families == family {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func millis(t *rapid.T, least, most time.Duration, label string) time.Duration {
	return time.Duration(rapid.Int64Range(least.Milliseconds(), most.Milliseconds()).Draw(t, label)) * time.Millisecond
}

func drawFault(t *rapid.T, label string, kinds []sim.Kind, o *sim.Options) sim.Fault {
	f := sim.Fault{Label: label, Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	f.At = millis(t, 0, o.For, "at")
	f.For = millis(t, 10*time.Millisecond, 10*time.Second, "for")
	f.Target = rapid.SampledFrom(sim.Places(f.Kind, o)).Draw(t, "target")
	if f.Kind.HasPeer() {
		f.Peer = rapid.SampledFrom(sim.Places(f.Kind, o)).Draw(t, "peer")
	}
	f.Size = sim.SizeOf(f.Kind, rapid.Uint64Range(0, 15).Draw(t, "size"))
	return f
}

func drawOptions(t *rapid.T, length time.Duration) sim.Options {
	o := sim.Canonical()
	o.For = millis(t, time.Second, length, "length")
	o.Settle = 90 * time.Second
	o.Cluster.Brokers = rapid.IntRange(3, 5).Draw(t, "brokers")
	o.Cluster.Session = rapid.SampledFrom([]time.Duration{1500 * time.Millisecond, 3 * time.Second, 9 * time.Second}).Draw(t, "session")
	o.Cluster.Heartbeat = o.Cluster.Session / 5
	o.Cluster.ReplicaLag = rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Second, 30 * time.Second}).Draw(t, "lag")
	o.Topics[0].Partitions = rapid.IntRange(1, 4).Draw(t, "partitions")
	o.Topics[0].MinISR = rapid.IntRange(1, 3).Draw(t, "min.isr")
	o.Topics[0].Unclean = rapid.Bool().Draw(t, "unclean")
	o.Producers = o.Producers[:rapid.IntRange(1, 2).Draw(t, "producers")]
	for i := range o.Producers {
		drawProducer(t, &o.Producers[i])
	}
	return o
}

func drawProducer(t *rapid.T, p *sim.ProducerOptions) {
	p.Acks = rapid.SampledFrom([]int{-1, 1}).Draw(t, "acks")
	p.Idempotent = p.Acks == -1 && rapid.Bool().Draw(t, "idempotent")
	p.Interval = millis(t, 5*time.Millisecond, 200*time.Millisecond, "interval")
}

// Check runs schedules until one breaks a promise; rapid then shrinks it and keeps it in a fail file. Any harness
// failure counts too.
func Check(t rapid.TB, length time.Duration) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule(length).Draw(t, "schedule")
		if r := sim.Run(s, sim.RunOptions{}); r.Verdict() == sim.Violated || r.Verdict() == sim.Broken {
			t.Fatalf("%s: %s", r.Verdict(), r.Reason())
		}
	})
}
