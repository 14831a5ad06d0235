package storage

import (
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
)

// A future log is a copy of a partition's log that is being made in another directory (KIP-113). It is its partition's log once it has all
// that the other has, and that one is gone; until then it says nothing of what happens to it.
//
// At no time, crashes included, do two directories have a log by the partition's own name. Who finds a future log alone was ended
// between the two renames: it is whole, and durable.

const futureSuffix = "-future"

// maxFileName is how long a name a directory may have.
const maxFileName = 255

// futureName is Kafka's "topic-partition.uniqueId-future".
func futureName(p event.Partition, id [16]byte) string {
	return p.String() + "." + hex.EncodeToString(id[:]) + futureSuffix
}

// CanMove reports whether the topic's name is short enough for the name of a future log.
func CanMove(p event.Partition) bool { return len(futureName(p, [16]byte{})) <= maxFileName }

// parseFutureName is the partition whose future log a directory holds.
func parseFutureName(dir string) (event.Partition, bool) {
	name, ok := strings.CutSuffix(dir, futureSuffix)
	at := strings.LastIndexByte(name, '.')
	if !ok || at < 0 {
		return event.Partition{}, false
	}
	return parseLogDir(name[:at])
}

// foundFuture is the directory of a future log, found at the start.
type foundFuture struct {
	dir       *LogDir
	name      string
	partition event.Partition
}

// settleFutures decides what becomes of the future logs that were found, when all directories have been looked through: one that
// has no log besides it becomes the partition's log, unless that may be in a directory that is offline.
//
// A copy that was not finished is begun anew: what was copied may have been compacted in the log since.
func (m *Manager) settleFutures(done func(error)) {
	found := m.foundFutures
	m.foundFutures = nil
	sequence(len(found), func(i int, next func(error)) {
		f := found[i]
		settled := func(err error) {
			if err != nil && m.CanLose(f.dir) {
				m.Fail(f.dir, err)
				err = nil
			}
			next(err)
		}
		l := m.Get(f.partition)
		switch {
		case !f.dir.IsOnline() || l == nil && m.AnyOffline():
			next(nil)
		case l == nil:
			m.promote(f, settled)
		default:
			if l.home != f.dir {
				m.interrupted[f.partition] = f.dir
			}
			f.dir.env.Disk.Remove(f.name, settled)
		}
	}, done)
}

// TakeInterrupted is to where a partition's log was being copied when the broker stopped; nil if it was not, or if that was asked before.
func (m *Manager) TakeInterrupted(p event.Partition) *LogDir {
	d := m.interrupted[p]
	delete(m.interrupted, p)
	return d
}

// promote ends a swap that a crash has interrupted.
func (m *Manager) promote(f foundFuture, done func(error)) {
	d := f.dir.env.Disk
	steps(done,
		func(next func(error)) { d.Rename(f.name, f.partition.String(), next) },
		func(next func(error)) { d.SyncDir(".", next) },
		func(next func(error)) {
			m.reopen(f.dir, f.partition, func(l *Log, err error) {
				if err == nil {
					err = m.adopt(l)
				}
				next(err)
			})
		})
}

// Future returns a partition's future log, or nil.
func (m *Manager) Future(p event.Partition) *Log {
	m.pivot.partition = p
	l, _ := m.futures.Get(&m.pivot)
	return l
}

// IsMakingFuture reports whether a CreateFuture has not ended yet.
func (m *Manager) IsMakingFuture(p event.Partition) bool { return m.makingFuture[p] }

// CreateFuture makes a future log, empty, of a partition that has a log and no future one. Its first offset is start.
func (m *Manager) CreateFuture(d *LogDir, p event.Partition, start int64, done func(*Log, error)) {
	l := m.Get(p)
	if l == nil || m.Future(p) != nil || m.makingFuture[p] {
		done(nil, ErrExists)
		return
	}
	r := m.env.Rand("storage/future/" + p.String() + "/" + strconv.Itoa(m.futuresMade))
	m.futuresMade++
	var id [16]byte
	for i := range id {
		id[i] = byte(r.Uint64())
	}
	m.makingFuture[p] = true
	m.openAs(d, futureName(p, id), OpenOptions{Partition: p, TopicID: l.topicID, Config: l.config}, true, func(future *Log, err error) {
		delete(m.makingFuture, p)
		if err == nil && !d.IsOnline() {
			future.closeFiles()
			err = ErrOffline
		}
		if err != nil {
			done(nil, err)
			return
		}
		m.futures.ReplaceOrInsert(future)
		if start > 0 {
			future.TruncateFullyAndStartAt(start, func(error) {})
		}
		done(future, nil)
	})
}

// DeleteFuture removes a partition's future log, if it has one.
func (m *Manager) DeleteFuture(p event.Partition, done func(error)) {
	l := m.Future(p)
	if l == nil {
		done(nil)
		return
	}
	m.futures.Delete(l)
	l.Delete(done)
}

// Swap has a partition's future log, which has all that the log has, take its place. What is appended from here on is written when the
// directories have been renamed. done gets an error if the log's own directory failed before: then the partition is in neither, until the next start.
func (m *Manager) Swap(p event.Partition, done func(error)) *Log {
	old, l := m.Get(p), m.Future(p)
	invariant.Check(CanSwap(old, l), "%s: swap of a log that ends at %d, %d, with one that ends at %d, %d", p, old.written, old.next, l.written, l.next)
	m.futures.Delete(l)
	m.logs.ReplaceOrInsert(l)
	l.succeed(old, func(err error) {
		if l.swapFailed {
			m.logs.Delete(l)
			old.home.lost[p] = old.topicID
		}
		done(err)
	})
	return l
}

// CanSwap reports whether a future log has all that the log has, and neither is about to change.
func CanSwap(l, future *Log) bool {
	return l.down() == nil && future.down() == nil && l.next == l.written && future.next == future.written && future.next == l.next && !l.rebuilding && !future.rebuilding
}

// succeed takes over from old what the batches alone do not tell, and then its name.
func (l *Log) succeed(old *Log, done func(error)) {
	l.epochs.entries = slices.Clone(old.epochs.entries)
	l.producers = old.producers
	l.SetHighWatermark(old.highWatermark)
	l.AdvanceLogStart(old.logStart)
	l.config, l.cleaned, l.moving = old.config, old.cleaned, true
	l.env.Event = l.home.env.Event // the Env is the future log's own
	old.closed = true
	old.generation++
	old.stopTimer()
	aside := strings.TrimSuffix(l.dir, futureSuffix) + deleteSuffix
	at, snapshot := l.next, l.takeSnapshot()
	l.pipeline.queueTask("swap", func(next func(error)) {
		steps(next,
			func(next func(error)) { l.settleFuture(at, snapshot, next) },
			func(next func(error)) {
				old.moveAside(aside, func(err error) {
					if err != nil {
						l.swapFailed, l.onFailure = true, nil // it is not this log's directory that failed
					}
					next(err)
				})
			},
			func(next func(error)) { l.env.Disk.Rename(l.dir, l.partition.String(), next) },
			func(next func(error)) {
				l.dir = l.partition.String()
				l.env.Disk.SyncDir(".", next)
			})
	}, func(err error) {
		l.endMove()
		switch {
		case err == nil:
			old.env.Disk.Remove(aside, func(error) {}) // left behind, it is removed by the next start
		case l.deleted:
			old.closed = false
			old.Delete(func(error) {})
		}
		done(err)
	})
}

// settleFuture makes all of a future log durable, with the producers' states at its end.
func (l *Log) settleFuture(end int64, snapshot []byte, done func(error)) {
	steps(done,
		l.writeEpochs,
		func(next func(error)) { l.writeSnapshot(end, snapshot, next) },
		l.syncWritten,
		func(next func(error)) { l.env.Disk.SyncDir(l.dir, next) },
		func(next func(error)) { l.env.Disk.SyncDir(".", next) })
}

// moveAside ends a log that another one takes the place of, and gives up its name.
func (l *Log) moveAside(name string, done func(error)) {
	if l.failure != nil {
		done(l.failure)
		return
	}
	l.pipeline.queueTask("move aside", func(next func(error)) {
		steps(next,
			l.stopCleaning,
			func(next func(error)) { l.closeFiles(); next(nil) },
			func(next func(error)) { l.env.Disk.Rename(l.dir, name, next) },
			func(next func(error)) {
				l.dir = name
				l.env.Disk.SyncDir(path.Dir(name), next)
			})
	}, done)
}

// endMove lets those go on who need the files by their names, or tells them that the log has failed.
func (l *Log) endMove() {
	l.moving = false
	waiting := l.afterMove
	l.afterMove = nil
	for _, f := range waiting {
		f()
	}
}
