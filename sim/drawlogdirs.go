package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// A schedule with several log directories is a seed's schedule with more: each node has a disk for each directory, replicas move between
// them, and one of them fails. All of it has streams of its own, so that the seed is the same without.

// drawLogDirFaults draws the faults that have to do with several log directories.
func drawLogDirFaults(seed uint64, o *Options) (faults []Fault) {
	for i := range 1 + virtual.Rand(seed, "faults/log-dirs").IntN(8) {
		faults = append(faults, drawLogDirFault(virtual.Rand(seed, "fault/log-dirs/"+strconv.Itoa(i)), o, i))
	}
	return faults
}

// drawLogDirFault draws a move two times out of three. Half of what happens follows something that a move, or whoever loses a directory, may get
// in the way of.
func drawLogDirFault(r *rand.Rand, o *Options, i int) Fault {
	f := Fault{Kind: pick(r, MoveLogDir, MoveLogDir, FailingDisk)}
	f.Label = fmt.Sprintf("%s/d%d", f.Kind, i)
	f.At = time.Duration(r.Int64N(int64(o.For) * 9 / 10)).Truncate(10 * time.Microsecond)
	f.For = min(pick(r, 100*time.Millisecond, time.Second, 4*time.Second), o.For/2)
	p := drawPartition(r, o)
	role := pick(r, roleLeader, roleLeader, roleFollower)
	f.Target = of(role, p)
	on := pick(r, event.BecameLeader, event.Truncated, event.SegmentRolled, event.IsrCommitted, event.Written, event.LogStartMoved, event.NodeReady)
	if delay := drawUpTo(r, drawGapMost(r)); r.IntN(2) == 0 {
		f.On, f.Delay, f.At = on.String(), delay, f.At*3/4
	}
	f.Size = r.Int64N(forgottenSync)
	return f
}
