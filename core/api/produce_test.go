package api_test

import (
	"fmt"
	"testing"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestProduceIsAnsweredWithItsOffsetInEveryVersion(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	for version := int16(3); version <= 13; version++ {
		for _, acks := range []int16{1, -1} {
			want := x.nodes[0].broker.Replicas().Partition(event.Partition{Topic: "t"}).Log().LogEndOffset()
			p := x.produce(version, acks, "t", id, plain("a", "b"))
			x.code(fmt.Sprintf("v%d acks %d", version, acks), p.ErrorCode, nil)
			if p.BaseOffset != want || p.LogAppendTime != -1 || p.LogStartOffset > 0 {
				t.Errorf("v%d acks %d: %+v, want offset %d", version, acks, p, want)
			}
		}
	}
}

func TestProduceWithoutAcksIsNotAnswered(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	x.send(produceRequest(13, 0, "t", id, 0, plain("a")))
	x.sent-- // no answer has its number
	if p := x.produce(13, 1, "t", id, plain("b")); p.BaseOffset != 1 {
		t.Errorf("second record at %d", p.BaseOffset)
	}
}

func TestProduceWithoutAcksThatFailsClosesTheConnection(t *testing.T) {
	c := start(t, 1)
	id := c.client().topic("t", 1)
	x := c.client()
	x.send(produceRequest(13, 0, "t", id, 1, plain("a")))
	x.expectClosed()
}

func TestProduceIsRefused(t *testing.T) {
	c := start(t, 1)
	x := c.client()
	id := x.topic("t", 1, "max.message.bytes=200")
	bad := plain("a")
	bad[len(bad)-1]++
	ofTransaction := record.BatchOptions{ProducerID: 5, Transactional: true}
	twoProducers := produceRequest(9, -1, "t", id, 0, batch(ofTransaction, "a"))
	twoProducers.TransactionID = kmsg.StringPtr("x")
	twoProducers.Topics[0].Partitions = append(twoProducers.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{Records: batch(record.BatchOptions{ProducerID: 6, Transactional: true}, "b")})
	for what, r := range map[string]struct {
		req  *kmsg.ProduceRequest
		want *kerr.Error
	}{
		"acks 2":            {produceRequest(9, 2, "t", id, 0, plain("a")), kerr.InvalidRequiredAcks},
		"acks -2":           {produceRequest(9, -2, "t", id, 0, plain("a")), kerr.InvalidRequiredAcks},
		"unknown topic":     {produceRequest(9, 1, "u", id, 0, plain("a")), kerr.UnknownTopicOrPartition},
		"unknown id":        {produceRequest(13, 1, "t", [16]byte{1}, 0, plain("a")), kerr.UnknownTopicID},
		"no id":             {produceRequest(13, 1, "t", [16]byte{}, 0, plain("a")), kerr.UnknownTopicID},
		"unknown partition": {produceRequest(13, 1, "t", id, 1, plain("a")), kerr.UnknownTopicOrPartition},
		"negative":          {produceRequest(9, 1, "t", id, -1, plain("a")), kerr.UnknownTopicOrPartition},
		"bad CRC":           {produceRequest(9, 1, "t", id, 0, bad), kerr.CorruptMessage},
		"too large":         {produceRequest(9, 1, "t", id, 0, plain(string(make([]byte, 200)))), kerr.MessageTooLarge},
		"two batches":       {produceRequest(9, 1, "t", id, 0, append(plain("a"), plain("b")...)), kerr.InvalidRecord},
		"no batch":          {produceRequest(9, 1, "t", id, 0, nil), kerr.InvalidRecord},
		"no transaction":    {produceRequest(9, -1, "t", id, 0, batch(ofTransaction, "a")), kerr.TransactionalIDAuthorizationFailed},
		"two producers":     {twoProducers, kerr.InvalidProducerIDMapping},
	} {
		p := ask[*kmsg.ProduceResponse](x, r.req).Topics[0].Partitions[0]
		x.code(what, p.ErrorCode, r.want)
		if p.BaseOffset != -1 || p.ErrorMessage != nil || p.Partition != r.req.Topics[0].Partitions[0].Partition {
			t.Errorf("%s: %+v", what, p)
		}
	}
	if leo := c.logEnd(); leo != 0 {
		t.Errorf("%d records were appended", leo)
	}
}

// TestAProducerIsToldWhereTheLogBegins also with an error, but for those that Kafka tells before it looks at the log.
func TestAProducerIsToldWhereTheLogBegins(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1, "max.message.bytes=200")
	x.produce(9, -1, "t", id, batch(record.BatchOptions{ProducerID: 5}, "a"))
	control := batch(record.BatchOptions{ProducerID: -1, Control: true}, "a")
	bad := plain("a")
	bad[len(bad)-1]++
	for what, c := range map[string]struct {
		records []byte
		err     *kerr.Error
		start   int64
	}{
		"gap":       {batch(record.BatchOptions{ProducerID: 5, BaseSequence: 9}, "a"), kerr.OutOfOrderSequenceNumber, 0},
		"control":   {control, kerr.InvalidRecord, 0},
		"no batch":  {nil, kerr.InvalidRecord, -1},
		"bad CRC":   {bad, kerr.CorruptMessage, -1},
		"too large": {plain(string(make([]byte, 200))), kerr.MessageTooLarge, -1},
	} {
		p := x.produce(9, -1, "t", id, c.records)
		x.code(what, p.ErrorCode, c.err)
		if p.LogStartOffset != c.start {
			t.Errorf("%s: the log is said to begin at %d, not %d", what, p.LogStartOffset, c.start)
		}
	}
	p := ask[*kmsg.ProduceResponse](x, produceRequest(9, -1, "t", id, 7, control)).Topics[0].Partitions[0]
	x.code("a control batch for no partition", p.ErrorCode, kerr.UnknownTopicOrPartition)
}

func TestOneBadPartitionDoesNotKeepTheOthers(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 2)
	req := produceRequest(13, -1, "t", id, 1, plain("a"))
	req.Topics = append(req.Topics, produceRequest(13, -1, "", [16]byte{7}, 0, plain("b")).Topics[0], produceRequest(13, -1, "t", id, 0, plain("c")).Topics[0])
	resp := ask[*kmsg.ProduceResponse](x, req)
	for i, want := range []*kerr.Error{nil, kerr.UnknownTopicID, nil} {
		x.code("topic", resp.Topics[i].Partitions[0].ErrorCode, want)
	}
	if resp.Topics[1].TopicID != [16]byte{7} || resp.Topics[0].Partitions[0].Partition != 1 {
		t.Errorf("the answers are not in the order of the request: %+v", resp.Topics)
	}
}

func TestDuplicateIsAnsweredWithItsFirstOffset(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version = 5
	pid := ask[*kmsg.InitProducerIDResponse](x, init)
	x.code("init", pid.ErrorCode, nil)
	send := func(sequence int32) kmsg.ProduceResponseTopicPartition {
		return x.produce(13, -1, "t", id, batch(record.BatchOptions{ProducerID: pid.ProducerID, ProducerEpoch: pid.ProducerEpoch, BaseSequence: sequence}, "v"))
	}
	for i := range int32(5) {
		if p := send(i); p.BaseOffset != int64(i) {
			t.Errorf("sequence %d at %d", i, p.BaseOffset)
		}
	}
	if p := send(2); p.ErrorCode != 0 || p.BaseOffset != 2 {
		t.Errorf("duplicate of offset 2: %+v", p)
	}
	x.code("gap", send(9).ErrorCode, kerr.OutOfOrderSequenceNumber)
}

func TestProducerIDsAreUnique(t *testing.T) {
	c := start(t, 3)
	seen := map[int64]bool{}
	for id := int32(1); id <= 3; id++ {
		x := c.dial(id, clientPort)
		for version := range int16(6) {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.Version = version
			resp := ask[*kmsg.InitProducerIDResponse](x, req)
			c.code("init", resp.ErrorCode, nil)
			if seen[resp.ProducerID] || resp.ProducerEpoch != 0 {
				t.Errorf("producer id %d, epoch %d", resp.ProducerID, resp.ProducerEpoch)
			}
			seen[resp.ProducerID] = true
		}
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.ProducerID, req.ProducerEpoch = 5, 4, -1
		c.code("half an id", ask[*kmsg.InitProducerIDResponse](x, req).ErrorCode, kerr.InvalidRequest)
		req.ProducerEpoch, req.TransactionalID = 0, kmsg.StringPtr("x")
		c.code("no timeout", ask[*kmsg.InitProducerIDResponse](x, req).ErrorCode, kerr.InvalidTransactionTimeout)
		req.TransactionTimeoutMillis = 1
		c.code("no coordinator", ask[*kmsg.InitProducerIDResponse](x, req).ErrorCode, kerr.CoordinatorNotAvailable)
		req.TransactionalID = kmsg.StringPtr("")
		c.code("no transactional id", ask[*kmsg.InitProducerIDResponse](x, req).ErrorCode, kerr.InvalidRequest)
	}
}

func TestProducerIDWithoutAControllerIsARetriableError(t *testing.T) {
	c := start(t, 3)
	stays := c.follower()
	x := c.dial(stays.id, clientPort)
	for _, n := range c.nodes {
		if n != stays {
			n.loop.Kill()
			n.host.Crash(false)
		}
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = 5
	c.code("init", ask[*kmsg.InitProducerIDResponse](x, req).ErrorCode, kerr.CoordinatorLoadInProgress)
}

func TestWrongLeaderNamesTheRightOne(t *testing.T) {
	c := start(t, 3)
	x := c.client()
	id := x.topicOf("t", 1, 1)
	leader := c.nodes[0].broker.Image().Topic("t").Partitions[0].Leader
	y := c.dial(leader%3+1, clientPort)
	for version := int16(3); version <= 13; version++ {
		resp := ask[*kmsg.ProduceResponse](y, produceRequest(version, 1, "t", id, 0, plain("a")))
		p := resp.Topics[0].Partitions[0]
		c.code("produce", p.ErrorCode, kerr.NotLeaderForPartition)
		if version < 10 {
			continue
		}
		if p.CurrentLeader.LeaderID != leader || len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != leader || resp.Brokers[0].Host != fmt.Sprint("n", leader) || resp.Brokers[0].Port != clientPort {
			t.Errorf("v%d: leader %+v, brokers %+v, want %d", version, p.CurrentLeader, resp.Brokers, leader)
		}
	}
	fetch := fetchRequest(16, "t", id, 0, 0)
	resp := ask[*kmsg.FetchResponse](y, fetch)
	p := resp.Topics[0].Partitions[0]
	c.code("fetch", p.ErrorCode, kerr.NotLeaderForPartition)
	if p.CurrentLeader.LeaderID != leader || len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != leader {
		t.Errorf("fetch: leader %+v, brokers %+v", p.CurrentLeader, resp.Brokers)
	}
}
