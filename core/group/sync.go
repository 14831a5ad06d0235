package group

import (
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SyncGroup gives a member its assignment, and takes the leader's for all (key 14).
func (c *Coordinator) SyncGroup(req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	m, err := c.machineOf(req.Group)
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		err = kerr.InconsistentGroupProtocol
	case req.Group == "":
		err = kerr.InvalidGroupID
	}
	if err != nil {
		done(syncError(err))
		return
	}
	m.syncGroup(req, done)
}

func (m *machine) syncGroup(req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	if g := m.classic(req.Group); g != nil && !g.isEmpty() {
		g.syncGroup(req, done)
		return
	}
	if g := m.consumer(req.Group); g != nil && !g.isEmpty() {
		g.syncGroup(req, done)
		return
	}
	done(syncError(kerr.UnknownMemberID))
}

func syncError(err error) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = codeOf(err)
	return resp
}

func answerSync(mb *member, resp *kmsg.SyncGroupResponse) {
	if done := mb.syncing; done != nil {
		mb.syncing = nil
		done(resp)
	}
}

// checkSync is why a SyncGroup is refused, or nil.
func (c *classic) checkSync(req *kmsg.SyncGroupRequest) error {
	if err := c.check(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	switch {
	case req.Generation != c.generation:
		return kerr.IllegalGeneration
	case req.ProtocolType != nil && c.typ != "" && *req.ProtocolType != c.typ, req.Protocol != nil && c.protocol != nil && *req.Protocol != *c.protocol:
		return kerr.InconsistentGroupProtocol
	case c.state == preparingRebalance:
		return kerr.RebalanceInProgress
	}
	return nil
}

func (c *classic) syncGroup(req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	if err := c.checkSync(req); err != nil {
		done(syncError(err))
		return
	}
	mb := c.byID[req.MemberID]
	c.synced(mb)
	if c.state == stable {
		c.answerWhenCommitted(mb, done)
		return
	}
	answerSync(mb, syncError(kerr.RebalanceInProgress)) // to a request before this one, which the client has given up
	mb.syncing = done
	if c.leader == mb.id {
		c.assign(req.GroupAssignment)
	}
}

// synced: the member has asked for its assignment. When all have, none is late.
func (c *classic) synced(mb *member) {
	mb.owesSync = false
	for _, other := range c.members {
		if other.owesSync {
			return
		}
	}
	stopAll(c.sync)
}

func (c *classic) assigned(mb *member) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol, resp.MemberAssignment = c.nullableType(), c.protocol, mb.assignment
	return resp
}

// answerWhenCommitted tells a member its assignment when a successor would tell it the same.
func (c *classic) answerWhenCommitted(mb *member, done func(*kmsg.SyncGroupResponse)) {
	resp := c.assigned(mb)
	c.machine.log.WhenCommitted(func(err error) {
		if err != nil {
			resp = syncError(err)
		}
		done(resp)
	})
}

// assign takes the leader's assignment; who is not in it gets nothing. If it cannot be stored all join again.
func (c *classic) assign(assignments []kmsg.SyncGroupRequestGroupAssignment) {
	given := make(map[string][]byte, len(assignments))
	for _, a := range assignments {
		given[a.MemberID] = append([]byte{}, a.MemberAssignment...)
	}
	for _, mb := range c.members {
		mb.assignment = given[mb.id]
	}
	if err := c.machine.log.Append([]coordinator.Record{c.record()}, nil); err != nil {
		c.resetAssignment(err)
		c.rebalanceOrComplete()
		return
	}
	c.become(stable)
	for _, mb := range c.members {
		if done := mb.syncing; done != nil {
			mb.syncing = nil
			c.heard(mb)
			c.answerWhenCommitted(mb, done)
		}
	}
}

// resetAssignment takes all assignments away and answers those who wait for theirs with an error.
func (c *classic) resetAssignment(err error) {
	for _, mb := range c.members {
		mb.assignment = nil
		if mb.syncing != nil {
			c.heard(mb)
			answerSync(mb, syncError(err))
		}
	}
}
