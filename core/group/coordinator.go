// Package group is the group coordinator: who is in a group, who has which partitions, and how far each group has read. It
// runs on __consumer_offsets.
package group

import (
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/replica"
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
}

// Coordinator coordinates the groups whose partition of __consumer_offsets this broker leads.
type Coordinator struct {
	env     *env.Env
	cfg     Config
	image   func() *metadata.Image
	runtime *coordinator.Runtime
	rand    *rand.Rand // member ids
}

// New makes the coordinator. It must be called before the first replicas.Apply.
func New(e *env.Env, cfg Config, image func() *metadata.Image, replicas *replica.Manager) *Coordinator {
	c := &Coordinator{env: e, cfg: cfg, image: image, rand: e.Rand("group")}
	c.runtime = coordinator.New(e, coordinator.Config{
		Topic: cfg.Topic, WriteTimeout: cfg.CommitTimeout, LoadBytes: cfg.LoadBufferSize,
		NewMachine: func(s *coordinator.Shard) coordinator.Machine { return newMachine(c, s) },
	}, image, replicas)
	return c
}

// Runtime is the shards of __consumer_offsets.
func (c *Coordinator) Runtime() *coordinator.Runtime { return c.runtime }
