package group

import (
	"slices"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// replace is a static member that comes back without its id: it takes the place of the member that it was, which is fenced
// if it is alive all the same (KIP-345). A stable group goes on as it is if the protocol does.
func (j *joiner) replace(old *member, id string) {
	formerLeader := j.leader
	mb := j.swap(old, id)
	j.update(mb)
	switch {
	case j.state == stable && *j.protocol == j.choose():
		j.storeReplaced(mb, old, formerLeader)
	case j.state == stable || j.state == completingRebalance:
		j.prepareRebalance()
	default:
		j.maybeCompleteJoin()
	}
}

// swap puts a member with another id in a member's place. Who waits for an answer under the old id is fenced.
func (c *classic) swap(old *member, id string) *member {
	c.answerJoin(old, joinError(old.id, kerr.FencedInstanceID))
	answerSync(old, syncError(kerr.FencedInstanceID))
	old.stop()
	mb := &member{
		id: id, instanceID: old.instanceID, client: old.client, protocols: old.protocols, assignment: old.assignment,
		rebalanceTimeout: old.rebalanceTimeout, sessionTimeout: old.sessionTimeout,
	}
	c.members[slices.Index(c.members, old)] = mb
	delete(c.byID, old.id)
	c.byID[id], c.byIns[*mb.instanceID] = mb, mb
	if c.leader == old.id {
		c.leader = id
	}
	c.heard(mb)
	return mb
}

// storeReplaced has a successor know the member's new id too. The member is told to take the assignment that it had: from version 9 on a
// leader is told not to assign anew (KIP-814); before, that somebody else leads.
func (j *joiner) storeReplaced(mb, old *member, formerLeader string) {
	resp := j.joined(mb)
	if j.req.Version < 9 {
		resp.LeaderID, resp.Members = formerLeader, nil
	}
	resp.SkipAssignment = j.req.Version >= 9 && j.leader == mb.id
	err := j.machine.log.Append([]coordinator.Record{j.record()}, func(err error) {
		if err != nil {
			resp = joinError("", err)
		}
		j.done(resp)
	})
	j.joining--
	mb.joining = nil
	if err != nil {
		j.support(mb, -1)
		j.support(old, 1)
		mb.protocols, mb.rebalanceTimeout, mb.sessionTimeout = old.protocols, old.rebalanceTimeout, old.sessionTimeout
		j.swap(mb, old.id)
		j.done(j.notReplaced(formerLeader, err))
	}
}

func (c *classic) notReplaced(leader string, err error) *kmsg.JoinGroupResponse {
	resp := joinError("", err)
	resp.Generation, resp.ProtocolType, resp.Protocol, resp.LeaderID = c.generation, c.nullableType(), c.protocol, leader
	return resp
}
