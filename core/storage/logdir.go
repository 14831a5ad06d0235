package storage

import (
	"bytes"
	"errors"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
)

// LogDir is one of a broker's log directories (KIP-112): a disk with logs, their checkpoints, and the mark of a clean shutdown.
type LogDir struct {
	Path     string   // as log.dirs names it
	ID       [16]byte // its directory.id; zero: it failed before that was read
	Metadata bool     // it has the metadata log, without which the broker cannot be

	env     *env.Env // the broker's, with this disk
	failure error    // why it is offline
	// What lay in it when it failed, or was being made or removed: it may come back with the next incarnation, and there must not be another log of
	// those until then.
	lost map[event.Partition][16]byte

	clean          bool
	cleanEpoch     int64                     // the broker epoch in the mark that was read; -1 without one
	highWatermarks map[event.Partition]int64 // what their checkpoint has at most
	save           func(done func(error))    // writes the checkpoints; an error is of this directory
	unsaved        error                     // why its own were not written the last time
	starts         map[event.Partition]int64 // checkpoints as read, while logs are opened
	points         map[event.Partition]int64
	cleaned        map[event.Partition]int64
	last           map[string][]byte // content of the checkpoint files
}

// NewLogDir is the directory on the disk of e.
func NewLogDir(e *env.Env, path string, id [16]byte) *LogDir {
	return &LogDir{Path: path, ID: id, env: e, cleanEpoch: -1, last: map[string][]byte{}, lost: map[event.Partition][16]byte{}}
}

// Disk is the directory as a disk.
func (d *LogDir) Disk() disk.Disk { return d.env.Disk }

// IsOnline reports whether the directory has not failed.
func (d *LogDir) IsOnline() bool { return d.failure == nil }

// Break marks a directory that could not be read at all; it is for before OpenManager.
func (d *LogDir) Break(err error) { d.failure = err }

// GiveUp ends all waiting for space: see PatientDisk.
func (d *LogDir) GiveUp() {
	if p, ok := d.env.Disk.(*PatientDisk); ok && !p.gaveUp {
		p.GiveUp()
	}
}

// Failure is why the directory is offline, or nil.
func (d *LogDir) Failure() error { return d.failure }

// readMarks takes the mark of a clean shutdown off and reads the checkpoints.
func (d *LogDir) readMarks(names []string, done func(error)) {
	steps(done,
		func(next func(error)) { d.takeCleanMark(names, next) },
		func(next func(error)) { d.readOffsets(recoveryPointFile, &d.points, next) },
		func(next func(error)) { d.readOffsets(logStartFile, &d.starts, next) },
		func(next func(error)) { d.readOffsets(replicationFile, &d.highWatermarks, next) },
		func(next func(error)) { d.readOffsets(cleanerFile, &d.cleaned, next) })
}

func (d *LogDir) takeCleanMark(names []string, next func(error)) {
	for _, name := range names {
		if name == cleanShutdownFile {
			d.clean = true
		}
	}
	if !d.clean {
		next(nil)
		return
	}
	steps(next,
		d.readCleanMark,
		func(next func(error)) { removeFile(d.env.Disk, cleanShutdownFile, next) },
		func(next func(error)) { d.env.Disk.SyncDir(".", next) })
}

func (d *LogDir) readCleanMark(next func(error)) {
	ReadFile(d.env.Disk, cleanShutdownFile, func(b []byte, err error) {
		d.cleanEpoch = parseCleanShutdown(b)
		next(err)
	})
}

func (d *LogDir) writeCleanMark(brokerEpoch int64, done func(error)) {
	WriteFileAtomic(d.env.Disk, cleanShutdownFile, marshalCleanShutdown(brokerEpoch), done)
}

// readOffsets reads an offset checkpoint; a missing or damaged one is as good as an empty one.
func (d *LogDir) readOffsets(file string, into *map[event.Partition]int64, next func(error)) {
	*into = map[event.Partition]int64{}
	ReadFile(d.env.Disk, file, func(b []byte, err error) {
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

// checkpoint writes the recovery points, log starts and high watermarks of the directory's logs, where they have changed.
func (d *LogDir) checkpoint(o offsets, done func(error)) {
	steps(done,
		func(next func(error)) { d.writeOffsets(recoveryPointFile, o.points, next) },
		func(next func(error)) { d.writeOffsets(logStartFile, o.starts, next) },
		func(next func(error)) { d.writeHighWatermarks(o.highWatermarks, next) },
		func(next func(error)) { d.writeCleaned(o.cleaned, next) })
}

// offsets is the content of the checkpoints.
type offsets struct{ points, starts, highWatermarks, cleaned []partitionOffset }

// add notes a log. Where it starts is noted where the first segment does not tell it.
func (o *offsets) add(l *Log) {
	o.points = append(o.points, partitionOffset{l.partition, l.recoveryPoint})
	o.highWatermarks = append(o.highWatermarks, partitionOffset{l.partition, l.highWatermark})
	if l.logStart > l.segments.first().base {
		o.starts = append(o.starts, partitionOffset{l.partition, l.logStart})
	}
	if l.cleaned > 0 {
		o.cleaned = append(o.cleaned, partitionOffset{l.partition, l.cleaned})
	}
}

// writeCleaned writes the cleaner's checkpoint, which is not there until a log was compacted.
func (d *LogDir) writeCleaned(entries []partitionOffset, next func(error)) {
	if len(entries) == 0 && d.last[cleanerFile] == nil {
		next(nil)
		return
	}
	d.writeOffsets(cleanerFile, entries, next)
}

func (d *LogDir) writeOffsets(file string, entries []partitionOffset, next func(error)) {
	content := marshalOffsets(entries)
	if bytes.Equal(d.last[file], content) {
		next(nil)
		return
	}
	WriteFileAtomic(d.env.Disk, file, content, func(err error) {
		if err == nil {
			d.last[file] = content
		}
		next(err)
	})
}
