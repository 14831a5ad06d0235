// Package sim is a cluster, its clients, its troubles and its checkers, from one seed.
//
// A schedule is all that decides a run: the shape of the cluster, the clients and a list of faults.
// Run plays it on a virtual clock, network and disk, watches every event with the checkers of
// sim/check, and says what became of the promises. The same schedule gives the same digest on every
// machine.
package sim

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// RunOptions is what may differ between two runs of a schedule without any effect on what happens.
type RunOptions struct {
	World       *virtual.World // used again if not nil
	Trace       Tracer         // gets everything that happens; may be nil
	Messages    bool           // trace the frames between hosts too
	Unchecked   bool           // run without checkers, to see what they cost
	Watch       Watcher        // is told what clients see; may be nil
	Interrupted func() bool    // asked now and then; may be nil

	lie    func(r *run)                       // of a canary; nil otherwise
	reseed *reseeding                         // nil: draws are the schedule's to the end
	turn   func(w *virtual.World, node int32) // sees each turn; may be nil
}

// slice is how long the world runs between two looks from outside.
const slice = 50 * time.Millisecond

// formTimeout is how long a cluster may take to form, from nothing.
const formTimeout = 60 * time.Second

// harnessError is a panic about the simulator itself, or about what it cannot explain.
type harnessError string

// stopRun is the panic that ends a run at its first violation.
type stopRun struct{}

// run is one run under way.
type run struct {
	schedule    *Schedule
	options     RunOptions
	world       *virtual.World
	cluster     *Cluster
	chaos       *chaos
	buggify     *buggify.Plan // nil: nothing armed
	admin       *admin
	producers   []*producer
	consumers   []*consumer
	members     []*member // of all groups
	transactors []*transactor
	copied      int // transactions in which members have copied what they read
	judge       judge
	commits     map[[2]int]int // of an unchecked run: how many there were, by group and partition
	result      *Result
	sightings   sightings
}

// Run plays a schedule to its end, or to its first violation.
func Run(s *Schedule, o RunOptions) *Result {
	collect()
	r := &run{schedule: s, options: o, result: &Result{Schedule: s}}
	r.initWorld()
	began := time.Now()
	r.guard(func() {
		if !r.build() {
			return
		}
		r.play()
	})
	r.finish(time.Since(began))
	return r.result
}

func (r *run) initWorld() {
	r.world = r.options.World
	if r.world == nil {
		r.world = virtual.New(r.schedule.Seed)
		return
	}
	r.world.Reset(r.schedule.Seed)
}

// guard turns what panics into a verdict.
func (r *run) guard(f func()) {
	defer func() {
		switch x := recover().(type) {
		case nil, stopRun:
		case invariant.Violation:
			r.violate("invariant", "invariant", "invariant broken: "+x.Text, firstFrame(debug.Stack()))
		case harnessError:
			r.result.Bug = string(x)
		default:
			r.result.Bug = fmt.Sprint(x)
			r.result.Stack = string(debug.Stack())
		}
	}()
	f()
}

// firstFrame names the function of the core that panicked.
func firstFrame(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, line := range lines {
		if strings.Contains(line, "/core/") && strings.HasPrefix(line, "github.com") && !strings.Contains(line, "invariant.Check") {
			return strings.TrimSpace(lines[i+1])
		}
	}
	return ""
}

func (r *run) build() bool {
	var err error
	if r.cluster, err = newCluster(r); err != nil {
		r.result.Bug = err.Error()
		return false
	}
	r.judge.init(r)
	for i := range r.schedule.Options.Producers {
		r.producers = append(r.producers, newProducer(r, i))
	}
	for i := range r.schedule.Options.Consumers {
		r.consumers = append(r.consumers, newConsumer(r, i))
	}
	r.addMembers()
	r.addTransactors()
	r.admin = newAdmin(r)
	r.chaos = newChaos(r)
	if turn := r.options.turn; turn != nil {
		r.world.OnTurn(func(node int32) { turn(r.world, node) })
	}
	r.world.OnTurn(r.afterTurn)
	return true
}

func (r *run) play() {
	for _, n := range r.cluster.nodes {
		n.start()
	}
	r.admin.createTopics()
	if !r.form() || !r.struggle() || !r.settle() {
		return
	}
	r.judge.atEnd()
}

// form waits until the cluster is well for the first time.
func (r *run) form() bool {
	return r.mustBecome(formTimeout, "the cluster did not form", func() string {
		return cmp.Or(r.wrongTransactionVersion(), r.cluster.ailment())
	})
}

// struggle is the main part: clients at work, faults striking.
func (r *run) struggle() bool {
	r.watcher().Began(r.world.Now())
	r.switchBuggify(true)
	for _, p := range r.producers {
		p.loop.After(0, p.start)
	}
	for _, c := range r.consumers {
		c.loop.After(0, c.start)
	}
	for _, m := range r.members {
		m.loop.After(0, m.start)
	}
	for _, t := range r.transactors {
		t.loop.After(0, t.churn.start)
	}
	if r.options.lie != nil {
		r.options.lie(r)
	}
	r.chaos.schedule(r.schedule.Faults)
	r.reseedLater()
	return r.until(r.world.Now().Add(r.schedule.Options.For), func() bool { return false }) == outOfTime
}

// settle ends all faults and gives the cluster time to become well (P9).
func (r *run) settle() bool {
	r.phase("heal")
	r.switchBuggify(false)
	r.chaos.heal()
	for _, p := range r.producers {
		p.stop()
	}
	for _, m := range r.members {
		m.stop()
	}
	for _, t := range r.transactors {
		t.stop()
	}
	return r.mustBecome(r.schedule.Options.Settle, "after the heal", r.unsettled)
}

// seconds is an instant for people.
func seconds(t scheduler.Instant) string { return fmt.Sprintf("%.3f s", time.Duration(t).Seconds()) }

// unsettled says what keeps P9 from holding; empty if nothing does.
func (r *run) unsettled() string {
	if ailment := r.cluster.ailment(); ailment != "" {
		return ailment
	}
	for _, p := range r.producers {
		if s := p.unsettled(); s != "" {
			return s
		}
	}
	if s := r.transactionsUnsettled(); s != "" {
		return s
	}
	for _, c := range r.consumers {
		if s := c.unsettled(r.cluster); s != "" {
			return s
		}
	}
	return r.membersUnsettled()
}

// mostPatience is how often there is more time.
const mostPatience = 10

// mustBecome runs until nothing ails, at most d; then P9 is broken. Members that copy may have much to do still: as long as they get on there is more time,
// but not for ever. Where decisions about transactions were lost, as the configuration allows, they may copy the same again and again.
func (r *run) mustBecome(d time.Duration, what string, ailment func() string) bool {
	last, since := "", r.world.Now()
	outcome, copied := outOfTime, -1
	for tries := 0; outcome == outOfTime && r.copied != copied && tries < mostPatience; tries++ {
		copied = r.copied
		outcome = r.until(r.world.Now().Add(d), func() bool {
			if now := ailment(); now != last {
				last, since = now, r.world.Now()
			}
			return last == ""
		})
	}
	switch {
	case outcome == outOfTime && r.mayHang():
		return true // the checkers know what may be open
	case outcome == outOfTime:
		r.violate("P9", "LV", fmt.Sprintf("P9 broken: %s, %s passed and %s", what, d, last), fmt.Sprintf("%s, first at %s%s", last, seconds(since), r.judge.whyStuck()))
	}
	return outcome == reached
}

type outcome int

const (
	reached outcome = iota
	outOfTime
	interrupted
)

// until runs the world until a condition holds, looking at it now and then, at most to end.
func (r *run) until(end scheduler.Instant, condition func() bool) outcome {
	for !condition() {
		if r.world.Now() >= end {
			return outOfTime
		}
		if r.options.Interrupted != nil && r.options.Interrupted() {
			r.result.Interrupted = true
			return interrupted
		}
		r.world.RunUntil(min(r.world.Now().Add(slice), end))
	}
	return reached
}

func (r *run) finish(wall time.Duration) {
	s := &r.result.Stats
	s.Simulated, s.Wall, s.Events = time.Duration(r.world.Now()), wall, r.world.Stats()
	if r.chaos != nil {
		s.Drawn, s.Effective = r.chaos.drawn, r.chaos.effects
	}
	s.Features = r.sightings.used(&r.schedule.Options)
	for _, p := range r.producers {
		r.result.Made = append(r.result.Made, p.made)
	}
	s.Buggify = r.buggifyHits()
	r.judge.finish(s)
	r.result.Digest = r.world.Digest()
	r.cluster.release()
}

// observe gets every event of every node.
func (r *run) observe(node int32, e *event.Event) {
	r.world.Mix(uint64(e.Kind)<<56 ^ uint64(uint32(node))<<40 ^ uint64(uint32(e.Partition.Index))<<20 ^ uint64(uint32(e.Epoch)))
	r.world.Mix(uint64(e.Offset) ^ uint64(e.Len)<<32 ^ uint64(uint32(e.Peer))<<16)
	r.result.Stats.count(e)
	r.sightings.see(e)
	if r.options.Trace != nil {
		r.trace(entryOf(node, e))
	}
	r.judge.observe(node, e)
	if len(r.chaos.armed[e.Kind]) > 0 {
		r.chaos.observe(node, e)
	}
}

// afterTurn lets the state checkers look at what a turn has changed.
func (r *run) afterTurn(node int32) { r.judge.afterTurn(node) }

func (r *run) crashed(node int32, power bool) {
	kind := "killed"
	if power {
		kind = "lost-power"
	}
	r.note(node, kind, "")
	r.judge.crashed(node, power)
}

// violate books a broken promise and ends the run.
func (r *run) violate(promise, checker, text, cause string) {
	r.report(Violation{Promise: promise, Checker: checker, Text: text, Seq: r.world.Cause(), T: r.world.Now(), FirstCause: cause})
}

func (r *run) report(v Violation) {
	r.result.Violations = append(r.result.Violations, v)
	r.note(-1, "violation", v.Text)
}

// unexpected is an error that a correct broker does not answer.
func (r *run) unexpected(client string, p *partition, err error) {
	cause := fmt.Sprintf("broker %d answered %v at %s", p.leader, err, seconds(r.world.Now())) // as far as the client knows
	r.violate("P3", "client", fmt.Sprintf("P3 broken: %s was answered %v for %s", client, err, p.id), cause)
}
