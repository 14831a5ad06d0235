package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is a consumer that shares partitions with the others of its group: it joins, reads what it is given from where the group
// has come to, commits how far it has read, and joins again when the coordinator says so.
type member struct {
	*consumer
	o       *GroupOptions
	group   int
	native  *nativeSide // nil: it speaks the classic protocol
	state   memberState
	turn    int // counts what makes answers under way mean nothing any more
	stalled bool
	active  bool // troubles happen
	churn   *rand.Rand

	coordinator  *link   // nil: not known
	coordinators []*link // connections to those that were, by broker id
	id           string
	instance     *string
	generation   int32
	newcomer     bool              // it has asked to join without an id, and has no answer
	asked        scheduler.Instant // for its share
	shares       []*share          // by ordinal
	beat, saving scheduler.Timer
	beats        int
	verifying    bool // asks, at the end, whether what was committed is there
	verified     bool
	copier       *copier // nil: it only reads
}

// share is a member's part in a partition.
type share struct {
	*position
	subscribed bool
	committed  int64             // the last offset of which the coordinator said that it is; none
	held       bool              // it is the member's to read
	since      scheduler.Instant // when it was told so
}

type memberState uint8

const (
	out memberState = iota
	joining
	syncing
	starting // asks from where to read
	steady
)

var memberStates = [...]string{"out", "joining", "syncing", "starting", "steady"}

func (r *run) addMembers() {
	for i := range r.schedule.Options.Groups {
		g := &r.schedule.Options.Groups[i]
		for n := range g.Members {
			m := newMember(r, i, len(r.members))
			if g.isNative(n) {
				m.native = &nativeSide{}
			}
			r.members = append(r.members, m)
		}
	}
}

func newMember(r *run, group, n int) *member {
	o := &r.schedule.Options
	name := memberName(n)
	m := &member{o: &o.Groups[group], group: group, churn: r.world.Stream(r.schedule.Seed, "churn/"+name)}
	how := plainConsumer()
	how.Committed = m.o.copies()
	m.consumer = consumerOn(newClient(r, name, memberNode(o, n)), how, -1)
	if m.o.Static {
		m.instance = &name
	}
	subscribed := m.o.topics(o)
	for _, p := range m.positions {
		p.phase = parked
		s := &share{position: p, committed: -1}
		for _, t := range subscribed {
			s.subscribed = s.subscribed || t == p.part.topic.name
		}
		m.shares = append(m.shares, s)
	}
	return m
}

// groupProperties are what brokers must know of groups so that more happens in a simulated second. Offsets never expire, but brokers look
// for expired ones all the time.
func groupProperties() (props []config.Property) {
	for _, p := range [][2]string{
		{"group.min.session.timeout.ms", fmt.Sprint(minGroupSession.Milliseconds())},
		{"group.initial.rebalance.delay.ms", "200"},
		{"offsets.retention.minutes", "100000000"},
		{"offsets.retention.check.interval.ms", "700"},
		{"offsets.load.buffer.size", "2000"},
	} {
		props = append(props, config.Property{Key: p[0], Value: p[1], Origin: "sim"})
	}
	return props
}

// start begins the member's life, with troubles.
func (m *member) start() {
	m.active = true
	m.consumer.start()
	m.enter()
	m.troubleLater()
}

// stop ends the troubles; the member stays in its group.
func (m *member) stop() { m.active = false }

// enter joins the group as somebody who was never in it.
func (m *member) enter() {
	m.forget()
	m.join()
}

// forget has the member be somebody who was never in the group.
func (m *member) forget() {
	m.id, m.generation = "", -1
	if m.native != nil {
		m.native.renew(m)
	}
}

// ask asks the coordinator, and is answered unless the member has gone on meanwhile.
func (m *member) ask(req kmsg.Request, d time.Duration, answered askerFunc) {
	turn := m.turn
	m.sendOn(m.coordinator, req, d, askerFunc(func(resp kmsg.Response, err error) {
		if m.turn == turn {
			answered(resp, err)
		}
	}), false)
}

// later calls f after the retry backoff, unless the member has gone on.
func (m *member) later(f func()) {
	turn := m.turn
	m.loop.After(retryBackoff, func() {
		if m.turn == turn {
			f()
		}
	})
}

// seek asks who the coordinator is, and goes on when it knows.
func (m *member) seek(found func()) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKey = 3, groupID(m.group)
	turn := m.turn
	m.send(m.anyBroker(), req, m.timeout, askerFunc(func(resp kmsg.Response, err error) {
		if m.turn != turn {
			return
		}
		if err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.FindCoordinatorResponse).ErrorCode)
		}
		if err != nil {
			m.later(func() { m.seek(found) })
			return
		}
		m.coordinator = m.coordinatorLink(resp.(*kmsg.FindCoordinatorResponse).NodeID)
		found()
	}), false)
}

// coordinatorLink is a connection apart from that for fetches: a JoinGroup may take long to be answered, and what is behind it too.
func (m *member) coordinatorLink(broker int32) *link {
	for len(m.coordinators) <= int(broker) {
		m.coordinators = append(m.coordinators, nil)
	}
	if m.coordinators[broker] == nil {
		m.coordinators[broker] = &link{client: m.client, broker: broker}
	}
	return m.coordinators[broker]
}

// isCoordinatorLost reports whether an error says that the coordinator is another one, or cannot be reached.
func isCoordinatorLost(err error) bool {
	return isSilence(err) || err == kerr.NotCoordinator || err == kerr.CoordinatorNotAvailable
}

// disown gives up all partitions.
func (m *member) disown() {
	for _, s := range m.shares {
		s.release()
	}
	if m.copier != nil {
		m.copier.reset()
	}
}

// release gives a partition up.
func (s *share) release() {
	s.phase, s.committed, s.held = parked, -1, false
	s.lease++
}

// hold says since when partitions are the member's.
func (m *member) hold(owned []*share) {
	for _, s := range owned {
		s.held, s.since = true, m.run.world.Now()
	}
}

// become goes on to a state; what was asked before means nothing any more.
func (m *member) become(s memberState) {
	m.state = s
	m.turn++
}

// onTrouble goes on after an error that concerns the membership.
func (m *member) onTrouble(err error) {
	m.run.note(m.loop.ID(), "group-trouble", err.Error())
	switch {
	case isCoordinatorLost(err):
		m.coordinator = nil
	case err == kerr.FencedInstanceID:
		m.run.fenced(m)
		m.forget()
	case m.native != nil && m.native.isKnown(err):
		m.generation = 0
	case err == kerr.UnknownMemberID:
		m.id, m.generation = "", -1
	case err == kerr.IllegalGeneration, err == kerr.RebalanceInProgress, err == kerr.CoordinatorLoadInProgress:
	default:
		m.run.violate("P7", "client", fmt.Sprintf("P7 broken: %s was answered %v while it was %s", m.name, err, memberStates[m.state]),
			fmt.Sprintf("broker %d answered so at %s", m.askedLast(), seconds(m.loop.Now())))
	}
	m.disown()
	m.become(joining)
	m.later(m.join)
}

func (m *member) askedLast() int32 {
	if m.coordinator == nil {
		return -1
	}
	return m.coordinator.broker
}

// unsettled says what is not well with a member; empty if nothing is.
func (m *member) unsettled() string {
	if m.state != steady || m.stalled {
		return fmt.Sprintf("%s of group %s is %s", m.name, groupID(m.group), memberStates[m.state])
	}
	if s := m.consumer.unsettled(m.run.cluster); s != "" {
		return s
	}
	if m.copier != nil {
		if s := m.copier.unsettled(); s != "" {
			return s
		}
	}
	for _, s := range m.shares {
		if s.phase != parked && s.committed != s.offset {
			return fmt.Sprintf("%s is at %d of %s, and has committed %d", m.name, s.offset, s.part.id, s.committed)
		}
	}
	return ""
}

// membersUnsettled says what keeps the groups from being well: every member has its share, and every partition has one owner.
func (r *run) membersUnsettled() string {
	for _, m := range r.members {
		if s := m.unsettled(); s != "" {
			return s
		}
	}
	for i := range r.schedule.Options.Groups {
		if s := r.groupUnsettled(i); s != "" {
			return s
		}
	}
	for _, m := range r.members {
		if s := m.unverified(); s != "" {
			return s
		}
	}
	return ""
}

// unverified has a member ask, when all else is well, whether what the group has committed is there. It says so until that is answered.
func (m *member) unverified() string {
	leader := m.run.cluster.leader(m.run.schedule.Options.offsetsPartition(m.group))
	switch {
	case m.verified:
		return ""
	case leader == nil || m.coordinator == nil || m.coordinator.broker != leader.id:
		return fmt.Sprintf("%s has not heard who coordinates group %s", m.name, groupID(m.group))
	case !m.verifying:
		m.verifying = true
		m.loop.After(0, func() { m.recheck(true, func(ok bool) { m.verified, m.verifying = ok, false }) })
	}
	return fmt.Sprintf("%s has not been told how far group %s has come", m.name, groupID(m.group))
}

func (r *run) groupUnsettled(group int) string {
	var owners []string
	generation := int32(-1)
	for _, m := range r.members {
		if m.group != group {
			continue
		}
		if generation >= 0 && m.generation != generation {
			return fmt.Sprintf("group %s is in generations %d and %d", groupID(group), generation, m.generation)
		}
		generation = m.generation
		if owners == nil {
			owners = make([]string, len(m.shares))
		}
		for i, s := range m.shares {
			switch {
			case s.phase != parked && owners[i] != "":
				return fmt.Sprintf("%s and %s both have %s", owners[i], m.name, s.part.id)
			case s.phase != parked:
				owners[i] = m.name
			case !s.subscribed:
				owners[i] = "nobody"
			}
		}
	}
	for i, owner := range owners {
		if owner == "" {
			return fmt.Sprintf("nobody of group %s has %s", groupID(group), r.members[0].shares[i].part.id)
		}
	}
	return ""
}
