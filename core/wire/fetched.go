package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// The least that a partition takes in an answer to a Fetch of version 13 on, in bytes.
const fetchedPartitionSize = 37

// fetchedResponse is memory for an answer to a Fetch.
type fetchedResponse struct {
	Response
	body       kmsg.FetchResponse
	topics     []kmsg.FetchResponseTopic
	partitions []kmsg.FetchResponseTopicPartition // of all topics
}

// decodeFetched decodes the body of an answer to a Fetch, version 13 on, as kmsg does. It is nil if any partition has a tagged
// field or an aborted transaction, or the answer is malformed: then the guard and kmsg are to decode it.
func decodeFetched(b []byte, head Response) *Response {
	f := fetchedResponses.Get().(*fetchedResponse)
	f.Response, f.body = head, kmsg.FetchResponse{Version: head.Version}
	f.Response.Body, f.Response.pooled = &f.body, f
	v, r := &f.body, reader{b: b}
	v.ThrottleMillis, v.ErrorCode, v.SessionID = r.int32(), r.int16(), r.int32()
	f.topics, f.partitions = f.topics[:0], f.partitions[:0]
	for n := r.elements(fetchTopicSize); n > 0 && !r.bad; n-- {
		f.topics = append(f.topics, kmsg.FetchResponseTopic{})
		f.partitions = r.fetchedTopic(&f.topics[len(f.topics)-1], f.partitions)
	}
	v.Topics = f.topics
	r.noTags()
	if r.bad {
		return nil
	}
	return &f.Response
}

// fetchedTopic decodes a topic; its partitions go behind those in all, or into memory of their own if there is no room.
func (r *reader) fetchedTopic(t *kmsg.FetchResponseTopic, all []kmsg.FetchResponseTopicPartition) []kmsg.FetchResponseTopicPartition {
	copy(t.TopicID[:], r.span(16))
	n := r.elements(fetchedPartitionSize)
	all, t.Partitions = room(all, n)
	for i := range t.Partitions {
		r.fetchedPartition(&t.Partitions[i])
	}
	r.noTags()
	return all
}

func (r *reader) fetchedPartition(p *kmsg.FetchResponseTopicPartition) {
	*p = kmsg.FetchResponseTopicPartition{}
	p.Default()
	if b := r.span(30); b != nil {
		p.Partition, p.ErrorCode = int32(be.Uint32(b)), int16(be.Uint16(b[4:]))
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset = int64(be.Uint64(b[6:])), int64(be.Uint64(b[14:])), int64(be.Uint64(b[22:]))
	}
	switch r.uvarint() { // the number of aborted transactions, plus one
	case 0:
	case 1:
		p.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	default:
		r.fail()
	}
	p.PreferredReadReplica = r.int32()
	p.RecordBatches = r.nullableBytes(true)
	r.noTags()
}
