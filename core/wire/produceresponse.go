package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// Versions of Produce in which something is new in the answer.
const (
	producedLogStartOffset = 5
	producedErrors         = 8
)

// appendProduced appends the body of an answer to a Produce, as kmsg does without its reflection,
// which costs more than all the rest of a small produce. ok is false, and dst as it was, if the answer
// has more to say than offsets and error codes: then kmsg is to write it.
func appendProduced(dst []byte, r *kmsg.ProduceResponse) (_ []byte, ok bool) {
	if !plain(r) {
		return dst, false
	}
	e := encoder{buf: dst, version: r.Version, flexible: r.Version >= produceFlexible}
	e.length(len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		if e.version >= produceTopicID {
			e.buf = append(e.buf, t.TopicID[:]...)
		} else {
			e.string(t.Topic)
		}
		e.length(len(t.Partitions))
		for j := range t.Partitions {
			e.produced(&t.Partitions[j])
		}
		e.noTags()
	}
	e.int32(r.ThrottleMillis)
	e.noTags()
	return e.buf, true
}

func (e *encoder) produced(p *kmsg.ProduceResponseTopicPartition) {
	e.int32(p.Partition)
	e.int16(p.ErrorCode)
	e.int64(p.BaseOffset)
	e.int64(p.LogAppendTime)
	if e.version >= producedLogStartOffset {
		e.int64(p.LogStartOffset)
	}
	if e.version >= producedErrors {
		e.length(0)
		e.nullString()
	}
	e.noTags()
}

// plain says that the answer has no message and no tag.
func plain(r *kmsg.ProduceResponse) bool {
	if r.Version < 3 || len(r.Brokers) > 0 || r.UnknownTags.Len() > 0 {
		return false
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		for j := range t.Partitions {
			p, l := &t.Partitions[j], &t.Partitions[j].CurrentLeader
			if len(p.ErrorRecords) > 0 || p.ErrorMessage != nil || l.LeaderID != -1 || l.LeaderEpoch != -1 ||
				p.UnknownTags.Len() > 0 || l.UnknownTags.Len() > 0 {
				return false
			}
		}
		if t.UnknownTags.Len() > 0 {
			return false
		}
	}
	return true
}

// producedResponse is memory for the answer to a Produce of one partition.
type producedResponse struct {
	Response
	body       kmsg.ProduceResponse
	topics     [1]kmsg.ProduceResponseTopic
	partitions [1]kmsg.ProduceResponseTopicPartition
}

// decodeProduced decodes the body of an answer, version 3 on, as kmsg does. It is nil if it speaks of more than one partition,
// has more to say than offsets and an error code, or is malformed: then the guard and kmsg are to decode it.
func decodeProduced(b []byte, head Response) *Response {
	flexible := head.Version >= produceFlexible
	r := reader{b: b}
	if head.Version < 3 || r.arrayLen(flexible) != 1 {
		return nil
	}
	f := producedResponses.Get().(*producedResponse)
	f.Response, f.partitions = head, [1]kmsg.ProduceResponseTopicPartition{}
	f.Response.Body, f.Response.pooled = &f.body, f
	t := &f.topics[0] // what was there before: mostly the same topic
	t.TopicID = [16]byte{}
	if head.Version >= produceTopicID {
		t.Topic = ""
		copy(t.TopicID[:], r.span(16))
	} else if name := r.stringBytes(flexible); name == nil {
		r.fail() // not nullable
	} else if t.Topic != string(name) {
		t.Topic = string(name)
	}
	if r.arrayLen(flexible) != 1 {
		return nil
	}
	r.produced(&f.partitions[0], head.Version)
	t.Partitions = f.partitions[:]
	r.noTagsIf(flexible)
	f.body = kmsg.ProduceResponse{Version: head.Version, Topics: f.topics[:], ThrottleMillis: r.int32()}
	r.noTagsIf(flexible)
	if r.bad {
		return nil
	}
	return &f.Response
}

func (r *reader) produced(p *kmsg.ProduceResponseTopicPartition, version int16) {
	flexible := version >= produceFlexible
	p.Default()
	p.Partition, p.ErrorCode, p.BaseOffset, p.LogAppendTime = r.int32(), r.int16(), r.int64(), r.int64()
	if version >= producedLogStartOffset {
		p.LogStartOffset = r.int64()
	}
	if version >= producedErrors && (r.arrayLen(flexible) != 0 || r.stringLen(flexible) != -1) {
		r.fail()
	}
	r.noTagsIf(flexible)
}

func (r *reader) noTagsIf(flexible bool) {
	if flexible {
		r.noTags()
	}
}
