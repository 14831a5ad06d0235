package storage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/btree"
	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
)

// Manager is all partition logs of a broker but the metadata log, in one log directory or several.
type Manager struct {
	env      *env.Env
	dirs     []*LogDir
	logs     *btree.BTreeG[*Log]
	futures  *btree.BTreeG[*Log]
	rivals   []*Log // of partitions that have a log, in another directory: one of the two is of a topic that is no more
	pivot    Log
	creating map[event.Partition]*LogDir  // where
	deleting map[event.Partition][]func() // what waits for the end of each

	makingFuture map[event.Partition]bool
	futuresMade  int
	foundFutures []foundFuture // at the start
	interrupted  map[event.Partition]*LogDir

	config       func(event.Partition) LogConfig
	onFailure    func(*Log, error)
	onDirFailure func(*LogDir, error)
	held         heldMemory

	checkpointing bool          // or still opening the logs
	waiting       []func(error) // for a checkpoint after that
	brokerEpoch   int64
}

// ErrTwice is wrapped by OpenManager's error if a partition's log is in two directories.
var ErrTwice = errors.New("storage: in two log directories")

// OpenManager opens every log in the roots of the directories, one after the other. Where the last shutdown was clean its mark is
// removed first. A directory with a log that cannot be opened is offline; if it is the only one, or has the metadata log, that is the error.
func OpenManager(e *env.Env, dirs []*LogDir, cfg func(event.Partition) LogConfig, done func(*Manager, error)) {
	m := &Manager{
		env: e, dirs: dirs, config: cfg, brokerEpoch: -1,
		creating: map[event.Partition]*LogDir{},
		deleting: map[event.Partition][]func(){},
		logs:     newLogTree(),
		futures:  newLogTree(),

		makingFuture: map[event.Partition]bool{},
		interrupted:  map[event.Partition]*LogDir{},

		checkpointing: true, // who asks for a checkpoint waits until all logs are known
	}
	sequence(len(dirs), func(i int, next func(error)) {
		d := dirs[i]
		d.save = func(done func(error)) { m.Checkpoint(func(error) { done(d.unsaved) }) }
		if d.IsOnline() {
			m.load(d, func(err error) { next(m.onLoaded(d, err)) })
			return
		}
		next(nil)
	}, func(err error) {
		if err != nil {
			done(nil, err)
			return
		}
		m.settleFutures(func(err error) { m.opened(err, done) })
	})
}

func newLogTree() *btree.BTreeG[*Log] {
	return btree.NewG(16, func(a, b *Log) bool { return a.partition.Compare(b.partition) < 0 })
}

func (m *Manager) load(d *LogDir, done func(error)) {
	d.env.Disk.List(".", func(names []string, err error) {
		if err != nil {
			done(err)
			return
		}
		steps(done,
			func(next func(error)) { d.readMarks(names, next) },
			func(next func(error)) { m.openAll(d, names, next) })
	})
}

// onLoaded has the broker go on without a directory that failed, if it can.
func (m *Manager) onLoaded(d *LogDir, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrTwice) || !m.CanLose(d) {
		return err
	}
	m.Fail(d, err)
	return nil
}

func (m *Manager) opened(err error, done func(*Manager, error)) {
	for _, d := range m.dirs {
		d.points, d.starts, d.cleaned = nil, nil, nil
	}
	if err != nil {
		done(nil, err)
		return
	}
	m.checkpointed(nil, func(error) { done(m, nil) })
}

func (m *Manager) openAll(d *LogDir, names []string, next func(error)) {
	sequence(len(names), func(i int, next func(error)) {
		dir, isDir := strings.CutSuffix(names[i], "/")
		p, ok := parseLogDir(dir)
		switch {
		case isDir && strings.HasSuffix(dir, deleteSuffix) && strings.Contains(dir, "."):
			d.env.Disk.Remove(dir, next)
		case isDir && strings.HasSuffix(dir, futureSuffix):
			if p, ok := parseFutureName(dir); ok {
				m.foundFutures = append(m.foundFutures, foundFuture{d, dir, p})
			}
			next(nil)
		case !isDir || !ok || p == event.MetadataPartition:
			next(nil)
		default:
			m.reopen(d, p, func(l *Log, err error) {
				if err == nil {
					err = m.adopt(l)
				}
				next(err)
			})
		}
	}, next)
}

// adopt takes a log in that was found. Two of one partition may be of different topics, one of which was deleted while its directory was
// offline: which it is, the metadata will tell. One that was not made to its end may be of no topic.
func (m *Manager) adopt(l *Log) error {
	other := m.Get(l.partition)
	if other == nil {
		m.logs.ReplaceOrInsert(l)
		return nil
	}
	if other.topicID == l.topicID && l.topicID != [16]byte{} {
		return fmt.Errorf("%w: %s is in %s and in %s; remove the one that is older", ErrTwice, l.partition, other.home.Path, l.home.Path)
	}
	m.rivals = append(m.rivals, l)
	return nil
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

// reopen opens the log that a directory has of a partition.
func (m *Manager) reopen(d *LogDir, p event.Partition, done func(*Log, error)) {
	m.openAs(d, p.String(), OpenOptions{Partition: p, Config: m.config(p), HighWatermark: d.highWatermarks[p]}, false, done)
}

// openAs opens or makes a log, which may be a future one, by the name of its directory.
func (m *Manager) openAs(d *LogDir, name string, o OpenOptions, isFuture bool, done func(*Log, error)) {
	p := o.Partition
	o.Dir, o.Clean, o.KeepProducers, o.held, o.home = name, d.clean, true, &m.held, d
	o.RecoveryPoint, o.LogStartOffset, o.CleanedUpTo = d.points[p], d.starts[p], d.cleaned[p]
	e := d.env
	if isFuture {
		quiet := *d.env
		quiet.Event = event.Discard
		e = &quiet
	}
	Open(e, o, func(l *Log, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		l.SetHighWatermark(min(o.HighWatermark, l.LogEndOffset()))
		l.saveLowered()
		l.OnFailure(func(err error) {
			if m.onFailure != nil {
				m.onFailure(l, err)
			}
		})
		done(l, nil)
	})
}

// OnFailure calls f when any log fails: its whole directory is then to be taken offline.
func (m *Manager) OnFailure(f func(*Log, error)) { m.onFailure = f }

// OnDirFailure calls f when the checkpoints of a directory cannot be written, whoever asked for that: it is then to be taken offline.
func (m *Manager) OnDirFailure(f func(*LogDir, error)) { m.onDirFailure = f }

// SetBrokerEpoch is what the clean-shutdown mark will say (KIP-966).
func (m *Manager) SetBrokerEpoch(epoch int64) { m.brokerEpoch = epoch }

// Clean reports whether the last shutdown was clean, in all directories.
func (m *Manager) Clean() bool {
	return !slices.ContainsFunc(m.dirs, func(d *LogDir) bool { return !d.clean || !d.IsOnline() })
}

// CleanShutdownEpoch is the broker epoch that the last shutdown, if it was clean, left behind in all directories; else -1 (KIP-966).
func (m *Manager) CleanShutdownEpoch() int64 {
	epoch := m.dirs[0].cleanEpoch
	if slices.ContainsFunc(m.dirs, func(d *LogDir) bool { return d.cleanEpoch != epoch || !d.IsOnline() }) {
		return -1
	}
	return epoch
}

// Dirs are the log directories, in the order of log.dirs.
func (m *Manager) Dirs() []*LogDir { return m.dirs }

// Dir is the directory with an id, if it is online; else nil.
func (m *Manager) Dir(id [16]byte) *LogDir {
	for _, d := range m.dirs {
		if d.ID == id && d.IsOnline() {
			return d
		}
	}
	return nil
}

// CanLose reports whether the broker can go on without a directory.
func (m *Manager) CanLose(d *LogDir) bool {
	return !d.Metadata && slices.ContainsFunc(m.dirs, func(other *LogDir) bool { return other != d && other.IsOnline() })
}

// AnyOffline reports whether a directory is offline.
func (m *Manager) AnyOffline() bool {
	return slices.ContainsFunc(m.dirs, func(d *LogDir) bool { return !d.IsOnline() })
}

// HasLost reports whether a partition's log lies in a directory that has failed since the start, or may lie there: whoever was making it, or removing it, does
// not know how far that went.
func (m *Manager) HasLost(p event.Partition, topicID [16]byte) bool {
	return slices.ContainsFunc(m.dirs, func(d *LogDir) bool { id, had := d.lost[p]; return had && id == topicID })
}

// Fail takes a directory offline: what its files hold is unknown from here. Its logs fail, and are forgotten.
func (m *Manager) Fail(d *LogDir, err error) {
	d.failure = err
	all := m.in(d)
	m.rivals = slices.DeleteFunc(m.rivals, func(l *Log) bool { return l.home == d })
	for _, l := range all {
		if m.isFuture(l) {
			m.futures.Delete(l)
		} else {
			d.lost[l.partition] = l.topicID
		}
		if m.Get(l.partition) == l {
			m.logs.Delete(l)
			m.promoteRival(l.partition)
		}
		l.fail("log directory", err) // its files stay open: an operation that has several steps may be under way
		l.recent.releaseAll()
	}
}

func (m *Manager) isFuture(l *Log) bool {
	future, _ := m.futures.Get(l)
	return future == l
}

// in is the logs in a directory, sorted by partition, then the future ones, then the rivals.
func (m *Manager) in(d *LogDir) (all []*Log) {
	m.eachOfAll(func(l *Log) {
		if l.home == d {
			all = append(all, l)
		}
	})
	return all
}

// eachOfAll is Each, and then the same for future logs, and for rivals.
func (m *Manager) eachOfAll(f func(*Log)) {
	m.Each(f)
	m.futures.Ascend(func(l *Log) bool { f(l); return true })
	for _, l := range m.rivals {
		f(l)
	}
}

// Emptiest is the directory for a new log: the first of those with the fewest.
func (m *Manager) Emptiest() *LogDir {
	counts := map[*LogDir]int{}
	m.eachOfAll(func(l *Log) { counts[l.home]++ })
	for _, d := range m.creating { // order: a sum
		counts[d]++
	}
	var found *LogDir
	for _, d := range m.dirs {
		if d.IsOnline() && (found == nil || counts[d] < counts[found]) {
			found = d
		}
	}
	return found
}

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

// Create makes a partition's log in a directory; ErrExists if there is one, or is about to be.
func (m *Manager) Create(d *LogDir, p event.Partition, topicID [16]byte, cfg LogConfig, done func(*Log, error)) {
	if m.Get(p) != nil || m.creating[p] != nil {
		done(nil, ErrExists)
		return
	}
	m.creating[p] = d
	m.afterDelete(p, func() {
		m.openAs(d, p.String(), OpenOptions{Partition: p, TopicID: topicID, Config: cfg}, false, func(l *Log, err error) {
			delete(m.creating, p)
			if err == nil && !d.IsOnline() { // it failed meanwhile
				l.closeFiles()
				l, err = nil, ErrOffline
			}
			if err == nil {
				m.logs.ReplaceOrInsert(l)
			} else {
				d.lost[p] = topicID
			}
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
	delete(m.interrupted, p)
	m.deleting[p] = nil
	l.Delete(func(err error) {
		waiting := m.deleting[p]
		delete(m.deleting, p)
		if err != nil {
			l.home.lost[p] = l.topicID
		}
		m.promoteRival(p)
		done(err)
		for _, f := range waiting {
			f()
		}
	})
}

// promoteRival has the partition's other log, in another directory, take the place of one that is gone.
func (m *Manager) promoteRival(p event.Partition) {
	at := slices.IndexFunc(m.rivals, func(l *Log) bool { return l.partition == p })
	if at < 0 || m.Get(p) != nil {
		return
	}
	m.logs.ReplaceOrInsert(m.rivals[at])
	m.rivals = slices.Delete(m.rivals, at, at+1)
}

// DeleteRivals removes what logs of a partition there are besides the one that Get returns. What fails is removed after the next start.
func (m *Manager) DeleteRivals(p event.Partition) {
	m.rivals = slices.DeleteFunc(m.rivals, func(l *Log) bool {
		if l.partition == p {
			l.Delete(func(error) {})
		}
		return l.partition == p
	})
}

// Checkpoint writes the recovery points, log starts and high watermarks of all logs, where they have changed. An error is that of the first directory that has
// failed. One that is asked for while OpenManager is at work is written after it: what is not opened yet would be missing.
func (m *Manager) Checkpoint(done func(error)) {
	if m.checkpointing {
		m.waiting = append(m.waiting, done)
		return
	}
	m.checkpointing = true
	all := make([]offsets, len(m.dirs))
	m.eachOfAll(func(l *Log) { all[slices.Index(m.dirs, l.home)].add(l) })
	var failed error
	sequence(len(m.dirs), func(i int, next func(error)) {
		d := m.dirs[i]
		if !d.IsOnline() {
			next(nil)
			return
		}
		d.checkpoint(all[i], func(err error) {
			if d.unsaved = err; err != nil && m.onDirFailure != nil {
				m.onDirFailure(d, err)
			}
			failed = cmp.Or(failed, err)
			next(nil)
		})
	}, func(error) { m.checkpointed(failed, done) })
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

// Shutdown closes all logs, checkpoints, and marks the shutdown as clean in every directory if all went well.
func (m *Manager) Shutdown(done func(error)) {
	var all []*Log
	m.eachOfAll(func(l *Log) { all = append(all, l) })
	steps(done,
		func(next func(error)) { closeAll(all, next) },
		m.Checkpoint,
		func(next func(error)) {
			sequence(len(m.dirs), func(i int, next func(error)) {
				if d := m.dirs[i]; d.IsOnline() {
					d.writeCleanMark(m.brokerEpoch, next)
					return
				}
				next(nil)
			}, next)
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
