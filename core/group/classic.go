package group

import (
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// state is a classic group's.
type state uint8

const (
	empty               state = iota // no members; perhaps offsets
	preparingRebalance               // members are to join again
	completingRebalance              // the leader is to say who gets what
	stable
)

// deadState is what a group that does not exist is said to be.
const deadState = "Dead"

var stateNames = [...]string{empty: "Empty", preparingRebalance: "PreparingRebalance", completingRebalance: "CompletingRebalance", stable: "Stable"}

func (s state) String() string { return stateNames[s] }

// follows are the states that each state may come after.
var follows = [...][]state{
	empty:               {preparingRebalance},
	preparingRebalance:  {stable, completingRebalance, empty},
	completingRebalance: {preparingRebalance},
	stable:              {completingRebalance},
}

// consumerType is the protocol type of consumers, of whose metadata the broker reads the topics.
const consumerType = "consumer"

// classic is the members of a group of the classic protocol: they join, one of them assigns, all sync. It is Kafka's ClassicGroup.
//
// Invariant: a group with members has a protocol that all of them know, and a leader.
type classic struct {
	machine    *machine
	group      *Group
	state      state
	previous   state
	since      int64   // when the state began (ms); -1: nobody knows
	typ        string  // protocol type; empty: none
	protocol   *string // that was chosen for the generation
	generation int32
	leader     string // id; empty: none

	members   []*member // in the order in which they came
	byID      map[string]*member
	byIns     map[string]*member         // static members by instance id
	pending   map[string]scheduler.Timer // ids that were given to members who have not joined with them yet (KIP-394)
	supported map[string]int             // how many members know a protocol
	joining   int                        // members whose JoinGroup waits
	topics    map[string]bool            // that the members subscribe to; nil: nobody knows

	newcomers bool // somebody came during the initial delay
	join      scheduler.Timer
	sync      scheduler.Timer
}

func newClassic(m *machine, g *Group) *classic {
	return &classic{
		machine: m, group: g, since: m.now(),
		byID: map[string]*member{}, byIns: map[string]*member{}, pending: map[string]scheduler.Timer{}, supported: map[string]int{},
	}
}

// loadedClassic are the members as a record has them.
func loadedClassic(m *machine, g *Group, v *kmsg.GroupMetadataValue) *classic {
	c := newClassic(m, g)
	c.since, c.typ, c.protocol, c.generation = v.CurrentStateTimestamp, v.ProtocolType, v.Protocol, v.Generation
	if v.Version < 2 {
		c.since = -1
	}
	if v.Leader != nil {
		c.leader = *v.Leader
	}
	for i := range v.Members {
		c.add(loadedMember(v, &v.Members[i]))
	}
	if len(c.members) > 0 && c.protocol == nil {
		c.protocol = kmsg.StringPtr("")
	}
	if len(c.members) > 0 {
		c.state, c.previous = stable, completingRebalance
		if c.byID[c.leader] == nil {
			c.leader = c.members[0].id
		}
	}
	c.topics = c.subscribedTopics()
	return c
}

func loadedMember(v *kmsg.GroupMetadataValue, r *kmsg.GroupMetadataValueMember) *member {
	mb := &member{
		id: r.MemberID, instanceID: r.InstanceID, client: Client{r.ClientID, r.ClientHost},
		rebalanceTimeout: millis(r.RebalanceTimeoutMillis), sessionTimeout: millis(r.SessionTimeoutMillis), assignment: r.Assignment,
	}
	if v.Version < 1 || r.RebalanceTimeoutMillis == -1 {
		mb.rebalanceTimeout = mb.sessionTimeout
	}
	if v.Protocol != nil {
		mb.protocols = []protocol{{*v.Protocol, r.Subscription}}
	}
	return mb
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

func (c *classic) kind() string         { return "classic" }
func (c *classic) stateName() string    { return c.state.String() }
func (c *classic) protocolType() string { return c.typ }
func (c *classic) isEmpty() bool        { return c.state == empty }

// isSimple: there is nothing but offsets that somebody has committed who is in no group. No record tells of it.
func (c *classic) isSimple() bool { return c.state == empty && len(c.pending) == 0 && c.typ == "" }

// nullableType is the protocol type as answers have it.
func (c *classic) nullableType() *string {
	if c.typ == "" {
		return nil
	}
	return kmsg.StringPtr(c.typ)
}

func (c *classic) tombstones() []coordinator.Record {
	return []coordinator.Record{groupTombstone(c.group.id)}
}

func (c *classic) become(s state) {
	invariant.Check(slices.Contains(follows[s], c.state), "group %s: %s after %s", c.group.id, s, c.state)
	c.previous, c.state, c.since = c.state, s, c.machine.now()
}

// canRebalance reports whether a rebalance may begin; one that is under way takes in what there is.
func (c *classic) canRebalance() bool { return slices.Contains(follows[preparingRebalance], c.state) }

func (c *classic) add(mb *member) {
	if c.leader == "" {
		c.leader = mb.id
	}
	c.members = append(c.members, mb)
	c.byID[mb.id] = mb
	if mb.isStatic() {
		c.byIns[*mb.instanceID] = mb
	}
	c.support(mb, 1)
	if mb.joining != nil {
		c.joining++
	}
}

// support counts a member for its protocols, or does not any more.
func (c *classic) support(mb *member, by int) {
	for _, p := range mb.protocols {
		if c.supported[p.name] += by; c.supported[p.name] == 0 {
			delete(c.supported, p.name)
		}
	}
}

// drop takes a member out of the group; if it is alive, it will hear of it and join anew. Whoever was next becomes leader in its place.
func (c *classic) drop(mb *member) {
	mb.stop()
	c.answerJoin(mb, joinError("", kerr.UnknownMemberID))
	answerSync(mb, syncError(kerr.UnknownMemberID))
	c.members = slices.DeleteFunc(c.members, func(x *member) bool { return x == mb })
	delete(c.byID, mb.id)
	if mb.isStatic() {
		delete(c.byIns, *mb.instanceID)
	}
	c.support(mb, -1)
	if c.leader == mb.id {
		c.leader = ""
		if len(c.members) > 0 {
			c.leader = c.members[0].id
		}
	}
}

// dropPending forgets an id that was given and not used.
func (c *classic) dropPending(id string) {
	c.pending[id].Stop()
	delete(c.pending, id)
}

// supports reports whether a member that knows these protocols can be in the group.
func (c *classic) supports(typ string, protocols []protocol) bool {
	if c.state == empty {
		return typ != "" && len(protocols) > 0
	}
	return c.typ == typ && slices.ContainsFunc(protocols, func(p protocol) bool { return c.supported[p.name] == len(c.members) })
}

// choose is the protocol that most members like best of those that all know; the first member's taste breaks a tie.
func (c *classic) choose() string {
	votes := map[string]int{}
	for _, mb := range c.members {
		for _, p := range mb.protocols {
			if c.supported[p.name] == len(c.members) {
				votes[p.name]++
				break
			}
		}
	}
	best := ""
	for _, p := range c.members[0].protocols {
		if votes[p.name] > votes[best] {
			best = p.name
		}
	}
	return best
}

// check is whether a member is in the group as whom it says it is.
func (c *classic) check(id string, instanceID *string) error {
	if instanceID != nil {
		static := c.byIns[*instanceID]
		switch {
		case static == nil:
			return kerr.UnknownMemberID
		case static.id != id:
			return kerr.FencedInstanceID
		}
	}
	if c.byID[id] == nil {
		return kerr.UnknownMemberID
	}
	return nil
}

// rebalanceTimeout is how long the slowest member may take to join again.
func (c *classic) rebalanceTimeout() (longest time.Duration) {
	for _, mb := range c.members {
		longest = max(longest, mb.rebalanceTimeout)
	}
	return longest
}

// record is the group as its partition remembers it.
func (c *classic) record() coordinator.Record {
	v := kmsg.NewGroupMetadataValue()
	v.ProtocolType, v.Generation, v.Protocol, v.CurrentStateTimestamp = c.typ, c.generation, c.protocol, c.since
	if c.leader != "" {
		v.Leader = &c.leader
	}
	v.Members = make([]kmsg.GroupMetadataValueMember, 0, len(c.members))
	for _, mb := range c.members {
		r := kmsg.NewGroupMetadataValueMember()
		r.MemberID, r.InstanceID, r.ClientID, r.ClientHost = mb.id, mb.instanceID, mb.client.ID, mb.client.Host
		r.RebalanceTimeoutMillis, r.SessionTimeoutMillis = int32(mb.rebalanceTimeout/time.Millisecond), int32(mb.sessionTimeout/time.Millisecond)
		r.Subscription, r.Assignment = mb.metadata(*c.protocol), mb.assignment
		v.Members = append(v.Members, r)
	}
	return groupRecord(c.group.id, &v)
}

// load implements members: everybody has one session to show that it lives.
func (c *classic) load() {
	for _, mb := range c.members {
		c.heard(mb)
	}
	if len(c.members) > c.machine.coordinator.cfg.MaxSize {
		c.prepareRebalance()
	}
}

// unload implements members.
func (c *classic) unload(err error) {
	stopAll(c.join, c.sync)
	for _, id := range sortedKeys(c.pending) {
		c.dropPending(id)
	}
	for _, mb := range c.members {
		mb.stop()
		c.answerJoin(mb, joinError(mb.id, err))
		answerSync(mb, syncError(err))
	}
}
