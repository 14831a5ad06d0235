package simdisk

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// sector is what a device writes whole or not at all, in bytes.
const sector = 512

// mergeFor is how long one change goes on taking in the appends that follow it. It bounds the
// number of changes kept, and what one draw decides at a power loss.
const mergeFor = time.Second

// content is a file's bytes: what reads see, and how to take back what is not durable yet.
type content struct {
	data    []byte
	lends   bool     // nobody else has data: its memory comes from other disks, and goes there
	changes []change // not durable, in order of completion
	clock   uint64   // stamp of the latest change
	sealed  uint64   // a Sync was called at this stamp: nothing merges into what it covers

	forgotten []span // by Syncs that failed, see Disk.ForgetFailedSyncs
}

// change is a write or a truncation.
type change struct {
	stamp      uint64 // of the latest part
	since      scheduler.Instant
	truncation bool
	pos, n     int64  // of a truncation: the new size, 0
	old        []byte // the bytes overwritten or cut off
	oldSize    int64
}

func (c *content) size() int64 { return int64(len(c.data)) }

// write puts the first n bytes of bufs at pos.
func (c *content) write(bufs [][]byte, pos, n int64, now scheduler.Instant) {
	if n <= 0 {
		return
	}
	c.recordWrite(pos, n, now)
	c.remember(pos, n)
	c.extend(pos, pos+n)
	to := c.data[pos : pos+n]
	for _, b := range bufs {
		to = to[copy(to, b):]
	}
}

func (c *content) recordWrite(pos, n int64, now scheduler.Instant) {
	c.clock++
	size := c.size()
	if last := len(c.changes) - 1; last >= 0 && pos == size && c.changes[last].takesIn(pos, now) && c.changes[last].stamp > c.sealed {
		c.changes[last].n += n
		c.changes[last].stamp = c.clock
		return
	}
	w := change{stamp: c.clock, since: now, pos: pos, n: n, oldSize: size}
	if pos < size {
		w.old = bytes.Clone(c.data[pos:min(pos+n, size)])
	}
	c.changes = append(c.changes, w)
}

// takesIn reports whether an append at pos just goes on with the change.
func (w *change) takesIn(pos int64, now scheduler.Instant) bool {
	return !w.truncation && w.old == nil && w.pos+w.n == pos && now.Sub(w.since) < mergeFor
}

// extend makes room up to end; what lies between the old size and pos is a hole of zeros.
func (c *content) extend(pos, end int64) {
	size := c.size()
	if end <= size {
		return
	}
	if end > int64(cap(c.data)) {
		c.grow(end)
	}
	c.data = c.data[:end]
	if pos > size {
		clear(c.data[size:pos])
	}
}

// truncate cuts or extends to size.
func (c *content) truncate(size int64, now scheduler.Instant) {
	c.clock++
	t := change{stamp: c.clock, since: now, truncation: true, pos: size, oldSize: c.size()}
	if size < t.oldSize {
		t.old = bytes.Clone(c.data[size:])
	}
	c.changes = append(c.changes, t)
	c.setSize(size)
}

func (c *content) setSize(size int64) {
	c.extend(size, size)
	c.data = c.data[:size]
}

// seal returns what a Sync called now will cover.
func (c *content) seal() uint64 {
	c.sealed = c.clock
	return c.clock
}

// sync makes durable all changes up to a stamp.
func (c *content) sync(upTo uint64) {
	n := 0
	for n < len(c.changes) && c.changes[n].stamp <= upTo {
		n++
	}
	c.changes = slices.Delete(c.changes, 0, n)
}

// writeBack forgets changes made before an instant: the system has written them unasked.
func (c *content) writeBack(before scheduler.Instant) {
	n := 0
	for n < len(c.changes) && c.changes[n].since < before {
		n++
	}
	c.changes = slices.Delete(c.changes, 0, n)
}

// read copies what lies at pos.
func (c *content) read(p []byte, pos int64) int {
	if pos >= c.size() {
		return 0
	}
	return copy(p, c.data[pos:])
}

// durable returns what is left if all that may be lost is lost; valid until the next change.
func (c *content) durable() []byte {
	if len(c.changes) == 0 && len(c.forgotten) == 0 && c.data != nil {
		return c.data[:len(c.data):len(c.data)]
	}
	d := content{data: append([]byte{}, c.data...), forgotten: c.forgotten}
	for i := len(c.changes) - 1; i >= 0; i-- {
		d.undo(&c.changes[i])
	}
	d.dropForgotten()
	return d.data
}

// undo takes back the latest change and returns the bytes that it wrote.
func (c *content) undo(w *change) []byte {
	if w.truncation {
		c.setSize(min(w.pos, w.oldSize))
		c.data = append(c.data, w.old...)
		return nil
	}
	wrote := bytes.Clone(c.data[w.pos : w.pos+w.n])
	copy(c.data[w.pos:], w.old)
	c.setSize(w.oldSize)
	return wrote
}

// losePower decides for each change that is not durable what became of it.
func (c *content) losePower(random *rand.Rand, now scheduler.Instant, writeback Range, loss *Loss) {
	wrote := make([][]byte, len(c.changes))
	for i := len(c.changes) - 1; i >= 0; i-- {
		wrote[i] = c.undo(&c.changes[i])
	}
	for i := range c.changes {
		w := &c.changes[i]
		isOld := int64(now.Sub(w.since)) >= between(random, writeback)
		switch {
		case w.truncation:
			c.redoTruncation(w, isOld || random.IntN(2) == 0, loss)
		case isOld:
			c.put(wrote[i], w.pos)
		default:
			c.redoWrite(w, wrote[i], random, loss)
		}
	}
	c.changes = nil
	c.dropForgotten()
}

// loseAll takes back every change that is not durable.
func (c *content) loseAll(loss *Loss) {
	for i := len(c.changes) - 1; i >= 0; i-- {
		w := &c.changes[i]
		c.undo(w)
		loss.Writes++
		loss.Bytes += w.n
	}
	c.changes = nil
	c.dropForgotten()
}

func (c *content) redoTruncation(w *change, kept bool, loss *Loss) {
	if kept {
		c.setSize(w.pos)
	} else {
		loss.Writes++
	}
}

// redoWrite lets a write happen wholly, up to a sector, in some of its sectors, or not at all. The
// file's size may have moved without the bytes.
func (c *content) redoWrite(w *change, wrote []byte, random *rand.Rand, loss *Loss) {
	var kept int64
	switch random.IntN(4) {
	case 0:
		kept = c.put(wrote, w.pos)
	case 1:
		kept = c.put(wrote[:sectorsOf(w.pos, w.n, random)], w.pos)
	case 2:
		kept = c.putSome(wrote, w.pos, random)
	}
	if end := w.pos + w.n; random.IntN(2) == 0 && end > c.size() {
		c.setSize(end)
	}
	loss.count(kept, w.n)
}

func (c *content) put(b []byte, pos int64) int64 {
	if len(b) == 0 {
		return 0
	}
	c.extend(pos, pos+int64(len(b)))
	return int64(copy(c.data[pos:], b))
}

// putSome puts b in stretches of whole sectors, each kept or lost.
func (c *content) putSome(b []byte, pos int64, random *rand.Rand) (kept int64) {
	for len(b) > 0 {
		n := min(int64(len(b)), int64(1+random.IntN(32))*sector-pos%sector)
		if random.IntN(2) == 0 {
			kept += c.put(b[:n], pos)
		}
		b, pos = b[n:], pos+n
	}
	return kept
}

// sectorsOf draws how many of n bytes at pos a device had written when it stopped: up to a boundary
// between sectors.
func sectorsOf(pos, n int64, random *rand.Rand) int64 {
	first := pos / sector
	count := (pos+n+sector-1)/sector - first
	cut := (first + random.Int64N(count+1)) * sector
	return min(max(cut-pos, 0), n)
}
