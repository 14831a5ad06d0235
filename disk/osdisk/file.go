package osdisk

import (
	"os"
	"sync/atomic"

	"github.com/lockstep/lockstep/disk"
)

// inlineSize is the largest read or write, in bytes, that is done on the loop when the page cache
// can take it: a copy of some microseconds, where a goroutine hop costs as much.
const inlineSize = 64 << 10

// File is an open file.
//
// The owner of the loop makes all calls; only Retain and Close may come from elsewhere.
type File struct {
	disk     *Disk
	name     string
	file     *os.File
	info     os.FileInfo
	refs     atomic.Int32
	pending  int // writes, truncations and syncs that are with the workers
	poisoned bool
}

var _ disk.File = (*File)(nil)

func (d *Disk) newFile(name string, f *os.File, info os.FileInfo) *File {
	file := &File{disk: d, name: name, file: f, info: info}
	file.refs.Store(1)
	for _, p := range d.poisoned {
		file.poisoned = file.poisoned || os.SameFile(p, info)
	}
	return file
}

// Name implements disk.File: the name it was opened by.
func (f *File) Name() string { return f.name }

// Handle is the operating system's file, for sendfile. It is valid while a reference is held.
func (f *File) Handle() *os.File { return f.file }

// Retain implements disk.File.
func (f *File) Retain() {
	if f.refs.Add(1) <= 1 {
		panic("osdisk: " + f.name + " retained after its last Close")
	}
}

// Close implements disk.File. The last one of a removed file gives its blocks free, which takes a
// while: a worker does it.
func (f *File) Close() {
	switch refs := f.refs.Add(-1); {
	case refs < 0:
		panic("osdisk: " + f.name + " closed twice")
	case refs == 0 && !f.disk.workers.submit(f.closeFile):
		f.closeFile()
	}
}

// closeFile drops the error: whoever cares for durability has synced, and had the error there.
func (f *File) closeFile() { _ = f.file.Close() }

// ReadAt implements disk.File.
func (f *File) ReadAt(p []byte, pos int64, done func(n int, err error)) {
	o := f.begin(opRead)
	o.p, o.pos, o.readDone = p, pos, done
	switch {
	case o.err != nil:
		o.post()
	case len(p) <= inlineSize && o.readCached():
		o.post()
	default:
		o.submit()
	}
}

// WriteAt implements disk.File.
func (f *File) WriteAt(bufs [][]byte, pos int64, done func(err error)) {
	o := f.begin(opWrite)
	o.bufs, o.pos, o.done = bufs, pos, done
	switch {
	case o.err != nil:
		o.post()
	case f.pending == 0 && size(bufs) <= inlineSize:
		o.work()
		o.post()
	default:
		o.submit()
	}
}

// Sync implements disk.File.
func (f *File) Sync(done func(err error)) {
	o := f.begin(opSync)
	o.done = done
	o.submit()
}

// Truncate implements disk.File.
func (f *File) Truncate(size int64, done func(err error)) {
	o := f.begin(opTruncate)
	o.pos, o.done = size, done
	o.submit()
}

// judgeSync makes a failed Sync final, for this and every later opening of the file: the kernel
// reports a lost page once and then takes it for clean, so a Sync that ends after the failed one lies.
func (f *File) judgeSync(err error) error {
	switch {
	case f.poisoned:
		return disk.ErrPoisoned
	case err != nil:
		f.poisoned = true
		f.disk.poisoned = append(f.disk.poisoned, f.info)
	}
	return err
}

// addPending counts the calls with the workers that a write must not overtake on the loop.
func (f *File) addPending(kind opKind, n int) {
	if kind != opRead {
		f.pending += n
	}
}

func size(bufs [][]byte) int {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	return n
}
