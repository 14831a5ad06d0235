package simdisk

import (
	"github.com/lockstep/lockstep/core/invariant"
	"github.com/lockstep/lockstep/disk"
)

// File is an open file. A handle of a dead incarnation does nothing.
type File struct {
	disk        *Disk
	incarnation int
	name        string
	node        *inode
	refs        int
}

var _ disk.File = (*File)(nil)

func (d *Disk) newFile(name string, node *inode) *File {
	node.opens++
	return &File{disk: d, incarnation: d.incarnation, name: name, node: node, refs: 1}
}

// Name implements disk.File: the name it was opened by.
func (f *File) Name() string { return f.name }

// isDead reports whether the incarnation that opened the file has died.
func (f *File) isDead() bool { return f.incarnation != f.disk.incarnation }

// checkOpen stops the simulation at a use after the last Close.
func (f *File) checkOpen(use string) {
	if f.refs <= 0 && !f.isDead() {
		invariant.Check(false, "simdisk: %s of %s after its last Close", use, f.name)
	}
}

// Retain implements disk.File.
func (f *File) Retain() {
	f.checkOpen("Retain")
	f.refs++
}

// Close implements disk.File.
func (f *File) Close() {
	f.checkOpen("Close")
	f.refs--
	if f.refs == 0 && !f.isDead() {
		f.node.opens--
		f.disk.reclaim(f.node)
	}
}

// ReadAt implements disk.File.
func (f *File) ReadAt(p []byte, pos int64, done func(n int, err error)) {
	if o := f.begin(OpRead); o != nil {
		o.p, o.pos, o.readDone = p, pos, done
		f.disk.schedule(o, f.disk.options.ReadDelay)
	}
}

// WriteAt implements disk.File. It remembers a checksum of bufs, so that a change of them before
// done is caught.
func (f *File) WriteAt(bufs [][]byte, pos int64, done func(err error)) {
	if o := f.begin(OpWrite); o != nil {
		o.bufs, o.pos, o.done, o.sum = bufs, pos, done, checksum(bufs)
		for _, b := range bufs {
			o.n += int64(len(b))
		}
		f.disk.schedule(o, f.disk.options.WriteDelay)
	}
}

// Sync implements disk.File.
func (f *File) Sync(done func(err error)) {
	if o := f.begin(OpSync); o != nil {
		o.done, o.upTo = done, f.node.seal()
		f.disk.schedule(o, f.disk.options.SyncDelay)
	}
}

// Truncate implements disk.File.
func (f *File) Truncate(size int64, done func(err error)) {
	if o := f.begin(OpTruncate); o != nil {
		o.pos, o.done = size, done
		f.disk.schedule(o, f.disk.options.WriteDelay)
	}
}

// begin takes a record for a call, which holds the file open; nil if the handle is dead.
func (f *File) begin(kind Op) *op {
	if f.isDead() {
		return nil
	}
	f.checkOpen(kind.String())
	f.refs++
	o := f.disk.begin(kind)
	o.file = f
	if f.node.poisoned {
		o.err = disk.ErrPoisoned
	}
	return o
}
