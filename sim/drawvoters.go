package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// A schedule in which voters come and go (KIP-853) is a seed's schedule with more: controllers beside the voters, and operators' faults
// that change who votes. All of it has streams of its own, so that the seed is the same without.

// drawControllers has the metadata log say who votes, and up to two more controllers.
func (c *ClusterOptions) drawControllers(seed uint64) {
	r := virtual.Rand(seed, "options/controllers")
	more, fewer := r.IntN(3), r.IntN(3)
	c.Controllers = c.Voters + more
	if c.Combined {
		c.Controllers = min(c.Controllers, c.Brokers)
	}
	c.Voters = max(c.Voters-fewer, 1)
	c.Controllers = max(c.Controllers, min(c.Brokers, 2)) // else nobody could come or go
	c.AutoJoin = r.IntN(4) == 0
}

// drawVoterFaults draws the faults that change who votes. Half of them happen when the quorum has other things to do: it has just
// elected somebody, or heard of another change.
func drawVoterFaults(seed uint64, o *Options) (faults []Fault) {
	for i := range 1 + virtual.Rand(seed, "faults/voters").IntN(7) {
		faults = append(faults, drawVoterFault(virtual.Rand(seed, "fault/voters/"+strconv.Itoa(i)), o, i))
	}
	return faults
}

func drawVoterFault(r *rand.Rand, o *Options, i int) Fault {
	f := Fault{Kind: pick(r, AddVoter, RemoveVoter)}
	f.Label = fmt.Sprintf("%s/v%d", f.Kind, i)
	f.At = time.Duration(r.Int64N(int64(o.For) * 9 / 10)).Truncate(10 * time.Microsecond)
	f.For = min(pick(r, 500*time.Millisecond, 2*time.Second, 5*time.Second), o.For/2)
	f.Target = pick(r, roleController, roleVoter, roleLastVoter, pick(r, nodeNames(&o.Cluster)...))
	on := pick(r, event.RaftBecame.String()+"/leader", event.RaftVoters.String(), event.RaftVoted.String(), event.SnapshotWritten.String())
	if delay := drawUpTo(r, drawGapMost(r)); r.IntN(2) == 0 {
		f.On, f.Delay, f.At = on+"@"+roleAny, delay, f.At*3/4
	}
	f.Size = r.Int64N(2)
	return f
}
