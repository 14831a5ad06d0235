package txn

import (
	"math"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/twmb/franz-go/pkg/kerr"
)

// LeapEpoch is what a rare path has a producer's epochs go on from: few are left.
const LeapEpoch = math.MaxInt16 - 4

// initialization is a producer's call to be the one of a transactional id (InitProducerId).
type initialization struct {
	c         *Coordinator
	id        string
	timeoutMs int32
	expected  *Producer // what the caller is by its own account, after an error (KIP-360); nil: it is new
	spare     int64     // a producer id to use; -1: none
	done      func(Producer, error)
}

// InitProducerID makes the caller the producer of a transactional id and fences the one before. expected is what it was; nil if it
// is new. done may run at once. While an earlier transaction is being ended the error is CONCURRENT_TRANSACTIONS.
func (c *Coordinator) InitProducerID(id string, timeoutMs int32, expected *Producer, done func(Producer, error)) {
	i := &initialization{c: c, id: id, timeoutMs: timeoutMs, expected: expected, spare: -1, done: done}
	switch {
	case id == "":
		i.refuse(kerr.InvalidRequest)
	case timeoutMs <= 0 || timeoutMs > c.cfg.MaxTimeoutMs:
		i.refuse(kerr.InvalidTransactionTimeout)
	default:
		i.try()
	}
}

func (i *initialization) refuse(err error) { i.done(noProducer, err) }

// needsID goes on when there is a spare producer id; the state may be another by then.
func (i *initialization) needsID() {
	i.c.needs.NewProducerID(func(id int64, err error) {
		if err != nil {
			i.refuse(err)
			return
		}
		i.spare = id
		i.try()
	})
}

func (i *initialization) try() {
	m, t, err := i.c.find(i.id)
	switch {
	case err != nil:
		i.refuse(err)
		return
	case t == nil && i.spare < 0:
		i.needsID()
		return
	case t == nil:
		t = &transaction{id: i.id, producer: Producer{i.spare, -1}, previousID: -1, nextID: -1, startedMs: -1, lastEpoch: -1}
	}
	switch {
	case t.state.isPrepared():
		i.refuse(kerr.ConcurrentTransactions)
	case !i.isExpected(t):
		m.answer(kerr.ProducerFenced, i.refuse)
	case t.state == Ongoing:
		m.fence(t, func(err error) {
			if err == nil {
				err = kerr.ConcurrentTransactions // until it is aborted
			}
			i.refuse(err)
		})
	default:
		i.take(m, t)
	}
}

// isExpected reports whether the caller can be the producer that it says it was: that of now, or the one before whose epochs were used
// up, if it did not get the answer.
func (i *initialization) isExpected(t *transaction) bool {
	e := i.expected
	return e == nil || t.producer.Epoch < 0 || e.ID == t.producer.ID || e.ID == t.previousID && isLast(e.Epoch)
}

// take gives the caller the next epoch, or the first of another producer id.
func (i *initialization) take(m *machine, t *transaction) {
	n := t.next(Empty, m.nowMs())
	n.timeoutMs, n.startedMs, n.partitions, n.lastEpoch = i.timeoutMs, -1, nil, -1
	e := i.expected
	switch {
	case isLast(t.producer.Epoch) && (e == nil || e.Epoch == t.producer.Epoch):
		if i.spare < 0 {
			i.needsID()
			return
		}
		n.producer = Producer{i.spare, 0}
		if e != nil {
			n.lastEpoch = t.producer.Epoch
		}
	case e == nil && i.c.env.Buggify.Fires(buggify.TxnEpochLeap):
		n.producer.Epoch = max(n.producer.Epoch+1, LeapEpoch)
	case e == nil:
		n.producer.Epoch++
	case t.producer.Epoch < 0 || e.Epoch == t.producer.Epoch:
		n.producer.Epoch++
		n.lastEpoch = t.producer.Epoch
	case e.Epoch == t.lastEpoch: // a retry
		n.lastEpoch = t.lastEpoch
	default:
		m.answer(kerr.ProducerFenced, i.refuse)
		return
	}
	err := m.write(n, func(err error) {
		if err != nil {
			i.refuse(err)
			return
		}
		i.done(n.producer, nil)
	})
	if err != nil {
		i.refuse(err)
	}
}
