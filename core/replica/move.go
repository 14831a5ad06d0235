package replica

import (
	"math"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
)

// move brings a replica to another log directory of this broker (KIP-113): its log is copied to a future log, which follows it as a
// follower does its leader. Once it has caught up the controller is told of the new directory (KIP-858), and when that shows in the metadata the future
// log takes the log's place. Between the two the replica counts as what it is: the log in the old directory.
//
// At the end clients' batches, and what a follower fetches, wait for a moment, or a busy log would never be caught up with. A coordinator's do not (Partition.Append):
// it must know their offsets at once. One that writes without a pause keeps its partition where it is, as in Kafka, which holds nobody up for a move.
type move struct {
	p      *Partition
	to     *storage.LogDir
	future *storage.Log // nil until it is made
	busy   bool         // a disk operation is under way
	near   bool         // it has caught up, once
	ended  bool
}

// AlterReplicaLogDir has a partition's replica moved to the log directory of that path, instead of a move that may be under way. One that is not hosted yet will
// be made there. The errors are Kafka's: LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, INVALID_TOPIC_EXCEPTION, and REPLICA_NOT_AVAILABLE, at which
// an administrator's client tries again.
func (m *Manager) AlterReplicaLogDir(id event.Partition, path string) error {
	to := m.logDir(path)
	switch {
	case m.stopped: // what was begun goes on at the next start
		return kerr.ReplicaNotAvailable
	case !storage.CanMove(id):
		return kerr.InvalidTopicException
	case to == nil:
		return kerr.LogDirNotFound
	case !to.IsOnline():
		return kerr.KafkaStorageError
	}
	p := m.byID.get(id)
	switch {
	case p == nil && (m.image == nil || m.image.Partition(id) == nil):
		return kerr.UnknownTopicOrPartition
	case p == nil || p.log == nil && !p.offline:
		m.preferred[id] = to
		return kerr.ReplicaNotAvailable
	case p.offline:
		return kerr.KafkaStorageError
	}
	return p.moveTo(to)
}

func (m *Manager) logDir(path string) *storage.LogDir {
	for _, d := range m.logs.Dirs() {
		if d.Path == path {
			return d
		}
	}
	return nil
}

func (p *Partition) moveTo(to *storage.LogDir) error {
	switch {
	case p.move != nil && p.move.to == to:
		return nil
	case p.m.logs.IsMakingFuture(p.id):
		return kerr.ReplicaNotAvailable
	}
	p.cancelMove()
	switch {
	case p.log.LogDir() == to:
		p.m.assign.submit(p) // the other directory may have been told
		return nil
	case p.m.logs.AnyOffline():
		return kerr.KafkaStorageError // there may be a future log already
	}
	v := &move{p: p, to: to, busy: true}
	p.move = v
	p.log.PauseCleaning(func() {
		if !v.ended {
			p.m.logs.CreateFuture(to, p.id, p.log.LogStartOffset(), v.onCreated)
		}
	})
	return nil
}

func (v *move) onCreated(l *storage.Log, err error) {
	v.busy = false
	switch {
	case err != nil:
		v.p.m.onFailure(v.to, err)
		v.end()
	case v.ended: // meanwhile
		v.p.m.logs.DeleteFuture(v.p.id, func(error) {})
	default:
		v.begin(l)
	}
}

// resumeMove begins anew what an earlier incarnation began.
func (p *Partition) resumeMove() {
	if to := p.m.logs.TakeInterrupted(p.id); to != nil && to.IsOnline() {
		_ = p.moveTo(to) // it is refused if there is a directory offline
	}
}

func (v *move) begin(l *storage.Log) {
	v.future = l
	l.OnFailure(func(err error) { v.p.m.onFailure(v.to, err) })
	v.poke()
}

// cancelMove ends a move, if there is one, and removes what was copied.
func (p *Partition) cancelMove() {
	if p.move == nil {
		return
	}
	made := p.move.future != nil
	p.move.end()
	if made {
		p.m.logs.DeleteFuture(p.id, func(error) {})
	}
}

// end ends a move; the future log stays.
func (v *move) end() {
	v.ended = true
	if v.p.move == v {
		v.p.move = nil
	}
	if v.p.log != nil {
		v.p.log.ResumeCleaning()
	}
	v.p.release()
}

// poke has the move go on, if there is anything to do.
func (v *move) poke() {
	if !v.busy && !v.ended && v.future != nil {
		v.busy = true
		v.p.m.loop.Defer(v.step)
	}
}

// step does what comes next: cut off what the log does not have any more, copy what it has more, or take its place.
func (v *move) step() {
	v.busy = false
	if v.ended || !v.p.isOnline() || v.p.m.stopped {
		return
	}
	log, future := v.p.log, v.future
	if v.align() {
		return
	}
	future.SetHighWatermark(min(log.HighWatermark(), future.LogEndOffset()))
	future.AdvanceLogStart(log.LogStartOffset())
	if future.NextOffset() < log.LogEndOffset() {
		v.copy()
		return
	}
	if v.near = true; !v.isTold() {
		v.p.release()
		v.p.m.assign.submit(v.p)
		return
	}
	if log.IsRebuilding() || future.IsRebuilding() {
		v.later() // nobody tells when that ends
		return
	}
	v.p.hold()
	if storage.CanSwap(log, future) {
		v.swap()
	} // else what is being written is waited for
}

// isTold reports whether the controller knows that the replica is about to be in the other directory.
func (v *move) isTold() bool {
	reg := v.p.reg
	return reg != nil && reg.HasReplica(v.p.m.cfg.NodeID) && reg.Dir(v.p.m.cfg.NodeID) == v.to.ID
}

// align cuts the future log to what the log has, as a follower does; false if there is nothing to cut.
func (v *move) align() bool {
	log, future := v.p.log, v.future
	end := future.NextOffset()
	if start := log.LogStartOffset(); end < start {
		v.truncating(func(done func(error)) { future.TruncateFullyAndStartAt(start, done) })
		return true
	}
	cut := min(end, log.LogEndOffset())
	if last := future.EpochAt(end - 1); last >= 0 && end > future.LogStartOffset() {
		epoch, epochEnd := log.EndOffsetForEpoch(last)
		own, ownEnd := future.EndOffsetForEpoch(epoch)
		if epoch < last || epochEnd < end {
			cut = truncationOffset(wire.EpochEnd{Epoch: epoch, EndOffset: epochEnd}, wire.EpochEnd{Epoch: own, EndOffset: ownEnd}, cut)
		}
	}
	if cut >= end {
		return false
	}
	if cut < future.LogStartOffset() {
		start := log.LogStartOffset()
		v.truncating(func(done func(error)) { future.TruncateFullyAndStartAt(start, done) })
		return true
	}
	v.truncating(func(done func(error)) { future.TruncateTo(cut, done) })
	return true
}

func (v *move) truncating(truncate func(done func(error))) {
	v.busy = true
	truncate(func(error) { v.then(nil) })
}

// then goes on after a disk operation.
func (v *move) then(err error) {
	v.busy = false
	if err != nil {
		v.later()
		return
	}
	v.poke()
}

// later tries again what cannot be done now: the disk is full, the log is damaged, or was truncated while it was read.
func (v *move) later() {
	v.busy = true
	v.p.release()
	v.p.m.loop.AfterFunc(v.p.m.cfg.FetchBackoff, func() { v.then(nil) })
}

// copy reads a piece of the log and appends it to the future log.
func (v *move) copy() {
	v.busy = true
	log := v.p.log
	read := storage.ReadRequest{Offset: v.future.NextOffset(), MaxBytes: int(v.p.m.cfg.FetchPartitionMaxBytes), UpTo: math.MaxInt64, MinOneBatch: true}
	s, err := log.Read(read, v.onRead)
	if err != storage.ErrPending {
		v.onRead(s, err)
	}
}

func (v *move) onRead(s storage.Slice, err error) {
	if err != nil {
		v.later()
		return
	}
	first := s.FirstOffset
	s.Gather(func(b []byte, err error) {
		s.Release()
		if err != nil || len(b) == 0 {
			v.later()
			return
		}
		bad := false
		v.p.m.loop.Offload(func() { bad = !areSound(b) }, func() {
			if bad { // of these bytes there is to be no second copy
				v.later()
				return
			}
			v.append(b, first)
		})
	})
}

// areSound reports whether all whole batches have their checksum.
func areSound(b []byte) bool {
	for len(b) > 0 {
		batch, rest, err := record.Parse(b)
		if err == record.ErrShort {
			return true
		}
		if err != nil || !batch.CheckCRC() {
			return false
		}
		b = rest
	}
	return true
}

// append adds what was read. The first batch of all may begin before the log does: it is copied whole.
func (v *move) append(b []byte, first int64) {
	if v.ended {
		return
	}
	future := v.future
	if first < future.NextOffset() && future.NextOffset() == future.LogStartOffset() {
		future.TruncateFullyAndStartAt(first, func(error) {})
	}
	if _, err := future.AppendAsFollower(b, nil, v.then); err != nil {
		v.later()
	}
}

// swap has the future log take the log's place.
func (v *move) swap() {
	p := v.p
	v.ended, p.move = true, nil
	p.log = p.m.logs.Swap(p.id, func(err error) {
		if err != nil && !p.removed && p.m.failed == nil {
			p.onOffline()
		}
	})
	p.release()
	p.follow.changed()
}

// hold has batches wait that are not this broker's own: see mustPrepare, and isReady of a follower. After a while they wait no more, for the
// directory to which the rest is to be copied may be full.
func (p *Partition) hold() {
	if p.held {
		return
	}
	p.held = true
	p.holds++
	this := p.holds
	p.m.loop.AfterFunc(p.m.cfg.FetchBackoff, func() {
		if this == p.holds {
			p.release()
		}
	})
}

func (p *Partition) release() {
	if p.held {
		p.held = false
		p.appendPrepared()
		p.follow.changed()
	}
}
