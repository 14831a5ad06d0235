package storage

import (
	"slices"
	"sort"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/network"
)

// A write carries at most this much, so that one log does not keep a disk for itself.
const (
	maxWriteBytes   = 8 << 20
	maxWriteBuffers = 1024
)

// pipeline is the order of a log's disk operations: one is under way, appends wait in writes, all
// else in tasks, each task behind the appends that came before it.
type pipeline struct {
	log      *Log
	busy     bool
	pumping  bool // pump is on the stack
	deferred bool // pump runs at the end of this turn

	writes   []write // appended, not handed to the disk
	inflight []write
	bufs     [][]byte
	appended uint64 // number of the last write queued
	tasks    []task
	waiters  []waiter // by offset
	due      []waiter // their turn now

	// Bound once, so that a write allocates no closure.
	pumpFunc func()
	onWrite  func(error)
	onSync   func(error)
}

// write is bytes on their way to a segment. Its frame is retained until they are written.
type write struct {
	seg    *segment
	pos    int64
	next   int64 // the log end offset when it is written
	count  int64 // batches
	number uint64
	bytes  []byte
	frame  *network.Frame
}

// task is a disk operation other than a write. run calls its argument once, when it is over.
type task struct {
	after uint64 // number of the write it waits for
	what  string
	run   func(done func(error))
	done  func(error) // may be nil
}

// waiter wants to know when the log is written up to next.
type waiter struct {
	next int64
	done func(error)
}

func (p *pipeline) init(l *Log) {
	p.log = l
	p.pumpFunc = func() { p.deferred = false; p.pump() }
	p.onWrite = p.onWritten
	p.onSync = p.onSynced
}

// queueWrite takes bytes that continue seg at pos.
func (p *pipeline) queueWrite(w write) {
	w.frame.Retain()
	p.appended++
	w.number = p.appended
	p.writes = append(p.writes, w)
	p.wake()
}

// queueTask puts a task behind all appends and tasks so far.
func (p *pipeline) queueTask(what string, run func(done func(error)), done func(error)) {
	p.tasks = append(p.tasks, task{p.appended, what, run, done})
	p.wake()
}

// queueFollowUp puts a task behind the append that comes next, if that comes in this turn.
func (p *pipeline) queueFollowUp(what string, run func(done func(error))) {
	p.tasks = append(p.tasks, task{p.appended + 1, what, run, nil})
	p.wake()
}

// wake pumps at the end of the turn: everything a turn appends goes in one write.
func (p *pipeline) wake() {
	if !p.deferred && !p.busy {
		p.deferred = true
		if x := p.log.env.Buggify; x.Fires(buggify.DelayedWrite) {
			p.log.env.Loop.AfterFunc(x.Delay(buggify.DelayedWrite, 20*time.Millisecond), p.pumpFunc)
			return
		}
		p.log.env.Loop.Defer(p.pumpFunc)
	}
}

// pump starts what comes next, until an operation is under way or nothing is left.
func (p *pipeline) pump() {
	if p.pumping {
		return
	}
	p.pumping = true
	for !p.busy && p.log.failure == nil && (len(p.tasks) > 0 || len(p.writes) > 0) {
		p.busy = true
		if len(p.tasks) > 0 && (len(p.writes) == 0 || p.writes[0].number > p.tasks[0].after) {
			p.startTask()
		} else {
			p.startWrite()
		}
	}
	p.pumping = false
}

func (p *pipeline) startTask() {
	t := p.tasks[0]
	p.tasks[0] = task{}
	p.tasks = p.tasks[1:]
	t.run(func(err error) {
		if p.log.failure != nil {
			err = p.log.failure // its done has not run: abort did not know of it
		} else if err != nil && !p.log.deleted {
			p.log.fail(t.what, err)
		}
		p.busy = false
		if t.done != nil {
			t.done(offlineIf(err))
		}
		p.pump()
	})
}

func offlineIf(err error) error {
	if err != nil {
		return ErrOffline
	}
	return nil
}

// startWrite hands the appends of one segment that no task comes before to the disk.
func (p *pipeline) startWrite() {
	n := p.nextWrite()
	p.inflight = append(p.inflight[:0], p.writes[:n]...)
	rest := copy(p.writes, p.writes[n:])
	clear(p.writes[rest:])
	p.writes = p.writes[:rest]
	p.bufs = p.bufs[:0]
	for i := range p.inflight {
		p.bufs = append(p.bufs, p.inflight[i].bytes)
	}
	first := &p.inflight[0]
	first.seg.file.WriteAt(p.bufs, first.pos, p.onWrite)
}

// nextWrite is how many of the waiting appends go in one write.
func (p *pipeline) nextWrite() int {
	size, n := 0, 0
	if p.log.env.Buggify.Fires(buggify.WriteAlone) {
		return 1
	}
	for ; n < len(p.writes) && n < maxWriteBuffers && (n == 0 || size < maxWriteBytes); n++ {
		w := &p.writes[n]
		if w.seg != p.writes[0].seg || len(p.tasks) > 0 && w.number > p.tasks[0].after {
			break
		}
		size += len(w.bytes)
	}
	return n
}

func (p *pipeline) onWritten(err error) {
	l := p.log
	if l.deleted {
		p.releaseInflight()
		p.busy = false
		p.pump()
		return
	}
	if err != nil {
		l.fail("write", err)
	}
	if l.failure != nil {
		p.releaseInflight()
		return
	}
	for i := range p.inflight {
		l.unflushed += p.inflight[i].count
	}
	if l.unflushed >= l.config.FlushMessages || l.env.Buggify.Fires(buggify.EarlyFlush) {
		p.inflight[0].seg.file.Sync(p.onSync)
		return
	}
	l.armFlush()
	p.finishWrite()
}

func (p *pipeline) onSynced(err error) {
	l := p.log
	if err != nil {
		l.fail("sync", err)
	}
	if l.failure != nil {
		p.releaseInflight()
		return
	}
	l.unflushed = 0
	l.recoveryPoint = max(l.recoveryPoint, p.inflight[len(p.inflight)-1].next)
	p.finishWrite()
}

// finishWrite moves the log end offset. A truncation may have cut what was under way: its next says so.
func (p *pipeline) finishWrite() {
	l := p.log
	end := p.inflight[len(p.inflight)-1].next
	p.releaseInflight()
	p.busy = false
	if end > l.written {
		l.written = end
		keep := recentBatches
		if l.env.Buggify.Fires(buggify.ForgetRecent) {
			keep = l.env.Buggify.Pick(buggify.ForgetRecent, 4) - 1
		}
		l.recent.forget(keep, l.written)
		l.emit(event.Written, end)
		p.runWaiters()
	}
	p.pump()
}

func (p *pipeline) releaseInflight() {
	for i := range p.inflight {
		p.inflight[i].frame.Release()
	}
	clear(p.inflight)
	p.inflight = p.inflight[:0]
	clear(p.bufs)
}

// wait calls done when the log is written up to next.
func (p *pipeline) wait(next int64, done func(error)) {
	if done != nil {
		p.waiters = append(p.waiters, waiter{next, done})
	}
}

// waitInOrder is wait for an offset that others wait beyond.
func (p *pipeline) waitInOrder(next int64, done func(error)) {
	i := sort.Search(len(p.waiters), func(i int) bool { return p.waiters[i].next > next })
	p.waiters = slices.Insert(p.waiters, i, waiter{next, done})
}

// runWaiters calls those whose bytes are written. They may append, truncate or close.
func (p *pipeline) runWaiters() {
	n := 0
	for n < len(p.waiters) && p.waiters[n].next <= p.log.written {
		n++
	}
	p.due = append(p.due[:0], p.waiters[:n]...)
	rest := copy(p.waiters, p.waiters[n:])
	clear(p.waiters[rest:])
	p.waiters = p.waiters[:rest]
	for i := range p.due {
		p.due[i].done(nil)
	}
	clear(p.due)
}

// truncate drops the appends from offset on, which begins at pos of its segment; what is under way finishes, but does
// not count beyond offset. Their callers learn of it at the end of the turn.
func (p *pipeline) truncate(offset int64, pos int64) {
	for i := range p.inflight {
		p.inflight[i].next = min(p.inflight[i].next, offset)
	}
	n := len(p.writes)
	for n > 0 && p.writes[n-1].next > offset {
		w := &p.writes[n-1]
		if p.start(n-1) < offset { // it holds batches below offset too
			w.bytes, w.next = w.bytes[:pos-w.pos], offset
			break
		}
		w.frame.Release()
		*w = write{}
		n--
	}
	p.writes = p.writes[:n]
	p.dropWaiters(offset)
}

// start is the first offset of a waiting write.
func (p *pipeline) start(i int) int64 {
	if i > 0 {
		return p.writes[i-1].next
	}
	if n := len(p.inflight); n > 0 {
		return p.inflight[n-1].next
	}
	return p.log.written
}

func (p *pipeline) dropWaiters(offset int64) {
	n := len(p.waiters)
	for n > 0 && p.waiters[n-1].next > offset {
		n--
	}
	p.answerLater(n, ErrTruncated)
}

// answerLater takes the waiters from n on and answers them at the end of the turn.
func (p *pipeline) answerLater(n int, err error) {
	if n == len(p.waiters) {
		return
	}
	dropped := append([]waiter(nil), p.waiters[n:]...)
	clear(p.waiters[n:])
	p.waiters = p.waiters[:n]
	p.log.env.Loop.Defer(func() {
		for _, w := range dropped {
			w.done(err)
		}
	})
}

// dropAll is truncate for a log that starts anew elsewhere.
func (p *pipeline) dropAll() {
	for i := range p.inflight {
		p.inflight[i].next = -1
	}
	p.dropWrites()
	p.answerLater(0, ErrTruncated)
}

func (p *pipeline) dropWrites() {
	for i := range p.writes {
		p.writes[i].frame.Release()
	}
	clear(p.writes)
	p.writes = p.writes[:0]
}

// abort answers everything that waits with err. What is under way keeps its buffers until it is done.
func (p *pipeline) abort(err error) {
	p.dropWrites()
	p.answerLater(0, err)
	tasks := p.tasks
	p.tasks = nil
	p.log.env.Loop.Defer(func() {
		for _, t := range tasks {
			if t.done != nil {
				t.done(err)
			}
		}
	})
}
