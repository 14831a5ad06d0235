package availability

import (
	"time"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/sim"
)

// errorCounts counts errors by their kind.
type errorCounts map[string]int64

func (e errorCounts) add(other errorCounts) {
	for kind, n := range other { // order: a sum
		e[kind] += n
	}
}

// service is what somebody got from the cluster in a run: how long it was without. A pause between two
// answers counts, in full, if it is longer than noise.
type service struct {
	without time.Duration
	last    scheduler.Instant
}

func (s *service) answered(at, end scheduler.Instant) {
	at = min(at, end)
	if pause := at.Sub(s.last); pause > noise {
		s.without += pause
	}
	s.last = max(s.last, at)
}

// measure watches the clients of one run, from their start to the heal.
type measure struct {
	length time.Duration
	end    scheduler.Instant

	producers [len(acksOfProducers)]service // acknowledgements; with acks=0, sends
	fetches   service                       // fetches that were answered without an error
	news      service                       // of those, the ones with records

	producerErrors [len(acksOfProducers)]errorCounts
	consumerErrors errorCounts
}

func newMeasure(c Config) *measure {
	m := &measure{length: c.length(), consumerErrors: errorCounts{}}
	for i := range m.producerErrors {
		m.producerErrors[i] = errorCounts{}
	}
	return m
}

// Began implements sim.Watcher.
func (m *measure) Began(t scheduler.Instant) {
	m.end = t.Add(m.length)
	for i := range m.producers {
		m.producers[i].last = t
	}
	m.fetches.last, m.news.last = t, t
}

// Acked implements sim.Watcher.
func (m *measure) Acked(producer, _ int, t scheduler.Instant) {
	m.producers[producer].answered(t, m.end)
}

// Fetched implements sim.Watcher.
func (m *measure) Fetched(_, records int, t scheduler.Instant) {
	m.fetches.answered(t, m.end)
	if records > 0 {
		m.news.answered(t, m.end)
	}
}

// ProducerFailed implements sim.Watcher.
func (m *measure) ProducerFailed(producer int, what string, t scheduler.Instant) {
	if t <= m.end {
		m.producerErrors[producer][what]++
	}
}

// ConsumerFailed implements sim.Watcher.
func (m *measure) ConsumerFailed(_ int, what string, t scheduler.Instant) {
	if t <= m.end {
		m.consumerErrors[what]++
	}
}

// finish ends the pauses that nothing has ended.
func (m *measure) finish() {
	for i := range m.producers {
		m.producers[i].answered(m.end, m.end)
	}
	m.fetches.answered(m.end, m.end)
	m.news.answered(m.end, m.end)
}

// play runs one seed of a configuration.
func play(c Config, seed uint64, o sim.RunOptions) (*sim.Result, *measure) {
	m := newMeasure(c)
	o.Watch = m
	r := sim.Run(c.Schedule(seed), o)
	m.finish()
	return r, m
}
