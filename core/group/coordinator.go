// Package group is the group coordinator: who is in a group, who has which partitions, and how far each group has read. It
// runs on __consumer_offsets, in Kafka's record formats.
//
// A machine is the groups of one partition of that topic. A Group is an id, its committed offsets, and its members, which are of one
// of the kinds that implement the interface members; there is one so far, classic (JoinGroup, SyncGroup). Requests come in at Coordinator,
// one file each (join.go, commit.go, …), which finds the machine and the group and answers by a callback, at once or
// when what the answer tells of is committed. Errors in answers are Kafka's, by code; core/api adds what concerns topics.
//
// To add another kind of group, say KIP-848's consumer groups:
//
//   - a type that implements members (group.go lists what a kind must answer), whose records are decoded and dispatched in
//     machine.Replay (records.go has the keys of the classic ones) and whose timers start in load and end in unload;
//   - an entry point on Coordinator for each of its requests, which begins with machineOf;
//   - its own branch where the classic requests find their group: machine.classic gives nil for a group of another kind, and the error
//     that Kafka has for that is chosen by the caller. Migration replaces Group.members.
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
}

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
}

// New makes the coordinator. It must be called before the first replicas.Apply.
func New(e *env.Env, cfg Config, image func() *metadata.Image, replicas *replica.Manager) *Coordinator {
	c := &Coordinator{cfg: cfg, rand: e.Rand("group")}
	c.runtime = coordinator.New(e, coordinator.Config{
		Topic: cfg.Topic, WriteTimeout: cfg.CommitTimeout, LoadBytes: cfg.LoadBufferSize, Codec: cfg.Codec,
		NewMachine: func(s *coordinator.Shard) coordinator.Machine { return newMachine(c, s) },
	}, image, replicas)
	return c
}

// Runtime is the shards of __consumer_offsets.
func (c *Coordinator) Runtime() *coordinator.Runtime { return c.runtime }

// Apply follows the metadata: offsets of topics that were deleted go.
func (c *Coordinator) Apply(_ *metadata.Image, d *metadata.Delta) {
	if d == nil || len(d.Deleted) == 0 {
		return
	}
	c.runtime.Each(func(s *coordinator.Shard) { s.Machine().(*machine).forgetTopics(d.Deleted) })
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
