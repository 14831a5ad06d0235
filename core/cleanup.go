package core

import (
	"slices"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
)

// What the configuration says about the cleaning up of logs.

func (b *Broker) cleanerConfig() storage.CleanerConfig {
	c := b.cfg.Cleaner(b.dynamicConfig())
	cleaner := storage.CleanerConfig{DedupeBufferBytes: c.DedupeBufferBytes, LoadPercent: c.LoadPercent, IOBufferBytes: c.IOBufferBytes}
	if c.Enabled {
		cleaner.Backoff = c.Backoff
	}
	return cleaner
}

// produceRules is what a topic asks of clients' batches.
func produceRules(c config.TopicConfig) record.ProduceRules {
	r := record.ProduceRules{
		LogAppendTime: c.Value("message.timestamp.type") == "LogAppendTime",
		BeforeMaxMs:   c.Long("message.timestamp.before.max.ms"),
		AfterMaxMs:    c.Long("message.timestamp.after.max.ms"),
		Level:         record.DefaultLevel,
	}
	name := c.Value("compression.type")
	r.Codec, r.Recompress = record.ParseCodec(name)
	if level := "compression." + name + ".level"; r.Recompress && config.FindTopic(level) != nil {
		r.Level = int(c.Long(level))
	}
	return r
}

// addCleanup fills in a log's configuration what its topic's cleanup.policy makes of it.
func addCleanup(log *storage.LogConfig, c config.TopicConfig) {
	policy := config.SplitList(c.Value("cleanup.policy"))
	log.Compact, log.Delete = slices.Contains(policy, "compact"), slices.Contains(policy, "delete")
	log.DeleteRetentionMs = c.Long("delete.retention.ms")
	log.MinCleanableRatio = c.Millionths("min.cleanable.dirty.ratio")
	log.MinCompactionLagMs, log.MaxCompactionLagMs = c.Long("min.compaction.lag.ms"), c.Long("max.compaction.lag.ms")
	log.Produce = produceRules(c)
	log.SegmentJitterMs = c.Long("segment.jitter.ms")
	log.Produce.Compacted = log.Compact
	if log.Compact {
		log.SegmentMs = min(log.SegmentMs, log.MaxCompactionLagMs) // what is in the active segment cannot be compacted
	}
	if !log.Delete {
		log.RetentionBytes, log.RetentionMs = -1, -1 // the log start alone decides
	}
}
