package group

import (
	"strings"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeGroup tells a classic group's state and members (key 15, of which this is one group). One that does not exist is dead.
func (c *Coordinator) DescribeGroup(id string, version int16, done func(kmsg.DescribeGroupsResponseGroup)) {
	told := kmsg.NewDescribeGroupsResponseGroup()
	told.Group = id
	m, err := c.machineOf(id)
	if err != nil {
		told.ErrorCode = codeOf(err)
		done(told)
		return
	}
	if g := m.classic(id); g != nil {
		g.describe(&told)
	} else {
		told.State = deadState
		if version >= 6 {
			told.ErrorCode, told.ErrorMessage = kerr.GroupIDNotFound.Code, kmsg.StringPtr("Group "+id+" not found.")
		}
	}
	m.log.WhenCommitted(func(err error) {
		if err != nil {
			told = kmsg.NewDescribeGroupsResponseGroup()
			told.Group, told.ErrorCode = id, codeOf(err)
		}
		done(told)
	})
}

// describe implements members. What members say and get is told of a stable group only.
func (c *classic) describe(to *kmsg.DescribeGroupsResponseGroup) {
	to.State, to.ProtocolType = c.stateName(), c.typ
	if c.state == stable {
		to.Protocol = *c.protocol
	}
	to.Members = make([]kmsg.DescribeGroupsResponseGroupMember, 0, len(c.members))
	for _, mb := range c.members {
		m := kmsg.NewDescribeGroupsResponseGroupMember()
		m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, m.MemberAssignment = mb.id, mb.instanceID, mb.client.ID, mb.client.Host, mb.assignment
		if c.state == stable {
			m.ProtocolMetadata = mb.metadata(*c.protocol)
		}
		to.Members = append(to.Members, m)
	}
}

// ListGroups lists the groups of this broker (key 16), by partition and name. The filters do not mind case; empty ones let all pass.
func (c *Coordinator) ListGroups(states, types []string, done func([]kmsg.ListGroupsResponseGroup, error)) {
	l := &listing{done: done, open: 1}
	of := lowered(states)
	kinds := lowered(types)
	all := c.runtime.Each(func(s *coordinator.Shard) { l.list(s.Machine().(*machine), of, kinds) })
	if !all {
		l.err = kerr.CoordinatorLoadInProgress
	}
	l.close()
}

func lowered(filter []string) map[string]bool {
	set := make(map[string]bool, len(filter))
	for _, s := range filter {
		set[strings.ToLower(strings.TrimSpace(s))] = true
	}
	return set
}

// listing gathers the groups of several machines, each when what it tells is committed.
type listing struct {
	groups [][]kmsg.ListGroupsResponseGroup
	open   int // machines not heard of yet, and the one who asks
	err    error
	done   func([]kmsg.ListGroupsResponseGroup, error)
}

func (l *listing) list(m *machine, states, types map[string]bool) {
	at := len(l.groups)
	l.groups = append(l.groups, m.listed(states, types))
	l.open++
	m.log.WhenCommitted(func(err error) {
		switch err {
		case nil:
		case kerr.NotCoordinator:
			l.groups[at] = nil // another broker lists them now
		default:
			l.err = err
		}
		l.close()
	})
}

func (l *listing) close() {
	if l.open--; l.open > 0 {
		return
	}
	if l.err != nil {
		l.done(nil, l.err)
		return
	}
	var all []kmsg.ListGroupsResponseGroup
	for _, groups := range l.groups {
		all = append(all, groups...)
	}
	l.done(all, nil)
}

func (m *machine) listed(states, types map[string]bool) (groups []kmsg.ListGroupsResponseGroup) {
	for _, g := range m.sorted() {
		kind, state := g.members.kind(), g.members.stateName()
		if len(states) > 0 && !states[strings.ToLower(state)] || len(types) > 0 && !types[kind] {
			continue
		}
		told := kmsg.NewListGroupsResponseGroup()
		told.Group, told.ProtocolType, told.GroupState, told.GroupType = g.id, g.members.protocolType(), state, kind
		groups = append(groups, told)
	}
	return groups
}
