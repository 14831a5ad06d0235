package sim

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// DrawFaults draws a seed's faults. Bugs of replication need a second trouble while the first is not over, with the same
// partition: so each seed has a focus, a palette of a few kinds and events (a swarm: seeds differ in character and not just in
// detail), and most of its faults follow another one after a short while, or an event. One seed in ten has none or few.
// Half of the seeds have groups of faults, see group; one in eight has all its faults early, and in one of six a
// node is far away.
//
// Each fault has a stream of its own. How one follows another is settled when they are drawn: afterwards any may be taken out
// and the others stay.
func DrawFaults(seed uint64, o Options) []Fault {
	p := drawPlan(virtual.Rand(seed, "faults/plan"), &o)
	p.focusOnGroup(virtual.Rand(seed, "faults/offsets"))
	p.focusOnTransaction(virtual.Rand(seed, "faults/transactions"))
	p.drawGroups(virtual.Rand(seed, "faults/groups"))
	faults := p.drawFar(virtual.Rand(seed, "faults/far"))
	for i := range p.count {
		faults = append(faults, p.draw(virtual.Rand(seed, "fault/"+strconv.Itoa(i)), i, faults))
	}
	for i := range p.groups {
		faults = append(faults, p.drawGroup(virtual.Rand(seed, "fault/group/"+strconv.Itoa(i)), i)...)
	}
	SortFaults(faults)
	return faults
}

// drawFar has one node be far away all the time in one seed of six, as in a cluster that is stretched over two places: always a little
// behind, so that those who follow it as their leader have something to cut off.
func (p *plan) drawFar(r *rand.Rand) []Fault {
	node := pick(r, nodeNames(&p.options.Cluster)...)
	size := pick[int64](r, 5, 20, 50) * 1000
	if r.IntN(6) > 0 || p.count+p.groups == 0 {
		return nil
	}
	return []Fault{{Label: Delay.String() + "/far", Kind: Delay, For: p.options.For, Target: node, Size: size}}
}

// plan is a seed's character.
type plan struct {
	options   *Options
	count     int
	partition event.Partition // the focus
	quorum    bool            // the focus is on the quorum
	kinds     []Kind          // the palette, some more than once
	events    []string        // that faults follow
	chained   int             // of eight faults, how many follow another
	reactive  int             // of eight, how many follow an event
	lengths   []span          // the palette of durations
	files     []int64         // of asideFiles, those that failing disks fail to write
	latest    time.Duration   // when the last fault begins
	groups    int             // how many groups of faults there are beside the count
}

// span is a range to draw from.
type span struct{ min, max time.Duration }

func (s span) draw(r *rand.Rand) time.Duration {
	return (s.min + time.Duration(r.Int64N(int64(s.max-s.min)+1))).Truncate(10 * time.Microsecond)
}

func drawPlan(r *rand.Rand, o *Options) *plan {
	p := &plan{options: o, chained: 1 + r.IntN(8), reactive: r.IntN(5), quorum: r.IntN(5) == 0}
	p.partition, p.files = drawPartition(r, o), allFiles()
	if p.latest = o.For * 9 / 10; r.IntN(8) == 0 {
		p.latest = o.For / 5 // then, while rare paths are still taken, all must work
	}
	for range 1 + r.IntN(6) {
		p.kinds = append(p.kinds, drawKind(r, o))
	}
	for range 1 + r.IntN(3) {
		p.events = append(p.events, drawEvent(r, p.quorum))
	}
	for range 1 + r.IntN(3) {
		p.lengths = append(p.lengths, drawLength(r, &o.Cluster))
	}
	most := 6 + int(o.For/time.Second)
	switch r.IntN(20) {
	case 0:
	case 1:
		p.count = 1 + r.IntN(2)
	default:
		p.count = 3 + r.IntN(min(most, 28))
	}
	return p
}

func drawPartition(r *rand.Rand, o *Options) event.Partition {
	t := pick(r, o.Topics...)
	return event.Partition{Topic: t.Name, Index: int32(r.IntN(t.Partitions))}
}

// kindWeights is how often each kind is drawn: what is worth most, or rarely changes anything, more often.
var kindWeights = [numKinds]int{
	Delay: 3, Reset: 2, PartitionOne: 3, PartitionTwo: 5, Isolate: 6, IsolateNodes: 5, Split: 2, Bridge: 2, HalfOpen: 2, SlowLink: 2, Clog: 2,
	Kill: 7, PowerLoss: 9, Blackout: 2, RenameNotDurable: 2, WipedDisk: 2, BitRot: 1, MisdirectedWrite: 1,
	Pause: 4, CleanRestart: 4, RollingRestart: 1, RestartStorm: 2,
	SlowDisk: 2, FrozenDisk: 2, FailingDisk: 4, FullDisk: 1,
	ClockOffset: 4, ClockDrift: 1, ClockJump: 1, ClockFreeze: 1,
	Reassign: 3, ElectLeader: 2, AlterConfig: 2, AddPartitions: 1, RecreateTopic: 1, UpdateFeatures: 1, UnregisterBroker: 1,
}

// drawKind draws a kind that can do something in a cluster and with topics like these.
func drawKind(r *rand.Rand, o *Options) Kind {
	k := drawWeighted(r, kindWeights[:])
	if k == WipedDisk && o.Cluster.Combined && o.Cluster.Voters >= o.Cluster.Brokers {
		return PowerLoss // all are voters, which keep their disks
	}
	return k
}

// drawWeighted draws an index, each as often as its weight.
func drawWeighted(r *rand.Rand, weights []int) Kind {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := r.IntN(sum)
	for i, w := range weights {
		if at -= w; at < 0 {
			return Kind(i)
		}
	}
	panic("sim: weights do not add up")
}

// drawEvent draws an event that a fault may follow: moments at which something has been promised, or is half done.
func drawEvent(r *rand.Rand, quorum bool) string {
	if quorum {
		e := pick(r, quorumEvents...).String()
		if note := pick(r, "", "leader", "leader", "candidate", "follower", "unattached"); e == event.RaftBecame.String() && note != "" {
			e += "/" + note
		}
		return e
	}
	return pick(r, partitionEvents...).String()
}

var quorumEvents = []event.Kind{
	event.RaftBecame, event.RaftVoted, event.RaftVoted, event.RaftHighWatermark, event.RaftTruncated, event.ControllerActive,
	event.SnapshotWritten, event.SnapshotLoaded, event.MetadataApplied, event.Recovered, event.Appended,
}

var partitionEvents = []event.Kind{
	event.Appended, event.Written, event.HighWatermark, event.Truncated, event.Truncated, event.Recovered, event.Recovered, event.Diverged,
	event.LogStartMoved, event.SegmentRolled, event.BecameLeader, event.BecameLeader, event.BecameFollower, event.BecameFollower,
	event.IsrProposed, event.IsrProposed, event.IsrCommitted, event.IsrCommitted, event.IsrRejected, event.ReplicaRemoved,
	event.BrokerFenced, event.BrokerUnfenced, event.BrokerRegistered, event.PartitionChanged, event.NodeReady, event.NodeStopping, event.NodeStopped,
	event.MetadataApplied, event.ControllerActive,
}

// drawLength draws how long faults last: a moment, about as long as it takes to be dropped from the ISR or to be fenced, or long.
func drawLength(r *rand.Rand, c *ClusterOptions) span {
	lag, session := min(c.ReplicaLag, 5*time.Second), min(c.Session, 5*time.Second)
	return pick(r,
		span{5 * time.Millisecond, 200 * time.Millisecond},
		span{50 * time.Millisecond, time.Second},
		span{lag / 2, 3 * lag / 2},
		span{lag, 3 * lag},
		span{session / 2, 3 * session / 2},
		span{session, 3 * session},
	)
}
