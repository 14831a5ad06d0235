package osdisk

import (
	"errors"
	"io"

	"github.com/lockstep/lockstep/disk"
)

type opKind uint8

const (
	opRead opKind = iota
	opWrite
	opSync
	opTruncate
)

// op is a call on a file under way. It holds a reference to the file. Records are reused, with
// their bound functions, so that a call allocates nothing.
type op struct {
	kind     opKind
	file     *File
	p        []byte
	bufs     [][]byte
	pos      int64 // of a truncation: the new size
	n        int
	err      error
	held     bool // the file is retained
	queued   bool // went to a worker
	done     func(err error)
	readDone func(n int, err error)

	one              [1][]byte // room for a vector of one
	onWorker, onLoop func()
	next             *op // among the unused
}

// begin takes a record for a call. If its err is set, the call fails at once.
func (f *File) begin(kind opKind) *op {
	o := f.disk.takeOp()
	o.kind, o.file = kind, f
	if f.refs.Load() <= 0 {
		o.err = disk.ErrClosed
		return o
	}
	f.Retain()
	o.held = true
	if f.poisoned {
		o.err = disk.ErrPoisoned
	}
	return o
}

func (d *Disk) takeOp() *op {
	o := d.unused
	if o == nil {
		o = &op{}
		o.onWorker, o.onLoop = o.workAndPost, o.complete
		return o
	}
	d.unused, o.next = o.next, nil
	return o
}

// post completes the call in a later turn.
func (o *op) post() { o.file.disk.poster.Post(o.onLoop) }

// submit hands the call to a worker, unless it has failed.
func (o *op) submit() {
	if o.err != nil {
		o.post()
		return
	}
	o.queued = true // before a worker may see it
	o.file.addPending(o.kind, 1)
	if !o.file.disk.workers.submit(o.onWorker) {
		o.queued = false
		o.file.addPending(o.kind, -1)
		o.err = disk.ErrClosed
		o.post()
	}
}

func (o *op) workAndPost() {
	o.work()
	o.post()
}

// work does the call. It runs on a worker, or on the loop when it is small.
func (o *op) work() {
	f := o.file.file
	switch o.kind {
	case opRead:
		o.n, o.err = f.ReadAt(o.p, o.pos)
		if errors.Is(o.err, io.EOF) {
			o.err = nil
		}
	case opWrite:
		o.err = writeAll(f, o.bufs, o.pos)
	case opSync:
		o.err = syncData(f)
	case opTruncate:
		o.err = f.Truncate(o.pos)
	}
}

// complete ends the call on the loop.
func (o *op) complete() {
	f := o.file
	if o.queued {
		f.addPending(o.kind, -1)
		if o.kind == opSync {
			o.err = f.judgeSync(o.err)
		}
	}
	c := *o
	f.disk.reuseOp(o)
	if c.kind == opRead {
		c.readDone(c.n, mapError(c.err))
	} else {
		c.done(mapError(c.err))
	}
	if c.held {
		f.Close()
	}
}

func (d *Disk) reuseOp(o *op) {
	*o = op{onWorker: o.onWorker, onLoop: o.onLoop, next: d.unused}
	d.unused = o
}
