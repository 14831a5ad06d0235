package storage

import (
	"errors"
	"time"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/scheduler"
)

// roomRetry is how long to wait before what found no space is tried again.
const roomRetry = time.Second

// PatientDisk is a disk that waits for space: what finds none is tried again until there is some, and until then looks slow to
// whoever asked for it. That is sound because a write that failed for lack of space can be repeated: same bytes, same place. (A sync that
// failed cannot, for whatever reason: it is final.) What was asked for keeps its order with what waits for it, so nothing that depends on
// it happens before; above all nothing is acknowledged.
//
// While it is full, logs take no new batches from clients and leaders, so that what waits in memory is bounded.
type PatientDisk struct {
	disk.Disk
	*room
	abandoned bool // what is asked for here does not wait
}

// room is whether a disk has any, and what waits for it: shared by the PatientDisk and its views.
type room struct {
	loop    scheduler.Loop
	events  event.Sink
	waiting []*attempt // in the order in which they found no space
	armed   bool       // retry will run
	short   int        // attempts that found no space and have not succeeded since
	gaveUp  bool
	onFull  func()
}

// attempt is one operation, until it succeeds or fails for another reason than a full disk.
type attempt struct {
	disk *PatientDisk
	try  func(done func(error))
	done func(error)
	err  error
	late bool // it has found no space before
}

// NewPatientDisk wraps the disk of e. onFull, if not nil, is called whenever it gets full.
func NewPatientDisk(e *env.Env, onFull func()) *PatientDisk {
	return &PatientDisk{Disk: e.Disk, room: &room{loop: e.Loop, events: e.Event, onFull: onFull}}
}

// view is the same disk for one log, which may abandon what it waits for.
func (p *PatientDisk) view() *PatientDisk { return &PatientDisk{Disk: p.Disk, room: p.room} }

// abandon ends the waiting of all that was asked for through a view, with an error: it is to be deleted. What is asked for from here on does not
// wait either, until resume.
func (p *PatientDisk) abandon() {
	p.abandoned = true
	p.loop.Defer(p.retry)
}

// resume takes abandon back.
func (p *PatientDisk) resume() { p.abandoned = false }

// IsFull reports whether something waits for space.
func (r *room) IsFull() bool { return r.short > 0 }

// GiveUp ends all waiting: from here on a full disk is an error, so that a node can stop.
func (r *room) GiveUp() {
	r.gaveUp = true
	r.loop.Defer(r.retry)
}

func (p *PatientDisk) attempt(try func(done func(error)), done func(error)) {
	try(func(err error) {
		if p.mustWait(err) {
			p.wait(&attempt{disk: p, try: try, done: done, err: err})
			return
		}
		done(err)
	})
}

// mustWait reports whether what ended with err is to be tried again when there is room.
func (p *PatientDisk) mustWait(err error) bool {
	return errors.Is(err, disk.ErrNoSpace) && !p.gaveUp && !p.abandoned
}

func (a *attempt) onDone(err error) {
	p := a.disk
	if p.mustWait(err) {
		a.err = err
		p.wait(a)
		return
	}
	if a.late {
		p.onRoom()
	}
	a.done(err)
}

func (r *room) wait(a *attempt) {
	r.waiting = append(r.waiting, a)
	r.arm()
	if a.late {
		return
	}
	a.late = true
	if r.short++; r.short == 1 {
		r.emit(event.DiskFull, a.err.Error())
		if r.onFull != nil {
			r.onFull()
		}
	}
}

// arm has what waits tried again, all at the same time.
func (r *room) arm() {
	if r.armed {
		return
	}
	r.armed = true
	r.loop.AfterFunc(roomRetry, func() {
		r.armed = false
		r.retry()
	})
}

func (r *room) retry() {
	all := r.waiting
	r.waiting = nil
	for _, a := range all {
		a.try(a.onDone)
	}
}

// onRoom notes that one that waited has succeeded, or given up.
func (r *room) onRoom() {
	if r.short--; r.short == 0 {
		r.emit(event.DiskHasRoom, "")
	}
}

func (r *room) emit(kind event.Kind, note string) {
	r.events.Emit(&event.Event{Kind: kind, Peer: -1, Epoch: -1, Offset: -1, Note: note})
}

// Open implements disk.Disk.
func (p *PatientDisk) Open(name string, done func(f disk.File, size int64, err error)) {
	p.Disk.Open(name, func(f disk.File, size int64, err error) {
		switch {
		case p.mustWait(err):
			p.openLater(name, err, done)
		case err != nil:
			done(nil, 0, err)
		default:
			done(p.wrap(f), size, nil)
		}
	})
}

// openLater is Open for a file that found no space at first.
func (p *PatientDisk) openLater(name string, why error, done func(f disk.File, size int64, err error)) {
	var file disk.File
	var end int64
	try := func(done func(error)) {
		p.Disk.Open(name, func(f disk.File, size int64, err error) {
			file, end = f, size
			done(err)
		})
	}
	p.wait(&attempt{disk: p, try: try, err: why, done: func(err error) {
		if err != nil {
			done(nil, 0, err)
			return
		}
		done(p.wrap(file), end, nil)
	}})
}

func (p *PatientDisk) wrap(file disk.File) *patientFile {
	f := &patientFile{File: file, disk: p}
	f.onWritten = f.written
	return f
}

// Mkdir implements disk.Disk.
func (p *PatientDisk) Mkdir(dir string, done func(error)) {
	p.attempt(func(done func(error)) { p.Disk.Mkdir(dir, done) }, done)
}

// Rename implements disk.Disk.
func (p *PatientDisk) Rename(from, to string, done func(error)) {
	p.attempt(func(done func(error)) { p.Disk.Rename(from, to, done) }, done)
}

// patientFile is a file of a PatientDisk.
type patientFile struct {
	disk.File
	disk *PatientDisk

	// The write under way: one at a time is made without a closure, as a log's are.
	writing   bool
	bufs      [][]byte
	pos       int64
	done      func(error)
	onWritten func(error) // written, bound once
}

// WriteAt implements disk.File.
func (f *patientFile) WriteAt(bufs [][]byte, pos int64, done func(error)) {
	if f.writing {
		f.writeAgain(bufs, pos, done)
		return
	}
	f.writing, f.bufs, f.pos, f.done = true, bufs, pos, done
	f.File.WriteAt(bufs, pos, f.onWritten)
}

func (f *patientFile) writeAgain(bufs [][]byte, pos int64, done func(error)) {
	f.disk.attempt(func(done func(error)) { f.File.WriteAt(bufs, pos, done) }, done)
}

func (f *patientFile) written(err error) {
	bufs, pos, done := f.bufs, f.pos, f.done
	f.writing, f.bufs, f.done = false, nil, nil
	if f.disk.mustWait(err) {
		try := func(done func(error)) { f.File.WriteAt(bufs, pos, done) }
		f.disk.wait(&attempt{disk: f.disk, try: try, done: done, err: err})
		return
	}
	done(err)
}

// Truncate implements disk.File.
func (f *patientFile) Truncate(size int64, done func(error)) {
	f.disk.attempt(func(done func(error)) { f.File.Truncate(size, done) }, done)
}

// unwrapped is the file as its disk knows it: what is sent from it goes to the network, which may know that disk.
func unwrapped(f disk.File) disk.File {
	if p, ok := f.(*patientFile); ok {
		return p.File
	}
	return f
}
