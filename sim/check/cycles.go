package check

import (
	"fmt"

	"github.com/lockstep/lockstep/scheduler"
)

// H2, cycles of committed transactions that depend on each other, as Elle names them (Kingsbury and Alvaro, VLDB 2021), in linear time. One depends on
// another if it has read what that one wrote: then that one was committed before. A cycle of such is G1c, a violation. One of writes in the order of a log
// is G0, which Kafka allows, since transactions do not keep others from writing between their records: it is counted.

// judgeCycles looks for a cycle.
func (h *History) judgeCycles(now scheduler.Instant) {
	if len(h.txns) == 0 {
		return
	}
	if cycle := firstCycle(len(h.txns), h.readEdges()); cycle != nil {
		a, b := &h.txns[cycle[0]], &h.txns[cycle[1]]
		h.violate("P6", "H2", "G1c", now, fmt.Sprintf("producer %d committed the later one before %s", b.producer, seconds(max(a.decided, b.decided))),
			"a transaction of producer %d, begun at %s, and one of producer %d, begun at %s, have each read, perhaps by way of others, what the other wrote (G1c)",
			[]any{a.producer, seconds(a.began), b.producer, seconds(b.began)})
	}
	if firstCycle(len(h.txns), h.writeEdges()) != nil {
		h.counts.WriteCycles++
	}
}

// readEdges are, for each transaction, those that have read what it wrote.
func (h *History) readEdges() [][]int32 {
	edges := make([][]int32, len(h.txns))
	for reader := range h.txns {
		if !h.txns[reader].isCommitted() || h.txns[reader].late {
			continue
		}
		for _, v := range h.txns[reader].reads {
			if writer := h.lanes[v.lane].find(v.counter).txn; writer >= 0 && !h.txns[writer].late {
				edges[writer] = addEdge(edges[writer], int32(reader))
			}
		}
	}
	return edges
}

// writeEdges are, for each transaction, those that wrote next to it in a log, after it.
func (h *History) writeEdges() [][]int32 {
	edges := make([][]int32, len(h.txns))
	for _, p := range h.partitions {
		last := int32(none)
		for _, v := range p.read {
			if v.lane < 0 {
				continue
			}
			now := h.lanes[v.lane].find(v.counter).txn
			if now < 0 || !h.txns[now].isCommitted() {
				continue
			}
			if last >= 0 && last != now {
				edges[last] = addEdge(edges[last], now)
			}
			last = now
		}
	}
	return edges
}

func addEdge(to []int32, x int32) []int32 {
	if n := len(to); n > 0 && to[n-1] == x {
		return to
	}
	return append(to, x)
}

// firstCycle is two nodes, in the order of the graph, of which each can be reached from the other; nil if there are none. It is Tarjan's search
// for strongly connected components, without recursion.
func firstCycle(n int, edges [][]int32) []int32 {
	t := tarjan{edges: edges, index: make([]int32, n), low: make([]int32, n), onStack: make([]bool, n)}
	for v := range int32(n) {
		if t.index[v] == 0 {
			if cycle := t.search(v); cycle != nil {
				return cycle
			}
		}
	}
	return nil
}

type tarjan struct {
	edges      [][]int32
	index, low []int32 // 0: not visited
	onStack    []bool
	stack      []int32
	next       int32
}

// visit is a node whose edges are being followed.
type visit struct {
	node int32
	edge int
}

func (t *tarjan) search(from int32) []int32 {
	path := []visit{t.enter(from)}
	for len(path) > 0 {
		at := &path[len(path)-1]
		if at.edge < len(t.edges[at.node]) {
			to := t.edges[at.node][at.edge]
			at.edge++
			switch {
			case t.index[to] == 0:
				path = append(path, t.enter(to))
			case t.onStack[to]:
				t.low[at.node] = min(t.low[at.node], t.index[to])
			}
			continue
		}
		v := at.node
		path = path[:len(path)-1]
		if len(path) > 0 {
			up := path[len(path)-1].node
			t.low[up] = min(t.low[up], t.low[v])
		}
		if component := t.leave(v); len(component) > 1 {
			return component[:2]
		}
	}
	return nil
}

func (t *tarjan) enter(v int32) visit {
	t.next++
	t.index[v], t.low[v], t.onStack[v] = t.next, t.next, true
	t.stack = append(t.stack, v)
	return visit{node: v}
}

// leave is the component of which a node is the first; empty if it is not.
func (t *tarjan) leave(v int32) (component []int32) {
	if t.low[v] != t.index[v] {
		return nil
	}
	for at := len(t.stack) - 1; ; at-- {
		t.onStack[t.stack[at]] = false
		if t.stack[at] == v {
			component = t.stack[at:]
			t.stack = t.stack[:at]
			return component
		}
	}
}
