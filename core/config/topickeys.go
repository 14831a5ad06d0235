package config

import "math"

const anyLong = math.MaxInt64

// TopicKeys are the keys a topic may override, sorted by name (Kafka 4.3's LogConfig).
var TopicKeys = []Key{
	{Name: "cleanup.policy", Type: List, Default: "delete", Values: []string{"compact", "delete"}, Doc: "What happens to old segments: delete, compact, or both.", Synonyms: same("log.cleanup.policy")},
	{Name: "compression.gzip.level", Type: Int, Default: "-1", Min: -1, Max: 9, Not: []int64{0}, Doc: "Level for gzip when compression.type is gzip.", Synonyms: same("compression.gzip.level")},
	{Name: "compression.lz4.level", Type: Int, Default: "9", Min: 1, Max: 17, Doc: "Level for lz4 when compression.type is lz4.", Synonyms: same("compression.lz4.level")},
	{Name: "compression.type", Type: String, Default: "producer", Values: []string{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, Doc: "Final compression of a topic; producer keeps the producer's.", Synonyms: same("compression.type")},
	{Name: "compression.zstd.level", Type: Int, Default: "3", Min: -131072, Max: 22, Doc: "Level for zstd when compression.type is zstd.", Synonyms: same("compression.zstd.level")},
	{Name: "delete.retention.ms", Type: Long, Default: "86400000", Max: anyLong, Doc: "How long tombstones of compacted topics stay.", Synonyms: same("log.cleaner.delete.retention.ms")},
	{Name: "file.delete.delay.ms", Inert: true, Type: Long, Default: "60000", Max: anyLong, Doc: "How long a deleted segment's file stays.", Synonyms: same("log.segment.delete.delay.ms")},
	{Name: "flush.messages", Type: Long, Default: "9223372036854775807", Min: 1, Max: anyLong, Doc: "Sync a log after that many records; 1 syncs every append before it is acknowledged.", Synonyms: same("log.flush.interval.messages")},
	{Name: "flush.ms", Type: Long, Default: "9223372036854775807", Max: anyLong, Doc: "Sync a log after that time.", Synonyms: []Synonym{{"log.flush.interval.ms", 1}, {"log.flush.scheduler.interval.ms", 1}}},
	{Name: "follower.replication.throttled.replicas", Inert: true, Type: List, Default: "", Doc: "Replicas whose replication is throttled on the follower's side."},
	{Name: "index.interval.bytes", Type: Int, Default: "4096", Max: math.MaxInt32, Doc: "Bytes of log between two index entries.", Synonyms: same("log.index.interval.bytes")},
	{Name: "leader.replication.throttled.replicas", Inert: true, Type: List, Default: "", Doc: "Replicas whose replication is throttled on the leader's side."},
	{Name: "local.retention.bytes", Inert: true, Type: Long, Default: "-2", Min: -2, Max: anyLong, Doc: "Bytes kept locally with tiered storage.", Synonyms: same("log.local.retention.bytes")},
	{Name: "local.retention.ms", Inert: true, Type: Long, Default: "-2", Min: -2, Max: anyLong, Doc: "Time kept locally with tiered storage.", Synonyms: same("log.local.retention.ms")},
	{Name: "max.compaction.lag.ms", Type: Long, Default: "9223372036854775807", Min: 1, Max: anyLong, Doc: "Longest time a record may stay uncompacted.", Synonyms: same("log.cleaner.max.compaction.lag.ms")},
	{Name: "max.message.bytes", Type: Int, Default: "1048588", Max: math.MaxInt32, Doc: "Largest record batch accepted, after compression.", Synonyms: same("message.max.bytes")},
	{Name: "message.timestamp.after.max.ms", Type: Long, Default: "3600000", Max: anyLong, Doc: "How far a record's timestamp may lie in the future.", Synonyms: same("log.message.timestamp.after.max.ms")},
	{Name: "message.timestamp.before.max.ms", Type: Long, Default: "9223372036854775807", Max: anyLong, Doc: "How far a record's timestamp may lie in the past.", Synonyms: same("log.message.timestamp.before.max.ms")},
	{Name: "message.timestamp.type", Type: String, Default: "CreateTime", Values: []string{"CreateTime", "LogAppendTime"}, Doc: "Whose timestamp a record carries.", Synonyms: same("log.message.timestamp.type")},
	{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Max: 1, Doc: "Share of uncompacted bytes that makes a log worth compacting.", Synonyms: same("log.cleaner.min.cleanable.ratio")},
	{Name: "min.compaction.lag.ms", Type: Long, Default: "0", Max: anyLong, Doc: "Shortest time a record stays uncompacted.", Synonyms: same("log.cleaner.min.compaction.lag.ms")},
	{Name: "min.insync.replicas", Type: Int, Default: "1", Min: 1, Max: math.MaxInt32, Doc: "In-sync replicas that acks=all needs.", Synonyms: same("min.insync.replicas")},
	{Name: "preallocate", Inert: true, Type: Boolean, Default: "false", Doc: "Whether segment files are preallocated.", Synonyms: same("log.preallocate")},
	{Name: "remote.log.copy.disable", Inert: true, Type: Boolean, Default: "false", Doc: "Tiered storage: stop copying."},
	{Name: "remote.log.delete.on.disable", Inert: true, Type: Boolean, Default: "false", Doc: "Tiered storage: delete when disabled."},
	{Name: "remote.storage.enable", Type: Boolean, Default: "false", Doc: "Tiered storage; not supported here."},
	{Name: "retention.bytes", Type: Long, Default: "-1", Min: -1, Max: anyLong, Doc: "Bytes of a partition kept; -1 is unlimited.", Synonyms: same("log.retention.bytes")},
	{Name: "retention.ms", Type: Long, Default: "604800000", Min: -1, Max: anyLong, Doc: "Time a segment is kept; -1 is unlimited.", Synonyms: []Synonym{{"log.retention.ms", 1}, {"log.retention.minutes", 60_000}, {"log.retention.hours", 3_600_000}}},
	{Name: "segment.bytes", Type: Int, Default: "1073741824", Min: 1024, Max: math.MaxInt32, Doc: "Size at which a segment is rolled.", Synonyms: same("log.segment.bytes")},
	{Name: "segment.index.bytes", Type: Int, Default: "10485760", Min: 4, Max: math.MaxInt32, Doc: "Largest size of an index file.", Synonyms: same("log.index.size.max.bytes")},
	{Name: "segment.jitter.ms", Type: Long, Default: "0", Max: anyLong, Doc: "Random part of segment.ms, so that segments do not all roll at once.", Synonyms: []Synonym{{"log.roll.jitter.ms", 1}, {"log.roll.jitter.hours", 3_600_000}}},
	{Name: "segment.ms", Type: Long, Default: "604800000", Min: 1, Max: anyLong, Doc: "Age at which a segment is rolled.", Synonyms: []Synonym{{"log.roll.ms", 1}, {"log.roll.hours", 3_600_000}}},
	{Name: "unclean.leader.election.enable", Type: Boolean, Default: "false", Doc: "Whether a replica outside the ISR may lead when nobody else can: availability for acknowledged records.", Synonyms: same("unclean.leader.election.enable")},
}

func same(name string) []Synonym { return []Synonym{{name, 1}} }
