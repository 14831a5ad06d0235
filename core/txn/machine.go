package txn

import (
	"github.com/google/btree"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
)

// log is what a machine needs of its shard.
type log interface {
	Append(records []coordinator.Record, answer func(error)) error
	WhenCommitted(answer func(error))
	Loop() scheduler.Loop
	Epoch() int32
}

// machine is the transactional ids of one partition of __transaction_state.
type machine struct {
	coordinator *Coordinator
	log         log
	byID        *btree.BTreeG[*transaction]
	endings     map[string]*ending // markers under way, by transactional id
	gone        bool
}

func newMachine(c *Coordinator, l log) *machine {
	return &machine{
		coordinator: c, log: l, endings: map[string]*ending{},
		byID: btree.NewG(16, func(a, b *transaction) bool { return a.id < b.id }),
	}
}

// get is nil for an id that is not known.
func (m *machine) get(id string) *transaction {
	t, _ := m.byID.Get(&transaction{id: id})
	return t
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(r coordinator.Replayed) {
	id, t, err := parse(r.Record)
	switch {
	case err != nil: // of a release that is not this one's
	case t == nil:
		m.byID.Delete(&transaction{id: id})
	default:
		m.byID.ReplaceOrInsert(t)
		m.coordinator.watch(t)
	}
}

// ReplayMarker implements coordinator.Machine: nobody writes here as part of a transaction.
func (m *machine) ReplayMarker(int64, int16, bool) {}

// Loaded implements coordinator.Machine. What the leader before had decided, it may not have told everybody.
func (m *machine) Loaded() {
	m.byID.Ascend(func(t *transaction) bool {
		if t.state.isPrepared() {
			m.tellWhenCommitted(t)
		}
		return true
	})
}

// Unloaded implements coordinator.Machine.
func (m *machine) Unloaded() { m.gone, m.endings = true, nil }

func (m *machine) nowMs() int64 { return m.log.Loop().UnixMilli() }

// write makes t what is known of its id; see coordinator.Shard.Append.
func (m *machine) write(t *transaction, answer func(error)) error {
	err := m.log.Append([]coordinator.Record{t.record(m.coordinator.version())}, answer)
	switch err {
	case nil:
		m.get(t.id).lastEpoch = t.lastEpoch
	case kerr.MessageTooLarge, kerr.RecordListTooLarge:
		return kerr.UnknownServerError
	}
	return err
}

// answer gives a verdict once the state that it comes from is committed: a producer that is told that it is fenced gives up for good.
func (m *machine) answer(verdict error, done func(error)) {
	m.log.WhenCommitted(func(err error) {
		if err == nil {
			err = verdict
		}
		done(err)
	})
}
