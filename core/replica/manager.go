// Package replica is the partitions that this broker hosts: it leads them or follows their leader.
//
// A leader appends what clients produce, serves its followers, knows how far they are, moves the high
// watermark and asks the controller to change the ISR (KIP-497). A follower fetches from the leader,
// truncates where its log diverges (KIP-101, KIP-279, KIP-595) and learns the high watermark.
// Requests that must wait for either are kept here until they can be answered.
package replica

import (
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/lockstep/lockstep/network"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config is what a Manager must know of its broker. DefaultConfig has Kafka's values.
type Config struct {
	NodeID int32
	Rack   string
	// InterBrokerListener names the endpoint at which to fetch from other brokers; empty: their first.
	InterBrokerListener string

	ReplicaLagTimeMax      time.Duration // replica.lag.time.max.ms
	FetchWaitMax           time.Duration // replica.fetch.wait.max.ms
	FetchBackoff           time.Duration // replica.fetch.backoff.ms
	FetchTimeout           time.Duration // replica.socket.timeout.ms
	FetchMinBytes          int32         // replica.fetch.min.bytes
	FetchMaxBytes          int32         // replica.fetch.response.max.bytes
	FetchPartitionMaxBytes int32         // replica.fetch.max.bytes
	CheckpointInterval     time.Duration // replica.high.watermark.checkpoint.interval.ms
	RetentionCheckInterval time.Duration // log.retention.check.interval.ms

	DefaultMinISR int                                     // min.insync.replicas
	TopicMinISR   func(topic string) int                  // the topic's own; nil or below 1: the default
	LogConfig     func(event.Partition) storage.LogConfig // asked again whenever the topic's configuration changes
}

// DefaultConfig is Kafka's defaults.
func DefaultConfig(nodeID int32) Config {
	return Config{
		NodeID:            nodeID,
		ReplicaLagTimeMax: 30 * time.Second, FetchWaitMax: 500 * time.Millisecond, FetchBackoff: time.Second, FetchTimeout: 30 * time.Second,
		FetchMinBytes: 1, FetchMaxBytes: 10 << 20, FetchPartitionMaxBytes: 1 << 20,
		CheckpointInterval: 5 * time.Second, RetentionCheckInterval: 5 * time.Minute,
		DefaultMinISR: 1,
		LogConfig:     func(event.Partition) storage.LogConfig { return storage.DefaultLogConfig() },
	}
}

// AlterPartitionSender sends a request to the active controller and calls done once, with its response or why there is none.
type AlterPartitionSender func(req *kmsg.AlterPartitionRequest, done func(*kmsg.AlterPartitionResponse, error))

// Manager owns the partitions of one broker. Everything runs on the broker's loop.
type Manager struct {
	env   *env.Env
	loop  scheduler.Loop
	cfg   Config
	logs  *storage.Manager
	peers *wire.Peers

	brokerEpoch int64
	image       *metadata.Image // the newest applied
	started     bool            // the image has contained our registration
	stopped     bool
	failed      error // why the log directory is offline
	brokers     []brokerInfo

	byID       map[event.Partition]*Partition
	partitions []*Partition             // by id; the same as byID
	busy       map[event.Partition]bool // a log directory is being made or removed

	purgatory *purgatory
	alter     alterQueue
	fetchers  []*fetcher // by leader
	woken     []*delayedFetch
	produces  []*delayedProduce // free
	fetches   []*delayedFetch   // free
	ticks     [3]scheduler.Timer

	onLogDirFailure func(error)
}

// brokerInfo is what eligibility for the ISR needs of a registered broker, copied out of the image
// because every fetch of a follower outside the ISR asks for it.
type brokerInfo struct {
	id       int32
	epoch    int64
	eligible bool // neither fenced nor shutting down
	addr     network.Addr
}

// NewManager takes over the logs that are open. Nothing is led or followed before Apply.
func NewManager(e *env.Env, cfg Config, logs *storage.Manager, peers *wire.Peers, alter AlterPartitionSender) *Manager {
	m := &Manager{
		env: e, loop: e.Loop, cfg: cfg, logs: logs, peers: peers, brokerEpoch: -1,
		byID: map[event.Partition]*Partition{}, busy: map[event.Partition]bool{},
		purgatory: newPurgatory(e.Loop),
	}
	m.alter = alterQueue{m: m, send: alter}
	m.every(0, cfg.ReplicaLagTimeMax/2, m.checkISRs)
	m.every(1, cfg.CheckpointInterval, func() { m.logs.Checkpoint(m.onCheckpoint) })
	m.every(2, cfg.RetentionCheckInterval, m.deleteOldSegments)
	return m
}

func (m *Manager) every(i int, d time.Duration, f func()) {
	if d <= 0 {
		return
	}
	m.ticks[i] = m.loop.AfterFunc(d, func() {
		m.ticks[i].Reset(d)
		f()
	})
}

// OnLogDirFailure sets who is told, once, that the log directory failed. All partitions are offline by then.
func (m *Manager) OnLogDirFailure(f func(error)) { m.onLogDirFailure = f }

// SetBrokerEpoch is called with the epoch of each successful registration (KIP-903). The image that has the
// registration may have come before.
func (m *Manager) SetBrokerEpoch(epoch int64) {
	m.brokerEpoch = epoch
	if !m.started && m.image != nil {
		m.Apply(m.image, nil)
	}
}

// Shutdown stops fetching and timers and answers all that waits. Logs stay open: they are storage's.
func (m *Manager) Shutdown() {
	if m.stopped {
		return
	}
	m.stopped = true
	for _, t := range m.ticks {
		if t != nil {
			t.Stop()
		}
	}
	for _, f := range m.fetchers {
		f.stop()
	}
	m.fetchers = nil
	for _, p := range m.partitions {
		p.resign()
	}
	m.alter.stop()
	m.flushWoken()
	m.purgatory.stop()
}

// Partition returns the hosted partition, or nil.
func (m *Manager) Partition(id event.Partition) *Partition { return m.byID[id] }

// Partitions calls f for each hosted partition, by topic and index.
func (m *Manager) Partitions(f func(*Partition)) {
	for _, p := range m.partitions {
		f(p)
	}
}

// Image is the newest image applied, nil before the first.
func (m *Manager) Image() *metadata.Image { return m.image }

// Apply makes the hosted partitions what the image says. d names what changed since the last call;
// nil means anything may have.
//
// Nothing happens before an image contains this incarnation's registration (SetBrokerEpoch): an
// older image may say that we lead what others lead by now, and would make logs of topics created
// since look like strays, which are deleted.
func (m *Manager) Apply(img *metadata.Image, d *metadata.Delta) {
	if m.stopped {
		return
	}
	m.image = img
	if !m.started {
		if !m.isRegistered(img) {
			return
		}
		m.started, d = true, nil
	}
	if d == nil {
		m.applyBrokers()
		m.applyAll()
		return
	}
	m.applyDelta(d)
}

func (m *Manager) applyDelta(d *metadata.Delta) {
	if len(d.Brokers) > 0 {
		m.applyBrokers()
	}
	for _, id := range d.Partitions {
		if reg := m.image.Partition(id); reg != nil {
			m.applyPartition(reg)
		} else if p := m.byID[id]; p != nil {
			m.drop(p)
		}
	}
	for _, key := range d.Configs {
		m.applyConfig(key)
	}
}

// applyConfig has the partitions look at their configuration again that a change may concern.
func (m *Manager) applyConfig(key metadata.ResourceKey) {
	for _, p := range m.partitions {
		if key.Type != metadata.ResourceTopic || key.Name == p.id.Topic {
			p.onConfigChanged()
		}
	}
}

func (m *Manager) isRegistered(img *metadata.Image) bool {
	b := img.Broker(m.cfg.NodeID)
	return b != nil && m.brokerEpoch >= 0 && b.Epoch == m.brokerEpoch
}

// applyAll walks the whole image, then removes what is hosted, or lies on disk, without being in it.
func (m *Manager) applyAll() {
	m.image.Partitions(func(reg *metadata.Partition) bool {
		m.applyPartition(reg)
		return true
	})
	for _, p := range slices.Clone(m.partitions) {
		if !m.hosts(p.id, p.topicID) {
			m.drop(p)
		}
	}
	var strays []event.Partition
	m.logs.Each(func(l *storage.Log) {
		if id := l.Partition(); m.byID[id] == nil && id != event.MetadataPartition {
			strays = append(strays, id)
		}
	})
	for _, id := range strays {
		m.deleteLog(id)
	}
}

// hosts reports whether the image assigns this incarnation of the partition to this broker.
func (m *Manager) hosts(id event.Partition, topicID [16]byte) bool {
	reg := m.image.Partition(id)
	return reg != nil && reg.TopicID == topicID && reg.HasReplica(m.cfg.NodeID)
}

func (m *Manager) applyPartition(reg *metadata.Partition) {
	id := reg.Key()
	p := m.byID[id]
	if p != nil && p.topicID != reg.TopicID {
		m.drop(p) // deleted and created again under the same name: not one record is shared
		p = nil
	}
	if !reg.HasReplica(m.cfg.NodeID) {
		if p != nil {
			m.drop(p)
		}
		return
	}
	if p == nil {
		p = m.host(id, reg.TopicID)
	}
	p.apply(reg)
}

func (m *Manager) host(id event.Partition, topicID [16]byte) *Partition {
	p := newPartition(m, id, topicID)
	m.byID[id] = p
	at, _ := slices.BinarySearchFunc(m.partitions, id, comparePartition)
	m.partitions = slices.Insert(m.partitions, at, p)
	m.openLog(p)
	return p
}

func comparePartition(p *Partition, id event.Partition) int { return p.id.Compare(id) }

// drop stops hosting p and deletes its log.
func (m *Manager) drop(p *Partition) {
	delete(m.byID, p.id)
	if at, found := slices.BinarySearchFunc(m.partitions, p.id, comparePartition); found {
		m.partitions = slices.Delete(m.partitions, at, at+1)
	}
	p.remove()
	m.env.Event.Emit(event.Event{Kind: event.ReplicaRemoved, Partition: p.id, Peer: -1, Epoch: p.leaderEpoch, Offset: -1})
	m.deleteLog(p.id)
}

// openLog finds or makes p's log. One thing happens to a directory at a time: while an earlier
// incarnation of the partition is being made or removed, p waits for that to end.
func (m *Manager) openLog(p *Partition) {
	if m.busy[p.id] || m.failed != nil {
		return
	}
	if l := m.logs.Get(p.id); l != nil {
		if l.TopicID() == p.topicID {
			p.onLogOpen(l)
			return
		}
		m.deleteLog(p.id) // another topic of this name, deleted while we were down
		return
	}
	m.busy[p.id] = true
	m.logs.Create(p.id, p.topicID, m.cfg.LogConfig(p.id), func(_ *storage.Log, err error) { m.onDirDone(p.id, err) })
}

// deleteLog removes the log of a partition that is not hosted any more, or not under this topic id.
func (m *Manager) deleteLog(id event.Partition) {
	if m.busy[id] || m.logs.Get(id) == nil || m.failed != nil {
		return // onDirDone looks again
	}
	m.busy[id] = true
	m.logs.Delete(id, func(err error) { m.onDirDone(id, err) })
}

func (m *Manager) onDirDone(id event.Partition, err error) {
	delete(m.busy, id)
	if err != nil {
		m.onFailure(err)
		return
	}
	if m.stopped {
		return
	}
	if p := m.byID[id]; p != nil {
		m.openLog(p)
		return
	}
	m.deleteLog(id)
}

// onFailure takes the broker's one log directory offline: what its files hold is unknown from here.
func (m *Manager) onFailure(err error) {
	if m.failed != nil {
		return
	}
	m.failed = err
	m.env.Event.Emit(event.Event{Kind: event.LogDirFailed, Peer: -1, Epoch: -1, Offset: -1, Note: err.Error()})
	for _, p := range m.partitions {
		p.onOffline()
	}
	if m.onLogDirFailure != nil {
		m.onLogDirFailure(err)
	}
}

func (m *Manager) onCheckpoint(err error) {
	if err != nil {
		m.onFailure(err)
	}
}

// checkISRs is Kafka's isr-expiration task, every half lag: it also looks at the high watermarks,
// because a replica outside the ISR stops holding one back merely by falling behind for too long.
func (m *Manager) checkISRs() {
	for _, p := range m.partitions {
		if p.lead != nil {
			p.maybeShrinkISR()
			p.maybeAdvanceHighWatermark()
		}
	}
}

func (m *Manager) deleteOldSegments() {
	for _, p := range m.partitions {
		if p.isOnline() {
			p.log.DeleteOldSegments(p.onRetention)
		}
	}
}

func (m *Manager) applyBrokers() {
	m.brokers = m.brokers[:0]
	m.image.Brokers(func(b *metadata.Broker) bool {
		m.brokers = append(m.brokers, brokerInfo{
			id: b.ID, epoch: b.Epoch, eligible: b.Active(), addr: m.endpoint(b),
		})
		return true
	})
	for _, f := range m.fetchers {
		f.updateAddr()
	}
	for _, p := range m.partitions {
		if p.lead != nil {
			p.onBrokersChanged()
		}
	}
}

func (m *Manager) broker(id int32) *brokerInfo {
	at, found := slices.BinarySearchFunc(m.brokers, id, func(b brokerInfo, id int32) int { return int(b.id) - int(id) })
	if !found {
		return nil
	}
	return &m.brokers[at]
}

// isEligible reports whether a broker that fetched with this epoch may join an ISR (KIP-841, KIP-903).
// Counter-example to leaving the epoch out: B, in the ISR, loses its disk and restarts; the fetch it sent before still
// says that it has everything.
func (m *Manager) isEligible(id int32, fetchedWith int64) bool {
	b := m.broker(id)
	return b != nil && b.eligible && (fetchedWith == -1 || fetchedWith == b.epoch)
}

// endpoint is where to fetch from a broker.
func (m *Manager) endpoint(b *metadata.Broker) network.Addr {
	e, found := b.Endpoint(m.cfg.InterBrokerListener)
	if !found && len(b.Endpoints) > 0 {
		e, found = b.Endpoints[0], true
	}
	if !found {
		return ""
	}
	return network.Addr(net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
}
