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
	c := m.classic(req.Group)
	resp, left := kmsg.NewPtrLeaveGroupResponse(), false
	for i := range leaving {
		err := error(kerr.UnknownMemberID)
		if c != nil {
			err = c.leave(leaving[i].MemberID, leaving[i].InstanceID)
		}
		left = left || err == nil
		told := kmsg.NewLeaveGroupResponseMember()
		told.MemberID, told.InstanceID, told.ErrorCode = leaving[i].MemberID, leaving[i].InstanceID, codeOf(err)
		resp.Members = append(resp.Members, told)
	}
	if left {
		c.onLeft()
	}
	if req.Version < 3 {
		resp.ErrorCode, resp.Members = resp.Members[0].ErrorCode, nil
	}
	m.log.WhenCommitted(func(err error) {
		if err != nil {
			resp = leaveError(err)
		}
		done(resp)
	})
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
