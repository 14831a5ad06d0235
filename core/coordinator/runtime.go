// Package coordinator runs state machines on top of the partitions of an internal topic: the group coordinator on
// __consumer_offsets, the transaction coordinator on __transaction_state.
//
// A machine's state is the records of its partition and nothing else. Whoever leads the partition loads them, decides, appends
// what it decided and applies it in one turn, and answers when it is committed. So an answer never tells of
// what may yet be lost, and a successor knows all that was ever answered.
package coordinator

import (
	"slices"
	"sort"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Record is one record as a machine writes and reads it. A nil value is a tombstone.
type Record struct {
	Key, Value []byte
}

// Replayed is a record that is in the log. Its bytes are the machine's to keep.
type Replayed struct {
	Record
	Offset    int64
	Timestamp int64 // ms
	// ProducerID is of the transaction that the record is part of; -1 if it is of none. Until ReplayMarker it is pending.
	ProducerID    int64
	ProducerEpoch int16
}

// Machine is the state of one partition. Calls come on the loop, in the order of the log.
type Machine interface {
	// Replay applies a record: one of the log, or one that Shard.Append has just appended.
	Replay(r Replayed)
	// ReplayMarker ends the transaction of a producer.
	ReplayMarker(producerID int64, producerEpoch int16, commit bool)
	// Loaded: all that the log had has been replayed. Requests may come, and timers may run.
	Loaded()
	// Unloaded: this broker does not lead the partition any more. Whatever waits is answered with NOT_COORDINATOR by the shard;
	// the machine stops its timers. No call follows.
	Unloaded()
}

// Config is what a Runtime must know of its coordinator.
type Config struct {
	Topic        string
	WriteTimeout time.Duration // longest wait for a record to be committed
	LoadBytes    int           // read at once while loading (offsets.load.buffer.size)
	Codec        record.Codec  // of what is appended
	NewMachine   func(*Shard) Machine
}

// Runtime has a machine for each partition of the topic that this broker leads.
type Runtime struct {
	env    *env.Env
	cfg    Config
	image  func() *metadata.Image
	shards []*Shard // by partition: led here, loading or loaded
}

// New makes the runtime of a topic. It must be called before the first replicas.Apply.
func New(e *env.Env, cfg Config, image func() *metadata.Image, replicas *replica.Manager) *Runtime {
	r := &Runtime{env: e, cfg: cfg, image: image}
	replicas.Watch(cfg.Topic, r)
	return r
}

// PartitionFor is the partition of the topic that a group or a transactional id belongs to; -1 if there is no topic yet.
func (r *Runtime) PartitionFor(id string) int32 {
	t := r.image().Topic(r.cfg.Topic)
	if t == nil {
		return -1
	}
	return PartitionFor(id, len(t.Partitions))
}

// Shard is the loaded shard of a group or a transactional id. The errors are the client's: NOT_COORDINATOR if another broker has it,
// COORDINATOR_LOAD_IN_PROGRESS until it is loaded, COORDINATOR_NOT_AVAILABLE if there is no topic yet.
func (r *Runtime) Shard(id string) (*Shard, error) {
	i := r.PartitionFor(id)
	if i < 0 {
		return nil, kerr.CoordinatorNotAvailable
	}
	return r.ShardAt(i)
}

// ShardAt is the loaded shard of a partition; see Shard.
func (r *Runtime) ShardAt(partition int32) (*Shard, error) {
	at, found := r.find(partition)
	switch {
	case !found:
		return nil, kerr.NotCoordinator
	case !r.shards[at].loaded:
		return nil, kerr.CoordinatorLoadInProgress
	}
	return r.shards[at], nil
}

// Each calls f for each loaded shard, by partition, and reports whether none is still loading.
func (r *Runtime) Each(f func(*Shard)) (all bool) {
	all = true
	for _, s := range slices.Clone(r.shards) {
		if s.loaded {
			f(s)
		} else {
			all = false
		}
	}
	return all
}

func (r *Runtime) find(partition int32) (at int, found bool) {
	at = sort.Search(len(r.shards), func(i int) bool { return r.shards[i].partition.ID().Index >= partition })
	return at, at < len(r.shards) && r.shards[at].partition.ID().Index == partition
}

// OnElected implements replica.Watcher: the partition is loaded anew in each leader epoch, also in one that follows another of ours:
// a leader that we never heard of may have truncated and written in between.
func (r *Runtime) OnElected(p *replica.Partition) {
	at, _ := r.find(p.ID().Index)
	s := newShard(r, p)
	r.shards = slices.Insert(r.shards, at, s)
	s.load()
}

// OnResigned implements replica.Watcher.
func (r *Runtime) OnResigned(p *replica.Partition) {
	if at, found := r.find(p.ID().Index); found {
		s := r.shards[at]
		r.shards = slices.Delete(r.shards, at, at+1)
		s.unload()
	}
}

// OnHighWatermark implements replica.Watcher.
func (r *Runtime) OnHighWatermark(p *replica.Partition, hw int64) {
	if at, found := r.find(p.ID().Index); found {
		r.shards[at].onCommitted(hw)
	}
}

func (r *Runtime) emit(kind event.Kind, p *replica.Partition, offset int64) {
	r.env.Event.Emit(&event.Event{Kind: kind, Partition: p.ID(), TopicID: p.TopicID(), Peer: -1, Epoch: p.LeaderEpoch(), Offset: offset})
}
