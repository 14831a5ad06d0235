package sim

import (
	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/metadata"
)

// budget keeps what a run promises provable: the machines that lost their power or their disk and have not caught up again
// are at most as many replicas of any partition as its promise survives, which is one less than its min.insync.replicas.
//
// A topic with a min.insync.replicas of 1 or with unclean election promises nothing when machines die; what it loses is
// expected. One that syncs each append promises everything when the power goes, and no more than others when a disk does.
// The quorum syncs before it votes or acknowledges, so that its log bounds nothing but lost disks: no voter may lose its
// own. Without ELR (KIP-966) no machine may die.
type budget struct {
	cluster   *Cluster
	topics    map[string]*TopicOptions
	unbounded bool
	suspended bool // ELR is being turned off or on
}

func newBudget(c *Cluster, o *Options) budget {
	b := budget{cluster: c, topics: map[string]*TopicOptions{}, unbounded: o.Unbounded}
	for _, t := range o.topicPointers() {
		b.topics[t.Name] = t
	}
	return b
}

// allows reports whether a node may lose now what a kind of fault takes.
func (b *budget) allows(n *Node, k Kind) bool {
	takes := lostPower
	if k == WipedDisk || k == BitRot || k == MisdirectedWrite {
		takes = lostDisk
	}
	if k == WipedDisk && n.isController() {
		return false
	}
	img := b.cluster.image()
	switch {
	case b.unbounded:
		return true
	case img == nil:
		return false
	}
	b.forgive()
	if b.suspended || !hasELR(img) {
		return false
	}
	allowed := true
	img.Partitions(func(p *metadata.Partition) bool {
		allowed = !p.HasReplica(n.id) || b.survives(p, n, takes)
		return allowed
	})
	return allowed
}

// forgive forgets the losses of those that have caught up, and whose disk does not forget.
func (b *budget) forgive() {
	for _, n := range b.cluster.nodes {
		if n.lost != lostNothing && !n.forgetful && b.cluster.caughtUp(n) {
			n.lost = lostNothing
		}
	}
}

// survives reports whether the promise of a partition survives one more loss.
func (b *budget) survives(p *metadata.Partition, n *Node, takes loss) bool {
	t := b.topics[p.Key().Topic]
	if t == nil {
		return true
	}
	lost := []loss{takes}
	for _, id := range p.Replicas {
		if other := b.cluster.byID(id); other != nil && other != n {
			lost = append(lost, other.lost)
		}
	}
	return t.survives(lost)
}

// survives reports whether what the topic promises survives that each of some replicas has lost something: whatever
// min.insync.replicas of them have a record, one still has it.
func (t *TopicOptions) survives(lost []loss) bool {
	if t.MinISR < 2 || t.Unclean {
		return true
	}
	gone := 0
	for _, l := range lost {
		if l == lostDisk || l == lostPower && t.FlushMessages != 1 {
			gone++
		}
	}
	return gone < min(t.MinISR, t.RF)
}

// anyLost reports whether a machine that died has not caught up yet.
func (b *budget) anyLost() bool {
	b.forgive()
	for _, n := range b.cluster.nodes {
		if n.lost != lostNothing {
			return true
		}
	}
	return false
}

func hasELR(img *metadata.Image) bool { return img.Feature(controller.FeatureELR) > 0 }
