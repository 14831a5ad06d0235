// Package controller is the active controller of the cluster: requests become metadata records and
// a response.
//
// A handler is a pure check of a request against the image; the records it returns are appended as
// one atomic batch (as several if they are too many and need not be all or nothing), replayed onto the
// controller's own image, and the response is released when they have committed. The image is therefore
// ahead of what is committed, and dies with the epoch.
package controller

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/scheduler"
)

// Quorum is what the controller needs of raft.Node.
type Quorum interface {
	// Append appends one atomic batch as the leader of epoch and returns the offset after it.
	Append(epoch int32, records [][]byte) (next int64, err error)
	Resign(epoch int32)
	LeaderAndEpoch() (leader, epoch int32)
	// UpgradeKRaftVersion sets kraft.version, which is the quorum's own; done gets nil when it is committed.
	UpgradeKRaftVersion(epoch int32, version int16, validateOnly bool, done func(err *kerr.Error, why string))
}

// Config is what the controller does not find in the metadata. Zero values get Kafka's defaults.
type Config struct {
	NodeID                   int32
	ClusterID                string        // "": registrations are not checked for it
	SessionTimeout           time.Duration // broker.session.timeout.ms, 9 s
	LeaderRebalanceInterval  time.Duration // leader.imbalance.check.interval.seconds; 0: no automatic return of leaders
	NumPartitions            int32         // num.partitions, 1
	DefaultReplicationFactor int16         // default.replication.factor, 1
	MinInsyncReplicas        int           // min.insync.replicas where neither topic nor cluster sets it, 1
	NoDeletion               bool          // delete.topic.enable=false
	UncleanLeaderElection    bool          // unclean.leader.election.enable where neither topic nor cluster sets it
	MaxBatchBytes            int           // of one batch that the quorum takes, 8 MiB
	// Features are finalized when the metadata log is empty, metadata.version first. nil: DefaultFeatures.
	Features []metadata.Feature
	// Supported is what this controller can run; no feature can be set to another level. nil: nothing can be set.
	Supported []metadata.SupportedFeature
	// ValidateConfigs says why a resource may not be set to what is new among all its configs. The error wraps a code;
	// INVALID_CONFIG without one. nil: anything goes.
	ValidateConfigs func(resource metadata.ResourceKey, set []metadata.ConfigEntry, all map[string]string) error
	// IsList answers whether APPEND and SUBTRACT apply to a key. nil: to none.
	IsList func(resourceType int8, key string) bool
	// ConfigDefault is the value of a key that is not set; APPEND and SUBTRACT start from it. nil: empty.
	ConfigDefault func(resourceType int8, key string) string
}

// FeatureELR is the feature that turns on eligible leader replicas (KIP-966).
const FeatureELR = "eligible.leader.replicas.version"

// DefaultFeatures are those of a new cluster at Kafka 4.3.
var DefaultFeatures = []metadata.Feature{
	{Name: metadata.MetadataVersion, Level: 30},
	{Name: FeatureELR, Level: 1},
	{Name: "group.version", Level: 1},
	{Name: "transaction.version", Level: 2},
}

func (c Config) withDefaults() Config {
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 9*time.Second)
	c.NumPartitions = cmp.Or(c.NumPartitions, 1)
	c.DefaultReplicationFactor = cmp.Or(c.DefaultReplicationFactor, 1)
	c.MinInsyncReplicas = cmp.Or(c.MinInsyncReplicas, 1)
	c.MaxBatchBytes = cmp.Or(c.MaxBatchBytes, 8<<20)
	if c.Features == nil {
		c.Features = DefaultFeatures
	}
	return c
}

// waiter is a response that waits for its records.
type waiter struct {
	offset int64 // released when everything below it has committed
	done   func(error)
}

// Controller is this node's controller. It is active in one epoch at a time.
type Controller struct {
	env    *env.Env
	cfg    Config
	quorum Quorum
	rand   *rand.Rand

	epoch      int32           // of the quorum, while active; -1 otherwise
	img        *metadata.Image // as written; nil while inactive
	nextOffset int64           // where the next record goes
	committed  int64
	waiting    []waiter // Invariant: offsets ascend

	sessions  *sessions
	rebalance scheduler.Timer
}

// New returns an inactive controller.
func New(e *env.Env, cfg Config, q Quorum) *Controller {
	c := &Controller{env: e, cfg: cfg.withDefaults(), quorum: q, rand: e.Rand("controller"), epoch: -1}
	c.sessions = newSessions(e.Loop, c.cfg.SessionTimeout, c.onSessionExpired)
	return c
}

// Active reports whether this node is the active controller.
func (c *Controller) Active() bool { return c.epoch >= 0 }

// Epoch is the epoch the controller is active in; -1 while inactive.
func (c *Controller) Epoch() int32 { return c.epoch }

// Image is the image as written: it may hold uncommitted state. nil while inactive.
func (c *Controller) Image() *metadata.Image { return c.img }

// OnLeader follows the quorum: raft calls it after all of an earlier leader's records have been
// delivered. committed holds everything below the epoch's first record of ours, but for what is inside a metadata
// transaction that is open.
func (c *Controller) OnLeader(leader, epoch int32, committed *metadata.Image, inTransaction bool) {
	if c.Active() && (leader != c.cfg.NodeID || epoch != c.epoch) {
		c.resign()
	}
	if leader == c.cfg.NodeID && !c.Active() {
		c.claim(epoch, committed, inTransaction)
	}
}

// claim starts an epoch. Every broker gets a fresh session: what it sent to the last controller is
// unknown here.
//
// We begin no metadata transaction, but Kafka's controller does (KIP-868): one that it has left open is aborted, as it would itself, or
// nobody would ever see what we write.
func (c *Controller) claim(epoch int32, committed *metadata.Image, inTransaction bool) {
	c.epoch, c.img = epoch, committed.Clone()
	c.nextOffset, c.committed = committed.Offset(), committed.Offset()
	c.env.Event.Emit(&event.Event{Kind: event.ControllerActive, Peer: -1, Epoch: epoch, Offset: -1})
	c.img.Brokers(func(b *metadata.Broker) bool {
		if !b.Fenced {
			c.sessions.touch(b.ID, b.Epoch)
		}
		return true
	})
	if inTransaction {
		c.write([]metadata.Record{&metadata.AbortTransactionRecord{}}, func(error) {})
	}
	if c.Active() && c.img.IsEmpty() {
		c.write(c.bootstrapRecords(), func(error) {})
	}
	if c.Active() {
		c.scheduleRebalance()
	}
}

// resign ends the epoch: whatever waits may or may not commit, and is not ours to answer.
func (c *Controller) resign() {
	epoch, waiting := c.epoch, c.waiting
	c.epoch, c.img, c.waiting = -1, nil, nil
	c.sessions.clear()
	if c.rebalance != nil {
		c.rebalance.Stop()
	}
	c.env.Event.Emit(&event.Event{Kind: event.ControllerResigned, Peer: -1, Epoch: epoch, Offset: -1})
	for _, w := range waiting {
		w.done(kerr.NotController)
	}
}

// OnCommit releases the responses of records below next. Call it after the committed image moved.
func (c *Controller) OnCommit(next int64) {
	if x := c.env.Buggify; x.Fires(buggify.CommitLate) {
		c.env.Loop.AfterFunc(x.Delay(buggify.CommitLate, 200*time.Millisecond), func() { c.OnCommit(next) })
		return
	}
	c.committed = max(c.committed, next)
	for len(c.waiting) > 0 && c.waiting[0].offset <= c.committed {
		w := c.waiting[0]
		c.waiting = c.waiting[1:]
		w.done(nil)
	}
}

// replay applies one record of ours and says what it did.
func (c *Controller) replay(r metadata.Record) {
	emit := func() { c.emitRecord(r) }
	switch r := r.(type) {
	case *metadata.PartitionChangeRecord:
		old := c.img.TopicByID(r.TopicID).Partition(r.PartitionID)
		emit = func() { c.emitPartitionChange(old, r) }
	case *metadata.ClearElrRecord:
		old := c.withElr(r.TopicName)
		emit = func() { c.emitCleared(old) }
	}
	err := c.img.Apply(r)
	invariant.Check(err == nil, "controller wrote a record that does not fit its image: %v", err)
	emit()
}

// checkBrokerEpoch answers STALE_BROKER_EPOCH unless epoch is of the broker's living incarnation.
func (c *Controller) checkBrokerEpoch(id int32, epoch int64) *kerr.Error {
	if b := c.img.Broker(id); b == nil || b.Epoch != epoch {
		return kerr.StaleBrokerEpoch
	}
	return nil
}
