package simdisk

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
)

// Op is a kind of operation.
type Op uint8

// The operations of the seam.
const (
	OpOpen Op = iota
	OpMkdir
	OpRemove
	OpRename
	OpList
	OpSyncDir
	OpRead
	OpWrite
	OpSync
	OpTruncate
	numOps
)

var opNames = [numOps]string{"Open", "Mkdir", "Remove", "Rename", "List", "SyncDir", "ReadAt", "WriteAt", "Sync", "Truncate"}

func (o Op) String() string { return opNames[o] }

// op is an operation in flight. Records are reused.
type op struct {
	disk   *Disk
	kind   Op
	slot   int   // in disk.inFlight
	ticket int64 // of the event that completes it; others are late
	file   *File
	err    error // set from the start if the call fails anyway

	name, to string
	p        []byte
	bufs     [][]byte
	pos, n   int64  // of a truncation pos is the new size; of a read n is what was read
	sum      uint32 // of bufs when they were lent
	upTo     uint64 // what a Sync or SyncDir covers

	opened *File
	names  []string

	done     func(err error)
	readDone func(n int, err error)
	openDone func(f disk.File, size int64, err error)
	listDone func(names []string, err error)
	next     *op // among the unused
}

func (d *Disk) begin(kind Op) *op {
	o := d.unused
	if o == nil {
		o = &op{disk: d}
	} else {
		d.unused, o.next = o.next, nil
	}
	o.kind = kind
	return o
}

// reuse takes back a record that is over. The caller's bytes and functions are not held on to.
func (d *Disk) reuse(o *op) {
	if o.kind < OpRead {
		*o = op{disk: d, ticket: o.ticket}
	}
	o.file, o.err, o.p, o.bufs, o.done, o.readDone, o.next = nil, nil, nil, nil, nil, nil, d.unused
	o.pos, o.n, o.sum = 0, 0, 0
	d.unused = o
}

// Run completes the operation: it implements virtual.Runner.
func (o *op) Run(ticket int64) {
	d := o.disk
	if ticket != o.ticket {
		return // it completed before
	}
	o.ticket++
	if d.frozen {
		d.held = append(d.held, o)
		d.stuck++
		return
	}
	d.land(o)
	o.checkBufs()
	if o.err == nil {
		o.err = d.faults.next(o)
		o.apply(o.err)
	}
	o.mix()
	o.call()
	if f := o.file; f != nil && !f.isDead() {
		f.Close()
	}
	d.reuse(o)
}

// land takes the operation out of those in flight.
func (d *Disk) land(o *op) {
	last := len(d.inFlight) - 1
	d.inFlight[o.slot] = d.inFlight[last]
	d.inFlight[o.slot].slot = o.slot
	d.inFlight[last] = nil
	d.inFlight = d.inFlight[:last]
}

// checkBufs catches bytes that changed while they were lent: a frame released too early.
func (o *op) checkBufs() {
	if o.kind == OpWrite && checksum(o.bufs) != o.sum {
		invariant.Check(false, "simdisk: the bytes of a write to %s at %d changed before its done", o.file.name, o.pos)
	}
}

// apply lets the operation take effect; fault is the error it is to fail with.
func (o *op) apply(fault error) {
	d := o.disk
	switch {
	case o.kind == OpWrite:
		o.err = o.write(fault)
	case o.kind == OpSync:
		o.err = o.sync(fault)
	case fault != nil:
		o.err = fmt.Errorf("simdisk: %s %s: %w", o.kind, o.target(), fault)
	case o.kind == OpRead:
		o.n = int64(o.file.node.read(o.p, o.pos))
	case o.kind == OpTruncate:
		o.err = d.truncate(o.file.node, o.pos)
	default:
		o.err = o.applyToTree()
	}
}

func (o *op) applyToTree() (err error) {
	d := o.disk
	switch o.kind {
	case OpOpen:
		var n *inode
		if n, err = d.open(o.name); err == nil {
			o.opened = d.newFile(o.name, n)
		}
	case OpMkdir:
		err = d.mkdir(o.name)
	case OpRemove:
		err = d.remove(o.name)
	case OpRename:
		err = d.rename(o.name, o.to)
	case OpList:
		o.names, err = d.list(o.name)
	case OpSyncDir:
		var dir *inode
		if dir, err = d.findDir(o.name); err == nil {
			d.journal.sync(dir, o.upTo)
		}
	}
	return err
}

// write lands the bytes, or some of them when it fails.
func (o *op) write(fault error) error {
	d, n := o.disk, o.n
	if fault != nil {
		n = landed(o.pos, o.n, d.faults.random)
	}
	node := o.file.node
	if growth := o.pos + n - node.size(); growth > d.room() {
		n, fault = max(n-(growth-d.room()), 0), disk.ErrNoSpace
	}
	d.put(node, o.bufs, o.pos, n)
	if fault != nil {
		return fmt.Errorf("simdisk: write to %s at %d: %w", o.file.name, o.pos, fault)
	}
	return nil
}

// put writes n bytes of bufs and keeps the books.
func (d *Disk) put(node *inode, bufs [][]byte, pos, n int64) {
	now, before := d.node.Now(), node.size()
	node.writeBack(now.Add(-d.options.Writeback.Max))
	node.write(bufs, pos, n, now)
	d.used += node.size() - before
}

func (d *Disk) truncate(node *inode, size int64) error {
	before := node.size()
	if size-before > d.room() {
		return fmt.Errorf("simdisk: truncate to %d: %w", size, disk.ErrNoSpace)
	}
	node.truncate(size, d.node.Now())
	d.used += size - before
	return nil
}

// sync makes durable what the Sync covers. A Sync that ends after another one of the file failed
// fails as well: the system told its loss once and would answer well now.
func (o *op) sync(fault error) error {
	node := o.file.node
	switch {
	case node.poisoned:
		return disk.ErrPoisoned
	case fault != nil:
		if node.poisoned = !o.disk.faults.forgetful; !node.poisoned {
			node.forget(o.upTo)
		}
		return fmt.Errorf("simdisk: sync of %s: %w", o.file.name, fault)
	case o.disk.faults.lying:
		return nil
	}
	node.sync(o.upTo)
	return nil
}

// mix folds what happened into the world's digest. What a read found was written before, and is there already.
func (o *op) mix() {
	sum := o.sum
	if o.file == nil {
		o.disk.scratch = append(o.disk.scratch[:0], o.name...)
		sum = crc32.Checksum(o.disk.scratch, castagnoli)
	}
	w := o.disk.node.World()
	w.Mix(uint64(o.kind)<<56 ^ uint64(o.pos))
	w.Mix(uint64(o.n)<<33 ^ uint64(sum)<<1 ^ b2u(o.err != nil))
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// call tells the caller.
func (o *op) call() {
	switch {
	case o.kind == OpRead && o.err != nil:
		o.readDone(0, o.err)
	case o.kind == OpRead:
		o.readDone(int(o.n), nil)
	case o.kind == OpList:
		o.listDone(o.names, o.err)
	case o.kind != OpOpen:
		o.done(o.err)
	case o.err != nil:
		o.openDone(nil, 0, o.err)
	default:
		o.openDone(o.opened, o.opened.node.size(), nil)
	}
}

func (o *op) target() string {
	if o.file != nil {
		return o.file.name
	}
	return o.name
}

// die decides what became of an operation that was under way when its caller died.
func (o *op) die(random *rand.Rand, loss *Loss) {
	if o.err != nil {
		return
	}
	if o.kind == OpWrite {
		o.dieWriting(random, loss)
		return
	}
	if random.IntN(2) == 0 {
		o.apply(nil)
	}
}

// dieWriting lands all, some or none of a write. Bytes that have changed belong to someone who died
// as well and are no longer there to be written.
func (o *op) dieWriting(random *rand.Rand, loss *Loss) {
	n := landed(o.pos, o.n, random)
	if checksum(o.bufs) != o.sum {
		n = 0
	}
	if o.pos+n-o.file.node.size() > o.disk.room() {
		n = 0
	}
	o.disk.put(o.file.node, o.bufs, o.pos, n)
	loss.count(n, o.n)
}

// landed draws how much of a write that was broken off is there: all, none, or up to a sector.
func landed(pos, n int64, random *rand.Rand) int64 {
	switch random.IntN(3) {
	case 0:
		return n
	case 1:
		return 0
	}
	return sectorsOf(pos, n, random)
}
