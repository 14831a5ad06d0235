package storage

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/lockstep/lockstep/disk"
)

// AbortedTxn is a transaction that was aborted in this log.
type AbortedTxn struct {
	ProducerID       int64
	FirstOffset      int64
	LastOffset       int64 // the marker's
	LastStableOffset int64 // when the marker was appended: no transaction aborted later begins below it
}

// txnIndex is a segment's list of the transactions whose abort markers it holds: Kafka's TransactionIndex. It is in memory whole,
// of every segment: aborts are few, and a fetch must not wait for the disk to hear of them.
//
// Invariant: LastOffset increases strictly.
type txnIndex struct {
	entries []AbortedTxn
	stored  int  // entries in the file
	queued  bool // a task that stores the others waits
	cut     bool // a truncation took entries that the file may have
	exists  bool // there is a file, perhaps an empty one
}

// txnEntrySize is the version, which is 0, and four offsets and ids.
const txnEntrySize = 2 + 4*8

// truncate drops the transactions that ended at offset or later.
func (x *txnIndex) truncate(offset int64) {
	n := len(x.entries)
	for n > 0 && x.entries[n-1].LastOffset >= offset {
		n--
	}
	if n < len(x.entries) {
		x.entries, x.cut = x.entries[:n], true
	}
}

// collect appends the transactions that overlap [from, upTo); complete if those that ended later cannot.
func (x *txnIndex) collect(to []AbortedTxn, from, upTo int64) (_ []AbortedTxn, complete bool) {
	for _, t := range x.entries {
		if t.LastOffset >= from && t.FirstOffset < upTo {
			to = append(to, t)
		}
		if t.LastStableOffset >= upTo {
			return to, true
		}
	}
	return to, false
}

func marshalAborted(all []AbortedTxn) []byte {
	b := make([]byte, 0, len(all)*txnEntrySize)
	for _, t := range all {
		b = binary.BigEndian.AppendUint16(b, 0)
		for _, field := range [...]int64{t.ProducerID, t.FirstOffset, t.LastOffset, t.LastStableOffset} {
			b = binary.BigEndian.AppendUint64(b, uint64(field))
		}
	}
	return b
}

// parseAborted reads the .txnindex file of the segment that begins at base.
func parseAborted(b []byte, base int64) ([]AbortedTxn, error) {
	if len(b)%txnEntrySize != 0 {
		return nil, fmt.Errorf("%w: transaction index of %d bytes", ErrCorrupt, len(b))
	}
	all, last := make([]AbortedTxn, 0, len(b)/txnEntrySize), base-1
	for ; len(b) > 0; b = b[txnEntrySize:] {
		field := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[2+8*i:])) }
		t := AbortedTxn{field(0), field(1), field(2), field(3)}
		if version := binary.BigEndian.Uint16(b); version != 0 || t.LastOffset <= last || t.FirstOffset > t.LastOffset {
			return nil, fmt.Errorf("%w: transaction index entry %+v of version %d after %d", ErrCorrupt, t, version, last)
		}
		all, last = append(all, t), t.LastOffset
	}
	return all, nil
}

// AbortedTxns are the aborted transactions that overlap [from, upTo), in the order in which they ended.
func (l *Log) AbortedTxns(from, upTo int64) (all []AbortedTxn) {
	g := l.segments.floor(from)
	for complete := false; g != nil && !complete; g = l.segments.after(g) {
		all, complete = g.aborted.collect(all, from, upTo)
	}
	return all
}

// noteAborted takes a transaction whose abort marker is being appended; its entry follows the marker to the disk.
func (l *Log) noteAborted(t AbortedTxn) {
	g := l.segments.floor(t.LastOffset)
	x := &g.aborted
	x.entries = append(x.entries, t)
	if x.queued {
		return
	}
	x.queued = true
	l.pipeline.queueFollowUp("transaction index", func(done func(error)) {
		x.queued = false
		l.storeAborted(g, done)
	})
}

// storeAborted writes the entries that the file does not have. They need no sync: a segment whose files are not known to be
// synced has its transaction index made anew when the log is opened.
func (l *Log) storeAborted(g *segment, done func(error)) {
	x := &g.aborted
	if g.removed || x.cut || x.stored >= len(x.entries) {
		done(nil)
		return
	}
	from, n := x.stored, len(x.entries)
	content := marshalAborted(x.entries[from:])
	l.env.Disk.Open(l.pathOf(g.base, txnIndexSuffix), func(f disk.File, _ int64, err error) {
		if err != nil {
			done(err)
			return
		}
		x.exists = true
		f.WriteAt([][]byte{content}, int64(from)*txnEntrySize, func(err error) {
			f.Close()
			x.stored = n
			done(err)
		})
	})
}

// rewriteAborted makes a segment's file what memory has, durably. Without entries there need be none.
func (l *Log) rewriteAborted(g *segment, done func(error)) {
	x := &g.aborted
	if g.removed || len(x.entries) == 0 && !x.exists {
		done(nil)
		return
	}
	l.writeAbortedAs(g, "", done)
}

// writeAbortedAs writes the file under a name that has another suffix behind its own.
func (l *Log) writeAbortedAs(g *segment, suffix string, done func(error)) {
	x := &g.aborted
	x.exists, x.cut, x.stored = true, false, len(x.entries)
	rewriteFile(l.env.Disk, l.pathOf(g.base, txnIndexSuffix, suffix), marshalAborted(x.entries), done)
}

// readAborted takes the transaction indexes of the segments that the opener trusts. A damaged one is made anew, as are those after it.
func (p *opener) readAborted(next func(error)) {
	l := p.log
	all := l.segments.all()
	sequence(len(all), func(i int, next func(error)) {
		g := all[i]
		if g.base >= p.reindex || !g.aborted.exists {
			next(nil)
			return
		}
		readExisting(l.env.Disk, l.pathOf(g.base, txnIndexSuffix), func(b []byte, err error) {
			if err == nil {
				entries, bad := parseAborted(b, g.base)
				if bad != nil {
					p.reindex = g.base
				}
				g.aborted.entries, g.aborted.stored = entries, len(entries)
			}
			next(err)
		})
	}, next)
}

// keepAborted takes a transaction found by the walk that derives the producer states.
func (p *opener) keepAborted(t AbortedTxn) {
	if t.LastOffset >= p.reindex {
		x := &p.log.segments.floor(t.LastOffset).aborted
		x.entries = append(x.entries, t)
	}
}

// writeAborted stores the transaction indexes that were made anew.
func (p *opener) writeAborted(next func(error)) {
	if p.reindex == math.MaxInt64 {
		next(nil)
		return
	}
	all := p.log.segments.from(p.reindex)
	sequence(len(all), func(i int, next func(error)) { p.log.rewriteAborted(all[i], next) }, next)
}
