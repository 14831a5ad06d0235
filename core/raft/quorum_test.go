package raft

import (
	"testing"
	"time"

	"github.com/lockstep/lockstep/scheduler/virtual"
	"pgregory.net/rapid"
)

// trouble is one fault of a generated run.
type trouble struct {
	Kind   string
	Node   int
	Other  int
	Before time.Duration
}

var troubles = rapid.Custom(func(t *rapid.T) trouble {
	return trouble{
		Kind: rapid.SampledFrom([]string{"append", "append", "kill", "power", "start", "start", "isolate", "oneway", "pair", "heal", "resign", "snapshot", "pause", "resume"}).Draw(t, "kind"),
		Node: rapid.IntRange(0, 4).Draw(t, "node"), Other: rapid.IntRange(0, 4).Draw(t, "other"),
		Before: time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond,
	}
})

func (c *cluster) apply(f trouble, voters int) {
	for step := 100 * time.Millisecond; f.Before > 0; f.Before -= step {
		c.append()
		c.run(min(step, f.Before))
	}
	m, o := c.machines[f.Node%len(c.machines)], c.machines[f.Other%len(c.machines)]
	switch f.Kind {
	case "append":
		c.append()
	case "kill":
		m.stop(false)
	case "power":
		m.stop(true)
	case "start":
		m.start(voters)
	case "isolate":
		c.cutOff(m.id)
	case "oneway":
		c.cut[[2]int32{m.id, o.id}] = true
	case "pair":
		c.cut[[2]int32{m.id, o.id}], c.cut[[2]int32{o.id, m.id}] = true, true
	case "heal":
		c.heal()
	case "pause":
		m.node.Pause()
	case "resume":
		m.node.Resume()
	case "resign":
		if p := m.proc; p != nil && p.raft != nil {
			m.node.Post(func() { p.raft.Resign(p.epoch) })
		}
	case "add", "remove":
		c.changeAny(f.Kind == "add", f.Node)
	case "snapshot":
		if p := m.proc; p != nil {
			p.snapshot = true
		}
	}
}

// The properties are in cluster: election safety, one vote an epoch and on disk before it counts,
// leader completeness, state machine safety, no commit lost, epochs and high watermarks forward
// only, and after healing everybody ends with the same state.
func TestQuorumKeepsItsPromisesThroughTroubles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runTroubles(t, false) })
}

func TestQuorumOnRealLogsKeepsItsPromisesThroughTroubles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runTroubles(t, true) })
}

func runTroubles(t *rapid.T, real bool) {
	voters := rapid.SampledFrom([]int{1, 2, 3, 3, 3, 5}).Draw(t, "voters")
	observers := rapid.IntRange(0, 1).Draw(t, "observers")
	c := newClusterOn(t, rapid.Uint64().Draw(t, "seed"), voters, observers, real)
	var faults []trouble
	for range 4 {
		faults = append(faults, rapid.SliceOfN(troubles, 0, 10).Draw(t, "faults")...)
	}
	c.endure(faults, voters)
}

// Long runs have what short ones rarely get: snapshots under way, logs that diverged twice.
func TestQuorumKeepsItsPromisesThroughLongTroubles(t *testing.T) {
	kinds := []string{"append", "append", "kill", "power", "power", "start", "start", "start", "isolate", "oneway", "pair", "heal", "heal", "resign", "snapshot", "pause", "resume"}
	for seed := range uint64(30) {
		r := virtual.Rand(seed, "troubles")
		voters := 3 + 2*int(seed%2)
		var faults []trouble
		for range 150 {
			faults = append(faults, trouble{kinds[r.IntN(len(kinds))], r.IntN(voters + 1), r.IntN(voters + 1), time.Duration(r.IntN(800)) * time.Millisecond})
		}
		newClusterOn(t, seed, voters, 1, seed%3 == 0).endure(faults, voters)
	}
}

// endure goes through the faults, heals everything, and wants all nodes to agree.
func (c *cluster) endure(faults []trouble, voters int) {
	for _, f := range faults {
		c.apply(f, voters)
	}
	c.heal()
	for _, m := range c.machines {
		m.node.Resume()
		m.start(voters)
	}
	c.awaitCaughtUp()
}
