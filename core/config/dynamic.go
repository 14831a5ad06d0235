package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Dynamic is what is set by broker keys while brokers run (KIP-226): for this broker, and for all of them.
type Dynamic struct {
	Broker, Cluster map[string]string
}

// clusterWideKeys are the broker keys that may be set while brokers run, for one of them or for all, sorted.
var clusterWideKeys = []string{
	"background.threads",
	"compression.gzip.level",
	"compression.lz4.level",
	"compression.type",
	"compression.zstd.level",
	"config.providers",
	"errors.deadletterqueue.auto.create.topics.enable",
	"errors.deadletterqueue.topic.name.prefix",
	"follower.fetch.last.tiered.offset.enable",
	"follower.replication.throttled.rate",
	"group.consumer.assignment.interval.ms",
	"group.coordinator.cached.buffer.max.bytes",
	"group.share.assignment.interval.ms",
	"group.streams.assignment.interval.ms",
	"leader.replication.throttled.rate",
	"log.cleaner.backoff.ms",
	"log.cleaner.dedupe.buffer.size",
	"log.cleaner.delete.retention.ms",
	"log.cleaner.io.buffer.load.factor",
	"log.cleaner.io.buffer.size",
	"log.cleaner.io.max.bytes.per.second",
	"log.cleaner.max.compaction.lag.ms",
	"log.cleaner.min.cleanable.ratio",
	"log.cleaner.min.compaction.lag.ms",
	"log.cleaner.threads",
	"log.cleanup.policy",
	"log.flush.interval.messages",
	"log.flush.interval.ms",
	"log.index.interval.bytes",
	"log.index.size.max.bytes",
	"log.local.retention.bytes",
	"log.local.retention.ms",
	"log.message.timestamp.after.max.ms",
	"log.message.timestamp.before.max.ms",
	"log.message.timestamp.type",
	"log.preallocate",
	"log.remote.copy.lag.bytes",
	"log.remote.copy.lag.ms",
	"log.retention.bytes",
	"log.retention.ms",
	"log.roll.jitter.ms",
	"log.roll.ms",
	"log.segment.bytes",
	"log.segment.delete.delay.ms",
	"max.connection.creation.rate",
	"max.connections",
	"max.connections.per.ip",
	"max.connections.per.ip.overrides",
	"max.decompressed.message.bytes",
	"message.max.bytes",
	"metric.reporters",
	"min.insync.replicas",
	"num.io.threads",
	"num.network.threads",
	"num.recovery.threads.per.data.dir",
	"num.replica.fetchers",
	"producer.id.expiration.ms",
	"remote.fetch.max.wait.ms",
	"remote.list.offsets.request.timeout.ms",
	"remote.log.index.file.cache.total.size.bytes",
	"remote.log.manager.copier.thread.pool.size",
	"remote.log.manager.copy.max.bytes.per.second",
	"remote.log.manager.expiration.thread.pool.size",
	"remote.log.manager.fetch.max.bytes.per.second",
	"remote.log.manager.follower.thread.pool.size",
	"remote.log.reader.threads",
	"replica.alter.log.dirs.io.max.bytes.per.second",
	"share.coordinator.cached.buffer.max.bytes",
	"transaction.partition.verification.enable",
	"unclean.leader.election.enable",
}

// perBrokerKeys are the broker keys that in Kafka may be set for a single running broker, sorted. All are about listeners and log
// directories, and none can change here.
var perBrokerKeys = []string{
	"cordoned.log.dirs",
	"listener.security.protocol.map",
	"listeners",
	"principal.builder.class",
	"sasl.enabled.mechanisms",
	"sasl.jaas.config",
	"sasl.kerberos.kinit.cmd",
	"sasl.kerberos.min.time.before.relogin",
	"sasl.kerberos.principal.to.local.rules",
	"sasl.kerberos.service.name",
	"sasl.kerberos.ticket.renew.jitter",
	"sasl.kerberos.ticket.renew.window.factor",
	"sasl.login.refresh.buffer.seconds",
	"sasl.login.refresh.min.period.seconds",
	"sasl.login.refresh.window.factor",
	"sasl.login.refresh.window.jitter",
	"sasl.mechanism.inter.broker.protocol",
	"ssl.cipher.suites",
	"ssl.client.auth",
	"ssl.enabled.protocols",
	"ssl.endpoint.identification.algorithm",
	"ssl.engine.factory.class",
	"ssl.key.password",
	"ssl.keymanager.algorithm",
	"ssl.keystore.certificate.chain",
	"ssl.keystore.key",
	"ssl.keystore.location",
	"ssl.keystore.password",
	"ssl.keystore.type",
	"ssl.protocol",
	"ssl.provider",
	"ssl.secure.random.implementation",
	"ssl.trustmanager.algorithm",
	"ssl.truststore.certificates",
	"ssl.truststore.location",
	"ssl.truststore.password",
	"ssl.truststore.type",
}

// dynamicOnlyKeys can be set while brokers run and not in their files, sorted by name.
var dynamicOnlyKeys = []Key{
	{Name: "follower.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Max: anyLong},
	{Name: "leader.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Max: anyLong},
	{Name: "replica.alter.log.dirs.io.max.bytes.per.second", Type: Long, Default: "9223372036854775807", Max: anyLong},
}

// FindSettable returns the broker key of that name, be it settable in a file or only while brokers run, or nil.
func FindSettable(name string) *Key {
	if k := DescribedBroker(name); k != nil {
		return k
	}
	return find(dynamicOnlyKeys, name)
}

// IsDynamic reports whether Kafka lets a broker key be set while brokers run.
func IsDynamic(name string) bool {
	_, clusterWide := slices.BinarySearch(clusterWideKeys, name)
	_, perBroker := slices.BinarySearch(perBrokerKeys, name)
	return clusterWide || perBroker
}

// CheckDynamic says what is wrong with setting a broker key while brokers run. A name that is no key of Kafka's is taken, as Kafka takes
// it: somebody may read it back.
func CheckDynamic(name, value string) error {
	_, perBroker := slices.BinarySearch(perBrokerKeys, name)
	if perBroker || strings.HasPrefix(name, "listener.name.") {
		return fmt.Errorf("%s: listeners, their security and log directories do not change here while the broker runs", name)
	}
	key := FindSettable(name)
	if key == nil {
		return nil
	}
	if !IsDynamic(name) {
		return fmt.Errorf("%s cannot be set while the broker runs", name)
	}
	return key.Check(value)
}

// dynamicText is the effective value of a broker key that has a default, as its type writes it.
func (c *Config) dynamicText(key string, dynamic Dynamic) string {
	v, _ := c.BrokerValue(key, dynamic)
	return FindBroker(key).Normal(v)
}

func (c *Config) dynamicLong(key string, dynamic Dynamic) int64 {
	n, _ := strconv.ParseInt(c.dynamicText(key, dynamic), 10, 64) // checked when it was set
	return n
}
