package api_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
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

func TestProducerThatWasTakenOverIsFenced(t *testing.T) {
	for version := int16(1); version <= 2; version++ {
		w := newTxnWorld(t, 1)
		zombie := w.initialize("id", version)
		zombie.addAll()
		w.code("produce", zombie.produce(0, "zombie's").ErrorCode, nil)
		p := w.initialize("id", version)
		p.addAll()
		w.code("produce", p.produce(0, "successor's").ErrorCode, nil)
		w.code("the zombie's produce", zombie.produce(0, "late").ErrorCode, kerr.InvalidProducerEpoch)
		w.code("the zombie's end", ask[*kmsg.EndTxnResponse](w.coordinator("id"), zombie.endRequest(true)).ErrorCode, kerr.ProducerFenced)
		old := zombie.endRequest(true)
		old.Version = 1
		w.code("to one that does not know the error", ask[*kmsg.EndTxnResponse](w.coordinator("id"), old).ErrorCode, kerr.InvalidProducerEpoch)
		p.end(true)
		w.expectSoon("after the end", 0, "successor's")
	}
}

func TestTransactionWhoseProducerIsGoneIsAborted(t *testing.T) {
	w := newTxnWorld(t, 3, "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000")
	p := w.initialize("id", 2)
	w.code("produce", p.produce(0, "lost").ErrorCode, nil)
	after := w.leader("t", 0).produce(13, -1, "t", w.topicID, plain("after"))
	w.code("produce", after.ErrorCode, nil)
	w.wait(50 * time.Second)
	w.expect("while it is open", 0)
	w.wait(20 * time.Second)
	w.expect("after its timeout", 0, "after")
}

// describeOne is what the coordinator says of a transactional id.
func (w *txnWorld) describeOne(id string) kmsg.DescribeTransactionsResponseTransactionState {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{id}
	return ask[*kmsg.DescribeTransactionsResponse](w.coordinator(id), req).TransactionStates[0]
}

func TestTransactionsAreDescribedAndListed(t *testing.T) {
	w := newTxnWorld(t, 3)
	p := w.initialize("id", 1)
	w.code("add", p.add(1), nil)
	w.code("produce", p.produce(1, "a", "b").ErrorCode, nil)
	d := w.describeOne("id")
	if d.ErrorCode != 0 || d.State != "Ongoing" || d.ProducerID != p.pid || d.ProducerEpoch != p.epoch || d.TimeoutMillis != 60_000 || d.StartTimestamp <= 0 ||
		len(d.Topics) != 1 || d.Topics[0].Topic != "t" || !slices.Equal(d.Topics[0].Partitions, []int32{1}) {
		t.Errorf("described %+v", d)
	}
	w.code("unknown", w.describeOne("other").ErrorCode, kerr.TransactionalIDNotFound)
	elsewhere := kmsg.NewPtrDescribeTransactionsRequest()
	elsewhere.TransactionalIDs = []string{"id", ""}
	for _, x := range w.clients {
		if x != w.coordinator("id") {
			states := ask[*kmsg.DescribeTransactionsResponse](x, elsewhere).TransactionStates
			w.code("elsewhere", states[0].ErrorCode, kerr.NotCoordinator)
			w.code("no id", states[1].ErrorCode, kerr.InvalidRequest)
		}
	}

	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{1, 9}}, {Topic: "a/b", Partitions: []int32{0}}}
	told := ask[*kmsg.DescribeProducersResponse](w.leader("t", 1), producers)
	w.code("unknown partition", told.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
	w.code("no topic's name", told.Topics[1].Partitions[0].ErrorCode, kerr.InvalidTopicException)
	if active := told.Topics[0].Partitions[0].ActiveProducers; len(active) != 1 || active[0].ProducerID != p.pid || active[0].LastSequence != 1 || active[0].CurrentTxnStartOffset != 0 {
		t.Errorf("producers %+v", told.Topics[0].Partitions[0])
	}
	producers.Topics = producers.Topics[:1]
	for _, x := range w.clients { // kafka-transactions find-hanging asks one broker about all that it has
		w.until("every replica knows the producer", func() bool {
			r := ask[*kmsg.DescribeProducersResponse](x, producers).Topics[0].Partitions[0]
			w.code("a replica", r.ErrorCode, nil)
			return len(r.ActiveProducers) == 1 && r.ActiveProducers[0].CurrentTxnStartOffset == 0
		})
	}

	list := func(req *kmsg.ListTransactionsRequest) (ids string) {
		req.Version = 2
		resp := ask[*kmsg.ListTransactionsResponse](w.coordinator("id"), req)
		w.code("list", resp.ErrorCode, nil)
		for _, s := range resp.TransactionStates {
			ids += s.TransactionalID + ":" + s.TransactionState
		}
		return ids + " " + fmt.Sprint(resp.UnknownStateFilters)
	}
	all := func() *kmsg.ListTransactionsRequest {
		r := kmsg.NewPtrListTransactionsRequest()
		r.DurationFilterMillis = -1
		return r
	}
	for name, c := range map[string]struct {
		change func(*kmsg.ListTransactionsRequest)
		want   string
	}{
		"all":             {func(*kmsg.ListTransactionsRequest) {}, "id:Ongoing []"},
		"state":           {func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Empty", "Wild"} }, " [Wild]"},
		"producer":        {func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{p.pid + 1} }, " []"},
		"its producer":    {func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{p.pid} }, "id:Ongoing []"},
		"open for long":   {func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 1_000_000 }, " []"},
		"pattern":         {func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("i.") }, "id:Ongoing []"},
		"another pattern": {func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("i") }, " []"},
	} {
		req := all()
		c.change(req)
		if got := list(req); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	bad := all()
	for _, pattern := range []string{"(", "a{1000}b{1000}c{1000}"} {
		bad.Version, bad.TransactionalIDPattern = 2, &pattern
		w.code(pattern, ask[*kmsg.ListTransactionsResponse](w.clients[0], bad).ErrorCode, kerr.InvalidRegularExpression)
	}
}

// A partition takes the records of a transaction only if the coordinator knows of it (KIP-890); how old clients are told of it depends.
func TestRecordsWithoutATransactionAreRefused(t *testing.T) {
	w := newTxnWorld(t, 3)
	p := w.initialize("id", 1)
	for version, want := range map[int16]*kerr.Error{9: kerr.InvalidTxnState, 10: kerr.InvalidTxnState, 11: kerr.TransactionAbortable} {
		resp := ask[*kmsg.ProduceResponse](w.leader("t", 0), p.request(version, 0, "v"))
		w.code(fmt.Sprint("v", version), resp.Topics[0].Partitions[0].ErrorCode, want)
		p.seqs = [2]int32{}
	}
	w.code("add", p.add(0), nil)
	w.code("the partition that was added", p.produce(0, "v").ErrorCode, nil)
	w.code("the one that was not", p.produce(1, "v").ErrorCode, kerr.TransactionAbortable)
	w.code("an unknown partition", p.add(0, 7), kerr.OperationNotAttempted)
	stranger := *p
	stranger.pid++
	stranger.seqs = [2]int32{}
	w.code("a stranger", stranger.produce(0, "v").ErrorCode, kerr.InvalidProducerIDMapping)
	p.end(true)
	w.expectSoon("in the end", 0, "v")
	if got := w.read(1, false); len(got) != 0 {
		t.Errorf("%v were appended", got)
	}
}

func TestRecordsNeedNoTransactionIfVerificationIsOff(t *testing.T) {
	w := newTxnWorld(t, 1, "transaction.partition.verification.enable=false")
	p := w.initialize("id", 1)
	w.code("produce", p.produce(0, "v").ErrorCode, nil)
}

func TestVerificationIsSwitchedWhileBrokersRun(t *testing.T) {
	w := newTxnWorld(t, 1)
	p := w.initialize("id", 1)
	set := func(on bool) {
		const key = "transaction.partition.verification.enable"
		w.code("alter", w.clients[0].alter(alteration(ofBroker, "", fmt.Sprintf("SET %s=%t", key, on)))[0].ErrorCode, nil)
		w.until("it is known", func() bool { return strings.HasPrefix(w.clients[0].described(ofBroker, "1", key), fmt.Sprint(on)) })
	}
	set(false)
	w.code("off", p.produce(0, "v").ErrorCode, nil)
	set(true)
	w.code("on", p.produce(1, "v").ErrorCode, kerr.TransactionAbortable)
}

// While the first records of a transaction wait for the coordinator others come; they must not overtake them.
func TestRecordsStayInOrderWhileTheCoordinatorIsAsked(t *testing.T) {
	w := newTxnWorld(t, 3)
	p := w.initialize("id", 2)
	p.version = 2
	x := w.leader("t", 0)
	var want []string
	var requests []*kmsg.ProduceRequest
	first := x.sent
	for i := range 8 {
		value := fmt.Sprint("v", i)
		want = append(want, value)
		requests = append(requests, p.request(13, 0, value))
		x.send(requests[i])
	}
	for i, req := range requests {
		part := x.next(req, first+int32(i)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		w.code(fmt.Sprint("record ", i), part.ErrorCode, nil)
		if part.BaseOffset != int64(i) {
			t.Errorf("record %d has offset %d", i, part.BaseOffset)
		}
	}
	p.end(true)
	w.expectSoon("in the end", 0, want...)
}

// TestTransactionalIDFitsItsRecord: one that is longer than an int16 tells was answered by a panic.
func TestTransactionalIDFitsItsRecord(t *testing.T) {
	w := newTxnWorld(t, 1)
	w.initialize(strings.Repeat("x", math.MaxInt16), 2)
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, kmsg.StringPtr(strings.Repeat("x", 40_000)), 60_000
	w.hit(clientPort, encode(req, 1), "a long transactional id")
}

func TestRetriedEndIsAnsweredAsTheFirst(t *testing.T) {
	w := newTxnWorld(t, 3)
	p := w.initialize("id", 2)
	w.code("produce", p.produce(0, "v").ErrorCode, nil)
	again := p.endRequest(true)
	p.end(true)
	w.expectSoon("in the end", 0, "v")
	resp := ask[*kmsg.EndTxnResponse](w.coordinator("id"), again)
	w.code("again", resp.ErrorCode, nil)
	if resp.ProducerID != p.pid || resp.ProducerEpoch != p.epoch {
		t.Errorf("the retry gives %d,%d, the first try gave %d,%d", resp.ProducerID, resp.ProducerEpoch, p.pid, p.epoch)
	}
	p.end(false) // of nothing: the producer need not know
	w.code("produce", p.produce(0, "w").ErrorCode, nil)
	p.end(true)
	w.expectSoon("in the end", 0, "v", "w")
}

// What a fetch reads from the disk is bounded by the last stable offset as well (KAFKA-9807), and names the aborted that it may meet.
func TestReadCommittedFromDisk(t *testing.T) {
	w := newTxnWorld(t, 1)
	p := w.initialize("id", 2)
	x := w.leader("t", 0)
	const before, after = 10, 500 // more than the log remembers
	for range before {
		x.produce(13, 1, "t", w.topicID, plain("before"))
	}
	w.code("produce", p.produce(0, "aborted").ErrorCode, nil)
	for range after {
		x.produce(13, 1, "t", w.topicID, plain("after"))
	}
	if got := w.read(0, true); len(got) != before {
		t.Errorf("%d records while a transaction is open, want %d", len(got), before)
	}
	p.end(false)
	w.until("it is aborted", func() bool { return len(w.read(0, true)) > before })
	if got := w.read(0, true); slices.Contains(got, "aborted") || len(got) < before+after/2 {
		t.Errorf("%d records, the aborted among them: %v", len(got), slices.Contains(got, "aborted"))
	}
}

// commitOffset sends an offset for partition 0 of "t", in the name of a group without members.
func (p *txnProducer) commitOffset(group string, offset int64) int16 {
	p.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = 3, p.id, group, p.pid, p.epoch
	if p.version >= 2 {
		req.Version = 5
	}
	req.Generation = -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = "t"
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Offset = offset
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	return ask[*kmsg.TxnOffsetCommitResponse](p.groupCoordinator(group), req).Topics[0].Partitions[0].ErrorCode
}

func (w *txnWorld) groupCoordinator(group string) *client {
	return w.leader("__consumer_offsets", coordinator.PartitionFor(group, 4))
}

// offset is what a group has committed, or the error.
func (w *txnWorld) offset(group string, stable bool) (offset int64, code int16) {
	w.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.RequireStable = 8, stable
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = "t", []int32{0}
	g.Topics = append(g.Topics, topic)
	req.Groups = append(req.Groups, g)
	part := ask[*kmsg.OffsetFetchResponse](w.groupCoordinator(group), req).Groups[0].Topics[0].Partitions[0]
	return part.Offset, part.ErrorCode
}

func TestOffsetsCountWhenTheirTransactionIsCommitted(t *testing.T) {
	for version := int16(1); version <= 2; version++ {
		w := newTxnWorld(t, 3)
		p := w.initialize("id", version)
		w.code("no group", p.commitOffset("", 9), kerr.InvalidGroupID)
		for i, commit := range []bool{true, false, true} {
			before, _ := w.offset("g", false)
			if version == 1 {
				if i == 0 {
					w.code("without a transaction", p.commitOffset("g", 9), kerr.InvalidTxnState)
				}
				req := kmsg.NewPtrAddOffsetsToTxnRequest()
				req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 3, "id", p.pid, p.epoch, "g"
				w.until("the group is added", func() bool { return ask[*kmsg.AddOffsetsToTxnResponse](w.coordinator("id"), req).ErrorCode == 0 })
			}
			w.code("commit", p.commitOffset("g", int64(10+i)), nil)
			if now, _ := w.offset("g", false); now != before {
				t.Errorf("version %d: %d counts before the end", version, now)
			}
			_, code := w.offset("g", true)
			w.code("whoever wants to be sure", code, kerr.UnstableOffsetCommit)
			p.end(commit)
			want := before
			if commit {
				want = int64(10 + i)
			}
			w.until(fmt.Sprint("version ", version, ": the offset is ", want), func() bool {
				now, code := w.offset("g", true)
				return code == 0 && now == want
			})
		}
	}
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
