package storage

import (
	"encoding/hex"
	"path"
	"strconv"
)

// Close writes and syncs everything, with indexes and a producer snapshot, and closes the files: the
// log can be opened with Clean. No call is taken from here on; appends under way are answered.
func (l *Log) Close(done func(error)) {
	if err := l.down(); err != nil {
		l.closeFiles()
		done(err)
		return
	}
	l.closed = true
	l.stopTimer()
	l.pipeline.queueTask("close", func(next func(error)) {
		end := func(err error) { l.closeFiles(); next(err) }
		l.active.seal()
		steps(end,
			l.stopCleaning,
			func(next func(error)) { l.active.file.Sync(next) },
			func(next func(error)) { l.writeIndexes(l.active, next) },
			func(next func(error)) { l.rewriteAborted(l.active, next) },
			func(next func(error)) { l.writeSnapshot(l.next, l.takeSnapshot(), next) },
			func(next func(error)) {
				l.recoveryPoint = l.written
				l.env.Disk.SyncDir(l.dir, next)
			})
	}, done)
}

// closeFiles drops what the log holds; regions and slices given out stay readable.
func (l *Log) closeFiles() {
	l.closed = true
	l.generation++
	l.stopTimer()
	l.recent.releaseAll()
	for _, g := range l.segments.all() {
		g.close()
	}
}

// Delete removes the log with its directory, which is renamed first, so that a crash half way leaves
// nothing that looks like a log. Everything under way is answered with KAFKA_STORAGE_ERROR.
func (l *Log) Delete(done func(error)) {
	if l.down() != nil {
		l.closeFiles()
		done(ErrOffline)
		return
	}
	l.closed, l.deleted = true, true
	l.generation++
	l.stopTimer()
	l.pipeline.abort(ErrOffline)
	l.setPatient(false) // the space that is waited for may be what this gives
	gone := l.deletedName()
	l.pipeline.queueTask("delete", func(next func(error)) {
		steps(next,
			l.stopCleaning,
			func(next func(error)) { l.closeFiles(); l.setPatient(true); next(nil) },
			func(next func(error)) { l.env.Disk.Rename(l.dir, gone, next) },
			func(next func(error)) { l.env.Disk.SyncDir(path.Dir(l.dir), next) },
			func(next func(error)) { l.env.Disk.Remove(gone, next) })
	}, done)
}

const deleteSuffix = "-delete"

// deletedName is Kafka's "topic-partition.uniqueId-delete", at most 255 bytes.
func (l *Log) deletedName() string {
	r := l.env.Rand("storage/delete/" + l.dir)
	var id [16]byte
	for i := range id {
		id[i] = byte(r.Uint64())
	}
	suffix := "-" + strconv.Itoa(int(l.partition.Index)) + "." + hex.EncodeToString(id[:]) + deleteSuffix
	topic := l.partition.Topic
	return path.Join(path.Dir(l.dir), topic[:min(len(topic), 255-len(suffix))]+suffix)
}
