package replica

import (
	"slices"
	"time"

	"github.com/lockstep/lockstep/scheduler"
)

// controllerQueue is the partitions of which the controller is to be told something: all that came up in a turn in one request, one request at
// a time.
type controllerQueue struct {
	m         *Manager
	flush     func()        // sends what waits; it begins with begin
	pause     time.Duration // after a request that failed as a whole
	waiting   []*Partition  // by id
	scheduled bool
	inFlight  bool
	retry     scheduler.Timer
	stopped   bool
}

func (q *controllerQueue) init(m *Manager, pause time.Duration, flush func()) {
	q.m, q.pause, q.flush = m, pause, flush
}

// queue has p wait, without a flush.
func (q *controllerQueue) queue(p *Partition) {
	at, found := slices.BinarySearchFunc(q.waiting, p.id, comparePartition)
	if found {
		q.waiting[at] = p // perhaps a new incarnation under the same name
		return
	}
	q.waiting = slices.Insert(q.waiting, at, p)
}

// schedule has what waits sent at the end of the turn.
func (q *controllerQueue) schedule() {
	if !q.scheduled && !q.inFlight && !q.stopped && len(q.waiting) > 0 {
		q.scheduled = true
		q.m.loop.Defer(q.flush)
	}
}

// begin reports whether a flush may go on.
func (q *controllerQueue) begin() bool {
	q.scheduled = false
	return !q.stopped
}

// retryLater sends nothing before the pause ends.
func (q *controllerQueue) retryLater() {
	q.scheduled = true
	if q.retry == nil {
		q.retry = q.m.loop.AfterFunc(q.pause, q.flush)
	} else {
		q.retry.Reset(q.pause)
	}
}

func (q *controllerQueue) stop() {
	q.stopped, q.waiting = true, nil
	if q.retry != nil {
		q.retry.Stop()
	}
}
