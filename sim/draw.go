package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
)

// DrawFaults draws a seed's faults swarm-style: a random subset of the kinds is on, each kind with a
// rate and a span of its own, so that runs differ in character and not just in detail. Each decision
// has a stream named after it.
func DrawFaults(seed uint64, o Options) []Fault {
	swarm := virtual.Rand(seed, "faults/swarm")
	calm := swarm.IntN(4) // how rare each kind is in this seed
	var faults []Fault
	for k := range numKinds {
		on := swarm.IntN(3+calm) == 0
		span := drawSpan(swarm)
		most := 1 + swarm.IntN(4)
		if on {
			faults = append(faults, drawKind(seed, k, 1+swarm.IntN(most), span, &o)...)
		}
	}
	if len(faults) == 0 {
		faults = drawKind(seed, pick(swarm, Kill, Isolate, PowerLoss, CleanRestart), 2, drawSpan(swarm), &o)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}

// span is how long the faults of a kind last in a run.
type span struct{ min, max time.Duration }

// spansOfDraw are short, middling (twice as often) and long.
var spansOfDraw = []span{
	{20 * time.Millisecond, time.Second},
	{500 * time.Millisecond, 5 * time.Second},
	{500 * time.Millisecond, 5 * time.Second},
	{3 * time.Second, 15 * time.Second},
}

func drawSpan(r *rand.Rand) span { return pick(r, spansOfDraw...) }

func (s span) draw(r *rand.Rand) time.Duration {
	return (s.min + time.Duration(r.Int64N(int64(s.max-s.min)+1))).Truncate(time.Millisecond)
}

func drawKind(seed uint64, k Kind, n int, s span, o *Options) (faults []Fault) {
	for i := range n {
		label := fmt.Sprintf("%s/%d", k, i)
		faults = append(faults, drawFault(virtual.Rand(seed, "fault/"+label), label, k, s, o))
	}
	return faults
}

func drawFault(r *rand.Rand, label string, k Kind, s span, o *Options) Fault {
	f := Fault{Label: label, Kind: k}
	f.At = time.Duration(r.Int64N(int64(o.For)*9/10 + 1)).Truncate(time.Millisecond)
	f.For = s.draw(r)
	f.Target = drawTarget(r, k, o)
	if k.hasPeer() {
		f.Peer = drawPeer(r, f.Target, o)
	}
	f.Size = drawSize(r, k)
	return f
}

// drawTarget prefers nodes that matter: one time in four whoever is the controller at that moment,
// one time in four the leader of a partition.
func drawTarget(r *rand.Rand, k Kind, o *Options) string {
	nodes := nodeNames(&o.Cluster)
	how, node := r.IntN(4), pick(r, nodes...)
	t := pick(r, o.Topics...)
	partition := r.IntN(t.Partitions)
	switch {
	case how == 0 && !k.hasPeer():
		return "controller"
	case how == 1:
		return fmt.Sprintf("leader:%s/%d", t.Name, partition)
	}
	return node
}

// drawPeer draws another host: a node, or one time in four a client.
func drawPeer(r *rand.Rand, target string, o *Options) string {
	hosts := nodeNames(&o.Cluster)
	if clients := clientNames(o); r.IntN(4) == 0 && len(clients) > 0 {
		hosts = clients
	}
	peer := pick(r, hosts...)
	if peer == target {
		peer = hosts[(slices.Index(hosts, peer)+1)%len(hosts)]
	}
	return peer
}

func drawSize(r *rand.Rand, k Kind) int64 {
	switch k {
	case Delay:
		return pick[int64](r, 5, 50, 400, 2000) * 1000
	case SlowLink:
		return pick[int64](r, 1, 10, 100) << 10
	case RestartStorm:
		return 2 + r.Int64N(5)
	case SlowDisk:
		return pick[int64](r, 10, 100, 1000)
	case FailingDisk:
		return r.Int64N(2)
	}
	return 0
}
