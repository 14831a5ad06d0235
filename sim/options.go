package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// Options is the shape of one run's world: the cluster, its topics and its clients. Together with
// the seed and the faults it is all that decides what happens.
type Options struct {
	Cluster      ClusterOptions
	Topics       []TopicOptions
	Producers    []ProducerOptions
	Consumers    []ConsumerOptions
	Groups       []GroupOptions
	Offsets      TopicOptions // __consumer_offsets, if there are groups
	Txns         []TxnOptions
	Transactions TransactionOptions // if there are transactional producers, or groups that copy
	For          time.Duration      // how long clients produce and faults strike, after the cluster has formed
	Unbounded    bool               // power losses strike whatever the promise survives
	Buggify      []buggify.Armed    // rare paths of the core that are taken more often while faults strike
	Settle       time.Duration      // how long after the heal everything must be well again (P9)
}

// ClusterOptions is the shape of the cluster and the brokers' configuration.
type ClusterOptions struct {
	Brokers  int
	Voters   int  // of the quorum: 1 or 3
	Combined bool // voters are brokers too; else they are nodes of their own
	// Controllers are the voters and those that may become voters. 0: the voters are static, and there are no others.
	Controllers int
	AutoJoin    bool // controller.quorum.auto.join.enable: controllers that are no voters ask to be

	Session        time.Duration // broker.session.timeout.ms
	Heartbeat      time.Duration // broker.heartbeat.interval.ms
	ReplicaLag     time.Duration // replica.lag.time.max.ms
	FetchWait      time.Duration // replica.fetch.wait.max.ms
	SnapshotBytes  int64         // metadata.log.max.record.bytes.between.snapshots
	SegmentBytes   int64         // internal.metadata.log.segment.bytes; 0: the default
	QuorumTimeout  time.Duration // controller.quorum.fetch.timeout.ms, and twice the election timeout; 0: the defaults
	MaxLinkDelay   time.Duration // of every link at first
	DiskSync       time.Duration // the longest sync at first
	AutoRebalance  time.Duration // leader.imbalance.check.interval.seconds
	RetentionCheck time.Duration // log.retention.check.interval.ms; 0: the default
	CleanerBackoff time.Duration // log.cleaner.backoff.ms; 0: the default
	LogDirs        int           // how many log.dirs a node has, each a disk of its own; 0: one
	DialTimeout    time.Duration
	RequestTimeout time.Duration // of clients
	MetadataAge    time.Duration // of clients, after which they ask again; 0: 10 s
	Retransmit     time.Duration // how long a connection bears silence of the other host; 0: simnet's default, which is short
}

// TopicOptions is a topic and its configuration.
type TopicOptions struct {
	Name           string
	Partitions     int
	RF             int
	MinISR         int
	Unclean        bool
	FlushMessages  int64 // 0: never
	SegmentBytes   int64
	Retention      time.Duration // retention.ms; 0: the default
	RetentionBytes int64         // retention.bytes; 0: the default
	Compact        bool          // cleanup.policy has compact, and records have keys
	Replicas       string        // of each partition, the preferred leader first: "1,2,3/2,3,1"; empty: the controller's choice
}

// ProducerOptions is a producer. It writes to every partition of every topic.
type ProducerOptions struct {
	Acks       int // -1, 0 or 1
	Idempotent bool
	Interval   time.Duration // mean time between produces
	Records    int           // most records in a batch
	Size       int           // bytes of a record's value
	Version    int           // of Produce
	Keep       string        // which of its produces happen: "3,7-9", by number from 1; empty: all
}

// ConsumerOptions is a consumer. It reads every partition of every topic from its start.
type ConsumerOptions struct {
	Wait      time.Duration // longest wait of a fetch
	MaxBytes  int           // of one partition in a fetch
	Sessions  bool          // incremental fetch sessions (KIP-227)
	Version   int           // of Fetch
	Committed bool          // read_committed
}

// Kafka's defaults, where a run does not draw something faster.
func defaultCluster() ClusterOptions {
	return ClusterOptions{
		Brokers: 3, Voters: 3, Combined: true,
		Session: 9 * time.Second, Heartbeat: 2 * time.Second, ReplicaLag: 30 * time.Second, FetchWait: 500 * time.Millisecond,
		SnapshotBytes: 20 << 20, MaxLinkDelay: 500 * time.Microsecond, DiskSync: 4 * time.Millisecond, AutoRebalance: 300 * time.Second,
		DialTimeout: 10 * time.Second, RequestTimeout: 5 * time.Second,
	}
}

// plainProducer and plainConsumer are clients of whom a schedule's line says nothing else.
func plainProducer() ProducerOptions {
	return ProducerOptions{Acks: -1, Interval: 50 * time.Millisecond, Records: 1, Size: 20, Version: 9}
}

func plainConsumer() ConsumerOptions {
	return ConsumerOptions{Wait: 500 * time.Millisecond, MaxBytes: 1 << 20, Version: 13}
}

// Canonical is the benchmark's scenario: three combined nodes, eight partitions with three replicas,
// about 130 produces a simulated second.
func Canonical() Options {
	o := Options{
		Cluster:   defaultCluster(),
		Topics:    []TopicOptions{{Name: "t0", Partitions: 8, RF: 3, MinISR: 2, SegmentBytes: 1 << 20}},
		Consumers: []ConsumerOptions{{Wait: 500 * time.Millisecond, MaxBytes: 1 << 20, Sessions: true, Version: 13}},
		For:       60 * time.Second,
		Settle:    60 * time.Second,
	}
	for range 2 {
		o.Producers = append(o.Producers, ProducerOptions{Acks: -1, Idempotent: true, Interval: 15400 * time.Microsecond, Records: 1, Size: 100, Version: 9})
	}
	return o
}

// DrawOptions draws a run's shape from its seed. Each part has a stream of its own.
func DrawOptions(seed uint64) Options {
	o := Options{Settle: 90 * time.Second}
	o.Cluster = drawCluster(virtual.Rand(seed, "options/cluster"))
	shape := virtual.Rand(seed, "options/shape")
	o.For = pick(shape, 8*time.Second, 8*time.Second, 15*time.Second, 30*time.Second)
	if o.Cluster.Session > 6*time.Second {
		o.For = max(o.For, 15*time.Second) // else nobody would ever be fenced
	}
	o.Unbounded = shape.IntN(12) == 0
	o.Buggify = drawBuggify(seed)
	topics := virtual.Rand(seed, "options/topics")
	for i := range 1 + topics.IntN(3) {
		o.Topics = append(o.Topics, drawTopic(virtual.Rand(seed, "options/topic/"+strconv.Itoa(i)), i, o.Cluster.Brokers))
	}
	clients := virtual.Rand(seed, "options/clients")
	for i := range 1 + clients.IntN(3) {
		p := drawProducer(virtual.Rand(seed, "options/producer/"+strconv.Itoa(i)))
		p.Records = max(min(p.Records, o.largestBatch()/(p.Size+recordOverhead)), 1)
		o.Producers = append(o.Producers, p)
	}
	for i := range 1 + clients.IntN(2) {
		o.Consumers = append(o.Consumers, drawConsumer(virtual.Rand(seed, "options/consumer/"+strconv.Itoa(i))))
	}
	o.drawOffsetsAndGroups(seed)
	o.drawTransactions(seed)
	return o
}

// recordOverhead is more than a record takes beside its value, in bytes.
const recordOverhead = 20

// largestBatch is what fits into a segment of every topic.
func (o *Options) largestBatch() int {
	size := int64(1 << 20)
	for _, t := range o.Topics {
		size = min(size, t.SegmentBytes)
	}
	return int(size) - 100
}

// pick draws one of the values.
func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

func pickMillis(r *rand.Rand, values ...int) time.Duration {
	return time.Duration(pick(r, values...)) * time.Millisecond
}

func drawCluster(r *rand.Rand) ClusterOptions {
	c := defaultCluster()
	c.Brokers = pick(r, 3, 3, 3, 3, 4, 5, 2)
	c.Combined = r.IntN(3) > 0
	c.Voters = pick(r, 3, 3, 3, 1)
	if c.Combined && c.Brokers < c.Voters {
		c.Voters = 1
	}
	if r.IntN(4) > 0 { // faster than Kafka's defaults, so that more happens in a simulated second
		c.Session = pickMillis(r, 1500, 3000, 6000)
		c.Heartbeat = c.Session / 5
		c.ReplicaLag = pickMillis(r, 1000, 3000, 10_000)
		c.AutoRebalance = pickMillis(r, 1000, 5000, 20_000, 300_000)
	}
	c.FetchWait = pickMillis(r, 500, 500, 100, 20)
	c.SnapshotBytes = pick[int64](r, 20<<20, 4<<10, 1<<10)
	c.MaxLinkDelay = pick(r, 200*time.Microsecond, 500*time.Microsecond, 500*time.Microsecond, 5*time.Millisecond)
	c.DiskSync = pickMillis(r, 1, 4, 4, 20)
	c.RequestTimeout = pickMillis(r, 2000, 5000, 10_000)
	c.RetentionCheck = pickMillis(r, 0, 500, 2000)
	c.Retransmit = pickMillis(r, 0, 0, 1000, 15_000)
	c.SegmentBytes = pick[int64](r, 0, 0, 16<<10, 2<<10)
	c.QuorumTimeout = pickMillis(r, 0, 0, 1000, 1500) // a fetch waits 500 ms at the leader: less would be an election at every turn
	c.CleanerBackoff = pickMillis(r, 500, 2000, 5000)
	return c
}

func drawTopic(r *rand.Rand, i, brokers int) TopicOptions {
	t := TopicOptions{Name: fmt.Sprintf("t%d", i), Partitions: pick(r, 1, 1, 2, 3)}
	t.RF = min(pick(r, 1, 2, 3, 3, 3, 3, 3, 4), brokers)
	t.MinISR = min(pick(r, 1, 2, 2, 2, 2, 2, 3, t.RF), t.RF)
	t.Unclean = r.IntN(6) == 0
	t.FlushMessages = pick[int64](r, 0, 0, 0, 1)
	t.SegmentBytes = pick[int64](r, 1<<20, 16<<10, 4<<10)
	switch r.IntN(6) { // now and then records go while they are written and read
	case 0:
		t.Retention = pickMillis(r, 1000, 5000)
	case 1:
		t.RetentionBytes = pick[int64](r, 8<<10, 64<<10)
	}
	if t.Compact = r.IntN(5) == 0; t.Compact {
		t.SegmentBytes = 4 << 10 // the active segment is not compacted
	}
	return t
}

func drawProducer(r *rand.Rand) ProducerOptions {
	p := ProducerOptions{Acks: pick(r, -1, -1, -1, -1, 1, 0), Idempotent: r.IntN(4) > 0}
	p.Idempotent = p.Idempotent && p.Acks == -1
	p.Interval = pickMillis(r, 5, 20, 20, 50, 200, 1000)
	p.Records = pick(r, 1, 1, 4, 20)
	p.Size = pick(r, 20, 100, 1000)
	p.Version = pick(r, 7, 9, 12, 13)
	return p
}

func drawConsumer(r *rand.Rand) ConsumerOptions {
	c := ConsumerOptions{Wait: pickMillis(r, 500, 500, 50), MaxBytes: pick(r, 1<<20, 1<<20, 4<<10)}
	c.Sessions = r.IntN(4) > 0
	c.Version = pick(r, 11, 12, 13, 17)
	return c
}
