package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// LeaveGroup takes members out of a group (key 13): the one that asks, or, by an administrator, static ones by their instance id.
func (c *Coordinator) LeaveGroup(req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	m, err := c.machineOf(req.Group)
	if req.Group == "" {
		err = kerr.InvalidGroupID
	}
	if err != nil {
		done(leaveError(err))
		return
	}
	m.leaveGroup(req, done)
}

func leaveError(err error) *kmsg.LeaveGroupResponse {
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.ErrorCode = codeOf(err)
	return resp
}

func (m *machine) leaveGroup(req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	leaving := req.Members
	if req.Version < 3 {
		leaving = []kmsg.LeaveGroupRequestMember{{MemberID: req.MemberID}}
	}
	if c := m.consumer(req.Group); c != nil {
		m.leaveConsumer(c, req.Version, leaving, done)
		return
	}
	c := m.classic(req.Group)
	resp, left := kmsg.NewPtrLeaveGroupResponse(), false
	for i := range leaving {
		err := error(kerr.UnknownMemberID)
		if c != nil {
			err = c.leave(leaving[i].MemberID, leaving[i].InstanceID)
		}
		left = left || err == nil
		resp.Members = append(resp.Members, hasLeft(leaving[i], err))
	}
	if left {
		c.onLeft()
	}
	asOldVersion(req.Version, resp)
	m.log.WhenCommitted(func(err error) {
		if err != nil {
			resp = leaveError(err)
		}
		done(resp)
	})
}

func hasLeft(l kmsg.LeaveGroupRequestMember, err error) kmsg.LeaveGroupResponseMember {
	told := kmsg.NewLeaveGroupResponseMember()
	told.MemberID, told.InstanceID, told.ErrorCode = l.MemberID, l.InstanceID, codeOf(err)
	return told
}

// asOldVersion: before version 3 there is one member, and its error is the answer's.
func asOldVersion(version int16, resp *kmsg.LeaveGroupResponse) {
	if version < 3 {
		resp.ErrorCode, resp.Members = resp.Members[0].ErrorCode, nil
	}
}

// leaveConsumer is leaveGroup for a consumer group.
func (m *machine) leaveConsumer(c *consumerGroup, version int16, leaving []kmsg.LeaveGroupRequestMember, done func(*kmsg.LeaveGroupResponse)) {
	resp := kmsg.NewPtrLeaveGroupResponse()
	errs, err := c.leaveGroup(leaving, func(err error) {
		if err != nil {
			resp = leaveError(err)
		}
		done(resp)
	})
	if err != nil {
		done(leaveError(err))
		return
	}
	for i := range leaving {
		resp.Members = append(resp.Members, hasLeft(leaving[i], errs[i]))
	}
	asOldVersion(version, resp)
}

// leave takes a member out; the group goes on in onLeft.
func (c *classic) leave(id string, instanceID *string) error {
	switch {
	case id == "":
		if instanceID == nil || c.byIns[*instanceID] == nil {
			return kerr.UnknownMemberID
		}
		c.drop(c.byIns[*instanceID])
		return nil
	case c.pending[id] != nil:
		c.dropPending(id)
		return nil
	}
	if err := c.check(id, instanceID); err != nil {
		return err
	}
	c.drop(c.byID[id])
	return nil
}

func (c *classic) onLeft() {
	if c.state == stable || c.state == completingRebalance {
		c.prepareRebalance()
	} else {
		c.maybeCompleteJoin()
	}
}
