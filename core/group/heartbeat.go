package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Heartbeat keeps a member's session going (key 12). REBALANCE_IN_PROGRESS tells it to join again.
func (c *Coordinator) Heartbeat(req *kmsg.HeartbeatRequest, done func(error)) {
	m, err := c.machineOf(req.Group)
	switch {
	case req.Group == "":
		done(kerr.InvalidGroupID)
	case err == kerr.CoordinatorLoadInProgress:
		done(nil) // its session begins when the group is loaded
	case err != nil:
		done(err)
	default:
		m.heartbeat(req, done)
	}
}

func (m *machine) heartbeat(req *kmsg.HeartbeatRequest, done func(error)) {
	err := error(kerr.UnknownMemberID)
	if c := m.classic(req.Group); c != nil {
		err = c.heartbeat(req)
	} else if c := m.consumer(req.Group); c != nil {
		err = c.heartbeat(req)
	}
	if err != nil {
		done(err)
		return
	}
	m.log.WhenCommitted(done)
}

func (c *classic) heartbeat(req *kmsg.HeartbeatRequest) error {
	if err := c.check(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != c.generation {
		return kerr.IllegalGeneration
	}
	c.heard(c.byID[req.MemberID])
	if c.state == preparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}
