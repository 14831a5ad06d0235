package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// The least that a partition takes in an answer to a Fetch of version 13 on, in bytes.
const fetchedPartitionSize = 37

// fetchedResponse holds the usual answer to a Fetch in one piece of memory.
type fetchedResponse struct {
	Response
	body       kmsg.FetchResponse
	topics     [1]kmsg.FetchResponseTopic
	partitions [1]kmsg.FetchResponseTopicPartition
}

// decodeFetched decodes the body of an answer to a Fetch, version 13 on, as kmsg does. It is nil if any partition has a tagged
// field or an aborted transaction, or the answer is malformed: then the guard and kmsg are to decode it.
func decodeFetched(b []byte, head Response) *Response {
	f := &fetchedResponse{Response: head}
	f.Response.Body = &f.body
	v, r := &f.body, reader{b: b}
	v.Version = head.Version
	v.ThrottleMillis, v.ErrorCode, v.SessionID = r.int32(), r.int16(), r.int32()
	v.Topics = f.topics[:0]
	spare := f.partitions[:]
	for n := r.elements(fetchTopicSize); n > 0 && !r.bad; n-- {
		v.Topics = append(v.Topics, kmsg.FetchResponseTopic{})
		spare = r.fetchedTopic(&v.Topics[len(v.Topics)-1], spare)
	}
	r.noTags()
	if r.bad {
		return nil
	}
	return &f.Response
}

// fetchedTopic decodes a topic into spare if there is room, and returns what is left of it.
func (r *reader) fetchedTopic(t *kmsg.FetchResponseTopic, spare []kmsg.FetchResponseTopicPartition) []kmsg.FetchResponseTopicPartition {
	copy(t.TopicID[:], r.span(16))
	n := r.elements(fetchedPartitionSize)
	if n > len(spare) {
		spare = make([]kmsg.FetchResponseTopicPartition, n)
	}
	t.Partitions = spare[:n:n]
	for i := range t.Partitions {
		r.fetchedPartition(&t.Partitions[i])
	}
	r.noTags()
	return spare[n:]
}

func (r *reader) fetchedPartition(p *kmsg.FetchResponseTopicPartition) {
	p.Default()
	p.Partition, p.ErrorCode = r.int32(), r.int16()
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = r.int64(), r.int64(), r.int64()
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
