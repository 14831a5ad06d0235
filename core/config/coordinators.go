package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

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

	// Of groups of the consumer protocol (KIP-848).
	Consumer             bool // there are such
	Assignors            []string
	ConsumerMaxSize      int // members of a group
	Upgrade              bool
	Downgrade            bool
	RegexRefreshInterval time.Duration
}

func (c *Config) deriveGroups() {
	c.Groups = Groups{
		MinSessionTimeout:      c.millis("group.min.session.timeout.ms"),
		MaxSessionTimeout:      c.millis("group.max.session.timeout.ms"),
		InitialRebalanceDelay:  c.millis("group.initial.rebalance.delay.ms"),
		MaxSize:                int(c.long("group.max.size")),
		OffsetMetadataMaxBytes: int(c.long("offset.metadata.max.bytes")),
		OffsetsRetention:       c.minutes("offsets.retention.minutes"),
		RetentionCheckInterval: c.millis("offsets.retention.check.interval.ms"),
		CommitTimeout:          c.millis("offsets.commit.timeout.ms"),
		LoadBufferSize:         int(c.long("offsets.load.buffer.size")),
		Codec:                  int8(c.long("offsets.topic.compression.codec")),
		Consumer:               slices.Contains(c.list("group.coordinator.rebalance.protocols"), "consumer"),
		Assignors:              c.list("group.consumer.assignors"),
		ConsumerMaxSize:        int(c.long("group.consumer.max.size")),
		RegexRefreshInterval:   c.millis("group.consumer.regex.refresh.interval.ms"),
	}
	policy := strings.ToLower(c.text("group.consumer.migration.policy"))
	c.Groups.Upgrade = policy == "bidirectional" || policy == "upgrade"
	c.Groups.Downgrade = policy == "bidirectional" || policy == "downgrade"
}

// checkGroups says what is wrong with the keys of consumer groups together.
func (c *Config) checkGroups() error {
	if policy := strings.ToLower(c.text("group.consumer.migration.policy")); !slices.Contains([]string{"bidirectional", "disabled", "downgrade", "upgrade"}, policy) {
		return fmt.Errorf("group.consumer.migration.policy: %q is none of bidirectional, upgrade, downgrade and disabled", policy)
	}
	if !slices.Contains(c.list("group.coordinator.rebalance.protocols"), "classic") {
		return errors.New("group.coordinator.rebalance.protocols: classic must be among them")
	}
	if len(c.Groups.Assignors) == 0 {
		return errors.New("group.consumer.assignors: at least one is needed")
	}
	for _, name := range []string{"assignment.interval.ms", "heartbeat.interval.ms", "session.timeout.ms"} {
		least, most, n := c.long("group.consumer.min."+name), c.long("group.consumer.max."+name), c.long("group.consumer."+name)
		if n < least || n > most {
			return fmt.Errorf("group.consumer.%s: %d is not between group.consumer.min.%s, which is %d, and group.consumer.max.%s, which is %d", name, n, name, least, name, most)
		}
	}
	if c.long("group.consumer.session.timeout.ms") <= c.long("group.consumer.heartbeat.interval.ms") {
		return errors.New("group.consumer.session.timeout.ms must be greater than group.consumer.heartbeat.interval.ms")
	}
	return nil
}

// Transactions is what the transaction coordinator obeys, and who writes to transactions.
type Transactions struct {
	MaxTimeoutMs       int32
	ExpirationMs       int64 // of a transactional id
	AbortInterval      time.Duration
	ExpirationInterval time.Duration
	LoadBufferSize     int
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
		AddRetryBackoff:    c.millis("add.partitions.to.txn.retry.backoff.ms"),
		AddRetryMax:        c.millis("add.partitions.to.txn.retry.backoff.max.ms"),
	}
}

// TransactionVerification is transaction.partition.verification.enable.
func (c *Config) TransactionVerification(dynamic Dynamic) bool {
	return c.dynamicText("transaction.partition.verification.enable", dynamic) == "true"
}
