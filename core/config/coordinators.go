package config

import "time"

// The topics that belong to the brokers.
const (
	ConsumerOffsets  = "__consumer_offsets"
	TransactionState = "__transaction_state"
	ShareGroupState  = "__share_group_state"
)

// IsInternal reports whether a topic belongs to the brokers.
func IsInternal(topic string) bool {
	return topic == ConsumerOffsets || topic == TransactionState || topic == ShareGroupState
}

// InternalTopic is how the topic of a coordinator is created.
type InternalTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Overrides         []Override
}

// Override is a topic's own value of a key.
type Override struct {
	Key, Value string
}

// Internal is how a topic is created that a coordinator needs; nil for any other topic.
func (c *Config) Internal(topic string) *InternalTopic {
	switch topic {
	case ConsumerOffsets:
		return c.offsetsTopic()
	case TransactionState:
		return c.transactionTopic()
	}
	return nil
}

func (c *Config) offsetsTopic() *InternalTopic {
	return &InternalTopic{
		Name:              ConsumerOffsets,
		Partitions:        c.int32("offsets.topic.num.partitions"),
		ReplicationFactor: int16(c.long("offsets.topic.replication.factor")),
		Overrides: []Override{
			{"cleanup.policy", "compact"},
			{"compression.type", "producer"},
			{"segment.bytes", c.text("offsets.topic.segment.bytes")},
		},
	}
}

func (c *Config) transactionTopic() *InternalTopic {
	return &InternalTopic{
		Name:              TransactionState,
		Partitions:        c.int32("transaction.state.log.num.partitions"),
		ReplicationFactor: int16(c.long("transaction.state.log.replication.factor")),
		Overrides: []Override{
			{"cleanup.policy", "compact"},
			{"compression.type", "uncompressed"},
			{"min.insync.replicas", c.text("transaction.state.log.min.isr")},
			{"segment.bytes", c.text("transaction.state.log.segment.bytes")},
			{"unclean.leader.election.enable", "false"},
		},
	}
}

// Groups is what the group coordinator obeys.
type Groups struct {
	MinSessionTimeout      time.Duration
	MaxSessionTimeout      time.Duration
	InitialRebalanceDelay  time.Duration
	MaxSize                int // members of a group
	OffsetMetadataMaxBytes int
	OffsetsRetention       time.Duration
	RetentionCheckInterval time.Duration
	CommitTimeout          time.Duration
	LoadBufferSize         int
	Codec                  int8 // of __consumer_offsets, by number
}

func (c *Config) deriveGroups() {
	c.Groups = Groups{
		MinSessionTimeout:      c.millis("group.min.session.timeout.ms"),
		MaxSessionTimeout:      c.millis("group.max.session.timeout.ms"),
		InitialRebalanceDelay:  c.millis("group.initial.rebalance.delay.ms"),
		MaxSize:                int(c.long("group.max.size")),
		OffsetMetadataMaxBytes: int(c.long("offset.metadata.max.bytes")),
		OffsetsRetention:       time.Minute * time.Duration(c.long("offsets.retention.minutes")),
		RetentionCheckInterval: c.millis("offsets.retention.check.interval.ms"),
		CommitTimeout:          c.millis("offsets.commit.timeout.ms"),
		LoadBufferSize:         int(c.long("offsets.load.buffer.size")),
		Codec:                  int8(c.long("offsets.topic.compression.codec")),
	}
}

// Transactions is what the transaction coordinator obeys, and who writes to transactions.
type Transactions struct {
	MaxTimeoutMs       int32
	ExpirationMs       int64 // of a transactional id
	AbortInterval      time.Duration
	ExpirationInterval time.Duration
	LoadBufferSize     int
	Verification       bool
	AddRetryBackoff    time.Duration
	AddRetryMax        time.Duration
}

func (c *Config) deriveTransactions() {
	c.Transactions = Transactions{
		MaxTimeoutMs:       c.int32("transaction.max.timeout.ms"),
		ExpirationMs:       c.long("transactional.id.expiration.ms"),
		AbortInterval:      c.millis("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
		ExpirationInterval: c.millis("transaction.remove.expired.transaction.cleanup.interval.ms"),
		LoadBufferSize:     int(c.long("transaction.state.log.load.buffer.size")),
		Verification:       c.boolean("transaction.partition.verification.enable"),
		AddRetryBackoff:    c.millis("add.partitions.to.txn.retry.backoff.ms"),
		AddRetryMax:        c.millis("add.partitions.to.txn.retry.backoff.max.ms"),
	}
}
