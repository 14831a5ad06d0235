// Package buggify makes rare, legal paths of the core common, in the sense of FoundationDB: a run of the simulator arms
// some sites, and an armed site fires one time in so many that the code passes it. What a site does when it fires a
// correct broker may do at any time: it delays, does less than it could, or forgets what is only a cache.
//
// A daemon arms nothing: its env.Env has no Sites, and a nil one never fires.
package buggify

import (
	"math/rand/v2"
	"time"
)

// Armed is a site that fires one time in OneIn.
type Armed struct {
	Site  Site
	OneIn int64 // at least 1
}

// Plan is what is armed in a run, for all nodes, and how often each site has fired.
type Plan struct {
	Hits  [NumSites]uint64
	oneIn [NumSites]int64 // 0: not armed
	on    bool
}

// NewPlan arms sites, from Switch(true) on.
func NewPlan(armed []Armed) *Plan {
	p := &Plan{}
	for _, a := range armed {
		p.oneIn[a.Site] = a.OneIn
	}
	return p
}

// Switch says whether armed sites fire.
func (p *Plan) Switch(on bool) { p.on = on }

// Sites is the plan as one incarnation of a node sees it. Each site draws from a stream of its own, so that one site more
// or less does not move what another does.
type Sites struct {
	plan    *Plan
	rand    func(purpose string) *rand.Rand
	streams [NumSites]*rand.Rand // made at the first use
	hits    [NumSites]uint64
}

// Sites returns what an incarnation with these streams of random numbers asks.
func (p *Plan) Sites(rand func(purpose string) *rand.Rand) *Sites { return &Sites{plan: p, rand: rand} }

// Fires reports whether what is rare happens here and now.
func (x *Sites) Fires(s Site) bool { return x != nil && x.fires(s) }

func (x *Sites) fires(s Site) bool {
	oneIn := x.plan.oneIn[s]
	if oneIn == 0 || !x.plan.on || x.stream(s).Int64N(oneIn) != 0 {
		return false
	}
	x.plan.Hits[s]++
	x.hits[s]++
	return true
}

// Hits is how often a site has fired in this incarnation.
func (x *Sites) Hits(s Site) uint64 {
	if x == nil {
		return 0
	}
	return x.hits[s]
}

func (x *Sites) stream(s Site) *rand.Rand {
	if x.streams[s] == nil {
		x.streams[s] = x.rand("buggify/" + s.String())
	}
	return x.streams[s]
}

// Pick is a size from 1 to n, for a site that has fired.
func (x *Sites) Pick(s Site, n int) int { return 1 + x.stream(s).IntN(n) }

// Delay is a time above zero, at most the one given, for a site that has fired.
func (x *Sites) Delay(s Site, most time.Duration) time.Duration {
	return time.Duration(1 + x.stream(s).Int64N(int64(most)))
}
