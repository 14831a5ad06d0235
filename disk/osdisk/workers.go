package osdisk

import "sync"

// maxWorkers bounds the goroutines that block in the kernel. A slow fsync holds one of them, so
// there are enough for one per partition in trouble and some reads beside.
const maxWorkers = 32

// workers runs jobs on goroutines that start when needed. submit never blocks.
type workers struct {
	mu      sync.Mutex
	wake    sync.Cond
	queue   []func()
	started int
	idle    int
	closed  bool
	running sync.WaitGroup
}

func newWorkers() *workers {
	w := &workers{}
	w.wake.L = &w.mu
	return w
}

// submit queues a job; it reports false, and drops the job, after close.
func (w *workers) submit(job func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.queue = append(w.queue, job)
	if w.idle >= len(w.queue) || w.started == maxWorkers {
		w.wake.Signal()
		return true
	}
	w.started++
	w.running.Go(w.run)
	return true
}

// close waits until all that was submitted has run and the goroutines are gone.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.wake.Broadcast()
	w.mu.Unlock()
	w.running.Wait()
}

func (w *workers) run() {
	for {
		job := w.next()
		if job == nil {
			return
		}
		job()
	}
}

// next waits for a job; nil means that the workers are closed and all is done.
func (w *workers) next() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 {
		if w.closed {
			return nil
		}
		w.idle++
		w.wake.Wait()
		w.idle--
	}
	job := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	return job
}
