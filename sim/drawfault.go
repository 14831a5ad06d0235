package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/event"
)

// draw draws the i-th fault; others are those before it.
func (p *plan) draw(r *rand.Rand, i int, others []Fault) Fault {
	f := Fault{Kind: pick(r, p.kinds...)}
	f.Label = fmt.Sprintf("%s/%d", f.Kind, i)
	f.For = min(pick(r, p.lengths...).draw(r), p.options.For/2)
	p.drawTime(r, &f, others)
	p.drawPlaces(r, &f, len(others) > 0)
	if r.IntN(8) < p.reactive {
		p.makeReactive(r, &f)
	}
	f.Size = drawSize(r, f.Kind, p.files)
	f.giveTime()
	return f
}

// giveTime lets a fault last as long as it takes to have an effect: an operator's wish has to be heard and granted.
func (f *Fault) giveTime() {
	switch {
	case f.Kind == RecreateTopic:
		f.For += time.Duration(f.Size) * 600 * time.Millisecond
	case f.Kind.isOperators():
		f.For += 300 * time.Millisecond
	case f.Kind == FailingDisk && f.Size >= failedWrite:
		f.For += time.Second // the write or sync has to come
	}
}

// drawTime has the fault begin at any time, or shortly after another one begins or ends.
func (p *plan) drawTime(r *rand.Rand, f *Fault, others []Fault) {
	latest := p.latest
	at := time.Duration(r.Int64N(int64(latest) + 1))
	fromEnd, gap, which := r.IntN(2) == 0, drawGap(r), r.IntN(3)
	if r.IntN(8) < p.chained && len(others) > 0 {
		before := &others[max(len(others)-1-which, 0)]
		after := before.At + gap
		if fromEnd {
			after += before.For
		}
		if after <= latest {
			at = after
		}
	}
	f.At = at.Truncate(10 * time.Microsecond)
}

// drawGap draws the time from one fault to the next: short ones are the rule.
func drawGap(r *rand.Rand) time.Duration {
	return time.Duration(r.Int64N(int64(drawGapMost(r))))
}

// drawGapMost draws how long a gap may be.
func drawGapMost(r *rand.Rand) time.Duration {
	return pick(r, time.Millisecond, 10*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond, 2*time.Second, 5*time.Second)
}

// makeReactive has the fault follow an event: on the node that it strikes, or on any other.
func (p *plan) makeReactive(r *rand.Rand, f *Fault) {
	where, delay := r.IntN(3), drawUpTo(r, drawGapMost(r))
	f.On = pick(r, p.events...)
	f.Delay = delay
	f.At = f.At * 3 / 4
	switch {
	case where == 0 && !f.Kind.isOperators():
		f.Target = roleAny
	case where == 1:
		f.On += "@" + roleAny
	case where == 2:
		f.On += "@" + p.drawRole(r)
	}
}

// drawPlaces draws whom the fault is about, in view of the focus.
func (p *plan) drawPlaces(r *rand.Rand, f *Fault, following bool) {
	f.Target = p.drawRole(r)
	peer := p.drawPeer(r, f.Target)
	again := following && r.IntN(6) == 0
	switch {
	case f.Kind.isOperators():
		f.Target = of(roleLeader, p.drawTopic(r))
	case again:
		f.Target = roleStruck
	case f.Kind.isBrokers() && p.quorum:
		f.Target = of(pick(r, roleLeader, roleFollower), p.drawTopic(r))
	}
	if f.Kind.hasPeer() {
		f.Peer = peer
	}
}

func (p *plan) drawRole(r *rand.Rand) string {
	nodes := nodeNames(&p.options.Cluster)
	node, topic, at := pick(r, nodes...), p.drawTopic(r), r.IntN(16)
	if p.quorum {
		switch {
		case at < 7:
			return roleController
		case at < 12:
			return pick(r, roleVoter, roleLastVoter)
		}
		return node
	}
	switch {
	case at < 6:
		return of(roleLeader, topic)
	case at < 10:
		return of(pick(r, roleFollower, roleLastFollower), topic)
	case at < 12:
		return of(roleOutsider, topic)
	case at < 14:
		return roleController
	}
	return node
}

// drawTopic draws a partition: the focus three times out of four.
func (p *plan) drawTopic(r *rand.Rand) event.Partition {
	if other := drawPartition(r, p.options); r.IntN(4) == 0 {
		return other
	}
	return p.partition
}

// drawPeer draws another place: a node's role, or one time in four a client.
func (p *plan) drawPeer(r *rand.Rand, target string) string {
	peer, clients := p.drawRole(r), clientNames(p.options)
	client := r.IntN(4) == 0
	switch {
	case client && len(clients) > 0:
		return pick(r, clients...)
	case peer == target:
		nodes := nodeNames(&p.options.Cluster)
		return nodes[(slices.Index(nodes, target)+1)%len(nodes)]
	}
	return peer
}

func drawSize(r *rand.Rand, k Kind, files []int64) int64 {
	switch k {
	case Delay:
		return pick[int64](r, 5, 50, 400, 2000) * 1000
	case SlowLink:
		return pick[int64](r, 1, 10, 100) << 10
	case Split, Bridge:
		return r.Int64N(1 << 12)
	case PowerLoss, Blackout, Pause:
		return r.Int64N(2)
	case RestartStorm:
		return 2 + r.Int64N(5)
	case SlowDisk:
		return pick[int64](r, 10, 100, 1000)
	case FailingDisk:
		return drawFailure(r, files)
	case ElectLeader:
		return r.Int64N(2)
	case ClockOffset, ClockJump:
		return pick[int64](r, -3_000_000, -60_000, -1000, 60_000, 3_000_000, week, week) // ms; Kafka refuses records of more than an hour ahead
	case ClockDrift:
		return pick[int64](r, -100_000, -1000, 1000, 100_000)
	case Reassign, AlterConfig:
		return r.Int64N(256)
	case AddPartitions, RecreateTopic:
		return 1 + r.Int64N(3)
	}
	return 0
}

// drawFailure draws what fails of a disk: half are single writes of the kinds of files given, each as often.
func drawFailure(r *rand.Rand, files []int64) int64 {
	size, aside := r.Int64N(2*failedAside), pick(r, files...)
	if size >= failedAside {
		return failedAside + aside
	}
	return size
}

// week is longer than log.retention.hours, in milliseconds.
const week = 200 * 3_600_000
