package simdisk

import (
	"bytes"
	"math/rand/v2"
	"strconv"
)

// Loss is what a death took away. A fault that took nothing had no effect.
type Loss struct {
	Writes int   // writes and truncations of which nothing is left
	Torn   int   // writes of which a part is left
	Bytes  int64 // of both
	Moves  int   // directory operations undone
}

// count books a write of which some bytes are left.
func (l *Loss) count(kept, of int64) {
	switch {
	case kept == of:
		return
	case kept == 0:
		l.Writes++
	default:
		l.Torn++
	}
	l.Bytes += of - kept
}

func (l *Loss) add(m Loss) {
	l.Writes += m.Writes
	l.Torn += m.Torn
	l.Bytes += m.Bytes
	l.Moves += m.Moves
}

// faults is which operations are to fail, and how.
type faults struct {
	once   [numOps]failure
	always [numOps]error
	random *rand.Rand

	forgetful bool
	lying     bool // a Sync does nothing
}

// failure is one operation that is to fail.
type failure struct {
	err error
	of  func(name string) bool // nil: whatever it is of
}

// next returns the error that an operation of a kind is to fail with, or nil.
func (f *faults) next(o *op) error {
	if once := &f.once[o.kind]; once.err != nil && (once.of == nil || once.of(o.target())) {
		err := once.err
		*once = failure{}
		return err
	}
	return f.always[o.kind]
}

// FailWrites makes every write and truncation fail with err until called with nil. A failed write
// may have landed, wholly or in part.
func (d *Disk) FailWrites(err error) { d.fail(err, OpWrite, OpTruncate) }

// FailSyncs makes every Sync and SyncDir fail with err until called with nil.
func (d *Disk) FailSyncs(err error) { d.fail(err, OpSync, OpSyncDir) }

// LieAboutSyncs makes every Sync succeed without making anything durable, until called with false. No disk may do so.
func (d *Disk) LieAboutSyncs(on bool) { d.faults.lying = on }

// FailReads makes every read fail with err until called with nil.
func (d *Disk) FailReads(err error) { d.fail(err, OpRead) }

func (d *Disk) fail(err error, kinds ...Op) {
	for _, kind := range kinds {
		d.faults.always[kind] = err
	}
}

// FailNext makes the next operation of a kind fail with err.
func (d *Disk) FailNext(kind Op, err error) { d.FailNextOf(nil, kind, err) }

// FailNextOf makes the next operation of a kind on a file whose name is one of those fail with err; nil is any name.
func (d *Disk) FailNextOf(names func(name string) bool, kind Op, err error) {
	d.faults.once[kind] = failure{err, names}
}

// SetCapacity changes the size of the disk, in bytes; 0 is without bound.
func (d *Disk) SetCapacity(bytes int64) { d.options.Capacity = bytes }

// Used is how many bytes the files hold.
func (d *Disk) Used() int64 { return d.used }

// SetSlow multiplies the delay of every operation from now on; 1 is normal. When it gets faster what is under way completes
// soon.
func (d *Disk) SetSlow(factor int64) {
	faster := factor <= d.slow && !d.frozen
	d.slow = max(factor, 1)
	if !faster {
		return
	}
	for _, o := range d.inFlight {
		d.node.AfterEvent(d.delay(d.options.WriteDelay), o, o.ticket)
	}
}

// Freeze lets no operation complete until Thaw.
func (d *Disk) Freeze() { d.frozen = true }

// Stuck is how many operations Freeze has held up so far.
func (d *Disk) Stuck() int64 { return d.stuck }

// Thaw ends Freeze: what was held up completes in later turns, in any order.
func (d *Disk) Thaw() {
	d.frozen = false
	for _, o := range d.held {
		d.node.AfterEvent(d.delay(d.options.WriteDelay), o, o.ticket)
	}
	d.held = d.held[:0]
}

// CorruptBit flips a bit of a file, on the device and in the page cache; it reports whether there
// is such a bit.
func (d *Disk) CorruptBit(name string, pos int64, bit uint) bool {
	n := d.file(name)
	if n == nil || pos < 0 || pos >= n.size() {
		return false
	}
	n.data[pos] ^= 1 << (bit % 8)
	return true
}

// Kill is the death of the process. The page cache survives; operations under way may have happened
// or not, writes also in part. To be called right after the node's Kill. Handles of the
// dead incarnation do nothing from here on. Frozen stays frozen.
func (d *Disk) Kill() Loss {
	loss := d.endIncarnation("kill")
	d.book(loss)
	return loss
}

// PowerLoss is Kill, and the loss of any part of what was not synced.
func (d *Disk) PowerLoss() Loss {
	loss := d.endIncarnation("power")
	random, now := d.deathStream("unsynced"), d.node.Now()
	d.journal.losePower(random, now, d.options.Writeback, &loss)
	d.root.restore()
	d.root.files("", func(_ string, f *inode) {
		f.losePower(random, now, d.options.Writeback, &loss)
	})
	d.recount()
	d.book(loss)
	return loss
}

// WorstPowerLoss is a PowerLoss that draws nothing: all is lost that was not synced, and what was under way did
// not happen.
func (d *Disk) WorstPowerLoss() Loss {
	loss := Loss{Moves: len(d.journal.moves)}
	d.forgetInFlight()
	d.journal.moves = nil
	d.root.restore()
	d.root.files("", func(_ string, f *inode) { f.loseAll(&loss) })
	d.recount()
	d.book(loss)
	return loss
}

// MovesLoss is the power loss that takes only what was done in directories since their last sync: the bytes of a file are
// all there, if there is still a name for it.
func (d *Disk) MovesLoss() Loss {
	loss := Loss{Moves: len(d.journal.moves)}
	d.forgetInFlight()
	d.journal.moves = nil
	d.root.restore()
	d.root.files("", func(_ string, f *inode) { f.changes = nil })
	d.recount()
	d.book(loss)
	return loss
}

// Wipe is the loss of the whole disk, of which the process is dead.
func (d *Disk) Wipe() Loss {
	var loss Loss
	d.root.files("", func(_ string, f *inode) {
		loss.Writes++
		loss.Bytes += f.size()
	})
	d.forgetInFlight()
	d.journal.moves = nil
	d.root = newDir()
	d.recount()
	d.book(loss)
	return loss
}

// Misdirect puts the sector of a file that holds a position in the place of another, on the device and in the page cache, as a
// device does that writes to the wrong place. It reports whether that changed anything.
func (d *Disk) Misdirect(from string, fromPos int64, to string, toPos int64) bool {
	f, t := d.file(from), d.file(to)
	if f == nil || t == nil || fromPos >= f.size() || toPos >= t.size() {
		return false
	}
	wrote := bytes.Clone(sectorAt(f.data, fromPos))
	place := sectorAt(t.data, toPos)
	n := min(len(wrote), len(place))
	if bytes.Equal(wrote[:n], place[:n]) {
		return false
	}
	copy(place, wrote[:n])
	return true
}

// sectorAt is the sector that holds a position, as far as the bytes go.
func sectorAt(b []byte, pos int64) []byte {
	pos -= pos % sector
	return b[pos:min(pos+sector, int64(len(b)))]
}

func (d *Disk) book(loss Loss) {
	d.lost.add(loss)
	d.node.World().Mix(uint64(loss.Bytes)<<24 ^ uint64(loss.Writes)<<16 ^ uint64(loss.Torn)<<8 ^ uint64(loss.Moves))
}

// Lost returns what all deaths so far took away: writes lost wholly, the bytes of those and of the
// torn ones, and the number of torn ones.
func (d *Disk) Lost() (writes int, bytes int64, torn int) {
	return d.lost.Writes, d.lost.Bytes, d.lost.Torn
}

func (d *Disk) endIncarnation(how string) (loss Loss) {
	random := d.deathStream(how)
	random.Shuffle(len(d.inFlight), func(i, j int) {
		d.inFlight[i], d.inFlight[j] = d.inFlight[j], d.inFlight[i]
	})
	for _, o := range d.inFlight {
		o.die(random, &loss)
	}
	d.forgetInFlight()
	d.recount()
	return loss
}

// forgetInFlight ends the incarnation with whatever it had under way.
func (d *Disk) forgetInFlight() {
	clear(d.inFlight)
	d.inFlight, d.held = d.inFlight[:0], d.held[:0]
	d.incarnation++
}

// deathStream depends on when the death is and on no other fault, so that shrinking one away leaves
// the others alone.
func (d *Disk) deathStream(how string) *rand.Rand {
	return d.stream(how + "/" + strconv.FormatInt(int64(d.node.Now()), 10))
}

// recount starts the books anew for an incarnation.
func (d *Disk) recount() {
	d.used = 0
	d.root.files("", func(_ string, f *inode) {
		f.opens, f.poisoned, f.linked = 0, false, true
		d.used += f.size()
	})
}
