package sim

import (
	"time"

	"github.com/lockstep/lockstep/core/event"
)

// A canary is a run in whose world something happens that no core could make up for. It costs a few
// milliseconds and rides in every campaign: a million seeds that pass prove nothing if the checkers are
// blind, and checkers that see notice each canary.
type canary struct {
	name string
	lie  func(r *run) // to be told when the main phase begins
}

// canaries are one for each way in which checkers see: the state of nodes and their disks after every event, what is
// left on the disks in the end, and what clients were told.
var canaries = []canary{
	{"lying-sync", lieAboutSyncs},
	{"changed-record", changeARecord},
	{"forged-acknowledgement", forgeAnAcknowledgement},
}

// lieAt is when a canary's lie begins, after some records have been committed.
const lieAt = time.Second

// lieAboutSyncs: the disks say that they have synced, and have not. So the quorum commits what a power
// loss takes away: that a node came back, at the latest.
func lieAboutSyncs(r *run) {
	r.world.After(lieAt, func() {
		for _, n := range r.cluster.nodes {
			n.disk.LieAboutSyncs(true)
		}
		r.cluster.nodes[len(r.cluster.nodes)-1].restart()
	})
}

// changeARecord: a committed record changes on the disk of a follower, where nobody reads it again.
func changeARecord(r *run) {
	r.world.After(lieAt, func() {
		p := event.Partition{Topic: r.schedule.Options.Topics[0].Name}
		leader := r.cluster.leader(p)
		for _, n := range r.cluster.nodes {
			if log := n.lastSegment(p); n != leader && log != "" && n.disk.CorruptBit(log, firstValue, 3) {
				return
			}
		}
	})
}

// firstValue is a position within the records of a log's first batch, in bytes: behind its header.
const firstValue = 61 + 10

// forgeAnAcknowledgement: a producer believes that a record was written which it never sent.
func forgeAnAcknowledgement(r *run) {
	r.world.After(lieAt, func() {
		p := r.producers[0]
		l := p.lanes[0]
		b := &batch{lane: l, first: l.counter, count: 1}
		l.counter++
		r.attempted(p, b)
		r.acked(p, b, -1)
	})
}

// canarySchedule is a short run without a fault.
func canarySchedule() *Schedule {
	o := Canonical()
	o.Topics[0].Partitions = 1
	o.Producers = o.Producers[:1]
	o.For, o.Settle = 2*time.Second, 20*time.Second
	return &Schedule{Build: Build(), Scenario: "canary", Seed: 1, Options: o}
}

// MissedCanaries plays all canaries and names those that no checker noticed. Then whatever else
// passes means nothing.
func MissedCanaries(o RunOptions) (missed []string) {
	for _, c := range canaries {
		o.lie = c.lie
		if r := Run(canarySchedule(), o); len(r.Violations) == 0 && !r.Interrupted {
			missed = append(missed, c.name)
		}
	}
	return missed
}
