package controller

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// usableBroker is a broker that may get replicas.
type usableBroker struct {
	id     int32
	rack   string // "": none, which is a rack too
	fenced bool
}

// place chooses replicas for n new partitions, preferred leader first, in stripes as Kafka's
// StripedReplicaPlacer: racks take turns, brokers of a rack take turns, fenced brokers come last and
// never first. Every partition starts one rack and one broker further, so that leaders spread.
//
// INVALID_REPLICATION_FACTOR: factor is not positive, more than there are brokers, or none is
// unfenced.
func place(r *rand.Rand, brokers []usableBroker, n int, factor int) ([][]int32, *kerr.Error) {
	p := newPlacer(r, brokers)
	if factor <= 0 || factor > len(brokers) || p.unfenced == 0 {
		return nil, kerr.InvalidReplicationFactor
	}
	out := make([][]int32, n)
	for i := range out {
		out[i] = p.next(factor)
	}
	return out, nil
}

// brokerRing hands out its brokers once per stripe, each stripe from one further on.
type brokerRing struct {
	brokers []int32
	offset  int
	index   int // handed out in this stripe
	stripe  int
}

// take returns the next broker of the stripe, or false when all were taken.
func (b *brokerRing) take(stripe int) (int32, bool) {
	if len(b.brokers) == 0 {
		return none, false
	}
	if b.stripe != stripe {
		b.stripe, b.index = stripe, 0
		b.offset = (b.offset + 1) % len(b.brokers)
	}
	if b.index >= len(b.brokers) {
		return none, false
	}
	id := b.brokers[(b.index+b.offset)%len(b.brokers)]
	b.index++
	return id, true
}

// rack is the brokers of one rack.
type rack struct {
	name             string
	unfenced, fenced brokerRing
}

func (r *rack) take(stripe int) (int32, bool) {
	if id, ok := r.unfenced.take(stripe); ok {
		return id, true
	}
	return r.fenced.take(stripe)
}

type placer struct {
	rand     *rand.Rand
	racks    []*rack
	unfenced int // brokers in all
	stripe   int
	offset   int // the rack that the next stripe starts at
}

func newPlacer(r *rand.Rand, brokers []usableBroker) *placer {
	p := &placer{rand: r}
	sorted := slices.SortedFunc(slices.Values(brokers), func(a, b usableBroker) int {
		return cmp.Or(cmp.Compare(a.rack, b.rack), cmp.Compare(a.id, b.id))
	})
	for _, b := range sorted {
		if len(p.racks) == 0 || p.racks[len(p.racks)-1].name != b.rack {
			p.racks = append(p.racks, &rack{name: b.rack})
		}
		last := p.racks[len(p.racks)-1]
		if b.fenced {
			last.fenced.brokers = append(last.fenced.brokers, b.id)
		} else {
			last.unfenced.brokers = append(last.unfenced.brokers, b.id)
			p.unfenced++
		}
	}
	for _, k := range p.racks {
		k.unfenced.offset, k.fenced.offset = p.intN(len(k.unfenced.brokers)), p.intN(len(k.fenced.brokers))
	}
	p.offset = p.intN(len(p.racks))
	return p
}

func (p *placer) intN(n int) int {
	if n == 0 {
		return 0
	}
	return p.rand.IntN(n)
}

// next places one partition. After as many as there are unfenced brokers the stripes would repeat:
// they are shuffled. Unlike Kafka's, stripes go on counting then, so that no ring takes the next one
// for its last.
func (p *placer) next(factor int) []int32 {
	if p.stripe > 0 && p.stripe%p.unfenced == 0 && p.unfenced > 1 {
		p.shuffle()
	}
	p.offset %= len(p.racks)
	replicas := make([]int32, 0, factor)
	leader, first := p.takeLeader()
	replicas = append(replicas, leader)
	skip := first // the leader's rack had its turn in the first round
	for at := p.offset; len(replicas) < factor; at = (at + 1) % len(p.racks) {
		if at == skip {
			skip = -1
			continue
		}
		if id, ok := p.racks[at].take(p.stripe); ok {
			replicas = append(replicas, id)
		}
	}
	p.stripe++
	p.offset++
	return replicas
}

// takeLeader takes the first unfenced broker from the stripe's first rack on.
func (p *placer) takeLeader() (id int32, at int) {
	for at = p.offset; ; at = (at + 1) % len(p.racks) {
		if id, ok := p.racks[at].unfenced.take(p.stripe); ok {
			return id, at
		}
	}
}

func (p *placer) shuffle() {
	p.rand.Shuffle(len(p.racks), func(i, j int) { p.racks[i], p.racks[j] = p.racks[j], p.racks[i] })
	for _, k := range p.racks {
		for _, ids := range [][]int32{k.fenced.brokers, k.unfenced.brokers} {
			p.rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		}
	}
}
