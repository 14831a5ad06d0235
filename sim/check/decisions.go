package check

import (
	"slices"

	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	coordinator "github.com/lockstep/lockstep/core/txn"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// I9, the transaction coordinators: a transactional id goes from state to state as KIP-98 has it, its epochs rise one by one and are never
// negative, and its transaction is complete when every partition has its marker.

// decision is one record of __transaction_state.
type decision struct {
	id         string
	producer   int64
	epoch      int16
	state      int8
	partitions []event.Partition
	gone       bool // a tombstone
}

// The states, as records have them.
const (
	txnEmpty int8 = iota
	txnOngoing
	txnPrepareCommit
	txnPrepareAbort
	txnCompleteCommit
	txnCompleteAbort
)

var txnStateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"}

// nextTxnStates are the states that may follow a state.
var nextTxnStates = [...][]int8{
	txnEmpty:          {txnEmpty, txnOngoing, txnPrepareAbort},
	txnOngoing:        {txnOngoing, txnPrepareCommit, txnPrepareAbort},
	txnPrepareCommit:  {txnCompleteCommit},
	txnPrepareAbort:   {txnCompleteAbort},
	txnCompleteCommit: {txnEmpty, txnOngoing, txnPrepareAbort},
	txnCompleteAbort:  {txnEmpty, txnOngoing, txnPrepareAbort},
}

// decisions is what the committed records of __transaction_state say.
type decisions struct {
	latest map[string]decision    // by transactional id
	ends   map[int64][]decidedEnd // by producer id, in order
}

type decidedEnd struct {
	epoch   int16
	outcome Outcome
}

// noteDecisions remembers the records of a batch of __transaction_state.
func (p *partition) noteDecisions(id int32, b record.Batch) {
	if p.id.Topic != config.TransactionState || b.IsControl() {
		return
	}
	var all []decision
	_ = b.Each(nil, func(r record.Record) error {
		if d, ok := parseDecision(r); ok {
			all = append(all, d)
		}
		return nil
	})
	if p.decided == nil {
		p.decided = map[int32][]decision{}
	}
	p.decided[id] = all
}

func parseDecision(r record.Record) (d decision, ok bool) {
	k, v := kmsg.NewTxnMetadataKey(), kmsg.NewTxnMetadataValue()
	if k.ReadFrom(r.Key) != nil {
		return d, false
	}
	d.id = string([]byte(k.TransactionalID))
	if r.Value == nil {
		d.gone = true
		return d, true
	}
	if v.ReadFrom(r.Value) != nil || int(v.State) >= len(txnStateNames) || v.State < 0 {
		return d, false
	}
	d.producer, d.epoch, d.state = v.ProducerID, v.ProducerEpoch, int8(v.State)
	for _, t := range v.Topics {
		for _, p := range t.Partitions {
			d.partitions = append(d.partitions, event.Partition{Topic: string([]byte(t.Topic)), Index: p})
		}
	}
	return d, true
}

// onDecided takes the records of a batch that is committed now.
func (s *State) onDecided(p *partition, id int32) {
	for _, d := range p.decided[id] {
		if s.decisions.latest == nil {
			s.decisions.latest, s.decisions.ends = map[string]decision{}, map[int64][]decidedEnd{}
		}
		before, known := s.decisions.latest[d.id]
		if d.gone {
			delete(s.decisions.latest, d.id)
			continue
		}
		if known && p.committed.isWhole(p) {
			s.checkTransition(p, &before, &d)
		}
		if d.epoch < 0 {
			s.violate("P6", "I9", s.did(p.truth.leader, "wrote it"), "transactional id %s has the producer epoch %d", d.id, d.epoch)
		}
		s.decisions.latest[d.id] = d
		switch d.state {
		case txnPrepareCommit:
			s.decisions.ends[d.producer] = append(s.decisions.ends[d.producer], decidedEnd{d.epoch, Committed})
		case txnPrepareAbort:
			s.decisions.ends[d.producer] = append(s.decisions.ends[d.producer], decidedEnd{d.epoch, Aborted})
		}
	}
	delete(p.decided, id)
}

func (s *State) checkTransition(p *partition, before, d *decision) {
	cause := s.did(p.truth.leader, "wrote it")
	if !slices.Contains(nextTxnStates[before.state], d.state) {
		s.violate("P6", "I9", cause, "transactional id %s went from %s to %s", d.id, txnStateNames[before.state], txnStateNames[d.state])
	}
	if d.producer == before.producer && (d.epoch < before.epoch || int(d.epoch) > int(before.epoch)+1 && d.epoch != coordinator.LeapEpoch) {
		s.violate("P6", "I9", cause, "transactional id %s went from producer epoch %d to %d", d.id, before.epoch, d.epoch)
	}
	if d.state < txnCompleteCommit {
		return
	}
	for _, id := range before.partitions {
		x := s.intern(id)
		dense, known := s.producers[before.producer]
		if open := x.txns.open[dense]; known && len(open) > 0 && x.committed.isWhole(x) && !x.deleted {
			s.violate("P6", "I9", cause, "transactional id %s is in %s, though what its producer wrote to %s from %d on has no marker", d.id, txnStateNames[d.state], id, x.batches[open[0]].base)
		}
	}
}

// checkDecided: what a marker says somebody has decided.
func (s *State) checkDecided(p *partition, marker *batch) {
	if s.decisions.latest == nil {
		return
	}
	decided := slices.Contains(s.decisions.ends[s.ids[marker.producer]], decidedEnd{marker.producerEpoch, marker.marker})
	if !decided && p.committed.isWhole(p) && s.decisionsWhole() {
		s.violate("P6", "I9", s.did(p.truth.leader, "took it"), "the marker %s, of producer epoch %d, ends a transaction in a way that its coordinator has not decided",
			recordName(p.id, marker.base), marker.producerEpoch)
	}
}

// MayHang reports whether a transaction may stay open for ever: records of it, its markers, or what its coordinator knew are lost as the
// configuration allows.
func (s *State) MayHang() bool {
	return !s.decisionsWhole() || slices.ContainsFunc(s.partitions, func(p *partition) bool { return p.hasTxns && !p.committed.isWhole(p) })
}

// decisionsWhole reports whether the coordinators have all that was ever decided.
func (s *State) decisionsWhole() bool {
	for _, p := range s.partitions {
		if p.id.Topic == config.TransactionState && !p.committed.isWhole(p) {
			return false
		}
	}
	return true
}
