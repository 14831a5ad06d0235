package group

import (
	"maps"
	"slices"
)

// transactions are the offsets that producers have sent and not yet committed, by producer id. They do not count until the
// marker comes.
type transactions map[int64]map[pendingKey]*offset

type pendingKey struct {
	group string
	offsetKey
}

// add takes an offset that a transaction has sent.
func (t transactions) add(producer int64, g *Group, at offsetKey, o *offset) {
	if t[producer] == nil {
		t[producer] = map[pendingKey]*offset{}
	}
	t[producer][pendingKey{g.id, at}] = o
	if g.pending == nil {
		g.pending = map[offsetKey][]int64{}
	}
	if !slices.Contains(g.pending[at], producer) {
		g.pending[at] = append(g.pending[at], producer)
	}
}

// drop forgets what is pending for a partition: a tombstone came after it.
func (t transactions) drop(g *Group, at offsetKey) {
	for _, producer := range g.pending[at] {
		delete(t[producer], pendingKey{g.id, at})
	}
	delete(g.pending, at)
}

// end gives what a producer's transaction has sent, in no order, and forgets it.
func (m *machine) endTransaction(producer int64, f func(g *Group, at offsetKey, o *offset)) {
	sent := m.transactions[producer]
	delete(m.transactions, producer)
	for key, o := range sent { // order: each is another partition of another group
		g := m.groups[key.group]
		if g == nil {
			continue
		}
		left := slices.DeleteFunc(g.pending[key.offsetKey], func(p int64) bool { return p == producer })
		if g.pending[key.offsetKey] = left; len(left) == 0 {
			delete(g.pending, key.offsetKey)
		}
		f(g, key.offsetKey, o)
	}
}

// isPending reports whether a transaction under way has an offset for the partition.
func (g *Group) isPending(at offsetKey) bool { return len(g.pending[at]) > 0 }

// sortedPending are the partitions for which one has, in order.
func (g *Group) sortedPending() []offsetKey {
	return slices.SortedFunc(maps.Keys(g.pending), compareKeys)
}
