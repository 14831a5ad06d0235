package api

import (
	"time"

	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce (key 0), versions 3 to 13. Batches were validated by the decoder, off the loop; what
// remains is the topic's max.message.bytes. acks=0 gets no answer; if one of its partitions failed, the
// connection is closed so that the client notices. From version 10 a wrong leader answers with the right
// one (KIP-951), from 13 topics are named by id. Not supported: transactional ids.
func (k *call) produce() {
	req := k.req.Produce
	p := &produceCall{call: k, results: make([]replica.ProduceResult, 0, countPartitions(req))}
	if badAcks := req.Acks < -1 || req.Acks > 1; badAcks || req.TransactionalID != nil {
		err := error(kerr.InvalidRequiredAcks)
		if !badAcks {
			err = kerr.TransactionalIDAuthorizationFailed // no transaction coordinator: nothing may be written in its name
		}
		p.failAll(err)
		return
	}
	entries := p.admitted()
	if len(entries) == 0 {
		p.answer()
		return
	}
	timeout := time.Duration(max(req.TimeoutMs, 0)) * time.Millisecond
	k.server.Replicas.Produce(req.Acks, timeout, entries, k.frame, p.complete)
}

func countPartitions(req *wire.Produce) int {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	return n
}

// produceCall gathers the results of one Produce, in request order.
type produceCall struct {
	*call
	results []replica.ProduceResult
	slots   []int // which result an entry handed to the replica manager fills
}

func (p *produceCall) failAll(err error) {
	for range countPartitions(p.req.Produce) {
		p.results = append(p.results, failedProduce(err))
	}
	p.answer()
}

func failedProduce(err error) replica.ProduceResult {
	return replica.ProduceResult{Err: err, BaseOffset: -1, LogStartOffset: -1, CurrentLeader: wire.Leader{ID: -1, Epoch: -1}}
}

// admitted fills in the results of what cannot be appended and returns the rest.
func (p *produceCall) admitted() []replica.ProduceEntry {
	image := p.server.Image()
	entries := make([]replica.ProduceEntry, 0, cap(p.results))
	for i := range p.req.Produce.Topics {
		topic := &p.req.Produce.Topics[i]
		name, id, err := p.resolve(image, topic)
		maxBytes := p.server.maxMessageBytes(name)
		for j := range topic.Partitions {
			part := &topic.Partitions[j]
			switch {
			case err != nil:
				p.results = append(p.results, failedProduce(err))
			case part.Err != nil:
				p.results = append(p.results, failedProduce(part.Err))
			case part.Batch.Size() > maxBytes:
				p.results = append(p.results, failedProduce(kerr.MessageTooLarge))
			default:
				p.slots = append(p.slots, len(p.results))
				p.results = append(p.results, replica.ProduceResult{})
				entries = append(entries, replica.ProduceEntry{Partition: event.Partition{Topic: name, Index: part.Index}, TopicID: id, Batch: part.Batch})
			}
		}
	}
	return entries
}

// resolve finds a topic by the name or, from version 13, the id of the request.
func (p *produceCall) resolve(image *metadata.Image, topic *wire.ProduceTopic) (string, [16]byte, error) {
	if p.req.Version >= 13 {
		t := image.TopicByID(topic.TopicID)
		if t == nil {
			return "", topic.TopicID, kerr.UnknownTopicID
		}
		return t.Name, t.ID, nil
	}
	t := image.Topic(topic.Topic)
	if t == nil {
		return "", [16]byte{}, kerr.UnknownTopicOrPartition
	}
	return t.Name, t.ID, nil
}

func (p *produceCall) complete(results []replica.ProduceResult) {
	for i, slot := range p.slots {
		p.results[slot] = results[i]
	}
	p.answer()
}

func (p *produceCall) answer() {
	if p.req.Produce.Acks == 0 {
		p.answerUnacknowledged()
		return
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = p.req.Version
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(p.req.Produce.Topics))
	hints := endpoints{server: p.server, listener: p.listener}
	next := 0
	for i := range p.req.Produce.Topics {
		asked, told := &p.req.Produce.Topics[i], &resp.Topics[i]
		told.Topic, told.TopicID = asked.Topic, asked.TopicID
		told.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(asked.Partitions))
		for j := range asked.Partitions {
			fillProduced(&told.Partitions[j], asked.Partitions[j].Index, &p.results[next], &hints)
			next++
		}
	}
	resp.Brokers = hints.forProduce()
	p.reply(resp)
}

func fillProduced(to *kmsg.ProduceResponseTopicPartition, index int32, r *replica.ProduceResult, hints *endpoints) {
	to.Default()
	to.Partition = index
	to.ErrorCode = wire.Code(r.Err)
	to.BaseOffset, to.LogStartOffset = r.BaseOffset, r.LogStartOffset
	if r.Err == nil {
		return
	}
	to.BaseOffset = -1
	to.CurrentLeader.LeaderID, to.CurrentLeader.LeaderEpoch = r.CurrentLeader.ID, r.CurrentLeader.Epoch
	hints.add(r.CurrentLeader.ID)
}

func (p *produceCall) answerUnacknowledged() {
	for i := range p.results {
		if p.results[i].Err != nil {
			p.disconnect()
			return
		}
	}
	p.replyNothing()
}
