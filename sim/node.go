package sim

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core"
	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk/simdisk"
	"github.com/lockstep/lockstep/network/simnet"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// The ports of every node.
const (
	clientPort     = 9092
	controllerPort = 9093
)

// Node is one machine of the cluster, through all incarnations of its process.
type Node struct {
	cluster *Cluster
	id      int32
	name    string
	loop    *virtual.Node
	host    *simnet.Host
	disk    *simdisk.Disk
	more    []*simdisk.Disk // of further log directories
	config  *config.Config

	broker      *core.Broker   // nil while the process is down
	rare        *buggify.Sites // of this incarnation
	incarnation int
	ready       bool // Start has succeeded in this incarnation
	failed      error
	logDirLost  bool   // the log directory failed in this incarnation, or one of several
	forgetful   bool   // the disk loses what a sync that fails was to make durable
	filled      uint64 // times the disk had no space, in all incarnations
	written     uint64 // log end offsets moved so far, in all incarnations
	stopping    bool   // a controlled shutdown is under way or over
	lost        loss   // what its machine lost without having been seen in every ISR since
}

// loss is what a machine's death took.
type loss int8

const (
	lostNothing loss = iota
	lostPower        // what was not synced
	lostDisk         // what was synced, too
)

// Up reports whether the process runs.
func (n *Node) Up() bool { return n.broker != nil }

// isOffline reports whether the broker has given up its log directory, or could not start with it.
func (n *Node) isOffline() bool { return n.logDirLost || n.failed != nil }

// start runs a new incarnation.
func (n *Node) start() {
	n.incarnation++
	n.ready, n.failed, n.logDirLost, n.stopping = false, nil, false, false
	if n.incarnation > 1 {
		n.cluster.run.judge.restarted(n.id)
	}
	n.broker = core.New(n.env(), n.config)
	broker := n.broker
	n.loop.After(0, func() {
		n.format(func() { broker.Start(func(err error) { n.onStarted(broker, err) }) })
	})
}

// format has an operator format the disk of a node that is new, where the voters are not static.
func (n *Node) format(then func()) {
	o := &n.cluster.run.schedule.Options.Cluster
	if o.Controllers == 0 {
		then()
		return
	}
	f := core.Formatting{ClusterID: "lockstep-sim", Dynamic: true}
	if slices.Contains(voterIDs(o), n.id) {
		f.DirectoryID = n.cluster.firstDirectory(n.id)
		for _, id := range voterIDs(o) {
			at := raft.Endpoint{Name: "CONTROLLER", Host: nodeName(id), Port: controllerPort}
			f.Voters = append(f.Voters, raft.NewVoter(id, n.cluster.firstDirectory(id), []raft.Endpoint{at}, at.Name))
		}
	}
	e := n.env()
	core.Format(&e, n.config, f, func(_ storage.MetaProperties, err error) {
		if err != nil && err != core.ErrFormatted {
			n.cluster.run.note(n.id, "format-failed", err.Error()) // and so does the start
		}
		then()
	})
}

// firstDirectory is the id of the directory that a voter is formatted with: the others need to know it.
func (c *Cluster) firstDirectory(id int32) (dir [16]byte) {
	r := virtual.Rand(c.run.schedule.Seed, "directory/"+nodeName(id))
	binary.BigEndian.PutUint64(dir[:8], r.Uint64())
	binary.BigEndian.PutUint64(dir[8:], r.Uint64())
	return dir
}

// restart runs a new incarnation, after the end of the one that may be running.
func (n *Node) restart() {
	if n.Up() {
		n.crash(false)
	}
	n.start()
}

// repair mends the disk.
func (n *Node) repair() {
	for _, d := range n.disks() {
		d.FailWrites(nil)
		d.FailSyncs(nil)
		d.FailNext(simdisk.OpWrite, nil)
		d.FailNext(simdisk.OpSync, nil)
		d.ForgetFailedSyncs(false)
		d.SetCapacity(0)
	}
	n.forgetful = false
}

func (n *Node) onStarted(broker *core.Broker, err error) {
	if n.broker != broker {
		return
	}
	n.ready, n.failed = err == nil, err
	if err != nil {
		n.cluster.run.note(n.id, "start-failed", err.Error())
	}
}

func (n *Node) env() env.Env {
	seed, prefix := n.cluster.run.schedule.Seed, n.name+"/"+strconv.Itoa(n.incarnation)+"/"
	stream := func(purpose string) *rand.Rand { return n.cluster.run.world.Stream(seed, prefix+purpose) }
	n.rare = n.cluster.run.sites(stream)
	return env.Env{Loop: n.loop, Disk: n.disk, Disks: n.envDisks(), Net: n.host, Rand: stream, Event: n, Buggify: n.rare}
}

// Emit implements event.Sink.
func (n *Node) Emit(e *event.Event) {
	switch e.Kind {
	case event.Written:
		n.written++
	case event.DiskFull:
		n.filled++
	case event.LogDirFailed, event.LogDirOffline:
		n.logDirLost = true
	}
	n.cluster.run.observe(n.id, e)
}

// crash ends the process, or the machine's power. Nobody starts a process again on pages of which the disk knows nothing: the machine
// has to go, too, if a sync has failed.
func (n *Node) crash(power bool) {
	if !power && !n.hasForgotten() {
		n.end(false)
		for _, d := range n.disks() {
			d.Kill()
		}
		return
	}
	n.end(true)
	for _, d := range n.disks() {
		d.PowerLoss()
	}
}

// crashWorst is a loss of power that takes all that was not synced.
func (n *Node) crashWorst() {
	n.end(true)
	for _, d := range n.disks() {
		d.WorstPowerLoss()
	}
}

// crashDirectories is a loss of power that takes what was not synced of directories only.
func (n *Node) crashDirectories() {
	n.end(true)
	for _, d := range n.disks() {
		d.MovesLoss()
	}
}

// crashAndWipe is a loss of power and of the disk: the node comes back as a new machine of the same name.
func (n *Node) crashAndWipe() {
	n.end(true)
	for _, d := range n.disks() {
		d.Wipe()
	}
	n.lost = lostDisk
	n.cluster.run.judge.wiped(n.id)
}

// end ends the process; the disk is to follow.
func (n *Node) end(power bool) {
	n.cluster.run.crashed(n.id, power)
	n.loop.Kill()
	n.host.Crash(power)
	n.broker, n.ready, n.stopping = nil, false, false
	if power {
		n.lost = max(n.lost, lostPower)
	}
}

// shutDown is a controlled shutdown; done runs in the node's turn when it is over. The process is
// then still to be ended.
func (n *Node) shutDown(done func()) {
	broker := n.broker
	n.stopping = true
	n.loop.After(0, func() {
		broker.Shutdown(func(error) {
			if n.broker == broker {
				done()
			}
		})
	})
}

// producerExpiry is longer than any clock jumps: producers that retry need to be known.
const producerExpiry = math.MaxInt32 * time.Millisecond

// properties is the node's server.properties.
func (n *Node) properties(o *ClusterOptions) (props []config.Property) {
	add := func(key, value string) {
		props = append(props, config.Property{Key: key, Value: value, Origin: "sim"})
	}
	number := func(key string, value int64) { add(key, strconv.FormatInt(value, 10)) }
	roles, listeners := n.roles(o)
	number("node.id", int64(n.id))
	add("process.roles", strings.Join(roles, ","))
	add("listeners", strings.Join(listeners, ","))
	if o.Controllers == 0 {
		add("controller.quorum.voters", voterList(o))
	} else {
		add("controller.quorum.bootstrap.servers", controllerList(o))
		add("controller.quorum.auto.join.enable", strconv.FormatBool(o.AutoJoin && n.isController()))
	}
	add("auto.create.topics.enable", "false")
	number("broker.session.timeout.ms", o.Session.Milliseconds())
	number("broker.heartbeat.interval.ms", o.Heartbeat.Milliseconds())
	number("replica.lag.time.max.ms", o.ReplicaLag.Milliseconds())
	number("replica.fetch.wait.max.ms", o.FetchWait.Milliseconds())
	number("metadata.log.max.record.bytes.between.snapshots", o.SnapshotBytes)
	number("producer.id.expiration.ms", producerExpiry.Milliseconds())
	number("leader.imbalance.check.interval.seconds", int64(o.AutoRebalance.Seconds()))
	if o.QuorumTimeout > 0 {
		number("controller.quorum.fetch.timeout.ms", o.QuorumTimeout.Milliseconds())
		number("controller.quorum.election.timeout.ms", o.QuorumTimeout.Milliseconds()/2)
	}
	if o.SegmentBytes > 0 {
		number("internal.metadata.log.segment.bytes", o.SegmentBytes)
	}
	if o := &n.cluster.run.schedule.Options; o.hasNatives() {
		props = append(props, nativeProperties(o)...)
	} else {
		add("group.coordinator.rebalance.protocols", "classic") // what has no such members is as it was before there were any
	}
	if len(n.cluster.run.schedule.Options.Groups) > 0 {
		props = append(props, groupProperties()...)
	}
	if n.cluster.run.schedule.Options.hasTransactions() {
		props = append(props, transactionProperties()...)
	}
	if o.RetentionCheck > 0 {
		number("log.retention.check.interval.ms", o.RetentionCheck.Milliseconds())
	}
	if o.LogDirs > 1 {
		var dirs []string
		for i := range o.LogDirs {
			dirs = append(dirs, dirName(i))
		}
		add("log.dirs", strings.Join(dirs, ","))
	}
	if o.CleanerBackoff > 0 {
		number("log.cleaner.backoff.ms", o.CleanerBackoff.Milliseconds())
	}
	return props
}

func voterList(o *ClusterOptions) string {
	var voters []string
	for _, id := range voterIDs(o) {
		voters = append(voters, fmt.Sprintf("%d@%s:%d", id, nodeName(id), controllerPort))
	}
	return strings.Join(voters, ",")
}

func controllerList(o *ClusterOptions) string {
	var servers []string
	for _, id := range controllerIDs(o) {
		servers = append(servers, fmt.Sprintf("%s:%d", nodeName(id), controllerPort))
	}
	return strings.Join(servers, ",")
}

// roles returns the node's process.roles and listeners.
func (n *Node) roles(o *ClusterOptions) (roles, listeners []string) {
	if n.isBroker() {
		roles = append(roles, "broker")
		listeners = append(listeners, fmt.Sprintf("PLAINTEXT://%s:%d", n.name, clientPort))
	}
	if n.isController() {
		roles = append(roles, "controller")
		listeners = append(listeners, fmt.Sprintf("CONTROLLER://%s:%d", n.name, controllerPort))
	}
	return roles, listeners
}

// isController reports whether the node votes or may come to vote.
func (n *Node) isController() bool {
	return slices.Contains(controllerIDs(&n.cluster.run.schedule.Options.Cluster), n.id)
}

func (n *Node) isBroker() bool { return n.id < firstVoter }
