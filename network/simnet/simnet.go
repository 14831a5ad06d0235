// Package simnet is a network inside the simulator: hosts, directed links between them with delay,
// bandwidth and faults, and connections with the manners of TCP.
//
// What happens to the n-th frame of a link is a hash of the seed, the link and n. It needs no state,
// so taking one fault away leaves every other link's luck as it was.
//
// Use the calls of Conn, Listener and Network on the host's node; those of Net and Host are the
// simulator's, for between turns or events of the world itself.
package simnet

import (
	"time"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// RegionReader reads what a region holds at this moment. It fills p or panics.
type RegionReader func(r disk.Region, p []byte)

// Options are the world's constants. Zero values mean the defaults.
type Options struct {
	ReadRegion         RegionReader
	MinDelay, MaxDelay time.Duration // of every link at first: 50 µs and 500 µs
	DialTimeout        time.Duration // 10 s
	// RetransmitTimeout is how long a connection bears that nothing it sends is acknowledged; each
	// draws between once and twice that. 6 s: Linux takes minutes, but a run has no time for those.
	RetransmitTimeout time.Duration
	// Window is how many bytes one side may have under way, or arrived and not taken, before its
	// sends wait. 1 MiB.
	Window int
	// Tap sees each frame when it is sent and when it is delivered. nil costs nothing.
	Tap func(m Message)
}

// Message is a frame on its way between two hosts, as Options.Tap sees it.
type Message struct {
	From, To  string
	N         uint64 // of all frames sent on this way, from 0
	Frame     []byte // valid during the call only
	Delivered bool   // else it is being sent
}

func (o Options) withDefaults() Options {
	if o.MaxDelay == 0 {
		o.MinDelay, o.MaxDelay = 50*time.Microsecond, 500*time.Microsecond
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	if o.RetransmitTimeout == 0 {
		o.RetransmitTimeout = 6 * time.Second
	}
	if o.Window == 0 {
		o.Window = 1 << 20
	}
	return o
}

// Net is all hosts and links of one world.
type Net struct {
	world   *virtual.World
	seed    uint64
	opts    Options
	hosts   []*Host // by id
	byName  map[string]*Host
	buffers *buffers
	conns   uint64 // made so far
	dones   []func(error)
}

// New returns a network without hosts.
func New(w *virtual.World, seed uint64, o Options) *Net {
	n := &Net{world: w, byName: map[string]*Host{}, buffers: spare.Get().(*buffers)}
	n.Renew(seed, o)
	return n
}

// Renew makes the network as New would, for its world's next run, reusing the frames' memory. Hosts
// and connections of the earlier run are dead.
func (n *Net) Renew(seed uint64, o Options) {
	n.seed, n.opts, n.conns = seed, o.withDefaults(), 0
	clear(n.hosts)
	n.hosts = n.hosts[:0]
	clear(n.byName)
}

// Host returns the host of that name, a new one at the first call. Its callbacks run on node.
func (n *Net) Host(name string, node *virtual.Node) *Host {
	if h := n.byName[name]; h != nil {
		invariant.Check(h.node == node, "host %s has another node", name)
		return h
	}
	h := &Host{net: n, id: len(n.hosts), name: name, node: node, listeners: map[int]*listener{}, nextPort: firstEphemeral}
	n.hosts = append(n.hosts, h)
	n.byName[name] = h
	return h
}

func (n *Net) host(name string) *Host {
	h := n.byName[name]
	invariant.Check(h != nil, "no host %q", name)
	return h
}

// mix is a stateless draw: a hash of a key and a number.
func mix(key, n uint64) uint64 {
	x := key + n*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// between draws from [min, max].
func between(draw uint64, min, max time.Duration) time.Duration {
	if max <= min {
		return min
	}
	return min + time.Duration(draw%uint64(max-min+1))
}

// hash is FNV-1a, so that a seed outlives changes of the standard library.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
