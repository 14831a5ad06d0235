package txn

import (
	"math"

	"github.com/lockstep/lockstep/core/coordinator"
)

// maxTombstones is how many ids go in one batch.
const maxTombstones = 500

// watch has the time kept of a transaction: an open one must not stay open for ever, nor an id that nobody uses.
func (c *Coordinator) watch(t *transaction) {
	if t.state == Ongoing && c.abort == nil {
		c.abort = c.env.Loop.AfterFunc(c.cfg.AbortInterval, c.abortLate)
	}
	if c.expire == nil {
		c.expire = c.env.Loop.AfterFunc(c.cfg.ExpirationInterval, c.forgetUnused)
	}
}

// abortLate aborts the transactions that have been open for longer than their producers asked for, and fences those.
func (c *Coordinator) abortLate() {
	c.abort = nil
	c.shards.each(func(m *machine) {
		for _, t := range m.list(func(t *transaction) bool { return t.state == Ongoing }) {
			if t.isLate(m.nowMs()) {
				m.fence(t, func(error) {}) // refused: the next time
			}
			c.watch(t)
		}
	})
}

// isLate is false for a transaction of two-phase commit, which has no timeout (KIP-939).
func (t *transaction) isLate(nowMs int64) bool {
	return t.timeoutMs != math.MaxInt32 && t.startedMs+int64(t.timeoutMs) < nowMs
}

// forgetUnused removes the transactional ids that have not been used for transactional.id.expiration.ms.
func (c *Coordinator) forgetUnused() {
	c.expire = nil
	c.shards.each(func(m *machine) {
		m.forget(m.list(func(t *transaction) bool { return m.isUnused(t) }))
		if t, ok := m.byID.Min(); ok {
			c.watch(t)
		}
	})
}

func (m *machine) isUnused(t *transaction) bool {
	return t.state != Ongoing && !t.state.isPrepared() && t.updatedMs <= m.nowMs()-m.coordinator.cfg.ExpirationMs
}

func (m *machine) forget(all []*transaction) {
	for len(all) > 0 {
		n := min(len(all), maxTombstones)
		records := make([]coordinator.Record, n)
		for i := range records {
			records[i].Key = key(all[i].id)
		}
		if m.log.Append(records, nil) != nil {
			return // the next time
		}
		all = all[n:]
	}
}

// list is the transactional ids of which keep is true, sorted.
func (m *machine) list(keep func(*transaction) bool) (all []*transaction) {
	m.byID.Ascend(func(t *transaction) bool {
		if keep(t) {
			all = append(all, t)
		}
		return true
	})
	return all
}
