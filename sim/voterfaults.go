package sim

import (
	"slices"

	"github.com/lockstep/lockstep/core/raft"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// changeVoters has the operator add a controller to the voters or take one out, n if that makes sense. It asks until it is granted, or
// refused for good; what stands in the way now, another change or one that has not caught up, may be over soon.
func (c *chaos) changeVoters(s *strike, n *Node) {
	leader := c.run.cluster.quorumLeader()
	if c.run.schedule.Options.Cluster.Controllers == 0 || leader == nil {
		return
	}
	c.callOperator()
	voters := leader.broker.Raft().Voters()
	if s.fault.Kind == RemoveVoter {
		c.removeVoter(s, n, voters)
	} else {
		c.addVoter(s, n, voters)
	}
}

func (c *chaos) addVoter(s *strike, n *Node, voters []raft.Voter) {
	candidates := slices.DeleteFunc(slices.Clone(c.run.cluster.nodes), func(m *Node) bool {
		return !m.isController() || !m.Up() || m.broker.DirectoryID() == [16]byte{} || findVoter(voters, m.id) != nil
	})
	if len(candidates) == 0 {
		return
	}
	if !slices.Contains(candidates, n) {
		n = candidates[0]
	}
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.Version, req.TimeoutMillis = 1, int32(c.operator.timeout.Milliseconds())
	req.VoterID, req.VoterDirectoryID = n.id, n.broker.DirectoryID()
	req.Listeners = append(req.Listeners, kmsg.AddRaftVoterRequestListener{Name: "CONTROLLER", Host: n.name, Port: controllerPort})
	c.wish(s, wish{req: req, to: c.doorOf(s), error: func(resp kmsg.Response) int16 { return resp.(*kmsg.AddRaftVoterResponse).ErrorCode }})
}

func (c *chaos) removeVoter(s *strike, n *Node, voters []raft.Voter) {
	if len(voters) < 2 {
		return
	}
	v := &voters[0]
	if n != nil && findVoter(voters, n.id) != nil {
		v = findVoter(voters, n.id)
	}
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = v.ID, v.DirectoryID
	c.wish(s, wish{req: req, to: c.doorOf(s), error: func(resp kmsg.Response) int16 { return resp.(*kmsg.RemoveRaftVoterResponse).ErrorCode }})
}

// doorOf is whom an operator asks for a change: the leader, before it is the active controller too, or brokers, who wait for one.
func (c *chaos) doorOf(s *strike) func() int32 {
	if s.fault.Size != 1 {
		return nil
	}
	return func() int32 {
		if leader := c.run.cluster.quorumLeader(); leader != nil {
			return controllerDoor + leader.id
		}
		return c.operator.anyBroker()
	}
}

func findVoter(voters []raft.Voter, id int32) *raft.Voter {
	at := slices.IndexFunc(voters, func(v raft.Voter) bool { return v.ID == id })
	if at < 0 {
		return nil
	}
	return &voters[at]
}
