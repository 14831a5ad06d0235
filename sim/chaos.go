package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/scheduler"
)

// chaos strikes with the faults of a schedule, and knows what each of them changed: a fault that
// changed nothing proves nothing.
type chaos struct {
	run      *run
	claims   map[string]*strike        // who has hold of a process, a disk or a setting of a link
	cuts     map[direction]int         // how many faults cut a direction of a link
	armed    [event.NumKinds][]*ambush // faults that wait for an event, by its kind
	active   []*strike                 // in the order they began
	ended    int                       // of those
	series   map[string]*series        // of faults that follow each other
	struck   string                    // the host that the latest fault struck
	healing  bool                      // no fault begins any more
	budget   budget
	operator *operator // nil until there is something to do for it
	drawn    [numKinds]int
	effects  [numKinds]int
}

// strike is a fault that has begun.
type strike struct {
	fault   *Fault
	peer    string // the host that the fault's Peer means
	claims  []string
	undo    func()      // once
	did     func() bool // whether the fault changed anything so far
	ended   bool
	endedAt scheduler.Instant
	left    int64 // how many times it is still to do what it does several times
}

// ambush is a fault that waits for an event.
type ambush struct {
	fault *Fault
	note  string // of the event; empty: any
	where place
}

// series is the faults of one name: only one at a time waits for its event.
type series struct {
	armed bool
	queue []*Fault
}

func newChaos(r *run) *chaos {
	c := &chaos{run: r, claims: map[string]*strike{}, cuts: map[direction]int{}, series: map[string]*series{}}
	c.budget = newBudget(r.cluster, &r.schedule.Options)
	return c
}

// lasts reports whether a fault is under way that is such a one.
func (c *chaos) lasts(is func(k *strike) bool) bool {
	return slices.ContainsFunc(c.active, func(k *strike) bool { return !k.ended && is(k) })
}

// schedule arms all faults; times count from now.
func (c *chaos) schedule(faults []Fault) {
	for i := range faults {
		f := &faults[i]
		c.drawn[f.Kind]++
		c.run.world.After(f.At, func() { c.onDue(f) })
	}
}

// onDue begins a fault, or begins to wait for the event that it is to follow.
func (c *chaos) onDue(f *Fault) {
	if c.healing || !c.isNext(f) {
		return
	}
	if f.On == "" {
		c.begin(f, c.resolve(parsePlace(f.Target)))
		return
	}
	kind, note, where, _ := f.on()
	c.armed[kind] = append(c.armed[kind], &ambush{f, note, parsePlace(where)})
	c.run.fault(f, "waits", "")
}

// isNext reports whether it is a fault's turn in its series; else it is put off until it is.
func (c *chaos) isNext(f *Fault) bool {
	if f.Series == "" {
		return true
	}
	q := c.series[f.Series]
	if q == nil {
		q = &series{}
		c.series[f.Series] = q
	}
	if q.armed {
		q.queue = append(q.queue, f)
		return false
	}
	q.armed = true
	return true
}

// goOn has the next of a fault's series wait for its event.
func (c *chaos) goOn(f *Fault) {
	q := c.series[f.Series]
	if q == nil {
		return
	}
	if q.armed = false; len(q.queue) > 0 {
		next := q.queue[0]
		q.queue = q.queue[1:]
		c.onDue(next)
	}
}

// observe lets faults that wait for an event follow it. It is asked only where one may.
func (c *chaos) observe(node int32, e *event.Event) {
	name, rest := nodeName(node), c.armed[e.Kind][:0]
	for _, a := range c.armed[e.Kind] {
		if !a.where.covers(e) || a.note != "" && a.note != e.Note || a.where.role != roleAny && c.resolve(a.where) != name {
			rest = append(rest, a)
			continue
		}
		c.run.world.After(a.fault.Delay, func() { c.spring(a.fault, name) })
	}
	c.armed[e.Kind] = rest
}

// spring begins a fault whose event happened on a node.
func (c *chaos) spring(f *Fault, node string) {
	target := parsePlace(f.Target)
	switch {
	case c.healing:
	case target.role == roleAny || !strings.Contains(f.On, "@"):
		c.begin(f, node)
	default:
		c.begin(f, c.resolve(target))
	}
}

// begin strikes at a host; empty if there is none that the fault means.
func (c *chaos) begin(f *Fault, target string) *strike {
	s := &strike{fault: f, undo: func() {}, did: func() bool { return false }}
	if f.Kind.hasPeer() {
		s.peer = c.resolve(parsePlace(f.Peer))
	}
	c.run.fault(f, "begins", target)
	if target != "" || f.Kind.isOperators() {
		c.apply(s, target)
	}
	if target != "" && !f.Kind.isOperators() {
		c.struck = target
	}
	c.active = append(c.active, s)
	if f.Kind != Reset {
		c.run.world.After(f.For, func() { c.end(s) })
	} else {
		c.end(s)
	}
	c.goOn(f)
	return s
}

// end undoes a fault, once.
func (c *chaos) end(s *strike) {
	if s.ended {
		return
	}
	s.ended, s.endedAt = true, c.run.world.Now()
	c.ended++
	note := "ends without effect"
	if s.did() {
		note = "ends"
		c.effects[s.fault.Kind]++
	}
	c.run.fault(s.fault, note, "")
	for _, name := range s.claims {
		delete(c.claims, name)
	}
	s.undo()
}

// heal ends all faults; none begins after it.
func (c *chaos) heal() {
	c.healing = true
	c.armed = [event.NumKinds][]*ambush{}
	for _, s := range c.active {
		c.end(s)
	}
	for _, n := range c.run.cluster.nodes {
		n.loop.Resume()
		n.loop.SetWallClock(0)
		for _, d := range n.disks() {
			d.Thaw()
			d.SetSlow(1)
		}
		n.repair()
		if !n.Up() || n.isOffline() { // one that shuts down comes back when it is done
			n.restart()
		}
	}
	c.run.cluster.net.HealAll()
}

// claim takes hold of something that nobody else has hold of.
func (c *chaos) claim(s *strike, name string) bool {
	if c.claims[name] != nil {
		return false
	}
	c.claims[name] = s
	s.claims = append(s.claims, name)
	return true
}

// rand is the luck of a fault: its own, whatever else is in the schedule.
func (c *chaos) rand(f *Fault) *rand.Rand {
	return c.run.world.Stream(c.run.schedule.Seed, "luck/"+f.Label)
}

func (c *chaos) apply(s *strike, target string) {
	f, n := s.fault, c.run.cluster.node(target)
	switch k := f.Kind; {
	case k <= Clog:
		c.applyToNetwork(s, target)
	case k.isVoters():
		c.changeVoters(s, n)
	case k.isOperators():
		c.applyAsOperator(s)
	case n == nil:
	case k <= MisdirectedWrite || k >= Pause && k <= RestartStorm || k == UnregisterBroker:
		c.applyToProcess(s, n)
	case k <= FullDisk:
		c.applyToDisk(s, n)
	case k <= ClockFreeze:
		c.applyToClock(s, n)
	}
}

// repeat calls step every so often until the strike ends, the first time now.
func (c *chaos) repeat(s *strike, every time.Duration, step func()) {
	if s.ended {
		return
	}
	step()
	c.run.world.After(max(every, time.Millisecond), func() { c.repeat(s, every, step) })
}
