package group

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// JoinGroup lets a member into a group, or in again (key 11). The answer comes when all members have joined, or those that have not are given up.
// What done gets names an error by its code; the request's bytes are copied.
func (c *Coordinator) JoinGroup(req *kmsg.JoinGroupRequest, client Client, done func(*kmsg.JoinGroupResponse)) {
	session := millis(req.SessionTimeoutMillis)
	m, err := c.machineOf(req.Group)
	switch {
	case req.Group == "":
		done(joinError(req.MemberID, kerr.InvalidGroupID))
	case session < c.cfg.MinSessionTimeout || session > c.cfg.MaxSessionTimeout:
		done(joinError(req.MemberID, kerr.InvalidSessionTimeout))
	case err != nil:
		done(joinError("", err))
	default:
		m.joinGroup(req, client, done)
	}
}

// joinError is an answer with an error's code.
func joinError(memberID string, err error) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID = codeOf(err), memberID
	return resp
}

// joiner is a JoinGroup being worked on.
type joiner struct {
	*classic
	req       *kmsg.JoinGroupRequest
	client    Client
	protocols []protocol
	done      func(*kmsg.JoinGroupResponse)
}

func (m *machine) joinGroup(req *kmsg.JoinGroupRequest, client Client, done func(*kmsg.JoinGroupResponse)) {
	consumers := m.consumer(req.Group)
	if consumers != nil && !consumers.isEmpty() {
		consumers.joinGroup(req, client, done)
		return
	}
	if m.groups[req.Group] == nil || consumers != nil {
		if req.MemberID != "" {
			done(joinError(req.MemberID, kerr.UnknownMemberID))
			return
		}
		if err := m.createStored(req.Group, consumers); err != nil {
			done(joinError("", err))
			return
		}
	}
	c := m.classic(req.Group)
	if c == nil {
		done(joinError("", kerr.InconsistentGroupProtocol))
		return
	}
	j := &joiner{classic: c, req: req, client: client, protocols: protocolsOf(req), done: done}
	switch {
	case !c.hasRoomFor(req.MemberID):
		c.forget(req.MemberID)
		done(joinError("", kerr.GroupMaxSizeReached))
	case !c.supports(req.ProtocolType, j.protocols):
		done(joinError(req.MemberID, kerr.InconsistentGroupProtocol))
	case req.MemberID == "":
		j.joinNew()
	default:
		j.joinKnown()
	}
}

// createStored makes a group that a successor will know of too, in the place of one without members if there is one.
func (m *machine) createStored(id string, consumers *consumerGroup) error {
	if consumers != nil {
		return consumers.becomeClassic()
	}
	g := m.create(id)
	err := m.log.Append([]coordinator.Record{g.members.(*classic).record()}, nil)
	if err != nil {
		delete(m.groups, id)
	}
	return err
}

// hasRoomFor reports whether a member may join with regard to group.max.size. During a rebalance only those that have joined count: of a group
// that is too large the last ones to come stay outside.
func (c *classic) hasRoomFor(id string) bool {
	limit, known := c.machine.coordinator.cfg.MaxSize, c.byID[id]
	switch c.state {
	case empty:
		return true
	case preparingRebalance:
		return known != nil && known.joining != nil || c.joining < limit
	}
	return known != nil || len(c.members) < limit
}

func (c *classic) forget(id string) {
	if mb := c.byID[id]; mb != nil {
		c.drop(mb)
	} else if c.pending[id] != nil {
		c.dropPending(id)
	}
}

func (j *joiner) joinNew() {
	if instance := j.req.InstanceID; instance != nil {
		id := j.machine.coordinator.newMemberID(*instance)
		if old := j.byIns[*instance]; old != nil {
			j.replace(old, id)
		} else {
			j.enter(id)
		}
		return
	}
	id := j.machine.coordinator.newMemberID(j.client.ID)
	if j.req.Version < 4 {
		j.enter(id)
		return
	}
	j.pending[id] = j.machine.after(millis(j.req.SessionTimeoutMillis), func() { j.classic.onPendingExpired(id) })
	j.done(joinError(id, kerr.MemberIDRequired))
}

// newMemberID draws an id that begins with what the client calls itself. Of a name that would make it longer than a string may
// be the end is left out: what a record of the group keeps could not be read.
func (c *Coordinator) newMemberID(name string) string {
	id := "-" + c.newUUID()
	if room := math.MaxInt16 - len(id); len(name) > room {
		name = strings.ToValidUTF8(name[:room], "")
	}
	return name + id
}

// newUUID draws a random one in its usual form.
func (c *Coordinator) newUUID() string {
	hi, lo := c.rand.Uint64()&^0xf000|0x4000, c.rand.Uint64()&^(3<<62)|1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1))
}

// newKafkaUUID draws a random one in the form that Kafka writes: base64 for URLs, never with a dash in front.
func (c *Coordinator) newKafkaUUID() string {
	var id [16]byte
	for {
		binary.BigEndian.PutUint64(id[:], c.rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], c.rand.Uint64())
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if s := base64.RawURLEncoding.EncodeToString(id[:]); s[0] != '-' {
			return s
		}
	}
}

// joinKnown is a member that has its id.
func (j *joiner) joinKnown() {
	id := j.req.MemberID
	if j.pending[id] != nil && j.req.InstanceID == nil {
		j.dropPending(id)
		j.enter(id)
		return
	}
	if err := j.check(id, j.req.InstanceID); err != nil {
		j.done(joinError(id, err))
		return
	}
	mb := j.byID[id]
	same := mb.matches(j.protocols)
	switch {
	case j.state == completingRebalance && same, j.state == stable && same && j.leader != id:
		// The answer to its last request was lost, or it is a follower with nothing new to say.
		j.done(j.joined(mb))
	default: // news; or the leader, who wants a rebalance for reasons of its own
		j.update(mb)
		j.rebalanceOrComplete()
	}
}

// update takes what a member says now, and has it wait.
func (j *joiner) update(mb *member) {
	j.answerJoin(mb, joinError(mb.id, kerr.RebalanceInProgress)) // to a request before this one, which the client has given up
	j.support(mb, -1)
	mb.protocols, mb.rebalanceTimeout, mb.sessionTimeout = j.protocols, j.rebalanceTimeoutAsked(), millis(j.req.SessionTimeoutMillis)
	j.support(mb, 1)
	mb.joining = j.done
	j.joining++
}

// rebalanceTimeoutAsked is the session's in version 0, which has no other.
func (j *joiner) rebalanceTimeoutAsked() time.Duration { return millis(rebalanceTimeoutAsked(j.req)) }

func rebalanceTimeoutAsked(req *kmsg.JoinGroupRequest) int32 {
	if req.Version == 0 {
		return req.SessionTimeoutMillis
	}
	return req.RebalanceTimeoutMillis
}

// newMemberTimeout is how long a member stays that does not know its id yet. It cannot send heartbeats, and a closed connection is not
// noticed while its request waits; if it is still there it will ask again.
const newMemberTimeout = 5 * time.Minute

// enter adds a member.
func (j *joiner) enter(id string) {
	if j.state == preparingRebalance && j.previous == empty {
		j.newcomers = true
	}
	if len(j.members) == 0 {
		j.typ = j.req.ProtocolType
	}
	mb := &member{
		id: id, instanceID: j.req.InstanceID, client: j.client, protocols: j.protocols, isNew: true, joining: j.done,
		rebalanceTimeout: j.rebalanceTimeoutAsked(), sessionTimeout: millis(j.req.SessionTimeoutMillis),
	}
	j.add(mb)
	j.expect(mb, newMemberTimeout)
	j.rebalanceOrComplete()
}

// joined is the answer to a member that is in the current generation. The leader is told of all.
func (c *classic) joined(mb *member) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Generation, resp.ProtocolType, resp.Protocol, resp.LeaderID, resp.MemberID = c.generation, c.nullableType(), c.protocol, c.leader, mb.id
	if c.leader == mb.id {
		resp.Members = c.told()
	}
	return resp
}

// told is what the leader is told of the members.
func (c *classic) told() []kmsg.JoinGroupResponseMember {
	all := make([]kmsg.JoinGroupResponseMember, 0, len(c.members))
	for _, mb := range c.members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.InstanceID, m.ProtocolMetadata = mb.id, mb.instanceID, mb.metadata(*c.protocol)
		all = append(all, m)
	}
	return all
}

func (c *classic) answerJoin(mb *member, resp *kmsg.JoinGroupResponse) {
	if mb.joining == nil {
		return
	}
	done := mb.joining
	mb.joining = nil
	c.joining--
	done(resp)
}
