package wall

import (
	"runtime"
	"sync"
)

// workers runs offloaded work on a bounded set of goroutines, from a queue without a bound: what
// must be bounded is bounded at admission. Goroutines start when there is work for them.
type workers struct {
	post func(f func())
	most int

	mu      sync.Mutex
	ready   sync.Cond // a job or the end
	jobs    []job
	next    int // jobs before it are taken
	idle    int // waiting and not yet signalled
	started int
	stopped bool
	running sync.WaitGroup
}

type job struct{ work, done func() }

func (w *workers) init(most int, post func(f func())) {
	if most <= 0 {
		most = runtime.GOMAXPROCS(0)
	}
	w.most, w.post, w.ready.L = most, post, &w.mu
}

// add queues a job; it never blocks for longer than others take to queue or take one.
func (w *workers) add(j job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.jobs = append(w.jobs, j)
	switch {
	case w.idle > 0:
		w.idle--
		w.ready.Signal()
	case w.started < w.most:
		w.started++
		w.running.Go(w.run)
	}
}

// run is a worker.
func (w *workers) run() {
	for {
		j, ok := w.take()
		if !ok {
			return
		}
		j.work()
		w.post(j.done)
	}
}

// take waits for a job; it reports false at the end.
func (w *workers) take() (j job, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.next == len(w.jobs) && !w.stopped {
		w.idle++
		w.ready.Wait()
	}
	if w.stopped {
		return job{}, false
	}
	j = w.jobs[w.next]
	w.jobs[w.next] = job{}
	w.next++
	w.reclaim()
	return j, true
}

// reclaim frees the taken front of the queue, at a constant cost per job.
func (w *workers) reclaim() {
	if w.next < len(w.jobs)/2 {
		return
	}
	rest := copy(w.jobs, w.jobs[w.next:])
	clear(w.jobs[rest:])
	w.jobs, w.next = w.jobs[:rest], 0
}

// stop ends all workers and waits for the work under way; queued jobs are dropped.
func (w *workers) stop() {
	w.mu.Lock()
	w.stopped = true
	w.jobs, w.next = nil, 0
	w.ready.Broadcast()
	w.mu.Unlock()
	w.running.Wait()
}
