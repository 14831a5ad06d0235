package sim

import (
	"slices"
	"time"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/lockstep/lockstep/sim/check"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transactor is a producer with a transactional id. It makes one transaction after the other, as Kafka's producer does: version 1 of the
// protocol makes partitions part of a transaction before it writes to them, and raises its epoch after a failure; with version 2 the
// write itself does that, and each end raises the epoch.
//
// Whoever has a transactor is told when it is ready for a transaction, and when one has ended.
type transactor struct {
	*client
	o       *TxnOptions
	index   int // among all who produce
	id      string
	v2      bool // it speaks transaction.version 2
	lanes   []*txnLane
	state   txnState
	turn    int // counts what makes answers under way mean nothing any more
	churn   *churner
	ready   func()
	ended   func(committed bool)
	wanted  map[string]int32 // coordinators, by what they are asked about
	builder record.Builder
	value   []byte

	who      identity
	suspect  bool // a request of this epoch was not answered: with version 1 it may come late, and change a later transaction
	current  *transaction
	down     bool
	mustGoOn bool // it comes back also when all is to come to rest
}

// identity is a producer id and its epoch.
type identity struct {
	id    int64
	epoch int16
}

// transaction is the one that is open.
type transaction struct {
	number     int32 // of the history
	wantsAbort bool
	inVain     bool // it is to be aborted when all is written
	unresolved bool // nobody knows what became of something that was sent
	touched    bool // the coordinator may know of it
	finishing  bool // all that is to be written is there
	adding     bool
	offsets    *offsetsOfTxn // nil: none are sent
}

type txnState uint8

const (
	initializing txnState = iota
	resting               // ready for a transaction
	writing
	ending
)

var txnStates = [...]string{"being initialized", "at rest", "writing", "ending a transaction"}

// newTransactor makes the n-th of all transactors.
func newTransactor(r *run, n int, id string, o *TxnOptions, topics []string) *transactor {
	name := transactorName(n)
	t := &transactor{
		client: newClient(r, name, transactorNode(&r.schedule.Options, n)), o: o, id: id, wanted: map[string]int32{},
		index: len(r.schedule.Options.Producers) + n, v2: r.schedule.Options.Transactions.Version >= 2 && !o.Old, ready: func() {}, ended: func(bool) {}, who: identity{-1, -1},
	}
	for i, part := range t.partitions() {
		if slices.Contains(topics, part.topic.name) {
			t.lanes = append(t.lanes, &txnLane{t: t, part: part, ordinal: i, req: t.newRequest(part)})
		}
	}
	for i := range max(o.Size, minValue) {
		t.value = append(t.value, byte('a'+i%26))
	}
	t.onMetadata = t.pumpAll
	t.churn = newChurner(t, r.world.Stream(r.schedule.Seed, "churn/"+name))
	return t
}

func (t *transactor) newRequest(part *partition) *kmsg.ProduceRequest {
	req := t.produceRequest(part)
	if req.Version = 11; t.v2 {
		req.Version = 13
	}
	req.Acks, req.TransactionID = -1, &t.id
	return req
}

// start begins the life of a process: it knows nothing of those before it.
func (t *transactor) start() {
	t.down = false
	t.who, t.suspect = identity{-1, -1}, false
	t.refresh()
	t.initialize()
}

// stop ends the troubles; a transaction under way is ended. What those who are gone have left open its timeout ends, unless the clock of a coordinator was
// ahead when it began: then it would take as long as that.
func (t *transactor) stop() {
	t.churn.active = false
	t.mustGoOn = t.mustGoOn || slices.ContainsFunc(t.run.schedule.Faults, func(f Fault) bool { return isOfClock(f.Kind) })
}

// initialize becomes the producer of the transactional id; what it was before goes with it (KIP-360).
func (t *transactor) initialize() {
	t.state = initializing
	t.insist(t.coordinator(), func() kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, &t.id, int32(t.o.Timeout.Milliseconds())
		req.ProducerID, req.ProducerEpoch = t.who.id, t.who.epoch
		return req
	}, func(q *question, resp kmsg.Response, err error) {
		if err != nil {
			t.giveUp(err)
			return
		}
		init := resp.(*kmsg.InitProducerIDResponse)
		t.become(identity{init.ProducerID, init.ProducerEpoch})
		t.run.txnInitialized(t)
		t.rest()
	}, func(resp kmsg.Response) int16 { return resp.(*kmsg.InitProducerIDResponse).ErrorCode })
}

// become takes over who the producer is from now on: sequences begin anew with each epoch.
func (t *transactor) become(who identity) {
	if who == t.who {
		return
	}
	t.who, t.suspect = who, false
	for _, l := range t.lanes {
		l.sequence = 0
	}
}

func (t *transactor) rest() {
	t.state = resting
	t.ready()
}

// begin opens a transaction.
func (t *transactor) begin() {
	t.state = writing
	t.current = &transaction{}
	t.current.number = t.run.txnBegun(t)
}

// finish ends the transaction when all that it has to write is written.
func (t *transactor) finish(abort bool) {
	t.current.finishing, t.current.inVain = true, abort
	t.maybeEnd()
}

// abort ends the transaction without what was not sent yet.
func (t *transactor) abort() {
	t.current.wantsAbort, t.current.finishing = true, true
	for _, l := range t.lanes {
		l.dropUnsent()
	}
	t.maybeEnd()
}

// maybeEnd ends the transaction if everything of it has its fate: what is still to be answered could come after the end.
func (t *transactor) maybeEnd() {
	x := t.current
	if t.state != writing || !x.finishing || x.adding || x.offsets.isUnderWay() || slices.ContainsFunc(t.lanes, func(l *txnLane) bool { return len(l.batches) > 0 }) {
		return
	}
	if x.offsets.isDue() && !x.wantsAbort {
		t.sendOffsets()
		return
	}
	x.wantsAbort = x.wantsAbort || x.inVain
	t.state = ending
	if !x.touched { // nobody knows of it
		t.onEnded(nil, nil, nil)
		return
	}
	t.run.txnEnding(t, !x.wantsAbort)
	t.insist(t.coordinator(), func() kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		if req.Version = 3; t.v2 {
			req.Version = 5
		}
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = t.id, t.who.id, t.who.epoch, !x.wantsAbort
		return req
	}, t.onEnded, func(resp kmsg.Response) int16 { return resp.(*kmsg.EndTxnResponse).ErrorCode })
}

// onEnded takes what became of the transaction.
func (t *transactor) onEnded(q *question, resp kmsg.Response, err error) {
	x := t.current
	switch {
	case err == nil && x.wantsAbort || err == nil && q == nil:
		t.conclude(check.Aborted)
	case err == nil:
		t.conclude(check.Committed)
	case x.wantsAbort || q.unanswered == 0:
		t.conclude(check.Aborted)
	default:
		t.conclude(check.Undecided) // an earlier attempt may have ended it
	}
	if err != nil {
		t.giveUp(err)
		return
	}
	if resp != nil && t.v2 {
		end := resp.(*kmsg.EndTxnResponse)
		t.become(identity{end.ProducerID, end.ProducerEpoch})
	}
	if x.unresolved && !t.v2 {
		t.initialize() // what may still be on its way is of an older epoch then
		return
	}
	t.rest()
}

// conclude says how the transaction ended, as far as the client knows.
func (t *transactor) conclude(o check.Outcome) {
	x := t.current
	t.current = nil
	x.offsets.conclude(t, o)
	t.run.txnEnded(t, x.number, o)
	t.ended(o == check.Committed)
}

// giveUp ends the process after an error that no producer survives: most often another one has taken its place. It comes back.
func (t *transactor) giveUp(err error) {
	t.run.note(t.loop.ID(), "txn-gives-up", err.Error())
	t.checkGivenUp(err)
	t.fall()
	t.churn.comeBack()
}

// checkGivenUp notes an error that a correct coordinator does not answer.
func (t *transactor) checkGivenUp(err error) {
	switch err {
	case kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState:
	default:
		t.run.unexpectedInTxn(t, err)
	}
}

// fall is the end of the process. What it had asked may happen all the same.
func (t *transactor) fall() {
	t.down = true
	t.turn++
	for _, l := range t.lanes {
		l.forget()
	}
	if t.current != nil {
		outcome := check.Aborted // it never asked for a commit
		if t.state == ending && !t.current.wantsAbort {
			outcome = check.Undecided
		}
		t.conclude(outcome)
	}
	t.hangUpAll()
}

// unsettled says what is not well with the producer; empty if nothing is.
func (t *transactor) unsettled() string {
	if t.down || t.state == resting {
		return ""
	}
	return t.name + " is " + txnStates[t.state]
}

// question is what a coordinator is asked until it gives an answer that is one.
type question struct {
	unanswered int // attempts that nobody knows the fate of
	began      scheduler.Instant
}

// coordinatorOf is whom to ask about something: the kind as FindCoordinator has it.
type coordinatorOf struct {
	kind int8
	key  string
}

// coordinator is that of the transactional id.
func (t *transactor) coordinator() coordinatorOf { return coordinatorOf{1, t.id} }

// insist asks a coordinator, which it finds, until that gives an answer or an error that stays.
func (t *transactor) insist(of coordinatorOf, build func() kmsg.Request, done func(q *question, resp kmsg.Response, err error), code func(kmsg.Response) int16) {
	q, turn := &question{began: t.loop.Now()}, t.turn
	var ask func()
	again := func() {
		t.loop.After(retryBackoff, func() {
			if t.turn == turn {
				ask()
			}
		})
	}
	ask = func() {
		broker, known := t.wanted[of.key]
		if !known {
			t.find(of, turn, ask)
			return
		}
		t.send(broker, build(), t.timeout, askerFunc(func(resp kmsg.Response, err error) {
			if t.turn != turn {
				return
			}
			if err == nil {
				err = kerr.ErrorForCode(code(resp))
			}
			switch {
			case isSilence(err):
				q.unanswered++
				t.suspect = true
				delete(t.wanted, of.key)
				again()
			case isCoordinatorLost(err): // it may have written what was asked for, and not know of its commit
				q.unanswered++
				delete(t.wanted, of.key)
				again()
			case isPassing(err):
				again()
			default:
				done(q, resp, err)
			}
		}), false)
	}
	ask()
}

// isPassing reports whether a coordinator will say something else soon: it loads, it still ends the transaction before, or it has not heard of a
// topic yet.
func isPassing(err error) bool {
	switch err {
	case kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.UnknownTopicOrPartition, kerr.OperationNotAttempted, kerr.UnstableOffsetCommit:
		return true
	}
	return false
}

// find asks any broker who a coordinator is.
func (t *transactor) find(of coordinatorOf, turn int, found func()) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKey, req.CoordinatorType = 3, of.key, of.kind
	t.send(t.anyBroker(), req, t.timeout, askerFunc(func(resp kmsg.Response, err error) {
		if t.turn != turn {
			return
		}
		if err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.FindCoordinatorResponse).ErrorCode)
		}
		if err != nil {
			t.loop.After(retryBackoff, func() {
				if t.turn == turn {
					t.find(of, turn, found)
				}
			})
			return
		}
		t.wanted[of.key] = resp.(*kmsg.FindCoordinatorResponse).NodeID
		found()
	}), false)
}

// hangUpAll closes all connections.
func (c *client) hangUpAll() {
	for _, l := range slices.Clone(c.links) {
		if l != nil && l.conn != nil {
			conn := l.conn
			l.lost()
			conn.Close()
		}
	}
}

// lastFor reports whether a time has passed since an instant.
func (t *transactor) lastFor(since scheduler.Instant, d time.Duration) bool {
	return t.loop.Now().Sub(since) >= d
}
