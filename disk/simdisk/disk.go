// Package simdisk is the disk seam in memory, on virtual time, under seeded faults.
//
// It keeps two states: what reads see (the page cache) and what a power loss cannot take away. It
// promises no more than the seam does: operations in flight complete in any order, and what was not
// synced may vanish, tear or land without what went before it. Files survive incarnations: one Disk
// serves a node through all its deaths.
package simdisk

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/scheduler/virtual"
)

// Range is a delay between Min and Max, both included.
type Range struct{ Min, Max time.Duration }

// Options are a disk's speed and size. A zero field means its default.
type Options struct {
	WriteDelay Range // also of truncations
	SyncDelay  Range // also of SyncDir
	ReadDelay  Range
	MetaDelay  Range // open, mkdir, remove, rename, list
	// Writeback is the age at which the system has written a change to the device unasked.
	Writeback Range
	Capacity  int64 // bytes; 0 is without bound
}

func (o Options) withDefaults() Options {
	set := func(r *Range, lo, hi time.Duration) {
		if *r == (Range{}) {
			*r = Range{lo, hi}
		}
	}
	set(&o.WriteDelay, 2*time.Microsecond, 80*time.Microsecond)
	set(&o.SyncDelay, 200*time.Microsecond, 4*time.Millisecond)
	set(&o.ReadDelay, 2*time.Microsecond, 150*time.Microsecond)
	set(&o.MetaDelay, 5*time.Microsecond, 500*time.Microsecond)
	set(&o.Writeback, 5*time.Second, 30*time.Second)
	return o
}

// Disk is a node's disk.
type Disk struct {
	node        *virtual.Node
	seed        uint64
	options     Options
	incarnation int // handles of another one are dead

	root    *inode
	journal journal
	used    int64 // bytes of all files that are linked or open

	inFlight []*op // each at its own slot
	held     []*op // due, but the disk is frozen
	stuck    int64 // how many ever were
	unused   *op
	scratch  []byte // a name, for its checksum
	names    int    // how many Names returned last

	delays *rand.Rand
	slow   int64
	frozen bool
	faults faults
	lost   Loss
}

var _ disk.Disk = (*Disk)(nil)

// New returns an empty disk of a node. All its randomness comes from seed and the node's id.
func New(node *virtual.Node, seed uint64, o Options) *Disk {
	d := &Disk{node: node, seed: seed, options: o.withDefaults(), root: newDir(), slow: 1}
	d.delays = d.stream("delays")
	d.faults.random = d.stream("faults")
	return d
}

func (d *Disk) stream(purpose string) *rand.Rand {
	return d.node.World().Stream(d.seed, fmt.Sprintf("simdisk/%d/%s", d.node.ID(), purpose))
}

// Open implements disk.Disk.
func (d *Disk) Open(name string, done func(f disk.File, size int64, err error)) {
	o := d.begin(OpOpen)
	o.name, o.openDone = name, done
	d.schedule(o, d.options.MetaDelay)
}

// Mkdir implements disk.Disk.
func (d *Disk) Mkdir(dir string, done func(err error)) { d.change(OpMkdir, dir, "", done) }

// Remove implements disk.Disk.
func (d *Disk) Remove(name string, done func(err error)) { d.change(OpRemove, name, "", done) }

// Rename implements disk.Disk.
func (d *Disk) Rename(from, to string, done func(err error)) { d.change(OpRename, from, to, done) }

func (d *Disk) change(kind Op, name, to string, done func(err error)) {
	o := d.begin(kind)
	o.name, o.to, o.done = name, to, done
	d.schedule(o, d.options.MetaDelay)
}

// List implements disk.Disk.
func (d *Disk) List(dir string, done func(names []string, err error)) {
	o := d.begin(OpList)
	o.name, o.listDone = dir, done
	d.schedule(o, d.options.MetaDelay)
}

// SyncDir implements disk.Disk. It makes durable what was done in dir and what that builds on, and
// nothing else: not dir's own entry in its parent, and not the files' bytes.
func (d *Disk) SyncDir(dir string, done func(err error)) {
	o := d.begin(OpSyncDir)
	o.name, o.done, o.upTo = dir, done, d.journal.clock
	d.schedule(o, d.options.SyncDelay)
}

// Space implements disk.Disk: there is no end to this one but by a fault.
func (d *Disk) Space(done func(total, usable int64, err error)) {
	d.node.Post(func() { done(-1, -1, nil) })
}

// schedule puts the operation in flight. What the rest of a turn asks for in which the node was
// killed has no event; then there is no operation either, or it would haunt a later incarnation.
func (d *Disk) schedule(o *op, r Range) {
	world := d.node.World()
	seq := world.Seq()
	d.node.AfterEvent(d.delay(r), o, o.ticket)
	if world.Seq() == seq {
		return
	}
	o.slot = len(d.inFlight)
	d.inFlight = append(d.inFlight, o)
}

func (d *Disk) delay(r Range) time.Duration {
	return time.Duration(between(d.delays, r) * d.slow)
}

// between draws from a range; it always costs one draw.
func between(random *rand.Rand, r Range) int64 {
	return int64(r.Min) + random.Int64N(max(int64(r.Max-r.Min), 0)+1)
}

// room is how many bytes files may still grow by.
func (d *Disk) room() int64 {
	if d.options.Capacity == 0 {
		return 1 << 62
	}
	return max(d.options.Capacity-d.used, 0)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(bufs [][]byte) uint32 {
	var sum uint32
	for _, b := range bufs {
		sum = crc32.Update(sum, castagnoli, b)
	}
	return sum
}
