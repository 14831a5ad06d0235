// Package core is the broker: logs, replication, the KRaft quorum and the controller behind Kafka's
// protocol. It is deterministic and does no IO of its own; the world is an env.Env. The same code is
// lockstepd on real sockets and disks and a node of the simulator.
package core

import (
	"fmt"

	"github.com/lockstep/lockstep/core/api"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/group"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
)

// maxPeerFrame bounds the answers of other nodes, in bytes: a replica fetch's response and room for one
// batch above its limit.
const maxPeerFrame = 256 << 20

// Broker is one node: a broker, a controller or both, as its process.roles say.
type Broker struct {
	env env.Env
	cfg *config.Config

	disk         *storage.PatientDisk // of the metadata log
	dirs         []*storage.LogDir    // of all other logs, in the order of log.dirs
	metadataDir  *storage.LogDir      // usually one of them
	meta         storage.MetaProperties
	peers        *wire.Peers
	loader       *metadata.Loader
	quorum       *raft.Node
	controller   *controller.Controller // nil without the role
	logs         *storage.Manager       // nil without the broker role, as are the next four
	replicas     *replica.Manager
	groups       *group.Coordinator
	transactions *txn.Coordinator
	lifecycle    *lifecycle
	server       *api.Server
	listeners    []network.Listener
	ready        bool
	stopping     bool
	failure      error // why the node cannot go on
	snapshotting bool  // one at a time
}

// New makes a node that does nothing until Start.
func New(e env.Env, cfg *config.Config) *Broker {
	b := &Broker{env: e, cfg: cfg}
	b.disk = storage.NewPatientDisk(&e, b.onFullDisk)
	b.env.Disk = b.disk
	b.makeLogDirs(e)
	b.emit(event.NodeStarting, "")
	return b
}

// makeLogDirs tells the disks' directories apart: one has the metadata log.
func (b *Broker) makeLogDirs(e env.Env) {
	disks := e.Disks
	if disks == nil {
		disks = []disk.Disk{e.Disk}
	}
	invariant.Check(len(disks) == len(b.cfg.LogDirs), "%d disks for log.dirs %v", len(disks), b.cfg.LogDirs)
	for i, d := range disks {
		own := &b.env
		if d != e.Disk {
			its := e
			its.Disk = d
			its.Disk = storage.NewPatientDisk(&its, nil)
			own = &its
		}
		dir := storage.NewLogDir(own, b.cfg.LogDirs[i], [16]byte{})
		if dir.Metadata = d == e.Disk; dir.Metadata {
			b.metadataDir = dir
		}
		b.dirs = append(b.dirs, dir)
	}
	if b.metadataDir == nil {
		b.metadataDir = storage.NewLogDir(&b.env, b.cfg.LogDir, [16]byte{})
		b.metadataDir.Metadata = true
	}
}

func (b *Broker) emit(kind event.Kind, note string) {
	b.env.Event.Emit(&event.Event{Kind: kind, Peer: -1, Epoch: -1, Offset: -1, Note: note})
}

// Start formats the log directory if it is new, recovers what is in it, listens, and joins the quorum
// and the cluster. done gets an error if the node cannot run, else nil when the node is ready: its
// listeners serve and, for a broker, the controller has unfenced it.
func (b *Broker) Start(done func(error)) {
	b.peers = wire.NewPeers(&b.env, fmt.Sprintf("node-%d", b.cfg.NodeID), maxPeerFrame)
	b.loader = metadata.NewLoader(&b.env)
	b.loader.OnFailure(b.onUnreadableMetadata)
	steps := []func(func(error)){b.openLogDirs, b.openQuorum, b.openLogs, b.listen}
	inOrder(steps, func(err error) {
		switch {
		case b.failure != nil:
			b.halt() // again: the listeners may have come after the failure
			done(b.failure)
		case err != nil:
			done(err)
		default:
			b.join(done)
		}
	})
}

// inOrder runs steps one after the other until one fails.
func inOrder(steps []func(done func(error)), done func(error)) {
	if len(steps) == 0 {
		done(nil)
		return
	}
	steps[0](func(err error) {
		if err != nil {
			done(err)
			return
		}
		inOrder(steps[1:], done)
	})
}

func (b *Broker) openQuorum(done func(error)) {
	raft.Open(&b.env, b.raftConfig(), b.peers, (*quorumListener)(b), func(n *raft.Node, err error) {
		if err != nil {
			done(fmt.Errorf("opening the metadata log: %w", err))
			return
		}
		b.quorum = n
		n.OnFailure(b.fail)
		if b.cfg.Controller {
			b.controller = controller.New(&b.env, b.controllerConfig(), n)
		}
		done(n.Failure())
	})
}

func (b *Broker) openLogs(done func(error)) {
	if !b.cfg.Broker {
		done(nil)
		return
	}
	storage.OpenManager(&b.env, b.dirs, b.logConfig, func(logs *storage.Manager, err error) {
		if err != nil {
			done(fmt.Errorf("opening the logs: %w", err))
			return
		}
		b.logs = logs
		for _, d := range b.dirs {
			if err := d.Failure(); err != nil {
				b.emit(event.LogDirOffline, d.Path+": "+err.Error())
			}
		}
		b.replicas = replica.NewManager(&b.env, b.replicaConfig(), logs, b.peers, b.alterPartition)
		b.replicas.OnLogDirFailure(b.onLogDirOffline, b.fail)
		b.replicas.AssignDirsWith(b.assignDirs)
		b.groups = group.New(&b.env, b.groupConfig(), b.loader.Image, b.replicas)
		b.transactions = txn.New(&b.env, b.txnConfig(), b.txnNeeds(), b.replicas)
		b.loader.Subscribe(b.replicas.Apply)
		b.loader.Subscribe(b.groups.Apply)
		done(nil)
	})
}

func (b *Broker) listen(done func(error)) {
	b.server = api.NewServer(api.Node{
		Env: &b.env, Config: b.cfg, DiskFull: b.disk.IsFull, ClusterID: b.meta.ClusterID, Quorum: b.quorum, Image: b.loader.Image,
		Controller: b.controller, Replicas: b.replicas, Groups: b.groups, Transactions: b.transactions, Peers: b.peers, BrokerEpoch: b.brokerEpoch,
	})
	b.loader.Subscribe(func(_ *metadata.Image, d *metadata.Delta) {
		if d.Quotas {
			b.server.QuotasChanged()
		}
	})
	for _, l := range b.cfg.Listeners {
		listener, err := b.server.Listen(l)
		if err != nil {
			done(fmt.Errorf("listener %s: %w", l.Name, err))
			return
		}
		b.listeners = append(b.listeners, listener)
	}
	done(nil)
}

// join starts the quorum and, for a broker, registers with the controller.
func (b *Broker) join(done func(error)) {
	b.quorum.Start()
	becomeReady := func() {
		b.ready = true
		b.emit(event.NodeReady, "")
		done(nil)
	}
	if !b.cfg.Broker {
		becomeReady()
		return
	}
	b.lifecycle = newLifecycle(b, becomeReady)
	b.lifecycle.start()
}

func (b *Broker) brokerEpoch() int64 {
	if b.lifecycle == nil {
		return -1
	}
	return b.lifecycle.epoch
}

// onUnreadableMetadata is a committed record or snapshot that makes no sense to this node: of a newer version, or damaged
// in spite of its checksum. What it does not know of the cluster it must not guess.
func (b *Broker) onUnreadableMetadata(err error) {
	b.env.Event.Emit(&event.Event{Kind: event.LogDirFailed, Partition: event.MetadataPartition, Peer: -1, Epoch: -1, Offset: -1, Note: err.Error()})
	b.fail(err)
}

// onFullDisk gives up leading the quorum, if there is anybody else: what cannot be written cannot be committed. Partitions keep their leader,
// who goes on answering fetches.
func (b *Broker) onFullDisk() {
	if b.quorum == nil || len(b.quorum.Voters()) == 1 {
		return
	}
	if leader, epoch := b.quorum.LeaderAndEpoch(); leader == b.cfg.NodeID {
		b.quorum.Resign(epoch)
	}
}

// fail stops the node: its only log directory, or that of the metadata log, is gone, so it can neither lead, follow nor vote. Whoever found
// out has emitted LogDirFailed.
func (b *Broker) fail(err error) {
	if b.stopping {
		return
	}
	b.failure = err
	b.halt()
	if b.lifecycle != nil {
		b.lifecycle.abort()
	}
}

// halt ends all outside activity without a word to anybody.
func (b *Broker) halt() {
	b.stopping = true
	for _, l := range b.listeners {
		l.Close()
	}
	if b.server != nil {
		b.server.Close()
	}
	b.peers.Close()
}

// Shutdown is a controlled shutdown: leaderships move to other brokers first, then logs are synced and marked
// clean. done runs when everything is on disk.
func (b *Broker) Shutdown(done func(error)) {
	if b.stopping || b.server == nil {
		done(nil)
		return
	}
	b.emit(event.NodeStopping, "")
	b.handOver(func() { b.closeDown(done) })
}

// handOver waits until the controller lets a broker go, or too long.
func (b *Broker) handOver(done func()) {
	if b.lifecycle == nil || !b.cfg.ControlledShutdown {
		done()
		return
	}
	b.lifecycle.shutDown(done)
}

func (b *Broker) closeDown(done func(error)) {
	b.disk.GiveUp()
	for _, d := range b.dirs {
		d.GiveUp()
	}
	if b.replicas != nil {
		b.replicas.Shutdown()
	}
	b.quorum.Shutdown(func() {
		b.halt()
		b.closeLogs(func(err error) {
			b.emit(event.NodeStopped, "")
			done(err)
		})
	})
}

func (b *Broker) closeLogs(done func(error)) {
	if b.logs == nil {
		done(nil)
		return
	}
	epoch := b.brokerEpoch()
	if epoch < 0 {
		epoch = b.logs.CleanShutdownEpoch() // not registered: the logs are as the shutdown before left them
	}
	b.logs.SetBrokerEpoch(epoch)
	b.logs.Shutdown(done)
}

// Ready reports whether the node serves: see Start.
func (b *Broker) Ready() bool { return b.ready && !b.stopping }

// Addrs are the bound addresses of the listeners, in the order of the configuration.
func (b *Broker) Addrs() (addrs []network.Addr) {
	for _, l := range b.listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

// Raft is the quorum node; nil before Start has opened it.
func (b *Broker) Raft() *raft.Node { return b.quorum }

// Image is the committed metadata; read only.
func (b *Broker) Image() *metadata.Image { return b.loader.Image() }

// Replicas is the replica manager; nil without the broker role.
func (b *Broker) Replicas() *replica.Manager { return b.replicas }

// Controller is the controller; nil without the role.
func (b *Broker) Controller() *controller.Controller { return b.controller }

// DirectoryID is that of the log directory; zero before Start has read it.
func (b *Broker) DirectoryID() [16]byte { return b.meta.DirectoryID }

// ClusterID names the cluster; empty before Start has read it.
func (b *Broker) ClusterID() string { return b.meta.ClusterID }
