package storage

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/google/btree"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
)

// Manager is all partition logs of a disk but the metadata log.
type Manager struct {
	env            *env.Env
	logs           *btree.BTreeG[*Log]
	pivot          Log
	creating       map[event.Partition]bool
	deleting       map[event.Partition][]func() // what waits for the end of each
	clean          bool
	highWatermarks map[event.Partition]int64
	starts         map[event.Partition]int64 // checkpoints as read, while logs are opened
	points         map[event.Partition]int64
	cleaned        map[event.Partition]int64
	config         func(event.Partition) LogConfig
	onFailure      func(*Log, error)
	held           heldMemory

	checkpointing bool
	waiting       []func(error)     // for a checkpoint after the one under way
	last          map[string][]byte // content of the checkpoint files
	brokerEpoch   int64
	cleanEpoch    int64 // the broker epoch in the mark that was read; -1 without one
}

// OpenManager opens every log in the disk's root, one after the other. If the last shutdown was clean its mark is
// removed first. A log that cannot be opened is the error: the disk is no good.
func OpenManager(e *env.Env, cfg func(event.Partition) LogConfig, done func(*Manager, error)) {
	m := &Manager{
		env: e, config: cfg, brokerEpoch: -1, cleanEpoch: -1,
		creating: map[event.Partition]bool{},
		deleting: map[event.Partition][]func(){},
		last:     map[string][]byte{},
		logs:     btree.NewG(16, func(a, b *Log) bool { return a.partition.Compare(b.partition) < 0 }),
	}
	e.Disk.List(".", func(names []string, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		steps(func(err error) { m.opened(err, done) },
			func(next func(error)) { m.takeCleanMark(names, next) },
			func(next func(error)) { m.readOffsets(names, recoveryPointFile, &m.points, next) },
			func(next func(error)) { m.readOffsets(names, logStartFile, &m.starts, next) },
			func(next func(error)) { m.readOffsets(names, replicationFile, &m.highWatermarks, next) },
			func(next func(error)) { m.readOffsets(names, cleanerFile, &m.cleaned, next) },
			func(next func(error)) { m.openAll(names, next) })
	})
}

func (m *Manager) opened(err error, done func(*Manager, error)) {
	m.points, m.starts, m.cleaned = nil, nil, nil
	if err != nil {
		done(nil, err)
		return
	}
	done(m, nil)
}

func (m *Manager) takeCleanMark(names []string, next func(error)) {
	for _, name := range names {
		if name == cleanShutdownFile {
			m.clean = true
		}
	}
	if !m.clean {
		next(nil)
		return
	}
	steps(next,
		m.readCleanMark,
		func(next func(error)) { removeFile(m.env.Disk, cleanShutdownFile, next) },
		func(next func(error)) { m.env.Disk.SyncDir(".", next) })
}

func (m *Manager) readCleanMark(next func(error)) {
	ReadFile(m.env.Disk, cleanShutdownFile, func(b []byte, err error) {
		m.cleanEpoch = parseCleanShutdown(b)
		next(err)
	})
}

// readOffsets reads an offset checkpoint; a missing or damaged one is as good as an empty one.
func (m *Manager) readOffsets(names []string, file string, into *map[event.Partition]int64, next func(error)) {
	*into = map[event.Partition]int64{}
	ReadFile(m.env.Disk, file, func(b []byte, err error) {
		if errors.Is(err, disk.ErrNotExist) {
			next(nil)
			return
		}
		entries, bad := parseOffsets(b)
		if bad == nil {
			for _, e := range entries {
				(*into)[e.partition] = e.offset
			}
		}
		next(err)
	})
}

func (m *Manager) openAll(names []string, next func(error)) {
	sequence(len(names), func(i int, next func(error)) {
		dir, isDir := strings.CutSuffix(names[i], "/")
		p, ok := parseLogDir(dir)
		switch {
		case isDir && strings.HasSuffix(dir, deleteSuffix) && strings.Contains(dir, "."):
			m.env.Disk.Remove(dir, next)
		case !isDir || !ok || p == event.MetadataPartition:
			next(nil)
		default:
			m.open(p, [16]byte{}, m.config(p), func(_ *Log, err error) { next(err) })
		}
	}, next)
}

// parseLogDir is the partition whose log a directory named "topic-partition" holds.
func parseLogDir(dir string) (event.Partition, bool) {
	at := strings.LastIndexByte(dir, '-')
	if at <= 0 {
		return event.Partition{}, false
	}
	index, err := strconv.ParseInt(dir[at+1:], 10, 32)
	if err != nil || index < 0 || strconv.FormatInt(index, 10) != dir[at+1:] {
		return event.Partition{}, false
	}
	return event.Partition{Topic: dir[:at], Index: int32(index)}, true
}

func (m *Manager) open(p event.Partition, topicID [16]byte, cfg LogConfig, done func(*Log, error)) {
	o := OpenOptions{
		Dir: p.String(), Partition: p, TopicID: topicID, Config: cfg, Clean: m.clean,
		RecoveryPoint: m.points[p], LogStartOffset: m.starts[p], HighWatermark: m.highWatermarks[p],
		CleanedUpTo: m.cleaned[p], KeepProducers: true, held: &m.held,
	}
	Open(m.env, o, func(l *Log, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		l.SetHighWatermark(min(m.highWatermarks[p], l.LogEndOffset()))
		m.logs.ReplaceOrInsert(l)
		l.OnFailure(func(err error) {
			if m.onFailure != nil {
				m.onFailure(l, err)
			}
		})
		done(l, nil)
	})
}

// OnFailure calls f when any log fails: the whole disk is then to be taken offline.
func (m *Manager) OnFailure(f func(*Log, error)) { m.onFailure = f }

// SetBrokerEpoch is what the clean-shutdown mark will say (KIP-966).
func (m *Manager) SetBrokerEpoch(epoch int64) { m.brokerEpoch = epoch }

// Clean reports whether the last shutdown was clean.
func (m *Manager) Clean() bool { return m.clean }

// CleanShutdownEpoch is the broker epoch that the last shutdown, if it was clean, left behind; else -1 (KIP-966).
func (m *Manager) CleanShutdownEpoch() int64 { return m.cleanEpoch }

// HighWatermarks is what the checkpoint said when the manager was opened.
func (m *Manager) HighWatermarks() map[event.Partition]int64 { return m.highWatermarks }

// Get returns a partition's log, or nil.
func (m *Manager) Get(p event.Partition) *Log {
	m.pivot.partition = p
	l, _ := m.logs.Get(&m.pivot)
	return l
}

// Each calls f for every log, sorted by partition. f must not create or delete logs.
func (m *Manager) Each(f func(*Log)) {
	m.logs.Ascend(func(l *Log) bool { f(l); return true })
}

// Create makes a partition's log; ErrExists if there is one, or is about to be.
func (m *Manager) Create(p event.Partition, topicID [16]byte, cfg LogConfig, done func(*Log, error)) {
	if m.Get(p) != nil || m.creating[p] {
		done(nil, ErrExists)
		return
	}
	delete(m.highWatermarks, p) // of an earlier topic of that name
	m.creating[p] = true
	m.afterDelete(p, func() {
		m.open(p, topicID, cfg, func(l *Log, err error) {
			delete(m.creating, p)
			done(l, err)
		})
	})
}

// afterDelete runs f when no directory of the partition is being removed.
func (m *Manager) afterDelete(p event.Partition, f func()) {
	if waiting, deleting := m.deleting[p]; deleting {
		m.deleting[p] = append(waiting, f)
		return
	}
	f()
}

// Delete removes a partition's log and its directory; Get forgets it at once. Without such a log it does nothing.
func (m *Manager) Delete(p event.Partition, done func(error)) {
	l := m.Get(p)
	if l == nil {
		done(nil)
		return
	}
	m.logs.Delete(l)
	m.deleting[p] = nil
	l.Delete(func(err error) {
		waiting := m.deleting[p]
		delete(m.deleting, p)
		done(err)
		for _, f := range waiting {
			f()
		}
	})
}

// Checkpoint writes the recovery points, log starts and high watermarks of all logs, where they have changed.
func (m *Manager) Checkpoint(done func(error)) {
	if m.checkpointing {
		m.waiting = append(m.waiting, done)
		return
	}
	m.checkpointing = true
	points, starts, highWatermarks, cleaned := m.offsets()
	steps(func(err error) { m.checkpointed(err, done) },
		func(next func(error)) { m.writeOffsets(recoveryPointFile, points, next) },
		func(next func(error)) { m.writeOffsets(logStartFile, starts, next) },
		func(next func(error)) { m.writeOffsets(replicationFile, highWatermarks, next) },
		func(next func(error)) { m.writeCleaned(cleaned, next) })
}

func (m *Manager) checkpointed(err error, done func(error)) {
	m.checkpointing = false
	done(err)
	if waiting := m.waiting; len(waiting) > 0 {
		m.waiting = nil
		m.Checkpoint(func(err error) {
			for _, f := range waiting {
				f(err)
			}
		})
	}
}

// offsets is the content of the checkpoints. A log start is noted where the first segment does not tell it.
func (m *Manager) offsets() (points, starts, highWatermarks, cleaned []partitionOffset) {
	m.Each(func(l *Log) {
		points = append(points, partitionOffset{l.partition, l.recoveryPoint})
		highWatermarks = append(highWatermarks, partitionOffset{l.partition, l.highWatermark})
		if l.logStart > l.segments.first().base {
			starts = append(starts, partitionOffset{l.partition, l.logStart})
		}
		if l.cleaned > 0 {
			cleaned = append(cleaned, partitionOffset{l.partition, l.cleaned})
		}
	})
	return points, starts, highWatermarks, cleaned
}

// writeCleaned writes the cleaner's checkpoint, which is not there until a log was compacted.
func (m *Manager) writeCleaned(entries []partitionOffset, next func(error)) {
	if len(entries) == 0 && m.last[cleanerFile] == nil {
		next(nil)
		return
	}
	m.writeOffsets(cleanerFile, entries, next)
}

func (m *Manager) writeOffsets(file string, entries []partitionOffset, next func(error)) {
	content := marshalOffsets(entries)
	if bytes.Equal(m.last[file], content) {
		next(nil)
		return
	}
	WriteFileAtomic(m.env.Disk, file, content, func(err error) {
		if err == nil {
			m.last[file] = content
		}
		next(err)
	})
}

// Shutdown closes all logs, checkpoints, and marks the shutdown as clean if all went well.
func (m *Manager) Shutdown(done func(error)) {
	var all []*Log
	m.Each(func(l *Log) { all = append(all, l) })
	steps(done,
		func(next func(error)) { closeAll(all, next) },
		m.Checkpoint,
		func(next func(error)) {
			WriteFileAtomic(m.env.Disk, cleanShutdownFile, marshalCleanShutdown(m.brokerEpoch), next)
		})
}

// closeAll closes logs at the same time; the first error is the answer, when all have answered.
func closeAll(all []*Log, done func(error)) {
	if len(all) == 0 {
		done(nil)
		return
	}
	left, first := len(all), error(nil)
	for _, l := range all {
		l.Close(func(err error) {
			first = errors.Join(first, err)
			if left--; left == 0 {
				done(first)
			}
		})
	}
}
