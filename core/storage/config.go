package storage

import (
	"errors"
	"math"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Errors of a log besides Kafka's own (kerr).
var (
	// ErrPending says that the answer comes later, through done.
	ErrPending = errors.New("storage: pending")
	// ErrTruncated answers an append whose batch was truncated before it was written.
	ErrTruncated = errors.New("storage: truncated before it was written")
	// ErrOffsetsOutOfOrder answers a follower append whose batches do not follow each other.
	ErrOffsetsOutOfOrder = errors.New("storage: offsets out of order")
	// ErrUnexpectedOffset answers a follower append that does not continue the log.
	ErrUnexpectedOffset = errors.New("storage: append does not continue the log")
	// ErrEpochOutOfOrder answers a follower append whose leader epoch is below the log's last.
	ErrEpochOutOfOrder = errors.New("storage: leader epoch goes back")
	// ErrFull answers a follower append while the disk has no space.
	ErrFull = errors.New("storage: no space left")
	// ErrExists answers Create for a partition that has a log already.
	ErrExists = errors.New("storage: log exists")
	// ErrCorrupt is wrapped by what the parsers of checkpoint, index, snapshot and property files answer.
	ErrCorrupt = errors.New("storage: corrupt file")
)

// ErrOffline is what every call on a log answers once one of its disk operations failed, or after Close.
var ErrOffline = kerr.KafkaStorageError

// Never is a flush interval that does not end, Kafka's default.
const Never = math.MaxInt64

// LogConfig is what a topic may configure about its logs. Names and meaning are Kafka's.
type LogConfig struct {
	SegmentBytes           int32
	SegmentMs              int64
	SegmentJitterMs        int64 // each segment rolls earlier by up to that
	IndexIntervalBytes     int32
	SegmentIndexBytes      int32
	FlushMessages          int64 // 1: an append is done when it is synced
	FlushMs                int64
	MaxMessageBytes        int32
	RetentionBytes         int64 // -1: no limit
	RetentionMs            int64 // -1: no limit
	ProducerIDExpirationMs int64

	Produce record.ProduceRules // for what clients send

	Compact            bool  // cleanup.policy has compact
	Delete             bool  // cleanup.policy has delete
	DeleteRetentionMs  int64 // how long a tombstone stays
	MinCleanableRatio  int64 // min.cleanable.dirty.ratio, in millionths
	MinCompactionLagMs int64
	MaxCompactionLagMs int64 // Never: no limit
}

// DefaultLogConfig is Kafka's.
func DefaultLogConfig() LogConfig {
	return LogConfig{
		SegmentBytes:           1 << 30,
		SegmentMs:              7 * 24 * 3600 * 1000,
		IndexIntervalBytes:     4096,
		SegmentIndexBytes:      10 << 20,
		FlushMessages:          Never,
		FlushMs:                Never,
		MaxMessageBytes:        1<<20 + 12,
		RetentionBytes:         -1,
		RetentionMs:            7 * 24 * 3600 * 1000,
		ProducerIDExpirationMs: 24 * 3600 * 1000,
		Delete:                 true,
		DeleteRetentionMs:      24 * 3600 * 1000,
		MinCleanableRatio:      million / 2,
		MaxCompactionLagMs:     Never,
	}
}

// OpenOptions says which log to open and what is known of it.
type OpenOptions struct {
	Dir       string
	Partition event.Partition
	TopicID   [16]byte // zero: take it from partition.metadata, write none
	Config    LogConfig
	// Clean says that the log was closed properly: its indexes are trusted and its tail is not checked.
	Clean bool
	// RecoveryPoint is the offset below which everything was synced. The last segment is recovered
	// in any case, unless Clean: all older ones were synced before it was begun.
	RecoveryPoint  int64
	LogStartOffset int64
	// HighWatermark is the last one known: of each transaction that it does not cover whole, the log must know where it began.
	HighWatermark int64
	// CleanedUpTo is the offset below which the log was compacted: there, segments need not follow each other.
	CleanedUpTo   int64
	KeepProducers bool // track idempotent producers (not for the metadata log)
	// AnyBatch takes a batch that is larger than a segment, which then has it alone, as every follower does.
	AnyBatch bool

	held *heldMemory // shared by a Manager's logs; nil: the log's own
	home *LogDir     // nil: not a Manager's
}
