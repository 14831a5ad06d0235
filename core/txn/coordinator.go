// Package txn is the transaction coordinator: which producer may write in the name of a transactional id, which partitions its
// transaction is about, and how it ended. It runs on __transaction_state, and sees to it that every partition hears of the end.
package txn

import (
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Version is the name of the feature that says which of Kafka's protocols for transactions is spoken; 2 is KIP-890's.
const Version = "transaction.version"

// Config is what the coordinator obeys; see Kafka's keys of the same names.
type Config struct {
	Topic              string
	MaxTimeoutMs       int32         // transaction.max.timeout.ms
	ExpirationMs       int64         // transactional.id.expiration.ms
	AbortInterval      time.Duration // transaction.abort.timed.out.transaction.cleanup.interval.ms
	ExpirationInterval time.Duration // transaction.remove.expired.transaction.cleanup.interval.ms
	WriteTimeout       time.Duration // longest wait for a record to be committed
	LoadBufferSize     int
}

// Needs is what the coordinator asks of its broker.
type Needs struct {
	Image func() *metadata.Image
	// NewProducerID gives an id that nobody else has, or the client's error; perhaps at once.
	NewProducerID func(done func(int64, error))
	// Send sends a request to a broker, this one perhaps, and gives its answer, in a later turn, or that there is none.
	Send func(broker int32, req kmsg.Request, done func(kmsg.Response, error))
}

// Coordinator coordinates the transactions of the ids whose partition of __transaction_state this broker leads.
type Coordinator struct {
	env     *env.Env
	cfg     Config
	needs   Needs
	runtime *coordinator.Runtime
	shards  shards
	outbox  []*destination // by broker
	abort   scheduler.Timer
	expire  scheduler.Timer
}

// New makes the coordinator. It must be called before the first replicas.Apply.
func New(e *env.Env, cfg Config, needs Needs, replicas *replica.Manager) *Coordinator {
	c := &Coordinator{env: e, cfg: cfg, needs: needs}
	c.runtime = coordinator.New(e, coordinator.Config{
		Topic: cfg.Topic, WriteTimeout: cfg.WriteTimeout, LoadBytes: cfg.LoadBufferSize,
		NewMachine: func(s *coordinator.Shard) coordinator.Machine { return newMachine(c, s) },
	}, needs.Image, replicas)
	c.shards = (*running)(c)
	return c
}

// shards finds machines that are loaded; see coordinator.Runtime.
type shards interface {
	machine(id string) (*machine, error)
	each(f func(*machine)) (all bool)
}

// running is the machines of the runtime.
type running Coordinator

func (r *running) machine(id string) (*machine, error) {
	s, err := r.runtime.Shard(id)
	if err != nil {
		return nil, err
	}
	return s.Machine().(*machine), nil
}

func (r *running) each(f func(*machine)) (all bool) {
	return r.runtime.Each(func(s *coordinator.Shard) { f(s.Machine().(*machine)) })
}

// version is the transaction.version that the cluster agreed on.
func (c *Coordinator) version() int16 { return c.needs.Image().Feature(Version) }

// find is the machine of a transactional id and what it knows of it, nil if nothing.
func (c *Coordinator) find(id string) (*machine, *transaction, error) {
	if id == "" {
		return nil, nil, kerr.InvalidRequest
	}
	m, err := c.shards.machine(id)
	if err != nil {
		return nil, nil, err
	}
	return m, m.get(id), nil
}
