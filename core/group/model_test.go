package group

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// checkInvariants compares what a group keeps about its members with the members.
func checkInvariants(t rapidTB, m *machine) {
	t.Helper()
	for _, g := range m.sorted() {
		c, ok := g.members.(*classic)
		if !ok {
			continue
		}
		joining, supported, static := 0, map[string]int{}, 0
		for _, mb := range c.members {
			if c.byID[mb.id] != mb || mb.isStatic() && c.byIns[*mb.instanceID] != mb {
				t.Fatalf("group %s: member %s is not found", g.id, mb.id)
			}
			if mb.joining != nil {
				joining++
			}
			if mb.isStatic() {
				static++
			}
			for _, p := range mb.protocols {
				supported[p.name]++
			}
		}
		if joining != c.joining || len(c.byID) != len(c.members) || len(c.byIns) != static || !maps.Equal(supported, c.supported) {
			t.Fatalf("group %s: %d joining, counted %d; %d members, %d by id, %d static, %d by instance; %v, counted %v",
				g.id, joining, c.joining, len(c.members), len(c.byID), static, len(c.byIns), supported, c.supported)
		}
		if len(c.members) > 0 && (c.byID[c.leader] == nil || supported[c.choose()] != len(c.members)) {
			t.Fatalf("group %s: leader %q, protocol %q", g.id, c.leader, c.choose())
		}
		settled := c.state == stable || c.state == completingRebalance
		if c.state == empty && len(c.members) > 0 || settled && (len(c.members) == 0 || joining > 0 || c.protocol == nil) {
			t.Fatalf("group %s: %s with %d members, %d of them joining", g.id, c.state, len(c.members), joining)
		}
	}
}

type rapidTB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// consumer is a client of the model: what it knows of itself.
type consumer struct {
	name       string
	instance   *string
	id         string
	generation int32
	told       *kmsg.JoinGroupResponse // of the generation
	join       *call[*kmsg.JoinGroupResponse]
	sync       *call[*kmsg.SyncGroupResponse]
}

// model is consumers of one group, and what must be true of it: a map of what was committed, and one of who owns what.
type model struct {
	*rapid.T
	w         *world
	consumers []*consumer
	owner     map[int32]map[string]string // by generation and partition: the consumer
	committed int64                       // what was acknowledged last for partition 0 of t
	maybe     []int64                     // what was sent since, of which nobody knows
	calls     []interface{ answered() int }
}

func (c *call[R]) answered() int { return c.answers }

func newModel(t *rapid.T, tb testing.TB) *model {
	m := &model{T: t, w: newWorld(tb, func(c *Config) { c.MaxSize = 4 }), owner: map[int32]map[string]string{}, committed: -1}
	for i := range 5 {
		c := &consumer{name: fmt.Sprint("c", i)}
		if i%2 == 1 {
			c.instance = kmsg.StringPtr(c.name)
		}
		m.consumers = append(m.consumers, c)
	}
	return m
}

func (m *model) any() *consumer { return rapid.SampledFrom(m.consumers).Draw(m.T, "consumer") }

// join sends a JoinGroup, unless the consumer waits for the answer to one.
func (m *model) join(*rapid.T) {
	c := m.any()
	if c.join != nil {
		return
	}
	protocols := rapid.SampledFrom([][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}}).Draw(m.T, "protocols")
	req := joinRequest("g", c.id, protocols...)
	req.InstanceID = c.instance
	req.Version = rapid.SampledFrom([]int16{3, 8, 9}).Draw(m.T, "version")
	if req.Version < 5 && c.instance != nil {
		req.Version = 9
	}
	c.join = m.w.send(req)
	m.calls = append(m.calls, c.join)
	c.sync = nil
}

// forgetful is a consumer that starts anew: what it was waits in vain.
func (m *model) forgetful(*rapid.T) {
	c := m.any()
	c.id, c.generation, c.told, c.join, c.sync = "", 0, nil, nil, nil
}

// syncGroup sends a SyncGroup; the leader gives each partition to somebody.
func (m *model) syncGroup(*rapid.T) {
	c := m.any()
	if c.told == nil || c.sync != nil {
		return
	}
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 5, "g", c.id, c.generation, c.instance
	req.ProtocolType, req.Protocol = c.told.ProtocolType, c.told.Protocol
	if !c.told.SkipAssignment {
		for i, mb := range c.told.Members {
			for p := range 2 {
				req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: mb.MemberID, MemberAssignment: []byte(fmt.Sprint("p", 2*i+p))})
			}
		}
	}
	c.sync = &call[*kmsg.SyncGroupResponse]{what: "sync"}
	if g := m.w.machine.classic("g"); g != nil && !g.isEmpty() {
		m.calls = append(m.calls, c.sync)
		g.syncGroup(req, c.sync.take)
		return
	}
	c.sync.take(syncError(kerr.UnknownMemberID))
}

// listen has the consumers see the answers that have come.
func (m *model) listen() {
	for _, c := range m.consumers {
		if c.join != nil && c.join.answers > 0 {
			m.onJoined(c, c.join.answer)
		}
		if c.sync != nil && c.sync.answers > 0 {
			m.onSynced(c, c.sync.answer)
		}
	}
}

func (m *model) onJoined(c *consumer, resp *kmsg.JoinGroupResponse) {
	c.join, c.told = nil, nil
	switch kerr.ErrorForCode(resp.ErrorCode) {
	case nil:
		c.id, c.generation, c.told = resp.MemberID, resp.Generation, resp
	case kerr.MemberIDRequired:
		c.id = resp.MemberID
	case kerr.UnknownMemberID, kerr.FencedInstanceID:
		c.id = ""
	}
}

func (m *model) onSynced(c *consumer, resp *kmsg.SyncGroupResponse) {
	c.sync = nil
	if resp.ErrorCode != 0 {
		c.told = nil
		return
	}
	if len(resp.MemberAssignment) == 0 {
		return
	}
	p := string(resp.MemberAssignment)
	if m.owner[c.generation] == nil {
		m.owner[c.generation] = map[string]string{}
	}
	if owner := m.owner[c.generation][p]; owner != "" && owner != c.name {
		m.Fatalf("%s of generation %d is %s's and %s's", p, c.generation, owner, c.name)
	}
	m.owner[c.generation][p] = c.name
}

func (m *model) heartbeat(*rapid.T) {
	c := m.any()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = "g", c.id, c.generation, c.instance
	m.w.machine.heartbeat(req, func(err error) {
		if err == kerr.UnknownMemberID || err == kerr.FencedInstanceID {
			c.id, c.told = "", nil
		}
	})
}

func (m *model) leave(*rapid.T) {
	c := m.any()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group, req.Members = 5, "g", []kmsg.LeaveGroupRequestMember{{MemberID: c.id, InstanceID: c.instance}}
	m.w.machine.leaveGroup(req, func(*kmsg.LeaveGroupResponse) {})
}

// commitOffset commits as a member, or as nobody. Only a live generation's commits count, and none while its assignment is not known.
func (m *model) commitOffset(*rapid.T) {
	c := m.any()
	req := commitRequest(c.id, c.generation, rapid.Int64Range(0, 1000).Draw(m.T, "offset"))
	req.InstanceID = c.instance
	if rapid.Bool().Draw(m.T, "simple") {
		req.MemberID, req.Generation, req.InstanceID = "", -1, nil
	}
	g := m.w.machine.classic("g")
	may := g == nil && req.Generation < 0
	if g != nil {
		mb := g.byID[req.MemberID]
		may = req.Generation < 0 && g.isEmpty() || mb != nil && req.Generation == g.generation && g.state != completingRebalance
	}
	accepted := false
	offset := req.Topics[0].Partitions[0].Offset
	before := len(m.w.log)
	m.w.machine.commitOffsets(req, func(_ *kmsg.OffsetCommitResponse, err error) {
		switch {
		case err == nil:
			accepted = true
			m.committed, m.maybe = offset, nil
		case err == kerr.NotCoordinator && len(m.w.log) >= before:
		}
	})
	if wrote := len(m.w.log) > before; wrote != (may && m.w.refuse == nil) {
		m.Fatalf("commit of %q in generation %d: written %v, group %+v", req.MemberID, req.Generation, wrote, g)
	} else if wrote && !accepted {
		m.maybe = append(m.maybe, offset)
	}
}

func (m *model) pass(*rapid.T) {
	m.w.pass(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, time.Minute}).Draw(m.T, "time"))
}

func (m *model) stick(*rapid.T) { m.w.stuck = true }

func (m *model) refuse(*rapid.T) { m.w.refuse = kerr.CoordinatorNotAvailable }

func (m *model) heal(*rapid.T) {
	m.w.stuck, m.w.refuse = false, nil
	m.w.answer(nil)
}

func (m *model) failOver(*rapid.T) { m.w.failOver() }

// check runs after each step.
func (m *model) check(*rapid.T) {
	m.listen()
	checkInvariants(m.T, m.w.machine)
	for _, c := range m.calls {
		if c.answered() > 1 {
			m.Fatalf("%v was answered %d times", c, c.answered())
		}
	}
	got := int64(-1)
	if g := m.w.machine.groups["g"]; g != nil && g.offsets[offsetKey{"t", 0}] != nil {
		got = g.offsets[offsetKey{"t", 0}].offset
	}
	if got != m.committed && !slices.Contains(m.maybe, got) {
		m.Fatalf("the offset is %d; %d was acknowledged, %v were sent since", got, m.committed, m.maybe)
	}
}

// finish: when all is well and nobody asks any more, everybody has been answered and the group is empty.
func (m *model) finish() {
	m.heal(nil)
	m.w.pass(20 * time.Minute)
	m.check(nil)
	for _, c := range m.calls {
		if c.answered() != 1 {
			m.Fatalf("%+v was answered %d times", c, c.answered())
		}
	}
	if g := m.w.machine.classic("g"); g != nil && !g.isEmpty() {
		m.Fatalf("the group is %s with %d members", g.state, len(g.members))
	}
}

func TestGroupKeepsItsPromisesWhateverItsMembersDo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(r, t)
		r.Repeat(map[string]func(*rapid.T){
			"join": m.join, "join again": m.join, "forget": m.forgetful, "sync": m.syncGroup, "sync again": m.syncGroup, "heartbeat": m.heartbeat, "leave": m.leave,
			"commit": m.commitOffset, "pass": m.pass, "pass more": m.pass, "stick": m.stick, "refuse": m.refuse, "heal": m.heal, "fail over": m.failOver, "": m.check,
		})
		m.finish()
	})
}
