package group

import (
	"fmt"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerLeave takes a member out of its group, or, if it is static and will be back, keeps its place until its session ends.
func (m *machine) consumerLeave(req *kmsg.ConsumerGroupHeartbeatRequest, committed func(error)) (*kmsg.ConsumerGroupHeartbeatResponse, error) {
	c := m.consumer(req.Group)
	if c == nil {
		return nil, refusal{kerr.GroupIDNotFound, fmt.Sprintf("there is no group %q of the consumer protocol", req.Group)}
	}
	mb, err := c.leaving(req.MemberID, req.InstanceID)
	if err != nil {
		return nil, err
	}
	if req.MemberEpoch == leaveStaticEpoch {
		err = m.log.Append([]coordinator.Record{c.currentRecord(mb.away())}, committed)
	} else {
		err = c.remove([]*consumerMember{mb}, committed)
	}
	if err != nil {
		return nil, appendError(err)
	}
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = &req.MemberID, req.MemberEpoch
	return resp, nil
}

// leaving is the member that says that it leaves.
func (c *consumerGroup) leaving(id string, instanceID *string) (mb *consumerMember, err error) {
	if instanceID == nil {
		return c.dynamicMember(id, false)
	}
	mb, _, err = c.staticMemberFor(id, *instanceID, false, false)
	return mb, err
}

// remove takes members out of the group. answer is called when that is committed. If those that are left all speak the classic protocol, it becomes
// a classic group.
func (c *consumerGroup) remove(gone []*consumerMember, answer func(error)) error {
	if len(gone) > 0 && c.mayDowngrade(gone) {
		return c.downgrade(gone, nil, true, answer)
	}
	return c.machine.log.Append(c.removal(gone), answer)
}

// removal are the records that take members out. A new assignment is due then; of nobody it is done at once.
func (c *consumerGroup) removal(gone []*consumerMember) (records []coordinator.Record) {
	if len(gone) == 0 {
		return nil
	}
	leaving := map[string]int{}
	for _, mb := range gone {
		records = append(records, c.memberTombstones(mb)...)
		leaving[mb.regex]++
	}
	s := c.subscriptions(nil, gone...)
	for _, regex := range sortedKeys(leaving) {
		if regex != "" && leaving[regex] == c.matched[regex] {
			records = append(records, tombstone(memberKey(keyRegularExpression, c.group.id, regex)))
			s.regexes = without(s.regexes, regex)
		}
	}
	records = append(records, c.epochRecord(c.epoch+1, s.hash()))
	if len(gone) == len(c.members) {
		records = append(records, c.targetMetadataRecord(c.epoch+1, 0))
	}
	return records
}
