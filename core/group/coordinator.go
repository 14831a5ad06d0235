// Package group is the group coordinator: who is in a group, who has which partitions, and how far each group has read. It
// runs on __consumer_offsets, in Kafka's record formats.
//
// A machine is the groups of one partition of that topic. A Group is an id, its committed offsets, and its members, which are of one
// of the kinds that implement the interface members:
//
//   - classic: members join, one of them assigns, all sync (JoinGroup, SyncGroup). Of the members only those of the last completed rebalance are
//     in a record; what is under way is lost with the machine.
//   - consumerGroup: KIP-848. Members send heartbeats, the coordinator assigns (assignor.go), and each member is moved towards its target on its
//     own (reconcile.go). All is in records: a request decides, and replaying what it appended changes the group.
//
// A group changes its kind when it is empty, or online: upgrade.go, downgrade.go. Requests come in at Coordinator,
// one file each (join.go, commit.go, …), which finds the machine and the group and answers by a callback, at once or
// when what the answer tells of is committed. Errors in answers are Kafka's, by code; core/api adds what concerns topics.
//
// Another kind of group would be another type that implements members, with entry points of its own on Coordinator and a branch
// where the requests of the others find their group.
package group

import (
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Config is what the coordinator obeys; see Kafka's keys of the same names.
type Config struct {
	Topic                  string
	MinSessionTimeout      time.Duration
	MaxSessionTimeout      time.Duration
	InitialRebalanceDelay  time.Duration
	MaxSize                int // members of a group
	OffsetMetadataMaxBytes int
	OffsetsRetention       time.Duration
	RetentionCheckInterval time.Duration
	CommitTimeout          time.Duration
	LoadBufferSize         int
	Codec                  record.Codec

	// Of groups of the consumer protocol.
	Assignors            []string // those that members may want; the first is the default
	ConsumerMaxSize      int      // members of a group
	MigrationPolicy      MigrationPolicy
	RegexRefreshInterval time.Duration
	Timing               func(group string) Timing
}

// Version is the feature that lets groups of the consumer protocol be: level 1 (KIP-848).
const Version = "group.version"

// Client is who sent a request.
type Client struct {
	ID   string
	Host string // as Kafka writes it: "/127.0.0.1"
}

// Coordinator coordinates the groups whose partition of __consumer_offsets this broker leads.
type Coordinator struct {
	cfg     Config
	runtime *coordinator.Runtime
	rand    *rand.Rand // member ids
	image   func() *metadata.Image

	topicsAt    int64 // offset of the metadata when a topic last changed
	newTopicsAt int64 // and when one was created
	topics      int   // how many there were
}

// New makes the coordinator. It must be called before the first replicas.Apply.
func New(e *env.Env, cfg Config, image func() *metadata.Image, replicas *replica.Manager) *Coordinator {
	c := &Coordinator{cfg: cfg, rand: e.Rand("group"), image: image}
	c.runtime = coordinator.New(e, coordinator.Config{
		Topic: cfg.Topic, WriteTimeout: cfg.CommitTimeout, LoadBytes: cfg.LoadBufferSize, Codec: cfg.Codec,
		NewMachine: func(s *coordinator.Shard) coordinator.Machine { return newMachine(c, s) },
	}, image, replicas)
	return c
}

// Runtime is the shards of __consumer_offsets.
func (c *Coordinator) Runtime() *coordinator.Runtime { return c.runtime }

// Apply follows the metadata: offsets of topics that were deleted go, and consumer groups look at their topics at the next heartbeat.
func (c *Coordinator) Apply(image *metadata.Image, d *metadata.Delta) {
	c.noteTopics(image, d)
	if d == nil || len(d.Deleted) == 0 {
		return
	}
	c.runtime.Each(func(s *coordinator.Shard) { s.Machine().(*machine).forgetTopics(d.Deleted) })
}

func (c *Coordinator) noteTopics(image *metadata.Image, d *metadata.Delta) {
	created, changed := image.NumTopics() > c.topics, d == nil
	if d != nil {
		created = image.NumTopics()+len(d.Deleted) > c.topics
		changed = len(d.Topics) > 0
	}
	if created || changed {
		c.topicsAt = image.Offset()
	}
	if created {
		c.newTopicsAt = image.Offset()
	}
	c.topics = image.NumTopics()
}

// machineOf is the machine that has a group, or the error for who came to the wrong broker or too early.
func (c *Coordinator) machineOf(group string) (*machine, error) {
	s, err := c.runtime.Shard(group)
	if err == kerr.CoordinatorNotAvailable {
		err = kerr.NotCoordinator // no topic, so nobody's yet: FindCoordinator creates it
	}
	if err != nil {
		return nil, err
	}
	return s.Machine().(*machine), nil
}
