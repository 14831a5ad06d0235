package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/event"
)

// A group is a few faults that have to do with each other in a way that faults drawn one by one rarely have: either
//
// a series strikes the same role again and again, each time when it has got over the last time (three leaders in a row, each
// lost in its first moments), or
//
// a shadow falls on somebody for a while, a link or a disk that is slow or gone, a clock that is wrong, and in it leaders move and
// processes come and go, or
//
// a volley strikes several at the moment of one event: those who have just agreed on something lose each other.

// drawGroups draws how many groups a seed has. Those that have any have fewer other faults, or none.
func (p *plan) drawGroups(r *rand.Rand) {
	mode, n := r.IntN(8), r.IntN(3)
	switch {
	case p.count == 0 || mode < 4:
	case mode < 6:
		p.count, p.groups = 0, 2+n
	default:
		p.count, p.groups = (p.count+1)/2, 1+n
	}
}

// drawGroup draws the i-th group.
func (p *plan) drawGroup(r *rand.Rand, i int) (faults []Fault) {
	at := time.Duration(r.Int64N(int64(p.latest) * 5 / 6)).Truncate(10 * time.Microsecond)
	g := &group{plan: p, at: at, quorum: p.quorum}
	if r.IntN(4) == 0 {
		g.quorum = !p.quorum
	}
	switch r.IntN(5) {
	case 0, 1:
		faults = g.drawSeries(r, i)
	case 2, 3:
		faults = g.drawShadow(r)
	default:
		faults = g.drawVolley(r)
	}
	for j := range faults {
		f := &faults[j]
		f.Label = fmt.Sprintf("%s/%d.%d", f.Kind, i, j)
		f.For = min(f.For, p.options.For/2)
		f.giveTime()
	}
	return faults
}

// group is a group that is being drawn.
type group struct {
	*plan
	at     time.Duration
	quorum bool
}

// role draws a role in the group: of one partition, or of the quorum.
func (g *group) role(r *rand.Rand) string {
	at := r.IntN(8)
	nodes := nodeNames(&g.options.Cluster)
	node := pick(r, nodes...)
	switch {
	case at == 7:
		return node
	case g.quorum && at < 4:
		return pick(r, roleVoter, roleLastVoter)
	case g.quorum || at == 6:
		return roleController
	case at < 3:
		return of(roleLeader, g.partition)
	case at < 5:
		return of(pick(r, roleFollower, roleLastFollower), g.partition)
	}
	return of(roleOutsider, g.partition)
}

// strikes take a node away from its role, for a moment or longer.
var strikes = []Kind{Kill, Kill, PowerLoss, PowerLoss, Isolate, Isolate, IsolateNodes, Pause, CleanRestart, PartitionTwo, PartitionOne, FrozenDisk, SlowDisk}

// rises are the events after which a role is new to its holder.
var (
	quorumRises = []string{
		event.RaftBecame.String() + "/leader", event.RaftBecame.String() + "/leader", event.RaftBecame.String() + "/candidate",
		event.RaftVoted.String(), event.ControllerActive.String(), event.Appended.String(), event.Appended.String(), event.Recovered.String(),
	}
	partitionRises = []string{
		event.BecameLeader.String(), event.BecameLeader.String(), event.BecameFollower.String(), event.IsrProposed.String(),
		event.IsrCommitted.String(), event.Truncated.String(), event.BrokerUnfenced.String(), event.Recovered.String(),
	}
)

// drawSeries draws two to four strikes at whoever the same thing happens to. The first comes by itself.
func (g *group) drawSeries(r *rand.Rand, i int) (faults []Fault) {
	kinds := []Kind{pick(r, strikes...), pick(r, strikes...)}
	on, role, anyone := pick(r, partitionRises...), g.role(r), r.IntN(3) > 0
	if g.quorum {
		on = pick(r, quorumRises...)
	}
	gap, length := drawGapMost(r), g.length(r)
	for n := range 2 + r.IntN(4) {
		f := Fault{Kind: pick(r, kinds...), At: g.at, For: length.draw(r), Target: role, Series: fmt.Sprintf("s%d", i)}
		f.Peer = g.peer(r, f.Kind, f.Target)
		f.Size = drawSize(r, f.Kind, g.files)
		delay := drawUpTo(r, gap)
		if n > 0 {
			f.On, f.Delay = on, delay
			if anyone {
				f.Target = roleAny
			}
		}
		faults = append(faults, f)
	}
	return faults
}

// shadows are troubles that last: somebody is slow, out of reach of some, or away.
var shadows = []Kind{
	PartitionTwo, PartitionTwo, PartitionTwo, PartitionTwo, PartitionOne, Clog, Clog, Clog, Delay, SlowLink, HalfOpen, SlowDisk, SlowDisk,
	Pause, Isolate, IsolateNodes, Kill, PowerLoss, ClockOffset,
}

// movers are what makes roles and topics move.
var movers = []Kind{
	Kill, Kill, Kill, PowerLoss, PowerLoss, CleanRestart, CleanRestart, CleanRestart, CleanRestart, Pause, Isolate, IsolateNodes, PartitionTwo, RestartStorm,
	ElectLeader, ElectLeader, ElectLeader, Reassign, RecreateTopic,
}

// drawShadow draws one or two long troubles and two to five others while they last.
func (g *group) drawShadow(r *rand.Rand) (faults []Fault) {
	c := &g.options.Cluster
	long := pick(r, min(c.ReplicaLag, 5*time.Second), min(c.Session, 5*time.Second), time.Second)
	if g.quorum {
		long = 2 * c.quorumTimeout()
	}
	span := span{long / 2, 3 * long / 2}.draw(r)
	for range 1 + r.IntN(2) {
		f := Fault{Kind: pick(r, shadows...), At: g.at, For: span}
		g.aim(r, &f)
		faults = append(faults, f)
	}
	kinds := []Kind{pick(r, movers...), pick(r, movers...), pick(r, movers...)}
	for range 2 + r.IntN(4) {
		f := Fault{Kind: pick(r, kinds...), At: g.at + drawUpTo(r, span), For: g.length(r).draw(r)}
		g.aim(r, &f)
		g.mayFollow(r, &f)
		if f.Kind.isOperators() {
			f.Target = of(roleLeader, g.partition)
		}
		faults = append(faults, f)
	}
	return faults
}

// blows are what a volley consists of: mostly links that are lost or held, and processes that go.
var blows = []Kind{
	PartitionTwo, PartitionTwo, PartitionOne, Clog, Clog, HalfOpen, Isolate, Delay,
	Kill, PowerLoss, PowerLoss, Pause, CleanRestart, CleanRestart, SlowDisk, FrozenDisk, ElectLeader,
}

// drawVolley draws two to four strikes at several ends, at one event. One in four is under way already when it happens.
func (g *group) drawVolley(r *rand.Rand) (faults []Fault) {
	on, where := pick(r, partitionRises...), of(roleLeader, g.partition)
	if g.quorum {
		on, where = pick(r, quorumRises...), roleController
	}
	if r.IntN(3) == 0 {
		where = roleAny
	}
	gap := drawGapMost(r)
	for range 2 + r.IntN(3) {
		f := Fault{Kind: pick(r, blows...), At: g.at, For: g.length(r).draw(r)}
		g.aim(r, &f)
		if f.Kind.isOperators() {
			f.Target = of(roleLeader, g.partition)
		}
		if delay := drawUpTo(r, gap); r.IntN(4) > 0 {
			f.On, f.Delay = on+"@"+where, delay
		}
		faults = append(faults, f)
	}
	return faults
}

// aim draws whom a fault is about: a fault of a link, every other time one of the links that the partition or the quorum lives by.
func (g *group) aim(r *rand.Rand, f *Fault) {
	f.Target = g.role(r)
	f.Peer = g.peer(r, f.Kind, f.Target)
	a, b := g.link(r)
	if f.Kind.hasPeer() && r.IntN(2) == 0 {
		f.Target, f.Peer = a, b
	}
	f.Size = drawSize(r, f.Kind, g.files)
}

// link draws two who agree with each other on something: on records, on who is in sync, on who leads.
func (g *group) link(r *rand.Rand) (a, b string) {
	leader, follower := of(roleLeader, g.partition), of(pick(r, roleFollower, roleLastFollower), g.partition)
	switch at := r.IntN(6); {
	case g.quorum && at < 4:
		a, b = roleController, pick(r, roleVoter, roleLastVoter)
	case at < 2:
		a, b = leader, follower
	case at < 4:
		a, b = leader, roleController
	case at < 5:
		a, b = follower, roleController
	default:
		a, b = leader, of(roleOutsider, g.partition)
	}
	if r.IntN(2) == 0 {
		a, b = b, a
	}
	return a, b
}

// length draws how long faults of the group last. For the quorum it is time enough for an election every other time.
func (g *group) length(r *rand.Rand) span {
	s, t := pick(r, g.lengths...), g.options.Cluster.quorumTimeout()
	elections := pick(r, span{t / 2, 3 * t / 2}, span{t, 3 * t})
	if g.quorum && r.IntN(2) == 0 {
		return elections
	}
	return s
}

// quorumTimeout is how long a voter does without its leader.
func (c *ClusterOptions) quorumTimeout() time.Duration {
	return cmp.Or(c.QuorumTimeout, 2*time.Second)
}

// mayFollow has every other fault follow an event, soon.
func (g *group) mayFollow(r *rand.Rand, f *Fault) {
	on, gap := pick(r, partitionRises...), drawGapMost(r)
	if g.quorum {
		on = pick(r, quorumRises...)
	}
	delay, where := drawUpTo(r, gap), r.IntN(6)
	if where < 3 {
		f.On, f.Delay = on, delay
	}
	switch {
	case where == 0 && !f.Kind.isOperators():
		f.Target = roleAny
	case where == 1:
		f.On += "@" + roleAny
	}
}

// peer draws the other side of a fault that has one.
func (g *group) peer(r *rand.Rand, k Kind, target string) string {
	peer := g.role(r)
	for range 8 {
		if peer != target {
			break
		}
		peer = g.role(r)
	}
	if !k.hasPeer() {
		return ""
	}
	return peer
}

// drawUpTo draws a time below most.
func drawUpTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(max(int64(most), 1))).Truncate(10 * time.Microsecond)
}
