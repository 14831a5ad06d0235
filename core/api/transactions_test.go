package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/coordinator"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnWorld is a cluster with a topic "t" of two partitions and a connection to each node.
type txnWorld struct {
	*cluster
	clients []*client // node n is at n-1
	topicID [16]byte
}

func newTxnWorld(t testing.TB, size int, more ...string) *txnWorld {
	factor := min(size, 3)
	w := &txnWorld{cluster: start(t, size, append(smallInternalTopics(factor), more...)...)}
	for id := 1; id <= size; id++ {
		w.clients = append(w.clients, w.dial(int32(id), clientPort))
	}
	w.topicID = w.clients[0].topicOf("t", 2, factor)
	for kind, topic := range []string{"__consumer_offsets", "__transaction_state"} {
		w.clients[0].awaitCoordinator(int8(kind), "x")
		w.until(topic+" is up", func() bool { return w.isUp(topic) })
	}
	return w
}

// leader is a client of who leads a partition.
func (w *txnWorld) leader(topic string, partition int32) *client {
	return w.clients[w.nodes[0].broker.Image().Partition(event.Partition{Topic: topic, Index: partition}).Leader-1]
}

func (w *txnWorld) coordinator(id string) *client {
	return w.leader("__transaction_state", coordinator.PartitionFor(id, 4))
}

// txnProducer is a producer with a transactional id, which speaks version 1 or 2 of the protocol.
type txnProducer struct {
	*txnWorld
	id      string
	version int16
	pid     int64
	epoch   int16
	seqs    [2]int32
}

// initialize asks until it is the producer.
func (w *txnWorld) initialize(id string, version int16) *txnProducer {
	w.Helper()
	p := &txnProducer{txnWorld: w, id: id, version: version}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, &id, 60_000
	w.until(id+" is initialized", func() bool {
		resp := ask[*kmsg.InitProducerIDResponse](w.coordinator(id), req)
		if resp.ErrorCode != 0 {
			w.code("initialize", resp.ErrorCode, kerr.ConcurrentTransactions)
			w.wait(10 * time.Millisecond)
			return false
		}
		p.pid, p.epoch = resp.ProducerID, resp.ProducerEpoch
		return true
	})
	return p
}

func (p *txnProducer) batch(partition int32, values ...string) []byte {
	b := batch(record.BatchOptions{ProducerID: p.pid, ProducerEpoch: p.epoch, BaseSequence: p.seqs[partition], Transactional: true}, values...)
	p.seqs[partition] += int32(len(values))
	return b
}

// request is a Produce of the producer's version.
func (p *txnProducer) request(version int16, partition int32, values ...string) *kmsg.ProduceRequest {
	req := produceRequest(version, -1, "t", p.topicID, partition, p.batch(partition, values...))
	req.TransactionID = &p.id
	return req
}

func (p *txnProducer) produce(partition int32, values ...string) kmsg.ProduceResponseTopicPartition {
	p.Helper()
	version := int16(11)
	if p.version >= 2 {
		version = 13
	}
	return ask[*kmsg.ProduceResponse](p.leader("t", partition), p.request(version, partition, values...)).Topics[0].Partitions[0]
}

// add makes partitions part of the transaction, as version 1 must.
func (p *txnProducer) add(partitions ...int32) int16 {
	p.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, p.id, p.pid, p.epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: partitions}}
	return ask[*kmsg.AddPartitionsToTxnResponse](p.coordinator(p.id), req).Topics[0].Partitions[0].ErrorCode
}

// addAll adds both partitions, with version 1, once the transaction before has ended.
func (p *txnProducer) addAll() {
	p.Helper()
	if p.version >= 2 {
		return
	}
	p.until("partitions are added", func() bool {
		code := p.add(0, 1)
		if code != 0 {
			p.code("add", code, kerr.ConcurrentTransactions)
			p.wait(10 * time.Millisecond)
		}
		return code == 0
	})
}

func (p *txnProducer) endRequest(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 4, p.id, p.pid, p.epoch, commit
	if p.version >= 2 {
		req.Version = 5
	}
	return req
}

// end ends the transaction and takes on what version 2 says of the next.
func (p *txnProducer) end(commit bool) {
	p.Helper()
	resp := ask[*kmsg.EndTxnResponse](p.coordinator(p.id), p.endRequest(commit))
	p.code("end", resp.ErrorCode, nil)
	if p.version >= 2 {
		p.pid, p.epoch, p.seqs = resp.ProducerID, resp.ProducerEpoch, [2]int32{}
	}
}

// read is the values of a partition as a consumer sees them that skips what was aborted, as the protocol says. It follows from the start.
func (w *txnWorld) read(partition int32, committed bool) (values []string) {
	w.Helper()
	req := fetchRequest(11, "t", [16]byte{}, partition, 0)
	if committed {
		req.IsolationLevel = 1
	}
	part := ask[*kmsg.FetchResponse](w.leader("t", partition), req).Topics[0].Partitions[0]
	w.code("fetch", part.ErrorCode, nil)
	if !committed && part.AbortedTransactions != nil {
		w.Errorf("read_uncommitted is told of %v", part.AbortedTransactions)
	}
	aborted := map[int64]bool{}
	list := part.AbortedTransactions
	for rest := part.RecordBatches; len(rest) > 0; {
		b, more, err := record.Parse(rest)
		if err != nil {
			w.Fatal(err)
		}
		rest = more
		for len(list) > 0 && list[0].FirstOffset <= b.LastOffset() {
			aborted[list[0].ProducerID], list = true, list[1:]
		}
		if b.IsControl() {
			delete(aborted, b.ProducerID())
			continue
		}
		if committed && b.IsTransactional() && aborted[b.ProducerID()] {
			continue
		}
		b.Each(&record.Scratch{}, func(r record.Record) error { values = append(values, string(r.Value)); return nil })
	}
	return values
}

func (w *txnWorld) expect(what string, partition int32, want ...string) {
	w.Helper()
	if got := w.read(partition, true); !slices.Equal(got, want) {
		w.Errorf("%s: partition %d has %v, want %v", what, partition, got, want)
	}
}

// expectSoon waits for what a consumer is to see.
func (w *txnWorld) expectSoon(what string, partition int32, want ...string) {
	w.Helper()
	w.until(fmt.Sprint(what, ": partition ", partition, " has ", want), func() bool { return slices.Equal(w.read(partition, true), want) })
}

func TestTransactionIsSeenWholeOrNotAtAll(t *testing.T) {
	for _, size := range []int{1, 3} {
		for version := int16(1); version <= 2; version++ {
			w := newTxnWorld(t, size)
			p := w.initialize("id", version)
			var want [2][]string
			for i, commit := range []bool{true, false, true, false, false, true} {
				p.addAll()
				for partition := range int32(2) {
					for n := range 2 {
						value := fmt.Sprint(i, "-", n)
						w.code("produce", p.produce(partition, value).ErrorCode, nil)
						if commit {
							want[partition] = append(want[partition], value)
						}
					}
					w.expect("while it is open", partition, want[partition][:len(want[partition])-map[bool]int{true: 2}[commit]]...)
				}
				p.end(commit)
				for partition := range int32(2) {
					w.expectSoon(fmt.Sprint("size ", size, " version ", version, " after end ", i), partition, want[partition]...)
				}
			}
		}
	}
}
