package sim

import (
	"time"

	"github.com/lockstep/lockstep/sim/check"
)

// txnWriter makes transactions of new records with a transactor.
type txnWriter struct {
	*transactor
	waiting bool // for the next transaction
}

func (r *run) addTransactors() {
	n, id := 0, 0
	for i := range r.schedule.Options.Txns {
		o := &r.schedule.Options.Txns[i]
		for range o.IDs {
			for range o.Twins {
				t := newTransactor(r, n, transactionalID(id), o, o.topics(&r.schedule.Options))
				w := &txnWriter{transactor: t}
				t.ready = w.later
				r.transactors = append(r.transactors, t)
				n++
			}
			id++
		}
	}
	for _, m := range r.members {
		if m.o.copies() {
			o := plainCopy(m.o)
			o.Churn = m.o.Churn
			t := newTransactor(r, n, transactionalID(id), &o, []string{m.o.Into})
			m.copier = newCopier(m, t)
			r.transactors = append(r.transactors, t)
			n, id = n+1, id+1
		}
	}
}

// later has the next transaction come at some time.
func (w *txnWriter) later() {
	if w.waiting {
		return
	}
	w.waiting = true
	turn := w.turn
	w.loop.After(time.Duration(1+w.rand.Int64N(2*int64(w.o.Interval))), func() {
		w.waiting = false
		switch {
		case w.down || !w.churn.active:
		case w.turn != turn || w.state != resting:
			if w.state == resting {
				w.later()
			}
		default:
			w.transact()
		}
	})
}

// transact makes a transaction: half of its batches at once, and the others after a while.
func (w *txnWriter) transact() {
	w.begin()
	batches, hold := 1+w.rand.IntN(w.o.Batches), time.Duration(0)
	if w.o.Hold > 0 && w.rand.IntN(3) == 0 {
		hold = time.Duration(w.rand.Int64N(int64(w.o.Hold)))
	}
	abort, atOnce := w.rand.IntN(8) < w.o.Aborts, w.rand.IntN(2) == 0
	w.writeSome((batches + 1) / 2)
	turn, x := w.turn, w.current
	w.loop.After(hold, func() {
		if w.turn != turn || w.current != x || x.finishing {
			return
		}
		if w.writeSome(batches / 2); abort && atOnce {
			w.abort() // without what was not sent yet
		} else {
			w.finish(abort)
		}
	})
}

func (w *txnWriter) writeSome(batches int) {
	for range batches {
		l, count := w.lanes[w.rand.IntN(len(w.lanes))], 1
		if w.o.Records > 1 {
			count += w.rand.IntN(w.o.Records)
		}
		l.write(count, nil)
	}
	w.pumpAll()
}

// What transactional producers report.

func (r *run) txnInitialized(t *transactor) {
	if h := r.judge.history; h != nil {
		h.Initialized(t.index, t.who.id, t.who.epoch, r.world.Now())
	}
}

func (r *run) txnBegun(t *transactor) int32 {
	r.result.Stats.Transactions.Begun++
	if h := r.judge.history; h != nil {
		return h.BeginAs(t.index, t.suspect && !t.v2, r.world.Now())
	}
	return 0
}

func (r *run) txnWrote(t *transactor, b *txnBatch) {
	r.result.Stats.Attempted += int64(b.count)
	if h := r.judge.history; h != nil {
		h.Sent(t.index, b.lane.ordinal, b.first, b.count, r.world.Now())
		for i := range b.origins {
			o := &b.origins[i]
			h.Copied(t.current.number, t.index, b.lane.ordinal, b.first+int64(i), o.producer, o.ordinal, o.counter)
		}
	}
}

func (r *run) txnAcked(t *transactor, b *txnBatch, offset int64) {
	r.result.Stats.Acked += int64(b.count)
	if h := r.judge.history; h != nil {
		h.Acked(t.index, b.lane.ordinal, b.first, b.count, offset, r.world.Now())
	}
}

func (r *run) txnGaveUp(t *transactor, b *txnBatch) {
	r.result.Stats.Unknown += int64(b.count)
	if h := r.judge.history; h != nil {
		h.GaveUp(t.index, b.lane.ordinal, b.first, b.count, r.world.Now())
	}
}

func (r *run) txnEnding(t *transactor, commit bool) {
	if h := r.judge.history; h != nil {
		h.Ending(t.current.number, commit, r.world.Now())
	}
}

func (r *run) txnEnded(t *transactor, number int32, o check.Outcome) {
	r.result.Stats.Transactions.ended(o)
	if h := r.judge.history; h != nil {
		h.End(number, o == check.Committed, o == check.Aborted, r.world.Now())
	}
}

func (r *run) unexpectedInTxn(t *transactor, err error) {
	r.violate("P6", "client", "P6 broken: "+t.name+" was answered "+errorName(err)+" while it was "+txnStates[t.state], "it was told so at "+seconds(r.world.Now()))
}

// TxnCounts are how many transactions there were, and how they ended for their producers.
type TxnCounts struct {
	Begun     int64 `json:"begun"`
	Committed int64 `json:"committed"`
	Aborted   int64 `json:"aborted"`
	Unknown   int64 `json:"unknown"`
}

func (c *TxnCounts) ended(o check.Outcome) {
	switch o {
	case check.Committed:
		c.Committed++
	case check.Aborted:
		c.Aborted++
	default:
		c.Unknown++
	}
}

func (c *TxnCounts) add(o *TxnCounts) {
	c.Begun += o.Begun
	c.Committed += o.Committed
	c.Aborted += o.Aborted
	c.Unknown += o.Unknown
}

// mayHang reports whether what keeps the run from being settled may be a transaction that stays open, or is being ended, for ever, as the configuration
// allows, and all who wait for that.
func (r *run) mayHang() bool {
	if !r.schedule.Options.hasTransactions() || r.judge.state == nil || !r.judge.state.MayHang() {
		return false
	}
	well := func() bool { return r.cluster.ailment() == "" } // at some moment: who tries again and again keeps the logs busy
	return r.until(r.world.Now().Add(5*time.Second), well) == reached
}

// transactionsUnsettled says what keeps transactions from being over: nobody makes one, and every partition's log is stable to its end. What those
// who are gone have left open their timeouts end.
func (r *run) transactionsUnsettled() string {
	for _, t := range r.transactors {
		if s := t.unsettled(); s != "" {
			return s
		}
	}
	if !r.schedule.Options.hasTransactions() {
		return ""
	}
	return r.cluster.openTransaction()
}
