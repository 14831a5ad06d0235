package controller

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/record"
)

// batchSize is what the metadata log makes of records.
func batchSize(records []metadata.Record) int {
	b := record.NewBuilder(nil, record.BatchOptions{ProducerID: record.NoProducerID, BaseTimestamp: 1 << 40})
	for _, r := range metadata.MarshalAll(records) {
		b.Append(1<<40, nil, r)
	}
	return len(b.Build())
}

func many(name string, partitions int) kmsg.CreateTopicsRequestTopic {
	t := newTopicRequest(name, -1, -1)
	for n := range int32(partitions) {
		t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: n, Replicas: []int32{1, 2}})
	}
	return t
}

// Half a topic is no topic.
func TestAChangeLargerThanABatchIsRefusedWhole(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBatchBytes = 2000 })
	w.up(1, 2)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = []kmsg.CreateTopicsRequestTopic{many("a", 10), many("b", 10)}
	for _, topic := range got(w, free(w.CreateTopics), req).Topics {
		if topic.ErrorCode != kerr.PolicyViolation.Code || topic.ErrorMessage == nil || *topic.ErrorMessage != errTooLarge.Description {
			t.Errorf("%s: error %d", topic.Topic, topic.ErrorCode)
		}
	}
	if !w.Active() || w.committed.Topic("a") != nil || w.committed.Topic("b") != nil {
		t.Error("the controller gave up, or did a part of it")
	}
	for _, topic := range req.Topics { // one by one
		if rt := w.create(topic); rt.ErrorCode != 0 {
			t.Errorf("%s: error %d", topic.Topic, rt.ErrorCode)
		}
		if size := batchSize(w.last); size > 2000 || size < 1000 {
			t.Errorf("a batch of %d bytes", size)
		}
	}
}

// However many partitions a broker has, it is fenced, and after the last of its ISRs.
func TestFencingTakesAsManyBatchesAsItNeeds(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBatchBytes = 2000 })
	w.up(1, 2)
	for _, name := range []string{"a", "b", "c", "d"} {
		w.create(many(name, 15))
	}
	w.write(w.fenceRecords(w.Image().Broker(1)), func(err error) {
		if err != errTooLarge {
			t.Errorf("in one batch: %v", err)
		}
	})
	before := w.committed.Offset()
	answered := false
	w.writeInParts(w.fenceRecords(w.Image().Broker(1)), func(err error) { answered = err == nil })
	if len(w.q.batches) < 2 || answered {
		t.Fatalf("%d batches, answered before they have committed: %v", len(w.q.batches), answered)
	}
	for n, batch := range w.q.batches {
		size := batchSize(batch)
		if size > 2000 || n < len(w.q.batches)-1 && size < 1000 {
			t.Errorf("batch %d of %d bytes", n, size)
		}
	}
	w.commit()
	if _, last := w.last[len(w.last)-1].(*metadata.BrokerRegistrationChangeRecord); !last || !w.committed.Broker(1).Fenced || !answered {
		t.Errorf("fenced %v, answered %v; the last record is %T", w.committed.Broker(1).Fenced, answered, w.last[len(w.last)-1])
	}
	if written := w.committed.Offset() - before; written != 61 {
		t.Errorf("%d records", written)
	}
	w.expect("d", 2, []int32{2}, []int32{1})
}

func TestARecordLargerThanABatchIsRefused(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxBatchBytes = 2000 })
	req := registration(1, 0)
	for range 100 {
		req.Listeners = append(req.Listeners, kmsg.BrokerRegistrationRequestListener{Name: "a listener of very many", Host: "host"})
	}
	if resp := got(w, w.RegisterBroker, req); resp.ErrorCode != kerr.PolicyViolation.Code || !w.Active() {
		t.Errorf("error %d, active %v", resp.ErrorCode, w.Active())
	}
}
