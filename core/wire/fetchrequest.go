package wire

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The tagged field of a Fetch that every follower sends: number, size.
const (
	replicaStateTag  = 1
	replicaStateSize = 13
)

// The least that an element takes in a Fetch of version 13 on, in bytes.
const (
	fetchTopicSize     = 18
	fetchPartitionSize = 33
)

// fetchRequest is memory for a Fetch.
type fetchRequest struct {
	Request
	body       kmsg.FetchRequest
	topics     []kmsg.FetchRequestTopic
	partitions []kmsg.FetchRequestTopicPartition // of all topics
}

// decodeFetch decodes what followers and current consumers send, version 13 on, as kmsg does. It is nil if the request says
// anything else, or is malformed: then the guard and kmsg are to decode it.
func decodeFetch(b []byte, head Request) *Request {
	f := fetchRequests.Get().(*fetchRequest)
	f.Request, f.body = head, kmsg.FetchRequest{Version: head.Version}
	f.Request.Body, f.Request.pooled = &f.body, f
	v, r := &f.body, reader{b: b}
	v.Default()
	if v.Version <= 14 {
		v.ReplicaID = r.int32()
	}
	v.MaxWaitMillis, v.MinBytes, v.MaxBytes, v.IsolationLevel = r.int32(), r.int32(), r.int32(), r.int8()
	v.SessionID, v.SessionEpoch = r.int32(), r.int32()
	f.topics, f.partitions = f.topics[:0], f.partitions[:0]
	for n := r.elements(fetchTopicSize); n > 0 && !r.bad; n-- {
		f.topics = append(f.topics, kmsg.FetchRequestTopic{})
		f.partitions = r.fetchTopic(&f.topics[len(f.topics)-1], f.partitions)
	}
	v.Topics = f.topics
	for n := r.elements(fetchTopicSize); n > 0 && !r.bad; n-- {
		v.ForgottenTopics = append(v.ForgottenTopics, kmsg.FetchRequestForgottenTopic{})
		r.forgottenTopic(&v.ForgottenTopics[len(v.ForgottenTopics)-1])
	}
	if rack := r.stringBytes(true); len(rack) > 0 {
		v.Rack = string(rack)
	} else if rack == nil {
		return nil // not nullable
	}
	r.replicaState(v)
	if r.bad {
		return nil
	}
	return &f.Request
}

// elements reads the number of elements of a compact array, 0 for null: never more than there can be, size bytes each.
func (r *reader) elements(size int) int {
	n := r.compact()
	if n > len(r.b)/size {
		r.fail()
	}
	if r.bad {
		return 0
	}
	return max(n, 0)
}

// fetchTopic decodes a topic; its partitions go behind those in all, or into memory of their own if there is no room.
func (r *reader) fetchTopic(t *kmsg.FetchRequestTopic, all []kmsg.FetchRequestTopicPartition) []kmsg.FetchRequestTopicPartition {
	copy(t.TopicID[:], r.span(16))
	n := r.elements(fetchPartitionSize)
	all, t.Partitions = room(all, n)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		*p = kmsg.FetchRequestTopicPartition{}
		if b := r.span(32); b != nil {
			p.Partition, p.CurrentLeaderEpoch, p.FetchOffset = int32(be.Uint32(b)), int32(be.Uint32(b[4:])), int64(be.Uint64(b[8:]))
			p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = int32(be.Uint32(b[16:])), int64(be.Uint64(b[20:])), int32(be.Uint32(b[28:]))
		}
		p.HighWatermark = math.MaxInt64
		r.noTags()
	}
	r.noTags()
	return all
}

// room is n elements behind all, of whatever value, and all with them. Without room for them they are all there is: who has the
// others keeps them.
func room[T any](all []T, n int) (_, added []T) {
	at := len(all)
	if at+n > cap(all) {
		all, at = make([]T, n), 0
	}
	all = all[:at+n]
	return all, all[at : at+n : at+n]
}

func (r *reader) forgottenTopic(t *kmsg.FetchRequestForgottenTopic) {
	copy(t.TopicID[:], r.span(16))
	t.Partitions = make([]int32, r.elements(4))
	for i := range t.Partitions {
		t.Partitions[i] = r.int32()
	}
	r.noTags()
}

// noTags fails if there are tagged fields.
func (r *reader) noTags() {
	if len(r.b) > 0 && r.b[0] == 0 {
		r.b = r.b[1:]
		return
	}
	r.fail()
}

// replicaState reads the request's tagged fields: none or the state of a replica.
func (r *reader) replicaState(v *kmsg.FetchRequest) {
	switch r.uvarint() {
	case 0:
	case 1:
		if r.uvarint() != replicaStateTag || r.uvarint() != replicaStateSize {
			r.fail()
		}
		v.ReplicaState.ID, v.ReplicaState.Epoch = r.int32(), r.int64()
		r.noTags()
	default:
		r.fail()
	}
}

// appendFetch appends the body of a Fetch as kmsg does, without its reflection. ok is false, and dst as it was, if the
// request has more to say than what our followers say: then kmsg is to write it.
func appendFetch(dst []byte, v *kmsg.FetchRequest) (_ []byte, ok bool) {
	if !plainFetch(v) {
		return dst, false
	}
	e := encoder{buf: dst, version: v.Version, flexible: true}
	if v.Version <= 14 {
		e.int32(v.ReplicaID)
	}
	e.int32(v.MaxWaitMillis)
	e.int32(v.MinBytes)
	e.int32(v.MaxBytes)
	e.buf = append(e.buf, byte(v.IsolationLevel))
	e.int32(v.SessionID)
	e.int32(v.SessionEpoch)
	e.length(len(v.Topics))
	for i := range v.Topics {
		e.fetchTopic(&v.Topics[i])
	}
	e.length(len(v.ForgottenTopics))
	for i := range v.ForgottenTopics {
		e.forgottenTopic(&v.ForgottenTopics[i])
	}
	e.string(v.Rack)
	e.replicaState(v)
	return e.buf, true
}

func (e *encoder) fetchTopic(t *kmsg.FetchRequestTopic) {
	e.buf = append(e.buf, t.TopicID[:]...)
	e.length(len(t.Partitions))
	for i := range t.Partitions {
		p, b := &t.Partitions[i], e.buf // all in registers, for this is written more often than anything else
		b = be.AppendUint32(b, uint32(p.Partition))
		b = be.AppendUint32(b, uint32(p.CurrentLeaderEpoch))
		b = be.AppendUint64(b, uint64(p.FetchOffset))
		b = be.AppendUint32(b, uint32(p.LastFetchedEpoch))
		b = be.AppendUint64(b, uint64(p.LogStartOffset))
		b = be.AppendUint32(b, uint32(p.PartitionMaxBytes))
		e.buf = append(b, 0) // no tags
	}
	e.noTags()
}

func (e *encoder) forgottenTopic(t *kmsg.FetchRequestForgottenTopic) {
	e.buf = append(e.buf, t.TopicID[:]...)
	e.length(len(t.Partitions))
	for _, index := range t.Partitions {
		e.int32(index)
	}
	e.noTags()
}

func (e *encoder) replicaState(v *kmsg.FetchRequest) {
	if v.ReplicaState.ID == -1 && v.ReplicaState.Epoch == -1 {
		e.noTags()
		return
	}
	e.buf = append(e.buf, 1, replicaStateTag, replicaStateSize)
	e.int32(v.ReplicaState.ID)
	e.int64(v.ReplicaState.Epoch)
	e.noTags()
}

// plainFetch says that the request has no tags but the replica's state.
func plainFetch(v *kmsg.FetchRequest) bool {
	if v.Version < fetchTopicID || v.ClusterID != nil || v.UnknownTags.Len() > 0 || v.ReplicaState.UnknownTags.Len() > 0 {
		return false
	}
	for i := range v.Topics {
		t := &v.Topics[i]
		if t.UnknownTags.Len() > 0 {
			return false
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.HighWatermark != math.MaxInt64 || p.ReplicaDirectoryID != ([16]byte{}) || p.UnknownTags.Len() > 0 {
				return false
			}
		}
	}
	for i := range v.ForgottenTopics {
		if v.ForgottenTopics[i].UnknownTags.Len() > 0 {
			return false
		}
	}
	return true
}
