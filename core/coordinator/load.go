package coordinator

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
)

// load reads the partition's log from its start to its end and has the machine apply it, a piece at a turn.
//
// The end is the log's, not the high watermark: what lies between may be committed, and answered, by the leader before. Answers
// that tell of it wait until it is committed again.
func (s *Shard) load() {
	s.soon(s.runtime.env.Buggify.Fires(buggify.CoordinatorLoadLate), func() {
		if s.gone {
			return
		}
		s.partition.Log().WhenWritten(func(err error) {
			if err == nil {
				s.read()
			} // else the partition is about to go
		})
	})
}

func (s *Shard) read() {
	if s.gone {
		return
	}
	log := s.partition.Log()
	s.next = max(s.next, log.LogStartOffset())
	if s.next >= log.NextOffset() {
		s.onLoaded()
		return
	}
	if s.next >= log.LogEndOffset() { // a marker came meanwhile
		s.load()
		return
	}
	end := log.LogEndOffset()
	done := func(slice storage.Slice, err error) { s.onRead(slice, end, err) }
	slice, err := log.Read(storage.ReadRequest{Offset: s.next, MaxBytes: s.runtime.cfg.LoadBytes, UpTo: end, MinOneBatch: true}, done)
	if err != storage.ErrPending {
		done(slice, err)
	}
}

// onRead takes what was read of the log, which ended at end. A read that finds nothing tells that there is nothing up to there.
//
// Counter-example: B has compacted away the last records before 34, for the sake of one at 41. A, elected though it is not in the ISR, has none from 34 on, and B
// truncates to there. If B is elected then its log ends in a gap.
func (s *Shard) onRead(slice storage.Slice, end int64, err error) {
	if err != nil {
		s.again() // retention went past us; or the log is down, and the partition is about to go
		return
	}
	slice.Gather(func(b []byte, err error) {
		slice.Release()
		if err != nil || s.gone {
			s.again()
			return
		}
		switch {
		case len(b) > 0:
			s.replay(b)
		case s.partition.Log().IsTruncating(): // what comes behind it is found by what the files have
			s.again()
			return
		default:
			s.next = end
		}
		s.soon(s.runtime.env.Buggify.Fires(buggify.CoordinatorReadLate), s.read)
	})
}

// soon runs f in another turn: at once, or late.
func (s *Shard) soon(late bool, f func()) {
	delay := time.Duration(0)
	if late {
		delay = s.runtime.env.Buggify.Delay(buggify.CoordinatorLoadLate, time.Second)
	}
	s.Loop().AfterFunc(delay, f)
}

func (s *Shard) again() { s.Loop().AfterFunc(100*time.Millisecond, s.read) }

// replay applies the batches of a read; the first may begin before what is to be applied.
func (s *Shard) replay(b []byte) {
	var scratch record.Scratch
	for len(b) > 0 {
		batch, rest, err := record.Parse(b)
		if err != nil {
			return
		}
		s.replayBatch(batch, &scratch)
		s.next, b = max(s.next, batch.NextOffset()), rest
	}
}

func (s *Shard) replayBatch(b record.Batch, scratch *record.Scratch) {
	if b.IsControl() {
		if m, ok := record.ParseMarker(b); ok && b.BaseOffset() >= s.next {
			s.machine.ReplayMarker(b.ProducerID(), b.ProducerEpoch(), m.Commit)
		}
		return
	}
	producer := int64(record.NoProducerID)
	if b.IsTransactional() {
		producer = b.ProducerID()
	}
	// A batch that does not decompress was checked when it was appended: what is left of it is what it says.
	_ = b.Each(scratch, func(r record.Record) error {
		at := b.BaseOffset() + int64(r.OffsetDelta)
		if at >= s.next {
			s.machine.Replay(Replayed{
				Record: Record{clone(r.Key), clone(r.Value)}, Offset: at, Timestamp: b.BaseTimestamp() + r.TimestampDelta,
				ProducerID: producer, ProducerEpoch: b.ProducerEpoch(),
			})
		}
		return nil
	})
}

// clone keeps null what is null.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

func (s *Shard) onLoaded() {
	s.loaded = true
	s.runtime.emit(event.CoordinatorLoaded, s.partition, s.next)
	s.machine.Loaded()
}
