package sim

import (
	"errors"

	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Watcher is told what clients see while it happens. It has no effect on the run.
type Watcher interface {
	// Began says that the clients start: Options.For from now the faults are healed.
	Began(t scheduler.Instant)
	// Acked says that a producer's batch was acknowledged or, with acks=0, sent.
	Acked(producer, records int, t scheduler.Instant)
	// Fetched says that a consumer's fetch of a partition was answered without an error, with records or without.
	Fetched(consumer, records int, t scheduler.Instant)
	// ProducerFailed and ConsumerFailed say what a client was answered instead: Kafka's name of the error,
	// or "disconnected" or "request timed out".
	ProducerFailed(producer int, what string, t scheduler.Instant)
	ConsumerFailed(consumer int, what string, t scheduler.Instant)
}

// nobody is the Watcher of a run that nobody watches.
type nobody struct{}

func (nobody) Began(scheduler.Instant)                       {}
func (nobody) Acked(int, int, scheduler.Instant)             {}
func (nobody) Fetched(int, int, scheduler.Instant)           {}
func (nobody) ProducerFailed(int, string, scheduler.Instant) {}
func (nobody) ConsumerFailed(int, string, scheduler.Instant) {}

// watcher is whoever watches the run.
func (r *run) watcher() Watcher {
	if r.options.Watch == nil {
		return nobody{}
	}
	return r.options.Watch
}

// failed tells that a request of the producer was not answered as it should be.
func (p *producer) failed(err error) {
	p.run.watcher().ProducerFailed(p.index, errorName(err), p.loop.Now())
}

// failed tells that a request of the consumer was not answered as it should be.
func (c *consumer) failed(err error) {
	if c.index < 0 {
		return // a member of a group is no consumer of the schedule
	}
	c.run.watcher().ConsumerFailed(c.index, errorName(err), c.loop.Now())
}

// fetched tells that a fetch of a partition was answered.
func (c *consumer) fetched(records int) {
	if c.index >= 0 {
		c.run.watcher().Fetched(c.index, records, c.loop.Now())
	}
}

func errorName(err error) string {
	var known *kerr.Error
	switch {
	case errors.As(err, &known):
		return known.Message
	case err == errTimedOut:
		return "request timed out"
	case err == errDisconnected:
		return "disconnected"
	}
	return err.Error()
}
