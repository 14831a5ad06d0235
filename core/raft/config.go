package raft

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/network"
)

// none is the id of no node.
const none int32 = -1

// Config is what a node is told. Zero durations and sizes take their default.
type Config struct {
	NodeID      int32
	ClusterID   string
	DirectoryID [16]byte
	Voters      []Voter // static ones: they hold until the log names others

	// Bootstrap are controllers that know the leader, for who does not know the voters (controller.quorum.bootstrap.servers).
	Bootstrap []network.Addr
	// CanBecomeVoter: the node has the controller's role. What such a node fetches it syncs, whether it votes or not: the leader
	// that makes a voter of it counts on that.
	CanBecomeVoter bool
	AutoJoin       bool       // it asks the leader to be made one (controller.quorum.auto.join.enable)
	Endpoints      []Endpoint // where its controller listens
	ListenerName   string     // the listener by which controllers reach each other

	ElectionTimeout    time.Duration // 1 s; jitter up to twice that
	ElectionBackoffMax time.Duration // 1 s; after a leader said goodbye
	FetchTimeout       time.Duration // 2 s; a voter without its leader
	RequestTimeout     time.Duration // 2 s
	FetchMaxWait       time.Duration // 500 ms; of our own long polls

	LogConfig          storage.LogConfig
	SnapshotEveryBytes int64 // 20 MiB; of the log since the latest snapshot, for SnapshotDue
}

const (
	retryBackoff      = 50 * time.Millisecond // after a request that led nowhere
	fetchMaxBytes     = 8 << 20               // asked of the leader
	snapshotMaxBytes  = 1 << 20               // a FetchSnapshot chunk
	deliverMaxBytes   = 1 << 20               // read at once for the listener
	observerRetention = 5 * time.Minute       // after its last fetch
	metadataDir       = "__cluster_metadata-0"
)

// MaxBatchBytes is the most that one Append may come to (Kafka's KafkaRaftClient.MAX_BATCH_SIZE_BYTES).
const MaxBatchBytes = 8 << 20

// metadataTopicID is the id that every Kafka cluster gives its metadata topic.
var metadataTopicID = [16]byte{15: 1}

func (c Config) withDefaults() Config {
	c.ElectionTimeout = cmp.Or(c.ElectionTimeout, time.Second)
	c.ElectionBackoffMax = cmp.Or(c.ElectionBackoffMax, time.Second)
	c.FetchTimeout = cmp.Or(c.FetchTimeout, 2*time.Second)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 2*time.Second)
	c.FetchMaxWait = cmp.Or(c.FetchMaxWait, 500*time.Millisecond)
	c.SnapshotEveryBytes = cmp.Or(c.SnapshotEveryBytes, 20<<20)
	if c.LogConfig == (storage.LogConfig{}) {
		c.LogConfig = storage.DefaultLogConfig()
	}
	// Snapshots alone say what may go (KAFKA-14238).
	c.LogConfig.RetentionBytes, c.LogConfig.RetentionMs = -1, -1
	c.LogConfig.MaxMessageBytes = max(c.LogConfig.MaxMessageBytes, MaxBatchBytes)
	c.Voters = sortVoters(c.Voters)
	return c
}

func (c *Config) key() voterKey { return voterKey{c.NodeID, c.DirectoryID} }

// matchesDirectory compares directory ids, of which the zero one is "not known".
func matchesDirectory(a, b [16]byte) bool {
	return a == b || a == [16]byte{} || b == [16]byte{}
}

// voterKey names a replica that asks for votes (Kafka's ReplicaKey).
type voterKey struct {
	id  int32
	dir [16]byte
}

func (k voterKey) String() string {
	return fmt.Sprintf("%d with directory %s", k.id, base64.RawURLEncoding.EncodeToString(k.dir[:]))
}

func (k voterKey) compare(o voterKey) int {
	return cmp.Or(cmp.Compare(k.id, o.id), bytes.Compare(k.dir[:], o.dir[:]))
}
