package script

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/lockstep/lockstep/sim"
)

// telling is the kinds of events that most stories are about.
var telling = []string{
	"became-leader", "became-follower", "diverged", "truncated",
	"partition-changed", "unclean-election", "broker-fenced", "broker-unfenced",
	"controller-active", "raft-voted", "log-dir-failed", "start-failed",
}

// news collects events until they are told. It is a sim.Tracer.
type news struct {
	show  []string
	nodes []int32 // in order
	lines map[int32][]string
}

// Trace implements sim.Tracer. To follow nobody is no news: whoever hears of the next leader at the same time leaves it out.
func (n *news) Trace(e *sim.Entry) {
	if !slices.Contains(n.show, e.Kind) || e.Kind == "became-follower" && e.Peer < 0 {
		return
	}
	if at, found := slices.BinarySearch(n.nodes, e.Node); !found {
		n.nodes = slices.Insert(n.nodes, at, e.Node)
	}
	if n.lines == nil {
		n.lines = map[int32][]string{}
	}
	n.lines[e.Node] = append(n.lines[e.Node], e.String())
}

// flush tells them, node by node.
func (n *news) flush(out *bytes.Buffer) {
	for _, node := range n.nodes {
		for _, line := range n.lines[node] {
			fmt.Fprintf(out, "  n%d %s\n", node, line)
		}
	}
	n.drop()
}

func (n *news) drop() { n.nodes, n.lines = nil, nil }
