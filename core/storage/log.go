package storage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
)

// Log is one partition's log.
//
// Invariant: logStart <= highWatermark <= written <= next.
type Log struct {
	env           *env.Env
	partition     event.Partition
	topicID       [16]byte
	dir           string
	home          *LogDir // nil: not a Manager's
	config        LogConfig
	keepProducers bool
	anyBatch      bool

	segments segments
	active   *segment
	recent   recent

	logStart      int64
	highWatermark int64
	written       int64 // the log end offset: what replication may see
	next          int64 // the offset of the next append
	recoveryPoint int64 // all below is synced
	unflushed     int64 // batches written since the last sync

	epochs       epochCache
	epochsQueued bool // a write of the epoch checkpoint waits in the queue

	producers  producers
	rebuilding bool     // producers are being rebuilt from disk
	missed     [][]byte // copies of the headers (and markers) of batches appended meanwhile
	snapshots  []int64  // offsets of the snapshot files, sorted

	cleaned     int64 // what lies below was compacted
	cleaning    *cleaning
	uncleanable bool       // a batch cannot be read
	paused      bool       // it is not to be compacted for now
	truncating  int        // truncations that the files have not followed yet
	moving      bool       // its directory is about to get another name
	afterMove   []func()   // what waits for that
	swapFailed  bool       // it could not take the place of another log
	jitter      *rand.Rand // of segment.jitter.ms; made at its first use
	layout      int        // changes whenever cleaned segments take the place of others

	// generation changes whenever batches are removed: what a callback remembers of positions is void then.
	generation int
	patient    *PatientDisk // the log's own view; nil: the disk is another

	event      event.Event // the latest
	pipeline   pipeline
	flushTimer scheduler.Timer
	closed     bool
	deleted    bool // its files go: what fails on them does not matter
	failure    error
	onFailure  []func(error)
}

func newLog(e *env.Env, o *OpenOptions) *Log {
	l := &Log{
		env: e, partition: o.Partition, topicID: o.TopicID, dir: o.Dir, home: o.home, config: o.Config,
		keepProducers: o.KeepProducers, anyBatch: o.AnyBatch, segments: newSegments(),
		producers: producers{states: map[int64]*ProducerState{}},
	}
	l.recent.all = o.held
	if l.recent.all == nil {
		l.recent.all = &heldMemory{}
	}
	if p, ok := e.Disk.(*PatientDisk); ok {
		own := *e
		l.patient = p.view()
		own.Disk, l.env = l.patient, &own
	}
	l.pipeline.init(l)
	return l
}

// Partition is whose log this is.
func (l *Log) Partition() event.Partition { return l.partition }

// TopicID is the id in partition.metadata.
func (l *Log) TopicID() [16]byte { return l.topicID }

// Dir is the log's directory on its disk.
func (l *Log) Dir() string { return l.dir }

// LogDir is the log directory that has the log; nil if no Manager opened it.
func (l *Log) LogDir() *LogDir { return l.home }

// Config is the current configuration.
func (l *Log) Config() LogConfig { return l.config }

// ProduceRules is what the configuration asks of clients' batches.
func (l *Log) ProduceRules() *record.ProduceRules { return &l.config.Produce }

// SetConfig changes the configuration; it holds from the next append on.
func (l *Log) SetConfig(c LogConfig) { l.config = c }

// LogStartOffset is the first offset that may be read.
func (l *Log) LogStartOffset() int64 { return l.logStart }

// LogEndOffset is one more than the last offset written: what replication may see.
func (l *Log) LogEndOffset() int64 { return l.written }

// NextOffset is the offset that the next append gets: some batches below it may not be written yet.
func (l *Log) NextOffset() int64 { return l.next }

// HighWatermark is one more than the last offset known to be on all of the ISR.
func (l *Log) HighWatermark() int64 { return l.highWatermark }

// LastStableOffset is up to where read_committed may read: the first offset of a transaction that is open, or whose marker is not yet
// below the high watermark, else the high watermark. While IsRebuilding nobody knows, and it is where the log starts.
func (l *Log) LastStableOffset() int64 {
	if l.rebuilding {
		return l.logStart
	}
	return max(l.logStart, min(l.highWatermark, l.producers.firstUnstable(l.highWatermark)))
}

// RecoveryPoint is the offset below which everything is synced.
func (l *Log) RecoveryPoint() int64 { return l.recoveryPoint }

// Size is the bytes of all batches in the log.
func (l *Log) Size() int64 { return l.segments.size() }

// SetHighWatermark moves the high watermark forward; a lower one is ignored: only a truncation takes it back.
func (l *Log) SetHighWatermark(hw int64) {
	if hw > l.written { // guarded: boxing the arguments costs an allocation a call
		invariant.Check(false, "%s: high watermark %d beyond log end offset %d", l.partition, hw, l.written)
	}
	if hw <= l.highWatermark {
		return
	}
	l.highWatermark = hw
	l.recent.releaseBelow(hw)
}

// LatestEpoch is the last leader epoch in the log, or assigned; -1 if none.
func (l *Log) LatestEpoch() int32 { return l.epochs.latest().Epoch }

// EarliestEpoch is the first leader epoch of which the log knows; -1 if none.
func (l *Log) EarliestEpoch() int32 { return l.epochs.earliest().Epoch }

// EndOffsetForEpoch answers OffsetForLeaderEpoch: the largest known epoch not above the one asked for
// and its end offset; (-1, -1) is undefined (KIP-101, KIP-279).
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, endOffset int64) {
	return l.epochs.endOffsetFor(epoch, l.written)
}

// EpochAt is the leader epoch of the batch at offset, or -1. It is known of the last one that left the log at its start, too; not if the
// log was begun there.
func (l *Log) EpochAt(offset int64) int32 { return l.epochs.epochAt(offset) }

// Epochs is the history of leader epochs.
func (l *Log) Epochs() []EpochEntry { return slices.Clone(l.epochs.entries) }

// AssignEpoch notes that epoch starts at start. A new leader calls it with its next offset before it
// appends. The checkpoint is durable before any batch appended after this call is written.
func (l *Log) AssignEpoch(epoch int32, start int64) {
	if l.down() == nil && l.epochs.assign(epoch, start) {
		l.queueEpochs()
	}
}

// IsRebuilding reports whether the producer states are being read back from the disk, after a truncation.
func (l *Log) IsRebuilding() bool { return l.rebuilding }

// IsTruncating reports whether the files have still more than the log, which was truncated.
func (l *Log) IsTruncating() bool { return l.truncating > 0 }

// IsMoving reports whether the log is taking the place of another one: its directory does not have the partition's name yet.
func (l *Log) IsMoving() bool { return l.moving }

// Producers is a copy of the producer states by producer id; of what they were before a truncation none while IsRebuilding.
func (l *Log) Producers() []ProducerState { return l.producers.sorted() }

// OnFailure calls f, once, when a write, sync or read fails: the log is offline from then on. errors.Is(err,
// disk.ErrNoSpace) tells a full disk. If the log has failed already, f runs at once.
func (l *Log) OnFailure(f func(error)) {
	if l.failure != nil {
		f(l.failure)
		return
	}
	l.onFailure = append(l.onFailure, f)
}

// down is why the log takes no calls, or nil.
func (l *Log) down() error {
	if l.failure != nil || l.closed {
		return ErrOffline
	}
	return nil
}

// isFull reports whether the disk has no space: then nothing new is taken.
func (l *Log) isFull() bool { return l.patient != nil && l.patient.IsFull() }

// setPatient has all that the log asks of its disk wait for space, or end at once.
func (l *Log) setPatient(on bool) {
	switch {
	case l.patient == nil:
	case on:
		l.patient.resume()
	default:
		l.patient.abandon()
	}
}

// fail takes the log offline for good: what is durable is unknown from here.
func (l *Log) fail(what string, err error) {
	if l.failure != nil {
		return
	}
	l.failure = fmt.Errorf("storage: %s: %s: %w", l.dir, what, err)
	l.generation++
	l.stopTimer()
	l.pipeline.abort(ErrOffline)
	for _, f := range l.onFailure {
		f(l.failure)
	}
	l.onFailure = nil
}

func (l *Log) path(name string) string { return l.dir + "/" + name }

// pathOf is the path of a file that is named after an offset, with one suffix behind the other.
func (l *Log) pathOf(offset int64, suffixes ...string) string {
	b := make([]byte, 0, 128)
	b = append(append(b, l.dir...), '/')
	b = appendDigits(b, offset)
	for _, s := range suffixes {
		b = append(b, s...)
	}
	return string(b)
}

func (l *Log) emit(kind event.Kind, offset int64) {
	l.emitBatch(kind, -1, offset, 0, nil)
}

// emitBatch emits from memory that is used again, filled in where it lies: it runs for each batch, several times.
func (l *Log) emitBatch(kind event.Kind, epoch int32, offset, length int64, batch []byte) {
	e := &l.event
	e.Kind, e.Partition, e.TopicID, e.Peer, e.Epoch, e.Offset, e.Len, e.Batch = kind, l.partition, l.topicID, -1, epoch, offset, length, batch
	l.env.Event.Emit(e)
	e.Batch = nil
}

// checkOrder asserts the invariant of the offsets.
func (l *Log) checkOrder() {
	invariant.Check(l.logStart <= l.highWatermark && l.highWatermark <= l.written && l.written <= l.next,
		"%s: log start %d, high watermark %d, written %d, next %d", l.partition, l.logStart, l.highWatermark, l.written, l.next)
}

// endOf is the first offset after a segment.
func (l *Log) endOf(g *segment) int64 {
	if g == l.active {
		return l.next
	}
	if after := l.segments.after(g); after != nil {
		return after.base
	}
	return math.MaxInt64
}
