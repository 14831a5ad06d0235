package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockstep/lockstep/sim"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sessionTimeout is how long the range of a worker that died waits for another.
const sessionTimeout = 10 * time.Second

// Worker takes ranges and runs them.
type Worker struct {
	Options Options
	Build   string // whose ranges it takes
	// Run runs a range and gives each record to write, which is not to be called after Run's end. It ends early when the
	// context does.
	Run func(ctx context.Context, r Range, write func(r *sim.Record)) error
	// Idle is how long the worker waits for a range before it takes the campaign for done: longer than another worker's session.
	Idle time.Duration
}

// Work runs ranges until none came for a while; a range that another worker left counts as one that comes. It returns the
// number of ranges run.
func (w *Worker) Work(ctx context.Context) (ranges int, err error) {
	o := &w.Options
	client, err := o.connect(
		kgo.ConsumeTopics(o.Topic), kgo.ConsumerGroup(o.group()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(), kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(sessionTimeout/5),
		kgo.DefaultProduceTopic(o.results()), kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for {
		record, err := w.next(ctx, client)
		if record == nil {
			return ranges, err
		}
		if err := w.runRange(ctx, client, record); err != nil {
			return ranges, err
		}
		ranges++
	}
}

// next waits for a range; nil if none came in time.
func (w *Worker) next(ctx context.Context, client *kgo.Client) (*kgo.Record, error) {
	waiting, cancel := context.WithTimeout(ctx, w.Idle)
	defer cancel()
	for {
		fetches := client.PollRecords(waiting, 1)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waiting.Err() != nil && fetches.NumRecords() == 0:
			return nil, nil
		case fetches.Err() != nil:
			return nil, fetches.Err()
		case fetches.NumRecords() > 0:
			return fetches.Records()[0], nil
		}
	}
}

// runRange runs a range and commits it when all its results are acknowledged.
func (w *Worker) runRange(ctx context.Context, client *kgo.Client, record *kgo.Record) error {
	var r Range
	if err := json.Unmarshal(record.Value, &r); err != nil {
		return fmt.Errorf("%s-%d@%d is no range of seeds: %w", record.Topic, record.Partition, record.Offset, err)
	}
	if r.Build != w.Build {
		return fmt.Errorf("seeds %d..%d are for build %s; this is %s", r.From, r.To, r.Build, w.Build)
	}
	writer := writer{ctx: ctx, client: client}
	if err := errors.Join(w.Run(ctx, r, writer.write), client.Flush(ctx), ctx.Err(), writer.failure()); err != nil {
		return err
	}
	return commit(ctx, client, record)
}

// commit ends a range. Where the range has gone to another worker meanwhile it is that one's to commit.
func commit(ctx context.Context, client *kgo.Client, record *kgo.Record) error {
	err := client.CommitRecords(ctx, record)
	for _, moved := range []error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID} {
		if errors.Is(err, moved) {
			return nil
		}
	}
	return err
}

// writer produces results and keeps the first error.
type writer struct {
	ctx    context.Context
	client *kgo.Client
	lock   sync.Mutex
	err    error
}

func (w *writer) write(r *sim.Record) {
	value, err := json.Marshal(r)
	if err != nil {
		w.fail(err)
		return
	}
	w.client.Produce(w.ctx, &kgo.Record{Key: resultKey(r), Value: value}, func(_ *kgo.Record, err error) { w.fail(err) })
}

func (w *writer) fail(err error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) failure() error {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.err
}

// resultKey is the same for every run of a seed, so that compaction keeps one.
func resultKey(r *sim.Record) []byte {
	return fmt.Appendf(nil, "%s%s %d", r.Build, r.Variant.Flags(), r.Seed)
}
