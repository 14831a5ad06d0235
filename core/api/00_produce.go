package api

import (
	"github.com/lockstep/lockstep/core/config"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/metadata"
	"github.com/lockstep/lockstep/core/quota"
	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/core/replica"
	"github.com/lockstep/lockstep/core/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce (key 0), versions 3 to 13. Batches were validated by the decoder, off the loop; what
// remains is the topic's max.message.bytes. acks=0 gets no answer; if one of its partitions failed, the
// connection is closed so that the client notices. From version 10 a wrong leader answers with the right
// one (KIP-951), from 13 topics are named by id. Internal
// topics take records of their coordinators only. The first records of a transaction in a partition wait until its coordinator says that
// the partition is part of it; from version 12 on, which is transaction.version 2, until it has made it so (KIP-890).
func (k *call) produce() {
	p := k.server.newProduceCall(k)
	p.admit()
	if p.isTransactional() {
		p.verify()
		return
	}
	p.append()
}

func (p *produceCall) append() {
	if len(p.entries) == 0 {
		p.answer()
		return
	}
	req := p.req.Produce
	p.server.Replicas.Produce(req.Acks, patience(req.TimeoutMs), p.entries, p.frame, p.onDone)
}

// produceCall gathers the results of one Produce, in request order. It is used again for another.
type produceCall struct {
	*call
	results []replica.ProduceResult
	entries []replica.ProduceEntry // what is to be appended
	slots   []int                  // which result each entry fills
	resp    kmsg.ProduceResponse
	topics  []kmsg.ProduceResponseTopic
	parts   []kmsg.ProduceResponseTopicPartition
	onDone  func([]replica.ProduceResult) // complete, bound once
}

func (s *Server) newProduceCall(k *call) *produceCall {
	n := len(s.produces) - 1
	if n < 0 {
		p := &produceCall{call: k}
		p.onDone = p.complete
		return p
	}
	p := s.produces[n]
	s.produces = s.produces[:n]
	p.call = k
	return p
}

// free makes p available for another request. It holds on to nothing of this one.
func (p *produceCall) free() {
	s := p.server
	clear(p.results)
	clear(p.entries)
	p.call, p.results, p.entries, p.slots = nil, p.results[:0], p.entries[:0], p.slots[:0]
	if cap(p.results) <= maxKept {
		s.produces = append(s.produces, p)
	}
}

// admit makes entries of what can be appended and fills in the results of the rest.
func (p *produceCall) admit() {
	refused := p.transactionRefusal()
	for i := range p.req.Produce.Topics {
		topic := &p.req.Produce.Topics[i]
		t, err := p.resolve(topic)
		if refused != nil {
			err = refused
		}
		maxBytes := 0
		if err == nil {
			maxBytes = p.server.maxMessageBytes(t.Name)
		}
		for j := range topic.Partitions {
			p.admitPartition(t, &topic.Partitions[j], maxBytes, err)
		}
	}
}

func (p *produceCall) admitPartition(t *metadata.Topic, part *wire.ProducePartition, maxBytes int, err error) {
	result := replica.NewProduceResult(err)
	acks := p.req.Produce.Acks
	switch {
	case err != nil:
	case !hasPartition(t, part.Index):
		result.Err = kerr.UnknownTopicOrPartition
	case part.Batch == nil:
		result.Err = part.Err
	case acks < -1 || acks > 1:
		result.Err = kerr.InvalidRequiredAcks
	case config.IsInternal(t.Name):
		result.Err = kerr.InvalidTopicException // its coordinator would not know of the records
	case part.Batch.Size() > maxBytes:
		result = p.refuseBatch(t, part, kerr.MessageTooLarge)
	case part.Err != nil:
		result = p.refuseBatch(t, part, part.Err)
	default:
		p.slots = append(p.slots, len(p.results))
		p.entries = append(p.entries, replica.ProduceEntry{Partition: event.Partition{Topic: t.Name, Index: part.Index}, TopicID: t.ID, Batch: part.Batch, Facts: part.Facts})
	}
	p.results = append(p.results, result)
}

// refuseBatch is the result of a batch that cannot be taken: that, unless its partition takes none at all.
func (p *produceCall) refuseBatch(t *metadata.Topic, part *wire.ProducePartition, err error) replica.ProduceResult {
	id := event.Partition{Topic: t.Name, Index: part.Index}
	result := p.server.Replicas.RefuseProduce(id, t.ID, p.req.Produce.Acks, err)
	p.pointToLeader(&result, id)
	return result
}

// pointToLeader tells who came to the wrong broker what the metadata says, where the partition itself does not know.
func (p *produceCall) pointToLeader(r *replica.ProduceResult, id event.Partition) {
	if r.Err == kerr.NotLeaderForPartition && r.CurrentLeader.ID < 0 {
		r.CurrentLeader = p.server.leaderOf(id)
	}
}

// resolve finds a topic by the name or, from version 13, the id of the request.
func (p *produceCall) resolve(topic *wire.ProduceTopic) (*metadata.Topic, error) {
	if p.req.Version >= 13 {
		if t := p.server.topicByID(topic.TopicID); t != nil {
			return t, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if t := p.server.topicByName(topic.Topic); t != nil {
		return t, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

func (p *produceCall) complete(results []replica.ProduceResult) {
	for i, slot := range p.slots {
		p.results[slot] = results[i]
		p.pointToLeader(&p.results[slot], p.entries[i].Partition)
	}
	p.answer()
}

// leaderOf is a partition's leader as far as the metadata says, for who came to the wrong broker.
func (s *Server) leaderOf(id event.Partition) wire.Leader {
	if p := s.Image().Partition(id); p != nil {
		return wire.Leader{ID: p.Leader, Epoch: p.LeaderEpoch}
	}
	return wire.Leader{ID: -1, Epoch: -1}
}

func (p *produceCall) answer() {
	k := p.call
	ms := k.record(quota.Produce, int64(k.bytes))
	if k.req.Produce.Acks == 0 {
		if ms > 0 {
			k.mute(ms) // who gets no answer is not told
		}
		failed := p.hasFailed()
		p.free()
		if failed {
			k.disconnect()
		} else {
			k.replyNothing()
		}
		return
	}
	p.fill(&p.resp)
	p.resp.ThrottleMillis = 0
	k.throttle(&p.resp, max(ms, k.recordWork(0)))
	k.reply(&p.resp)
	p.free()
}

func (p *produceCall) hasFailed() bool {
	for i := range p.results {
		if p.results[i].Err != nil {
			return true
		}
	}
	return false
}

// fill makes the answer in p's memory: it is encoded at once.
func (p *produceCall) fill(resp *kmsg.ProduceResponse) {
	p.topics, p.parts = p.topics[:0], grown(p.parts, len(p.results))
	hints := endpoints{server: p.server, listener: p.listener}
	parts, results := p.parts, p.results
	for i := range p.req.Produce.Topics {
		asked := &p.req.Produce.Topics[i]
		n := len(asked.Partitions)
		for j := range asked.Partitions {
			fillProduced(&parts[j], asked.Partitions[j].Index, &results[j], &hints)
		}
		if n > 0 {
			p.topics = append(p.topics, kmsg.ProduceResponseTopic{Topic: asked.Topic, TopicID: asked.TopicID, Partitions: parts[:n]})
		}
		parts, results = parts[n:], results[n:]
	}
	resp.Topics = p.topics
	resp.Brokers = nil
	if len(hints.ids) > 0 {
		resp.Brokers = hints.forProduce()
	}
}

func fillProduced(to *kmsg.ProduceResponseTopicPartition, index int32, r *replica.ProduceResult, hints *endpoints) {
	*to = kmsg.ProduceResponseTopicPartition{Partition: index, LogAppendTime: -1}
	to.CurrentLeader.LeaderID, to.CurrentLeader.LeaderEpoch = r.CurrentLeader.ID, r.CurrentLeader.Epoch
	to.BaseOffset, to.LogStartOffset, to.LogAppendTime = r.BaseOffset, r.LogStartOffset, r.LogAppendTime
	if r.Err != nil {
		to.ErrorCode, to.BaseOffset = wire.Code(r.Err), -1
		to.ErrorRecords = recordErrors(r.RecordErrors)
		if _, plain := r.Err.(*kerr.Error); !plain {
			to.ErrorMessage = messageOf(r.Err) // there is more to say than the code does
		}
		hints.add(r.CurrentLeader.ID)
	}
}

// recordErrors are the records to blame, as a client is told.
func recordErrors(wrong []record.RecordError) (all []kmsg.ProduceResponseTopicPartitionErrorRecord) {
	for _, w := range wrong {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = w.Index, &w.Message
		all = append(all, e)
	}
	return all
}

// grown is s with n elements, of whatever value.
func grown[T any](s []T, n int) []T {
	if n > cap(s) {
		return make([]T, n)
	}
	return s[:n]
}
