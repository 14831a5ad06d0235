package txn

import (
	"slices"
	"sort"
	"time"

	"github.com/lockstep/lockstep/core/buggify"
	"github.com/lockstep/lockstep/core/event"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// retryBackoff is the wait before a partition, or the transaction log, is tried again.
const retryBackoff = 100 * time.Millisecond

// ending is a transaction whose end is decided, until every partition has its marker.
type ending struct {
	m        *machine
	t        *transaction
	waiting  []event.Partition // without a marker, sorted
	again    []event.Partition // of these: to be tried again
	retrying bool
}

// tell sends the markers of a decision that is committed.
func (m *machine) tell(t *transaction) {
	e := &ending{m: m, t: t, waiting: slices.Clone(t.partitions)}
	m.endings[t.id] = e
	e.send(t.partitions)
	e.maybeComplete()
}

// isOver reports whether what comes back for e is of no interest any more.
func (e *ending) isOver() bool { return e.m.gone || e.m.endings[e.t.id] != e }

// send hands partitions to the leaders of now. A partition that is gone needs no marker.
func (e *ending) send(partitions []event.Partition) {
	c := e.m.coordinator
	for _, p := range partitions {
		reg := c.needs.Image().Partition(p)
		switch {
		case reg == nil:
			e.settle(p)
		case reg.Leader < 0:
			e.retry(p)
		default:
			c.destination(reg.Leader).add(e, p)
		}
	}
}

func (e *ending) settle(p event.Partition) {
	if at, found := slices.BinarySearchFunc(e.waiting, p, comparePartitions); found {
		e.waiting = slices.Delete(e.waiting, at, at+1)
	}
}

// retry has a partition tried again after a while, by whoever leads it then.
func (e *ending) retry(p event.Partition) {
	e.again = append(e.again, p)
	if e.retrying {
		return
	}
	e.retrying = true
	e.m.log.Loop().AfterFunc(retryBackoff, func() {
		again := e.again
		e.again, e.retrying = nil, false
		if !e.isOver() {
			e.send(again)
			e.maybeComplete()
		}
	})
}

// onAnswer takes what the leader says of a partition.
func (e *ending) onAnswer(p event.Partition, code int16) {
	switch code {
	case 0, kerr.UnsupportedForMessageFormat.Code, kerr.UnsupportedVersion.Code:
		e.settle(p)
	case kerr.InvalidProducerEpoch.Code, kerr.TransactionCoordinatorFenced.Code:
		delete(e.m.endings, e.t.id) // another coordinator has gone on with this id
	default:
		e.retry(p)
	}
}

// maybeComplete writes that the transaction has ended, once it has everywhere.
func (e *ending) maybeComplete() {
	if e.isOver() || len(e.waiting) > 0 {
		return
	}
	m := e.m
	if x := m.coordinator.env.Buggify; x.Fires(buggify.TxnCompleteLate) {
		m.log.Loop().AfterFunc(x.Delay(buggify.TxnCompleteLate, 500*time.Millisecond), e.maybeComplete)
		return
	}
	if m.write(e.t.completed(m.nowMs()), nil) == nil {
		delete(m.endings, e.t.id)
		return
	}
	m.log.Loop().AfterFunc(retryBackoff, e.maybeComplete) // also of a full disk the log says that this is no coordinator; it is over when m is gone
}

// destination is the markers that wait for the end of the turn to go to a broker in one request.
type destination struct {
	c       *Coordinator
	broker  int32
	pending []parcel
}

// parcel is the partitions of one transaction that a request has markers for.
type parcel struct {
	e          *ending
	partitions []event.Partition
}

func (c *Coordinator) destination(broker int32) *destination {
	at := sort.Search(len(c.outbox), func(i int) bool { return c.outbox[i].broker >= broker })
	if at == len(c.outbox) || c.outbox[at].broker != broker {
		c.outbox = slices.Insert(c.outbox, at, &destination{c: c, broker: broker})
	}
	return c.outbox[at]
}

func (d *destination) add(e *ending, p event.Partition) {
	if len(d.pending) == 0 {
		d.c.env.Loop.Defer(d.flush)
	}
	if n := len(d.pending); n > 0 && d.pending[n-1].e == e {
		d.pending[n-1].partitions = append(d.pending[n-1].partitions, p)
		return
	}
	d.pending = append(d.pending, parcel{e, []event.Partition{p}})
}

func (d *destination) flush() {
	if x := d.c.env.Buggify; x.Fires(buggify.TxnMarkersLate) {
		d.c.env.Loop.AfterFunc(x.Delay(buggify.TxnMarkersLate, 500*time.Millisecond), d.send)
		return
	}
	d.send()
}

func (d *destination) send() {
	sent := d.pending
	d.pending = nil
	d.c.needs.Send(d.broker, request(sent), func(resp kmsg.Response, err error) {
		for i := range sent {
			if !sent[i].e.isOver() {
				sent[i].onAnswer(resp, err)
			}
		}
		d.maybeSendAgain(sent)
	})
}

func request(sent []parcel) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	for i := range sent {
		req.Markers = append(req.Markers, sent[i].marker())
	}
	return req
}

// maybeSendAgain is an attempt that the network held back, and that was not needed any more.
func (d *destination) maybeSendAgain(sent []parcel) {
	x := d.c.env.Buggify
	if slices.ContainsFunc(sent, func(p parcel) bool { return p.e.t.version < 2 }) || !x.Fires(buggify.TxnMarkersTwice) {
		return
	}
	d.c.env.Loop.AfterFunc(x.Delay(buggify.TxnMarkersTwice, 500*time.Millisecond), func() {
		d.c.needs.Send(d.broker, request(sent), func(kmsg.Response, error) {})
	})
}

func (p *parcel) marker() kmsg.WriteTxnMarkersRequestMarker {
	t := p.e.t
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch, marker.Committed = t.producer.ID, t.producer.Epoch, t.state == PrepareCommit
	marker.CoordinatorEpoch, marker.TransactionVersion = p.e.m.log.Epoch(), int8(t.version)
	for _, partition := range p.partitions {
		if n := len(marker.Topics); n == 0 || marker.Topics[n-1].Topic != partition.Topic {
			marker.Topics = append(marker.Topics, kmsg.WriteTxnMarkersRequestMarkerTopic{Topic: partition.Topic})
		}
		last := &marker.Topics[len(marker.Topics)-1]
		last.Partitions = append(last.Partitions, partition.Index)
	}
	return marker
}

func (p *parcel) onAnswer(resp kmsg.Response, err error) {
	var codes map[event.Partition]int16
	if err == nil {
		codes = codesOf(resp.(*kmsg.WriteTxnMarkersResponse), p.e.t.producer.ID)
	}
	for _, partition := range p.partitions {
		code, ok := codes[partition]
		if !ok {
			code = kerr.RequestTimedOut.Code // not answered: nobody knows
		}
		p.e.onAnswer(partition, code)
	}
	p.e.maybeComplete()
}

func codesOf(resp *kmsg.WriteTxnMarkersResponse, producerID int64) map[event.Partition]int16 {
	codes := map[event.Partition]int16{}
	for _, marker := range resp.Markers {
		if marker.ProducerID != producerID {
			continue
		}
		for _, topic := range marker.Topics {
			for _, p := range topic.Partitions {
				codes[event.Partition{Topic: topic.Topic, Index: p.Partition}] = p.ErrorCode
			}
		}
	}
	return codes
}
