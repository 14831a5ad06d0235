package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/disk"
)

// SnapshotID names a snapshot by the log it stands for: all records below EndOffset, the last of
// them of Epoch. The zero value is the empty log.
type SnapshotID struct {
	EndOffset int64
	Epoch     int32
}

var (
	// ErrSnapshot is a snapshot that is not whole.
	ErrSnapshot   = errors.New("raft: bad snapshot")
	errNoProgress = errors.New("raft: the committed log holds no batch where one must be")
)

const (
	checkpointSuffix = ".checkpoint"
	partSuffix       = ".part" // a snapshot being written
	snapshotBatch    = 256 << 10
)

func (id SnapshotID) fileName() string {
	return fmt.Sprintf("%020d-%010d%s", id.EndOffset, id.Epoch, checkpointSuffix)
}

// parseSnapshotName reads the name of a whole snapshot.
func parseSnapshotName(name string) (id SnapshotID, ok bool) {
	base, found := strings.CutSuffix(name, checkpointSuffix)
	if !found || len(base) != 31 || base[20] != '-' {
		return SnapshotID{}, false
	}
	end, err1 := strconv.ParseUint(base[:20], 10, 63)
	epoch, err2 := strconv.ParseUint(base[21:], 10, 31)
	return SnapshotID{int64(end), int32(epoch)}, err1 == nil && err2 == nil
}

// appendSnapshot is a snapshot's file: batches whose offsets count from zero, between a header and a
// footer record (KIP-630). The voters come with the header (KIP-853).
func appendSnapshot(dst []byte, id SnapshotID, c controls, records [][]byte, timestamp int64) []byte {
	header := binary.BigEndian.AppendUint64([]byte{0, 0}, uint64(timestamp))
	opening := append([]controlRecord{{controlSnapshotHeader, append(header, 0)}}, c.records()...)
	dst = append(dst, controlBatch(0, id.Epoch, timestamp, opening...)...)
	offset := int64(len(opening))
	for len(records) > 0 {
		b := record.NewBuilder(dst, record.BatchOptions{BaseOffset: offset, LeaderEpoch: id.Epoch, ProducerID: record.NoProducerID, BaseTimestamp: timestamp})
		n := 0
		for n < len(records) && (n == 0 || b.Size()+len(records[n]) < snapshotBatch) {
			b.Append(timestamp, nil, records[n])
			n++
		}
		b.Build()
		dst, records, offset = b.Bytes(), records[n:], offset+int64(n)
	}
	return append(dst, controlBatch(offset, id.Epoch, timestamp, controlRecord{controlSnapshotFooter, []byte{0, 0, 0}})...)
}

// WriteBootstrapSnapshot writes what a directory is formatted with: kraft.version 1 and who is to vote, if that is known. The first
// leader brings it into the log.
func WriteBootstrapSnapshot(d disk.Disk, voters []Voter, timestamp int64, done func(error)) {
	b := appendSnapshot(nil, SnapshotID{}, controls{1, sortVoters(voters)}, nil, timestamp)
	d.Mkdir(metadataDir, func(err error) {
		if err != nil {
			done(err)
			return
		}
		d.SyncDir(".", func(err error) {
			if err != nil {
				done(err)
				return
			}
			storage.WriteFileAtomic(d, metadataDir+"/"+SnapshotID{}.fileName(), b, done)
		})
	})
}

// readSnapshot takes a snapshot's file apart; ErrSnapshot unless it is whole.
func readSnapshot(id SnapshotID, b []byte, listener string) (s snapshotFile, err error) {
	s = snapshotFile{id: id, size: int64(len(b))}
	if s.records, err = parseSnapshot(b); err != nil {
		return s, err
	}
	f, err := findControls(b, listener)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	for _, v := range f.versions {
		s.controls.version = v.version
	}
	for _, v := range f.voters {
		s.controls.voters = v.voters
	}
	return s, nil
}

// parseSnapshot returns the records of a snapshot file; they alias b. ErrSnapshot unless it is whole.
func parseSnapshot(b []byte) (records [][]byte, err error) {
	var scratch record.Scratch
	opened, closed := false, false
	for len(b) > 0 && !closed {
		var batch record.Batch
		if batch, b, err = record.Parse(b); err != nil || !batch.CheckCRC() {
			return nil, fmt.Errorf("%w: corrupt batch", ErrSnapshot)
		}
		err = batch.Each(&scratch, func(r record.Record) error {
			if !batch.IsControl() {
				records = append(records, append([]byte(nil), r.Value...))
				return nil
			}
			opened = opened || controlType(r.Key) == controlSnapshotHeader
			closed = closed || controlType(r.Key) == controlSnapshotFooter
			return nil
		})
		if err != nil || !opened {
			return nil, fmt.Errorf("%w: no header, or a corrupt record", ErrSnapshot)
		}
	}
	if !closed || len(b) > 0 {
		return nil, fmt.Errorf("%w: cut, or bytes after its footer", ErrSnapshot)
	}
	return records, nil
}

// snapshots are the node's snapshots on disk.
type snapshots struct {
	latest  SnapshotID // zero if none
	size    int64      // of the latest's file
	kept    int64      // bytes of the log that were there when it was written: whole segments stay
	writing bool
}

// LatestSnapshot is the id of the newest whole snapshot; zero if there is none.
func (n *Node) LatestSnapshot() SnapshotID { return n.snapshots.latest }

// SnapshotIDAt names the snapshot of everything below a delivered offset.
func (n *Node) SnapshotIDAt(offset int64) SnapshotID {
	return SnapshotID{offset, max(0, n.epochBefore(offset))}
}

// SnapshotDue reports whether the log has grown enough since the latest snapshot for another one.
func (n *Node) SnapshotDue() bool {
	size := n.log.Size()
	n.snapshots.kept = min(n.snapshots.kept, size)
	return !n.snapshots.writing && n.feed.next > n.snapshots.latest.EndOffset &&
		(size-n.snapshots.kept >= n.cfg.SnapshotEveryBytes || n.env.Buggify.Fires(buggify.SnapshotNow))
}

// Snapshot writes the listener's state at id, which must have been delivered, and then drops the
// log below it. A snapshot no newer than the latest one, or while another is being written, is
// skipped without an error.
func (n *Node) Snapshot(id SnapshotID, records [][]byte, done func(error)) {
	invariant.Check(id.EndOffset <= n.feed.next, "snapshot at %d, delivered only to %d", id.EndOffset, n.feed.next)
	if n.gone || n.snapshots.writing || id.EndOffset <= n.snapshots.latest.EndOffset {
		done(nil)
		return
	}
	b := appendSnapshot(nil, id, n.history.controlsAt(id.EndOffset), records, n.env.Loop.UnixMilli())
	n.snapshots.writing = true
	write := func() { n.writeSnapshot(id, b, func(err error) { n.onSnapshot(id, int64(len(b)), err, done) }) }
	if x := n.env.Buggify; x.Fires(buggify.SnapshotLate) {
		n.env.Loop.AfterFunc(x.Delay(buggify.SnapshotLate, 2*time.Second), write)
		return
	}
	write()
}

// onSnapshot takes a snapshot that was written, unless a newer one has come from the leader meanwhile.
func (n *Node) onSnapshot(id SnapshotID, size int64, err error, done func(error)) {
	n.step(func() {
		n.snapshots.writing = false
		if err != nil {
			n.fail(err)
		} else if id.EndOffset > n.snapshots.latest.EndOffset {
			n.adoptSnapshot(id, size)
			n.emit(event.SnapshotWritten, id.EndOffset, id.Epoch)
			n.cleanLog()
		}
		done(err)
	})
}

// adoptSnapshot makes a durable snapshot the latest and removes the one before.
func (n *Node) adoptSnapshot(id SnapshotID, size int64) {
	old := n.snapshots.latest
	n.snapshots.latest, n.snapshots.size = id, size
	n.history.forget(id.EndOffset)
	if old.EndOffset > 0 && old != id {
		n.env.Disk.Remove(metadataDir+"/"+old.fileName(), func(error) {}) // left behind, it is removed by the next Open
	}
}

// cleanLog drops the log below the latest snapshot, and nothing else (KAFKA-14238).
func (n *Node) cleanLog() {
	if to := n.snapshots.latest.EndOffset; to > n.log.LogStartOffset() {
		n.log.AdvanceLogStart(to)
		n.log.DeleteOldSegments(func(err error) {
			if n.isLogError(err) {
				n.step(func() { n.fail(err) })
			}
		})
	}
	n.snapshots.kept = n.log.Size()
}

// writeSnapshot writes a file under its own name only when all of it is synced.
func (n *Node) writeSnapshot(id SnapshotID, b []byte, done func(error)) {
	d, name := n.env.Disk, metadataDir+"/"+id.fileName()
	d.Open(name+partSuffix, func(f disk.File, _ int64, err error) {
		if err != nil {
			done(err)
			return
		}
		finish := func(err error) {
			f.Close()
			if err != nil {
				done(err)
				return
			}
			renameDurably(d, name+partSuffix, name, done)
		}
		f.Truncate(0, func(err error) { // what an earlier attempt left
			if err != nil {
				finish(err)
				return
			}
			f.WriteAt([][]byte{b}, 0, func(err error) {
				if err != nil {
					finish(err)
					return
				}
				f.Sync(finish)
			})
		})
	})
}

func renameDurably(d disk.Disk, from, to string, done func(error)) {
	d.Rename(from, to, func(err error) {
		if err != nil {
			done(err)
			return
		}
		d.SyncDir(metadataDir, done)
	})
}
