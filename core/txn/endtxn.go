package txn

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// end is a producer's wish to commit or abort its transaction (EndTxn).
type end struct {
	c       *Coordinator
	id      string
	p       Producer
	commit  bool
	version int16
	spare   int64 // a producer id to go on with; -1: none
	done    func(Producer, error)
}

// End commits or aborts a producer's transaction. done runs when that is decided, perhaps at once if it is refused; the markers follow. What it
// gets, with version 2, is the producer's next epoch, or its next id.
func (c *Coordinator) End(id string, p Producer, commit bool, version int16, done func(Producer, error)) {
	e := &end{c: c, id: id, p: p, commit: commit, version: version, spare: -1, done: done}
	e.try()
}

func (e *end) refuse(err error) { e.done(noProducer, err) }

func (e *end) try() {
	m, t, err := e.c.find(e.id)
	if err != nil {
		e.refuse(err)
		return
	}
	judge := e.judge
	if e.version >= 2 {
		judge = e.judgeV2
	}
	repeated, err := judge(t)
	switch {
	case err == kerr.ConcurrentTransactions:
		e.refuse(err)
	case err != nil:
		m.answer(err, e.refuse)
	case repeated:
		now := t.producer
		m.answer(nil, func(err error) { e.answer(now, err) })
	case e.version >= 2 && isLast(t.producer.Epoch) && e.spare < 0:
		e.needsID()
	default:
		e.decide(m, t)
	}
}

func (e *end) needsID() {
	e.c.needs.NewProducerID(func(id int64, err error) {
		if err != nil {
			e.refuse(err)
			return
		}
		e.spare = id
		e.try()
	})
}

func (e *end) decide(m *machine, t *transaction) {
	next := int64(-1)
	if isLast(t.producer.Epoch) {
		next = e.spare
	}
	n := t.ended(e.commit, e.version, next, m.nowMs())
	if err := m.prepare(n, func(err error) { e.answer(n.successor(), err) }); err != nil {
		e.refuse(err)
	}
}

// answer tells the producer who it is from now on; before version 2 that does not change.
func (e *end) answer(p Producer, err error) {
	if err != nil || e.version < 2 {
		p = noProducer
	}
	e.done(p, err)
}

// judge says whether the end of a transaction before version 2 may be decided, or repeats what was.
func (e *end) judge(t *transaction) (repeated bool, err error) {
	switch {
	case t == nil || t.producer.ID != e.p.ID:
		return false, kerr.InvalidProducerIDMapping
	case t.producer.Epoch != e.p.Epoch:
		return false, kerr.ProducerFenced
	case t.state.isPrepared():
		return false, kerr.ConcurrentTransactions
	case t.state == Ongoing:
		return false, nil
	case t.state == CompleteCommit && e.commit || t.state == CompleteAbort && !e.commit:
		return true, nil
	}
	return false, kerr.InvalidTxnState
}

// judgeV2 is judge for version 2. The same epoch means the next transaction, whose abort is welcome even if it has not begun: the
// producer does not know. An epoch one lower, or the last one of the producer id before, means that the answer was lost.
func (e *end) judgeV2(t *transaction) (repeated bool, err error) {
	if t == nil {
		return false, kerr.InvalidProducerIDMapping
	}
	now := t.producer
	complete := t.state == CompleteCommit || t.state == CompleteAbort
	rotated := complete && t.previousID == e.p.ID && e.p.Epoch == math.MaxInt16-1 && now.Epoch == 0
	repeated = rotated || complete && now.Epoch == e.p.Epoch+1
	switch {
	case t.state.isPrepared():
		return false, kerr.ConcurrentTransactions
	case now.ID != e.p.ID && !rotated:
		return false, kerr.InvalidProducerIDMapping
	case now.Epoch != e.p.Epoch && !repeated:
		return false, kerr.ProducerFenced
	case repeated && (t.state == CompleteCommit) == e.commit:
		return true, nil
	case repeated, e.commit && t.state != Ongoing:
		return false, kerr.InvalidTxnState
	}
	return false, nil
}

// prepare writes that the end is decided, and has the markers sent once that is certain; see coordinator.Shard.Append.
func (m *machine) prepare(n *transaction, answer func(error)) error {
	return m.write(n, func(err error) {
		answer(err)
		switch {
		case m.gone:
		case err != nil: // it took long, and may yet come
			m.tellWhenCommitted(n)
		default:
			m.tell(n)
		}
	})
}

// tellWhenCommitted has the markers of a decision sent once it is certain. A marker that is sent before could contradict what a successor
// knows.
func (m *machine) tellWhenCommitted(t *transaction) {
	m.log.WhenCommitted(func(err error) {
		switch {
		case m.gone:
		case err != nil:
			m.tellWhenCommitted(t)
		default:
			m.tell(t)
		}
	})
}

// fence aborts the transaction of a producer that is not to go on. done gets nil when that is decided.
func (m *machine) fence(t *transaction, done func(error)) {
	version := m.coordinator.version()
	if version < 2 || !isLast(t.producer.Epoch) {
		m.fenceWith(t, version, -1, done)
		return
	}
	m.coordinator.needs.NewProducerID(func(id int64, err error) {
		switch {
		case err != nil:
			done(err)
		case m.gone:
			done(kerr.NotCoordinator)
		case m.get(t.id) != t:
			done(kerr.ConcurrentTransactions) // it has moved on meanwhile
		default:
			m.fenceWith(t, version, id, done)
		}
	})
}

func (m *machine) fenceWith(t *transaction, version int16, nextID int64, done func(error)) {
	if err := m.prepare(t.fenced(version, nextID, m.nowMs()), done); err != nil {
		done(err)
	}
}
