package api

import (
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/storage"
	"github.com/lockstep/lockstep/core/txn"
	"github.com/lockstep/lockstep/scheduler"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// verificationMode is what a client's version of a request says about the transaction that it is part of (KIP-890).
type verificationMode int8

const (
	verifyOldErrors verificationMode = iota // the client does not know TRANSACTION_ABORTABLE
	verifyOnly
	addPartition // transaction.version 2: the request itself makes the partition part of the transaction
)

// modeOf is a request's mode by the versions in which the others begin.
func modeOf(version, only, add int16) verificationMode {
	switch {
	case version >= add:
		return addPartition
	case version >= only:
		return verifyOnly
	}
	return verifyOldErrors
}

// verification is a request's question to the transaction coordinator whether partitions of this broker are part of a transaction.
type verification struct {
	server   *Server
	id       string
	producer txn.Producer
	mode     verificationMode
	parts    []verified
	done     func() // the parts have their verdicts
	deadline scheduler.Instant
}

// verified is the verdict on one partition.
type verified struct {
	partition event.Partition
	topicID   [16]byte // zero: not said
	sequence  int32    // of the first record
	guard     storage.Guard
	err       error
}

// verify answers v at once if nothing has to be asked, because all its transactions are open in their partitions. Questions in the name of one
// transactional id are answered in the order in which they came: appends of a partition must not overtake each other.
func (s *Server) verify(v *verification) {
	v.server = s
	if queue := s.verifying[v.id]; len(queue) > 0 {
		s.verifying[v.id] = append(queue, v)
		return
	}
	if asked := v.start(); len(asked) > 0 {
		s.verifying[v.id] = append(s.verifying[v.id], v)
		v.ask(asked)
		return
	}
	v.done()
}

// next goes on behind v, which has its verdicts.
func (s *Server) next(v *verification) {
	for {
		v.done()
		queue := s.verifying[v.id][1:]
		if len(queue) == 0 {
			delete(s.verifying, v.id)
			return
		}
		s.verifying[v.id] = queue
		v = queue[0]
		if asked := v.start(); len(asked) > 0 {
			v.ask(asked)
			return
		}
	}
}

// start takes the guards of the partitions in which the transaction has not begun; of those the coordinator is asked.
func (v *verification) start() (asked []*verified) {
	if v.deadline == 0 {
		v.deadline = v.server.Env.Loop.Now().Add(v.server.Config.Transactions.AddRetryMax)
	}
	for i := range v.parts {
		p := &v.parts[i]
		p.guard, p.err = v.server.Replicas.StartVerification(p.partition, p.topicID, v.producer.ID, v.producer.Epoch, p.sequence, v.mode == addPartition)
		if p.guard != 0 {
			asked = append(asked, p)
		}
	}
	return asked
}

func (v *verification) ask(asked []*verified) {
	leader, ok := v.server.coordinatorOf(v.id)
	if !ok {
		v.server.Env.Loop.Defer(func() { v.onAnswer(asked, nil, kerr.CoordinatorNotAvailable) })
		return
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{v.question(asked)}
	v.server.AskBroker(leader, req, func(resp kmsg.Response, err error) {
		if err != nil {
			v.onAnswer(asked, nil, kerr.NetworkException)
			return
		}
		answer := resp.(*kmsg.AddPartitionsToTxnResponse)
		v.onAnswer(asked, answer, kerr.ErrorForCode(answer.ErrorCode))
	})
}

// coordinatorOf is the broker that coordinates a transactional id, as far as the metadata says.
func (s *Server) coordinatorOf(id string) (int32, bool) {
	t := s.Image().Topic(config.TransactionState)
	if t == nil {
		return -1, false
	}
	p := t.Partitions[coordinator.PartitionFor(id, len(t.Partitions))]
	if p == nil || p.Leader < 0 {
		return -1, false
	}
	return p.Leader, true
}

func (v *verification) question(asked []*verified) kmsg.AddPartitionsToTxnRequestTransaction {
	q := kmsg.NewAddPartitionsToTxnRequestTransaction()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.VerifyOnly = v.id, v.producer.ID, v.producer.Epoch, v.mode != addPartition
	for _, p := range asked {
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != p.partition.Topic {
			q.Topics = append(q.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: p.partition.Topic})
		}
		last := &q.Topics[len(q.Topics)-1]
		last.Partitions = append(last.Partitions, p.partition.Index)
	}
	return q
}

// onAnswer takes the coordinator's verdicts, or err for all. While the transaction before is being ended, the first request of the next
// is tried again here for a while: for the client that would take much longer.
func (v *verification) onAnswer(asked []*verified, answer *kmsg.AddPartitionsToTxnResponse, err error) {
	codes := map[event.Partition]int16{}
	if err == nil {
		for _, t := range answer.Transactions {
			for _, topic := range t.Topics {
				for _, p := range topic.Partitions {
					codes[event.Partition{Topic: topic.Topic, Index: p.Partition}] = p.ErrorCode
				}
			}
		}
	}
	again := false
	for _, p := range asked {
		if p.err = err; err == nil {
			p.err = v.verdict(codes[p.partition])
		}
		again = again || p.err == kerr.ConcurrentTransactions
	}
	if x := v.server.Env.Buggify; x.Fires(buggify.TxnVerifyLate) {
		v.server.Env.Loop.AfterFunc(x.Delay(buggify.TxnVerifyLate, 500*time.Millisecond), func() { v.goOn(again) })
		return
	}
	v.goOn(again)
}

func (v *verification) goOn(again bool) {
	s := v.server
	if again && v.mode == addPartition && s.Env.Loop.Now() < v.deadline {
		s.Env.Loop.AfterFunc(s.Config.Transactions.AddRetryBackoff, v.retry)
		return
	}
	s.next(v)
}

func (v *verification) retry() {
	if asked := v.start(); len(asked) > 0 {
		v.ask(asked)
		return
	}
	v.server.next(v)
}

// verdict is a coordinator's code as producers know it.
func (v *verification) verdict(code int16) error {
	switch err := kerr.ErrorForCode(code); {
	case err == kerr.ProducerFenced:
		return kerr.InvalidProducerEpoch
	case err == kerr.TransactionAbortable && v.mode == verifyOldErrors:
		return kerr.InvalidTxnState
	default:
		return err
	}
}
