package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind uint8

// The kinds. Target is a node unless said otherwise; For is how long the fault lasts, or how long a node stays down.
const (
	Delay        Kind = iota // Target's links take up to Size µs
	Reset                    // the connections between Target and Peer end
	PartitionOne             // nothing gets from Target to Peer
	PartitionTwo             // nor back
	Isolate                  // Target and everybody else are cut off
	IsolateNodes             // Target and the other nodes are cut off; clients still reach it
	SlowLink                 // between Target and Peer, both ways: Size bytes a second
	Clog                     // what goes from Target to Peer is held until the end
	Kill                     // the process dies; what it had written survives
	PowerLoss                // the machine dies; what was not synced may be lost, and is if Size is 1
	Pause                    // the process stands still: a zombie
	CleanRestart             // a controlled shutdown, and a start For later
	RestartStorm             // Size kills, each restarted For/Size later at most
	SlowDisk                 // Size times slower
	FrozenDisk               // nothing completes until the end
	FailingDisk              // writes (Size 0) or syncs (Size 1) fail; restarted with the disk repaired
	FullDisk                 // no space; restarted with space
	numKinds
)

var kindNames = [numKinds]string{
	"delay", "reset", "partition-one-way", "partition", "isolate", "isolate-from-nodes", "slow-link", "clog", "kill", "power-loss", "pause",
	"clean-restart", "restart-storm", "slow-disk", "frozen-disk", "failing-disk", "full-disk",
}

func (k Kind) String() string { return kindNames[k] }

// ParseKind finds a kind by its name.
func ParseKind(s string) (Kind, error) {
	i := slices.Index(kindNames[:], s)
	if i < 0 {
		return 0, fmt.Errorf("no fault kind %q; there are: %s", s, strings.Join(kindNames[:], ", "))
	}
	return Kind(i), nil
}

// hasPeer says that the fault is between two hosts.
func (k Kind) hasPeer() bool {
	return k == Reset || k == PartitionOne || k == PartitionTwo || k == SlowLink || k == Clog
}

// Fault is one trouble of a schedule. Its luck depends on its label alone: taking another fault
// away does not change it.
type Fault struct {
	Label  string // kind and number
	Kind   Kind
	At     time.Duration // since the faults' phase began
	For    time.Duration
	Target string // a host (n1, p0, c0), "controller", or "leader:topic/partition" at that moment
	Peer   string // a host, if the kind has two
	Size   int64
}

// check finds what no run could do.
func (f *Fault) check(o *Options) error {
	hosts := hostNames(o)
	if !strings.HasPrefix(f.Target, "leader:") && f.Target != "controller" && !slices.Contains(hosts, f.Target) {
		return fmt.Errorf("no host %q", f.Target)
	}
	if f.Kind.hasPeer() && !slices.Contains(hosts, f.Peer) {
		return fmt.Errorf("no host %q", f.Peer)
	}
	if f.At < 0 || f.For < 0 {
		return fmt.Errorf("negative time")
	}
	return nil
}

// The names of hosts. Nodes are n and their id; controllers of their own have ids from firstVoter on.
const firstVoter = 101

func nodeName(id int32) string { return fmt.Sprintf("n%d", id) }

// nodeIDs lists the nodes: brokers, then controllers of their own.
func nodeIDs(c *ClusterOptions) (ids []int32) {
	for i := range c.Brokers {
		ids = append(ids, int32(1+i))
	}
	if !c.Combined {
		ids = append(ids, voterIDs(c)...)
	}
	return ids
}

func voterIDs(c *ClusterOptions) (ids []int32) {
	first := int32(firstVoter)
	if c.Combined {
		first = 1
	}
	for i := range c.Voters {
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
	return names
}

func hostNames(o *Options) []string {
	return append(nodeNames(&o.Cluster), clientNames(o)...)
}
