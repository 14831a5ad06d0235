package txn

import (
	"regexp"
	"slices"

	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Description is what an operator may know of a transactional id.
type Description struct {
	ID         string
	Producer   Producer
	State      State
	TimeoutMs  int32
	StartedMs  int64             // -1: no transaction yet
	Partitions []event.Partition // without a marker if the transaction is being ended; sorted
}

func (m *machine) describe(t *transaction) Description {
	d := Description{ID: t.id, Producer: t.producer, State: t.state, TimeoutMs: t.timeoutMs, StartedMs: t.startedMs, Partitions: t.partitions}
	if e := m.endings[t.id]; e != nil {
		d.Partitions = slices.Clone(e.waiting)
	}
	return d
}

// Describe is what is known of a transactional id. done may run at once.
func (c *Coordinator) Describe(id string, done func(Description, error)) {
	m, t, err := c.find(id)
	switch {
	case err != nil:
		done(Description{}, err)
	case t == nil:
		m.answer(kerr.TransactionalIDNotFound, func(err error) { done(Description{}, err) })
	default:
		d := m.describe(t)
		m.answer(nil, func(err error) { done(d, err) })
	}
}

// Filter says which transactional ids to list; what is nil or negative does not matter.
type Filter struct {
	Producers  []int64
	States     []string
	DurationMs int64          // open for longer
	Pattern    *regexp.Regexp // of the whole id
}

// UnknownStates are the states that the filter names and that there are not.
func (f *Filter) UnknownStates() (unknown []string) {
	for _, name := range f.States {
		if !slices.Contains(stateNames, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func (f *Filter) matches(t *transaction, nowMs int64) bool {
	switch {
	case len(f.Producers) > 0 && !slices.Contains(f.Producers, t.producer.ID),
		len(f.States) > 0 && !slices.Contains(f.States, t.state.String()),
		f.DurationMs >= 0 && nowMs-t.startedMs <= f.DurationMs,
		f.Pattern != nil && !f.Pattern.MatchString(t.id):
		return false
	}
	return true
}

// List is the transactional ids that this broker coordinates; COORDINATOR_LOAD_IN_PROGRESS while there are some that it cannot name.
func (c *Coordinator) List(f *Filter) (all []Description, err error) {
	loaded := c.shards.each(func(m *machine) {
		for _, t := range m.list(func(t *transaction) bool { return f.matches(t, m.nowMs()) }) {
			all = append(all, m.describe(t))
		}
	})
	if !loaded {
		return nil, kerr.CoordinatorLoadInProgress
	}
	return all, nil
}

// Partition is the partition of __transaction_state that a transactional id belongs to; -1 if there is no topic yet.
func (c *Coordinator) Partition(id string) int32 { return c.runtime.PartitionFor(id) }
