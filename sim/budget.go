package sim

// budget keeps what a run promises provable: power losses hit at most as many nodes at a time as the
// promise survives. A node that lost power counts until it has been in every ISR it belongs to again.
//
// Topics with a min.insync.replicas of 1 or with unclean election promise nothing under power loss;
// what they lose is expected. Those that sync each append promise everything. The quorum syncs before
// it votes or acknowledges, so its log bounds nothing.
type budget struct {
	cluster *Cluster
	most    int // nodes; -1: any number
}

func newBudget(c *Cluster, topics []TopicOptions) budget {
	b := budget{cluster: c, most: -1}
	for _, t := range topics {
		if t.MinISR < 2 || t.Unclean || t.FlushMessages == 1 {
			continue
		}
		if b.most < 0 || t.MinISR-1 < b.most {
			b.most = t.MinISR - 1
		}
	}
	return b
}

// allows reports whether a node may lose power now.
func (b *budget) allows(n *Node) bool {
	if b.most < 0 {
		return true
	}
	lost := 0
	for _, other := range b.cluster.nodes {
		if other.powerLost && b.cluster.caughtUp(other) {
			other.powerLost = false
		}
		if other != n && other.powerLost {
			lost++
		}
	}
	return lost < b.most
}
