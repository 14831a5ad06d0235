package core

import (
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/api"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/controller"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/group"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/raft"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What each part is told of the configuration.

func (b *Broker) raftConfig() raft.Config {
	log := storage.DefaultLogConfig()
	log.SegmentBytes = b.cfg.MetadataSegment
	return raft.Config{
		NodeID:             b.cfg.NodeID,
		ClusterID:          b.meta.ClusterID,
		DirectoryID:        b.meta.DirectoryID,
		Voters:             b.voters(),
		Bootstrap:          b.bootstrapServers(),
		CanBecomeVoter:     b.cfg.Controller,
		AutoJoin:           b.cfg.AutoJoin,
		Endpoints:          Endpoints(b.cfg.ControllerEndpoints),
		ListenerName:       b.cfg.ControllerListenerNames[0],
		ElectionTimeout:    b.cfg.ElectionTimeout,
		ElectionBackoffMax: b.cfg.ElectionBackoffMax,
		FetchTimeout:       b.cfg.QuorumFetchTimeout,
		RequestTimeout:     b.cfg.QuorumRequest,
		LogConfig:          log,
		SnapshotEveryBytes: b.cfg.SnapshotEveryBytes,
	}
}

// voters are the configured controllers. Their directory ids are not known to a static configuration.
func (b *Broker) voters() (voters []raft.Voter) {
	for _, v := range b.cfg.Voters {
		voters = append(voters, raft.Voter{ID: v.ID, Addr: network.Addr(v.Addr()), ListenerName: b.cfg.ControllerListenerNames[0]})
	}
	return voters
}

func (b *Broker) bootstrapServers() (addrs []network.Addr) {
	for _, l := range b.cfg.BootstrapServers {
		addrs = append(addrs, network.Addr(l.Addr()))
	}
	return addrs
}

// Endpoints are listeners as the quorum names them.
func Endpoints(listeners []config.Listener) (endpoints []raft.Endpoint) {
	for _, l := range listeners {
		endpoints = append(endpoints, raft.Endpoint{Name: l.Name, Host: l.Host, Port: uint16(l.Port)})
	}
	return endpoints
}

func (b *Broker) controllerConfig() controller.Config {
	defaults := b.cfg.TopicConfig(nil, config.Dynamic{})
	c := controller.Config{
		NodeID:                   b.cfg.NodeID,
		ClusterID:                b.meta.ClusterID,
		SessionTimeout:           b.cfg.SessionTimeout,
		NumPartitions:            b.cfg.NumPartitions,
		DefaultReplicationFactor: b.cfg.DefaultReplicationFactor,
		MinInsyncReplicas:        int(defaults.Long("min.insync.replicas")),
		MaxBatchBytes:            raft.MaxBatchBytes,
		NoDeletion:               !b.cfg.DeleteTopics,
		UncleanLeaderElection:    defaults.Bool("unclean.leader.election.enable"),
		Features:                 newFeatures(b.cfg),
		Supported:                api.Features(b.cfg),
		ValidateConfigs:          b.validateConfigs,
		IsList:                   isListConfig,
		ConfigDefault:            configDefault,
	}
	if b.cfg.AutoLeaderRebalance {
		c.LeaderRebalanceInterval = b.cfg.LeaderImbalanceCheck
	}
	return c
}

// newFeatures are the levels that a new cluster starts with.
func newFeatures(c *config.Config) []metadata.Feature {
	features := []metadata.Feature{{Name: metadata.MetadataVersion, Level: 30}, {Name: controller.FeatureELR, Level: 1}, {Name: txn.Version, Level: 2}}
	if c.Groups.Consumer {
		features = append(features, metadata.Feature{Name: group.Version, Level: 1})
	}
	return features
}

func (b *Broker) replicaConfig() replica.Config {
	return replica.Config{
		NodeID:                  b.cfg.NodeID,
		Rack:                    b.cfg.Rack,
		RackAware:               b.cfg.RackAware(),
		InterBrokerListener:     b.cfg.InterBrokerListener,
		ReplicaLagTimeMax:       b.cfg.ReplicaLagTimeMax,
		FetchWaitMax:            b.cfg.ReplicaFetchWaitMax,
		FetchBackoff:            b.cfg.ReplicaFetchBackoff,
		FetchTimeout:            b.cfg.ReplicaSocketTimeout,
		FetchMinBytes:           b.cfg.ReplicaFetchMinBytes,
		FetchMaxBytes:           b.cfg.ReplicaResponseMax,
		FetchPartitionMaxBytes:  b.cfg.ReplicaFetchMaxBytes,
		CheckpointInterval:      b.cfg.HWCheckpointInterval,
		RetentionCheckInterval:  b.cfg.RetentionCheck,
		TransactionVerification: func() bool { return b.cfg.TransactionVerification(b.dynamicConfig()) },
		DefaultMinISR:           int(b.cfg.TopicConfig(nil, config.Dynamic{}).Long("min.insync.replicas")),
		TopicMinISR:             b.topicMinISR,
		LogConfig:               b.logConfig,
		Cleaner:                 b.cleanerConfig,
	}
}

func (b *Broker) groupConfig() group.Config {
	g := b.cfg.Groups
	return group.Config{
		Topic:                  config.ConsumerOffsets,
		MinSessionTimeout:      g.MinSessionTimeout,
		MaxSessionTimeout:      g.MaxSessionTimeout,
		InitialRebalanceDelay:  g.InitialRebalanceDelay,
		MaxSize:                g.MaxSize,
		OffsetMetadataMaxBytes: g.OffsetMetadataMaxBytes,
		OffsetsRetention:       g.OffsetsRetention,
		RetentionCheckInterval: g.RetentionCheckInterval,
		CommitTimeout:          g.CommitTimeout,
		LoadBufferSize:         g.LoadBufferSize,
		Codec:                  record.Codec(g.Codec),
		Assignors:              g.Assignors,
		ConsumerMaxSize:        g.ConsumerMaxSize,
		MigrationPolicy:        group.MigrationPolicy{Upgrade: g.Upgrade, Downgrade: g.Downgrade},
		RegexRefreshInterval:   g.RegexRefreshInterval,
		Timing:                 b.groupTiming,
	}
}

// groupTiming is how a consumer group is paced, by its own configs or the broker's.
func (b *Broker) groupTiming(id string) group.Timing {
	ms := api.GroupConfig(b.cfg, b.loader.Image(), id)
	return group.Timing{
		Session: ms("consumer.session.timeout.ms"), Heartbeat: ms("consumer.heartbeat.interval.ms"), AssignmentInterval: ms("consumer.assignment.interval.ms"),
	}
}

func (b *Broker) txnConfig() txn.Config {
	t := b.cfg.Transactions
	return txn.Config{
		Topic:              config.TransactionState,
		MaxTimeoutMs:       t.MaxTimeoutMs,
		ExpirationMs:       t.ExpirationMs,
		AbortInterval:      t.AbortInterval,
		ExpirationInterval: t.ExpirationInterval,
		WriteTimeout:       b.cfg.Groups.CommitTimeout,
		LoadBufferSize:     t.LoadBufferSize,
	}
}

func (b *Broker) txnNeeds() txn.Needs {
	return txn.Needs{
		Image:         b.loader.Image,
		NewProducerID: func(done func(int64, error)) { b.server.NextProducerID(done) },
		Send: func(id int32, req kmsg.Request, done func(kmsg.Response, error)) {
			b.server.AskBroker(id, req, done)
		},
	}
}

func (b *Broker) topicMinISR(topic string) int {
	return int(b.topicConfig(topic).Long("min.insync.replicas"))
}

func (b *Broker) topicConfig(topic string) config.TopicConfig {
	return api.TopicConfig(b.cfg, b.loader.Image(), topic)
}

// dynamicConfig is what is set by broker keys while brokers run.
func (b *Broker) dynamicConfig() config.Dynamic { return api.DynamicConfig(b.cfg, b.loader.Image()) }

// dynamicLong is a number that can be set while the broker runs.
func (b *Broker) dynamicLong(key string) int64 {
	value, _ := b.cfg.BrokerValue(key, b.dynamicConfig())
	n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // checked when it was set
	return n
}

// logConfig is what the log of a partition obeys.
func (b *Broker) logConfig(p event.Partition) storage.LogConfig {
	c := b.topicConfig(p.Topic)
	log := storage.LogConfig{
		SegmentBytes:           int32(c.Long("segment.bytes")),
		SegmentMs:              c.Long("segment.ms"),
		IndexIntervalBytes:     int32(c.Long("index.interval.bytes")),
		SegmentIndexBytes:      int32(c.Long("segment.index.bytes")),
		FlushMessages:          c.Long("flush.messages"),
		FlushMs:                c.Long("flush.ms"),
		MaxMessageBytes:        int32(c.Long("max.message.bytes")),
		RetentionBytes:         c.Long("retention.bytes"),
		RetentionMs:            c.Long("retention.ms"),
		ProducerIDExpirationMs: b.dynamicLong("producer.id.expiration.ms"),
	}
	addCleanup(&log, c)
	return log
}

// advertised are the broker's listeners as clients shall dial them: a configured port 0 is the one that was bound.
func (b *Broker) advertised() []config.Listener {
	bound := map[string]int{}
	for i, l := range b.cfg.Listeners {
		bound[l.Name] = portOf(b.listeners[i].Addr())
	}
	var listeners []config.Listener
	for _, l := range b.cfg.Advertised {
		if l.Port == 0 {
			l.Port = bound[l.Name]
		}
		listeners = append(listeners, l)
	}
	return listeners
}

func portOf(a network.Addr) int {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] == ':' {
			port, _ := strconv.Atoi(string(a[i+1:])) // ours: bound by the network
			return port
		}
	}
	return 0
}

func (b *Broker) supportedFeatures() (features []kmsg.BrokerRegistrationRequestFeature) {
	for _, f := range b.server.SupportedFeatures(false) {
		features = append(features, kmsg.BrokerRegistrationRequestFeature{Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max})
	}
	return features
}
