package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/event"
)

// Kind is a kind of fault.
type Kind uint8

// The kinds. Target is a node unless said otherwise; For is how long the fault lasts, or how long a node stays down.
const (
	Delay            Kind = iota // Target's links take up to Size µs
	Reset                        // the connections between Target and Peer end
	PartitionOne                 // nothing gets from Target to Peer
	PartitionTwo                 // nor back
	Isolate                      // Target and everybody else are cut off
	IsolateNodes                 // Target and the other nodes are cut off; clients still reach it
	Split                        // the nodes in the set Size cannot reach the others; clients still reach all
	Bridge                       // the same, but for Target, which all still reach
	HalfOpen                     // the connections between Target and Peer lead nowhere, and are reset at the end; new ones work
	SlowLink                     // between Target and Peer, both ways: Size bytes a second
	Clog                         // what goes from Target to Peer is held until the end
	Kill                         // the process dies; what it had written survives
	PowerLoss                    // the machine dies; what was not synced may be lost, and is if Size is 1
	Blackout                     // all nodes lose their power at once, each as with PowerLoss
	RenameNotDurable             // the machine dies; files keep their bytes, but what was created, renamed and removed since the last sync is undone
	WipedDisk                    // the machine dies and comes back with an empty disk, under a new directory id
	BitRot                       // the machine dies; a bit of the Size-th part of its records flips, synced or not
	MisdirectedWrite             // the machine dies; a sector of its records has landed on another
	Pause                        // the process stands still: a zombie; at the end, its timers come before its sockets if Size is 1
	CleanRestart                 // a controlled shutdown, and a start For later
	RollingRestart               // a clean restart of every node, one after the other
	RestartStorm                 // Size kills, each restarted For/Size later at most
	SlowDisk                     // Size times slower
	FrozenDisk                   // nothing completes until the end
	FailingDisk                  // writes (Size 0), syncs (1), one write (2), one sync (3), one sync whose bytes are lost though the next succeeds (4), or one write of one kind of file beside the records (5 and more, see asideFiles) fail; restarted with the disk repaired
	FullDisk                     // no space for a while
	ClockOffset                  // the wall clock is off by Size ms
	ClockDrift                   // the wall clock gains Size parts in a million; the timers of one that loses fire late
	ClockJump                    // the wall clock goes forth or back by Size ms again and again
	ClockFreeze                  // the wall clock stands still
	Reassign                     // the operator moves a replica of Target's partition; Size says which and where
	ElectLeader                  // the operator has the preferred leader of Target's partition elected, another than now; Size 1: uncleanly
	AlterConfig                  // the operator changes the Size-th setting of Target's topic, and takes it back at the end
	AddPartitions                // the operator adds Size partitions to Target's topic
	RecreateTopic                // the operator deletes and creates a topic of his own Size times
	UpdateFeatures               // the operator turns a feature off, and on again at the end
	UnregisterBroker             // the broker is killed and unregistered, and registers again at the end
	AddVoter                     // the operator makes a voter of Target's controller, or of the first that is none, if the voters can change; Size 1: by the leader itself, not by a broker
	RemoveVoter                  // the operator takes Target out of the voters, or the first of them; Size as before
	MoveLogDir                   // the operator moves the Size-th replica of Target's partition to its broker's other log directory
	numKinds
)

var kindNames = [numKinds]string{
	"delay", "reset", "partition-one-way", "partition", "isolate", "isolate-from-nodes", "split", "bridge", "half-open", "slow-link", "clog",
	"kill", "power-loss", "blackout", "rename-not-durable", "wiped-disk", "bit-rot", "misdirected-write",
	"pause", "clean-restart", "rolling-restart", "restart-storm",
	"slow-disk", "frozen-disk", "failing-disk", "full-disk",
	"clock-offset", "clock-drift", "clock-jump", "clock-freeze",
	"reassign", "elect-leader", "alter-config", "add-partitions", "recreate-topic", "update-features", "unregister-broker",
	"add-voter", "remove-voter", "move-log-dir",
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
	switch k {
	case Reset, PartitionOne, PartitionTwo, HalfOpen, SlowLink, Clog:
		return true
	}
	return false
}

// isOperators says that the fault is an operator's doing: it strikes no node, and Target names a partition.
func (k Kind) isOperators() bool {
	return k >= Reassign && k <= UpdateFeatures || k.isVoters() || k == MoveLogDir
}

// isVoters says that the fault changes the voters: it is an operator's, and Target is one of them.
func (k Kind) isVoters() bool { return k == AddVoter || k == RemoveVoter }

// isBrokers says that the fault strikes what only brokers have.
func (k Kind) isBrokers() bool {
	return k == WipedDisk || k == BitRot || k == MisdirectedWrite || k == UnregisterBroker
}

// isClocks says that the fault leads a wall clock astray.
func (k Kind) isClocks() bool { return k >= ClockOffset && k <= ClockFreeze }

// isOfHosts says that the fault strikes clients as well as nodes: all of the network but what is about nodes alone.
func (k Kind) isOfHosts() bool { return k <= Clog && k != Bridge }

// checkTarget finds whom the kind of fault cannot strike.
func (k Kind) checkTarget(target string, o *Options) error {
	if err := checkPlace(target, o); err != nil {
		return err
	}
	p := parsePlace(target)
	switch {
	case k == RecreateTopic || k == UpdateFeatures || k.isVoters(): // are about no partition
	case k.isOperators() && p.partition.Topic == "":
		return fmt.Errorf("it is about a partition, as in leader:t0/0, not about %s", target)
	case !k.isOfHosts() && p.role == "" && slices.Contains(clientNames(o), p.host):
		return fmt.Errorf("it strikes nodes, not the client %s", target)
	}
	return nil
}

// Fault is one trouble of a schedule. Its luck depends on its label alone: taking another fault
// away does not change it.
type Fault struct {
	Label  string // kind and number
	Kind   Kind
	At     time.Duration // since the faults' phase began
	On     string        // an event's name: the fault waits from At on for such an event on the node that Target means, or on that of "name@place"; "name/note" is one with that note
	Series string        // of those of one name, the next waits for its event when the one before has begun
	Delay  time.Duration // from that event to the fault
	For    time.Duration
	Target string // see place
	Peer   string // the same, if the kind has two hosts
	Size   int64
}

// check finds what no run could do.
func (f *Fault) check(o *Options) error {
	if f.Kind >= numKinds {
		return fmt.Errorf("it has no kind")
	}
	if err := f.Kind.checkTarget(f.Target, o); err != nil {
		return err
	}
	if f.Kind.hasPeer() {
		if err := checkPlace(f.Peer, o); err != nil {
			return err
		}
	}
	if err := f.checkOn(o); err != nil {
		return err
	}
	switch {
	case f.At < 0 || f.For < 0 || f.Delay < 0:
		return fmt.Errorf("negative time")
	case f.Size < 0 && !f.Kind.isClocks():
		return fmt.Errorf("negative size")
	case f.Kind == ClockDrift && f.Size < -1_000_000:
		return fmt.Errorf("a clock that drifts by %d millionths runs backwards", f.Size)
	case f.Delay > 0 && f.On == "":
		return fmt.Errorf("a delay without an event")
	case f.Peer == "any" || f.Target == "any" && f.On == "":
		return fmt.Errorf("any host of what event?")
	}
	return nil
}

// on is the event that the fault follows, the note that it must have if not empty, and on whom.
func (f *Fault) on() (kind event.Kind, note, where string, ok bool) {
	name, where, has := strings.Cut(f.On, "@")
	if !has {
		where = f.Target
	}
	name, note, _ = strings.Cut(name, "/")
	kind, ok = event.ParseKind(name)
	return kind, note, where, ok
}

func (f *Fault) checkOn(o *Options) error {
	if f.On == "" {
		return nil
	}
	_, _, where, ok := f.on()
	if !ok {
		return fmt.Errorf("no event %q", f.On)
	}
	return checkPlace(where, o)
}
