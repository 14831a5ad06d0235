package sim

import "fmt"

// The names of hosts. Nodes are n and their id; controllers of their own have ids from firstVoter on.
const firstVoter = 101

func nodeName(id int32) string { return fmt.Sprintf("n%d", id) }

// nodeIDs lists the nodes: brokers, then controllers of their own.
func nodeIDs(c *ClusterOptions) (ids []int32) {
	for i := range c.Brokers {
		ids = append(ids, int32(1+i))
	}
	if !c.Combined {
		ids = append(ids, controllerIDs(c)...)
	}
	return ids
}

// voterIDs are the voters, to begin with if they can change.
func voterIDs(c *ClusterOptions) []int32 { return controllerIDs(c)[:c.Voters] }

// controllerIDs are the nodes with the controller's role.
func controllerIDs(c *ClusterOptions) (ids []int32) {
	first := int32(firstVoter)
	if c.Combined {
		first = 1
	}
	for i := range max(c.Voters, c.Controllers) {
		ids = append(ids, first+int32(i))
	}
	return ids
}

func nodeNames(c *ClusterOptions) (names []string) {
	for _, id := range nodeIDs(c) {
		names = append(names, nodeName(id))
	}
	return names
}

func clientNames(o *Options) (names []string) {
	for i := range o.Producers {
		names = append(names, fmt.Sprintf("p%d", i))
	}
	for i := range o.Consumers {
		names = append(names, fmt.Sprintf("c%d", i))
	}
	for i := range o.memberCount() {
		names = append(names, memberName(i))
	}
	for i := range o.transactorCount() {
		names = append(names, transactorName(i))
	}
	return names
}

// memberName is the host of a member, counted through all groups.
func memberName(i int) string { return fmt.Sprintf("m%d", i) }

// transactorName is the host of a transactional producer.
func transactorName(i int) string { return fmt.Sprintf("x%d", i) }

// transactorNode is its node in the virtual world.
func transactorNode(o *Options, i int) int32 { return memberNode(o, o.memberCount()+i) }

// memberNode is its node in the virtual world.
func memberNode(o *Options, i int) int32 {
	return clientNode + int32(len(o.Producers)+len(o.Consumers)+i)
}

func hostNames(o *Options) []string {
	return append(nodeNames(&o.Cluster), clientNames(o)...)
}
