// Package replica is the partitions that this broker hosts: it leads them or follows their leader.
//
// A leader appends what clients produce, serves its followers, knows how far they are, moves the high
// watermark and asks the controller to change the ISR (KIP-497). A follower fetches from the leader,
// truncates where its log diverges (KIP-101, KIP-279, KIP-595) and learns the high watermark.
// Requests that must wait for either are kept here until they can be answered.
package replica

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
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
	// RackAware: consumers are sent to a replica in their rack (replica.selector.class).
	RackAware bool
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

	// Cleaner is the log.cleaner.* keys that are not a topic's. It is asked again whenever the configuration of brokers changes.
	Cleaner func() storage.CleanerConfig
	// TransactionVerification is transaction.partition.verification.enable: no batch begins a transaction unless its coordinator agrees.
	// It is asked again like Cleaner.
	TransactionVerification func() bool

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
		CheckpointInterval: 5 * time.Second, RetentionCheckInterval: 5 * time.Minute, Cleaner: storage.DefaultCleanerConfig,
		TransactionVerification: func() bool { return true },
		DefaultMinISR:           1,
		LogConfig:               func(event.Partition) storage.LogConfig { return storage.DefaultLogConfig() },
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
	hasUnread   bool  // a log directory could not be read at the start: nobody knows which logs it has
	brokers     []brokerInfo

	byID       hosted
	partitions []*Partition                        // by id; the same as byID
	busy       map[event.Partition]bool            // a log directory is being made or removed
	preferred  map[event.Partition]*storage.LogDir // where an administrator wants replicas that are not there yet

	watchers  map[string]Watcher // by topic
	purgatory *purgatory
	alter     alterQueue
	assign    assignQueue
	fetchers  []*fetcher // by leader
	woken     []*delayedFetch
	produces  []*delayedProduce // free
	fetches   []*delayedFetch   // free
	appends   []*followerAppend // free
	onWoken   func()            // flushWoken, bound once
	ticks     [3]scheduler.Timer
	cleaner   *storage.Cleaner
	verifies  bool // what Config.TransactionVerification said

	onLogDirFailure func(error)
	onLogDirOffline func(error)
}

// brokerInfo is what eligibility for the ISR needs of a registered broker, copied out of the image
// because every fetch of a follower outside the ISR asks for it.
type brokerInfo struct {
	id       int32
	epoch    int64
	eligible bool // neither fenced nor shutting down
	addr     network.Addr

	registered *metadata.Broker
}

// NewManager takes over the logs that are open. Nothing is led or followed before Apply.
func NewManager(e *env.Env, cfg Config, logs *storage.Manager, peers *wire.Peers, alter AlterPartitionSender) *Manager {
	m := &Manager{
		env: e, loop: e.Loop, cfg: cfg, logs: logs, peers: peers, brokerEpoch: -1,
		busy:      map[event.Partition]bool{},
		preferred: map[event.Partition]*storage.LogDir{},
		purgatory: newPurgatory(e.Loop),
	}
	m.hasUnread = logs.AnyOffline()
	m.alter.send = alter
	m.alter.init(m, alterRetry, m.alter.flush)
	m.assign.init(m, assignRetry, m.assign.flush)
	m.onWoken = m.flushWoken
	logs.OnDirFailure(m.onFailure)
	m.every(0, cfg.ReplicaLagTimeMax/2, m.checkISRs)
	m.every(1, cfg.CheckpointInterval, func() {
		if !m.env.Buggify.Fires(buggify.CheckpointSkip) {
			m.logs.Checkpoint(func(error) {}) // see OnDirFailure
		}
	})
	m.every(2, cfg.RetentionCheckInterval, m.deleteOldSegments)
	m.cleaner = storage.NewCleaner(logs, cfg.Cleaner())
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

// OnLogDirFailure sets who is told that a log directory failed: offline of one of several, failed, once, when the broker cannot go on
// without it. The partitions in it are offline by then.
func (m *Manager) OnLogDirFailure(offline, failed func(error)) {
	m.onLogDirOffline, m.onLogDirFailure = offline, failed
}

// AssignDirsWith sets who carries requests to the active controller, and calls done once, with its response or why there is none.
func (m *Manager) AssignDirsWith(send AssignDirsSender) { m.assign.send = send }

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
	m.cleaner.Stop()
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
	m.assign.stop()
	m.flushWoken()
	m.purgatory.stop()
}

// Partition returns the hosted partition, or nil.
func (m *Manager) Partition(id event.Partition) *Partition { return m.byID.get(id) }

// Partitions calls f for each hosted partition, by topic and index.
func (m *Manager) Partitions(f func(*Partition)) {
	for _, p := range m.partitions {
		f(p)
	}
}

// LogDirs are the broker's log directories, in the order of log.dirs.
func (m *Manager) LogDirs() []*storage.LogDir { return m.logs.Dirs() }

// Image is the newest image applied, nil before the first.
func (m *Manager) Image() *metadata.Image { return m.image }

// checkISRs is Kafka's isr-expiration task, every half lag: it also looks at the high watermarks,
// because a replica outside the ISR stops holding one back merely by falling behind for too long.
func (m *Manager) checkISRs() {
	if x := m.env.Buggify; x.Fires(buggify.ISRCheckEarly) {
		m.ticks[0].Reset(x.Delay(buggify.ISRCheckEarly, m.cfg.ReplicaLagTimeMax/4))
	}
	if m.env.Buggify.Fires(buggify.RetentionNow) {
		m.deleteOldSegments()
	}
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
			log := p.log
			log.DeleteOldSegments(func(err error) { p.onLogError(log, err) })
		}
	}
}
