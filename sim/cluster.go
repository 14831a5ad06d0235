package sim

import (
	"time"

	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/network/simnet"
)

// clientNode is the first node id of clients in the virtual world.
const clientNode = 1000

// Cluster is all machines of one world.
type Cluster struct {
	run   *run
	net   *simnet.Net
	nodes []*Node // by id
}

func newCluster(r *run) (*Cluster, error) {
	o := &r.schedule.Options.Cluster
	c := &Cluster{run: r}
	c.net = simnet.New(r.world, r.schedule.Seed, simnet.Options{
		ReadRegion:  readRegion,
		MinDelay:    min(50*time.Microsecond, o.MaxLinkDelay),
		MaxDelay:    o.MaxLinkDelay,
		DialTimeout: o.DialTimeout,
		Tap:         r.tap(),

		RetransmitTimeout: o.Retransmit,
	})
	for _, id := range nodeIDs(o) {
		if err := c.add(id, o); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// readRegion is what a file held when it was transmitted. A region that reaches beyond the file's end
// is a promise that was broken.
func readRegion(r disk.Region, p []byte) {
	if n := simdisk.ReadRegion(r, p); n != len(p) {
		panic(harnessError("a region of " + r.File.Name() + " reaches beyond the end of the file"))
	}
}

func (c *Cluster) add(id int32, o *ClusterOptions) (err error) {
	n := &Node{cluster: c, id: id, name: nodeName(id), loop: c.run.world.Node(id)}
	n.host = c.net.Host(n.name, n.loop)
	options := simdisk.Options{
		SyncDelay: simdisk.Range{Min: 200 * time.Microsecond, Max: o.DiskSync},
	}
	n.disk = simdisk.New(n.loop, c.run.schedule.Seed, options)
	for i := 1; i < o.LogDirs; i++ {
		n.more = append(n.more, simdisk.New(n.loop, c.run.schedule.Seed+uint64(i)<<48, options))
	}
	n.config, _, err = config.Parse(n.properties(o))
	c.nodes = append(c.nodes, n)
	return err
}

// release lets the next run have the memory of the disks and the network: nobody looks at them any more.
func (c *Cluster) release() {
	if c == nil {
		return
	}
	for _, n := range c.nodes {
		for _, d := range n.disks() {
			d.Release()
		}
	}
	c.net.Release()
}

// node returns the node of a host name, nil if it is not a node's.
func (c *Cluster) node(name string) *Node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

func (c *Cluster) byID(id int32) *Node {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// Nodes implements check.Inspector.
func (c *Cluster) Nodes() (ids []int32) {
	for _, n := range c.nodes {
		ids = append(ids, n.id)
	}
	return ids
}

// Broker implements check.Inspector: the node's process, nil while it is down.
func (c *Cluster) Broker(id int32) *core.Broker {
	if n := c.byID(id); n != nil {
		return n.broker
	}
	return nil
}

// Voters implements check.Inspector: those that a node counts.
func (c *Cluster) Voters(id int32) (ids []int32) {
	if b := c.Broker(id); b != nil && b.Raft() != nil && c.run.schedule.Options.Cluster.Controllers > 0 {
		for _, v := range b.Raft().Voters() {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// File implements check.Inspector: the bytes of a file as reads see them; read only.
func (c *Cluster) File(id int32, topicID [16]byte, name string) []byte {
	return c.byID(id).diskWith(topicID, name).Peek(name)
}

// Files implements check.Inspector: the names of all files in a directory of a node, which ends in a slash.
func (c *Cluster) Files(id int32, topicID [16]byte, dir string) []string {
	return c.byID(id).diskWith(topicID, dir).NamesIn(dir)
}

// controller is the active controller in the newest epoch; nil if there is none.
func (c *Cluster) controller() (active *Node) {
	for _, n := range c.nodes {
		if n.broker == nil || n.broker.Controller() == nil || !n.broker.Controller().Active() {
			continue
		}
		if active == nil || n.broker.Controller().Epoch() > active.broker.Controller().Epoch() {
			active = n
		}
	}
	return active
}

// quorumLeader is the active controller; if there is none, who leads the quorum in the newest epoch, nil if nobody does.
func (c *Cluster) quorumLeader() (leader *Node) {
	if leader = c.controller(); leader != nil {
		return leader
	}
	newest := int32(-1)
	for _, n := range c.nodes {
		if n.broker == nil || n.broker.Raft() == nil {
			continue
		}
		if id, epoch := n.broker.Raft().LeaderAndEpoch(); id == n.id && epoch > newest {
			leader, newest = n, epoch
		}
	}
	return leader
}

// voters are those of the quorum: as the leader has them, if they can change.
func (c *Cluster) voters() (ids []int32) {
	o := &c.run.schedule.Options.Cluster
	if o.Controllers == 0 {
		return voterIDs(o)
	}
	leader := c.quorumLeader()
	if leader == nil {
		return controllerIDs(o)
	}
	for _, v := range leader.broker.Raft().Voters() {
		ids = append(ids, v.ID)
	}
	return ids
}

// image is the newest committed metadata that a living node has; nil before there is any.
func (c *Cluster) image() (newest *metadata.Image) {
	for _, n := range c.nodes {
		if n.broker == nil || n.broker.Raft() == nil {
			continue
		}
		if img := n.broker.Image(); newest == nil || img.Offset() > newest.Offset() {
			newest = img
		}
	}
	return newest
}

// leader is the node that leads a partition as far as the metadata says; nil if none does.
func (c *Cluster) leader(p event.Partition) *Node {
	img := c.image()
	if img == nil {
		return nil
	}
	if reg := img.Partition(p); reg != nil && reg.Leader >= 0 {
		return c.byID(reg.Leader)
	}
	return nil
}

// brokerAddr is where clients reach a broker, or a controller under an id from controllerDoor on.
func brokerAddr(id int32) network.Addr {
	if id >= controllerDoor {
		return addrOf(nodeName(id-controllerDoor), controllerPort)
	}
	return addrOf(nodeName(id), clientPort)
}

// controllerDoor is what an operator adds to a node's id who asks its controller, without a broker between them.
const controllerDoor = 256
