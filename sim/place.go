package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
)

// place is whom a fault's Target or Peer means at the moment that it begins: a host by its name (n1, p0, c0), or
//
//	any             the node of the event that the fault waited for
//	struck          the node that the fault before it struck
//	controller      the active controller, or who leads the quorum while there is none
//	voter           the first living voter of the quorum that does not lead it
//	last-voter      the last such voter
//	leader:t/p      the leader of partition p of topic t
//	follower:t/p    the first living replica in its ISR that does not lead
//	last-follower:t/p  the last such replica
//	outsider:t/p    the first replica, a living one if there is, that is not in its ISR
type place struct {
	role      string // empty: a host
	host      string
	partition event.Partition // of the roles that have one
}

// The roles.
const (
	roleAny          = "any"
	roleStruck       = "struck"
	roleController   = "controller"
	roleVoter        = "voter"
	roleLastVoter    = "last-voter"
	roleLeader       = "leader"
	roleFollower     = "follower"
	roleLastFollower = "last-follower"
	roleOutsider     = "outsider"
)

// partitionRoles are the roles that name a partition.
var partitionRoles = []string{roleLeader, roleFollower, roleLastFollower, roleOutsider}

func parsePlace(s string) place {
	switch s {
	case roleAny, roleStruck, roleController, roleVoter, roleLastVoter:
		return place{role: s}
	}
	role, rest, ok := strings.Cut(s, ":")
	topic, index, hasIndex := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(index, 10, 32)
	if !ok || !hasIndex || err != nil || !slices.Contains(partitionRoles, role) {
		return place{host: s}
	}
	return place{role: role, partition: event.Partition{Topic: topic, Index: int32(n)}}
}

// String is the place as parsePlace reads it.
func (p place) String() string {
	switch {
	case p.role == "":
		return p.host
	case p.partition.Topic == "":
		return p.role
	}
	return fmt.Sprintf("%s:%s/%d", p.role, p.partition.Topic, p.partition.Index)
}

// of is a role of a partition as a place.
func of(role string, p event.Partition) string { return place{role: role, partition: p}.String() }

// checkPlace finds a place that no host can ever be at.
func checkPlace(s string, o *Options) error {
	p := parsePlace(s)
	t := o.topic(p.partition.Topic)
	switch {
	case p.role == "" && !slices.Contains(hostNames(o), p.host):
		return fmt.Errorf("no host %q", s)
	case p.partition.Topic != "" && (t == nil || p.partition.Index < 0 || int(p.partition.Index) >= t.Partitions):
		return fmt.Errorf("no partition %s", p.partition)
	}
	return nil
}

// covers reports whether an event is about what the place names: of another partition it is not. What concerns the quorum
// concerns the node as a whole; the log of a member of the quorum is the quorum's.
func (p *place) covers(e *event.Event) bool {
	if p.role == roleController || p.role == roleVoter || p.role == roleLastVoter {
		return e.Kind < event.Appended || e.Kind > event.SegmentRolled || e.Partition == event.MetadataPartition
	}
	return p.partition.Topic == "" || e.Partition.Topic == "" || e.Partition == p.partition || e.Partition == event.MetadataPartition
}

// resolve names the host that a place means now; empty if there is none.
func (c *chaos) resolve(p place) string {
	cluster := c.run.cluster
	var n *Node
	switch p.role {
	case "":
		return p.host
	case roleStruck:
		return c.struck
	case roleController:
		n = cluster.quorumLeader()
	case roleVoter, roleLastVoter:
		n = cluster.otherVoter(p.role == roleLastVoter)
	case roleLeader:
		n = cluster.leader(p.partition)
	case roleFollower, roleLastFollower:
		n = cluster.follower(p.partition, p.role == roleLastFollower)
	case roleOutsider:
		n = cluster.outsider(p.partition)
	}
	if n == nil {
		return ""
	}
	return n.name
}

// otherVoter is the first living voter that is not the active controller, or the last; nil if there is none.
func (c *Cluster) otherVoter(last bool) (found *Node) {
	active := c.quorumLeader()
	for _, id := range c.voters() {
		if n := c.byID(id); n != active && n.Up() && (found == nil || last) {
			found = n
		}
	}
	return found
}

// follower is the first living replica of a partition that is in its ISR and does not lead it, or the last; nil if there is none.
func (c *Cluster) follower(id event.Partition, last bool) (found *Node) {
	c.others(id, func(n *Node, inISR bool) {
		if inISR && n.Up() && (found == nil || last) {
			found = n
		}
	})
	return found
}

// outsider is the first living replica of a partition that is not in its ISR; a dead one if none lives, nil if there is none.
func (c *Cluster) outsider(id event.Partition) (found *Node) {
	c.others(id, func(n *Node, inISR bool) {
		if !inISR && (found == nil || n.Up() && !found.Up()) {
			found = n
		}
	})
	return found
}

// others calls f for each replica of a partition that does not lead it.
func (c *Cluster) others(id event.Partition, f func(n *Node, inISR bool)) {
	reg := c.registration(id)
	if reg == nil {
		return
	}
	for _, id := range reg.Replicas {
		if n := c.byID(id); n != nil && id != reg.Leader {
			f(n, slices.Contains(reg.ISR, id))
		}
	}
}

// registration is a partition as the newest metadata has it; nil if it has none.
func (c *Cluster) registration(id event.Partition) *metadata.Partition {
	if img := c.image(); img != nil {
		return img.Partition(id)
	}
	return nil
}
