package wire

import (
	"slices"

	"github.com/lockstep/lockstep/network"
)

// FetchResponse is the answer to a Fetch, whose records are chunks: regions of segment files, or
// slices of frames in memory.
type FetchResponse struct {
	ThrottleMs    int32
	ErrorCode     int16
	SessionID     int32
	Topics        []FetchTopic
	NodeEndpoints []NodeEndpoint // where the CurrentLeaders are (KIP-951); sent from version 16 on
}

// NodeEndpoint is where a broker listens.
type NodeEndpoint struct {
	ID   int32
	Host string
	Port int32
	Rack *string
}

// FetchTopic names its topic up to version 12 and has its id from 13 on.
type FetchTopic struct {
	Topic      string
	TopicID    [16]byte
	Partitions []FetchPartition
}

// EpochEnd is where an epoch ends in the leader's log: the follower is to truncate (KIP-595).
type EpochEnd struct {
	Epoch     int32
	EndOffset int64
}

// Leader is a partition's leader and its epoch.
type Leader struct{ ID, Epoch int32 }

// SnapshotID names a snapshot, which the follower is to fetch instead (KIP-630).
type SnapshotID struct {
	EndOffset int64
	Epoch     int32
}

// AbortedTransaction tells a read_committed consumer what to skip.
type AbortedTransaction struct{ ProducerID, FirstOffset int64 }

// FetchPartition is the answer for one partition. NewFetchPartition makes one.
type FetchPartition struct {
	Index                int32
	ErrorCode            int16
	HighWatermark        int64
	LastStableOffset     int64
	LogStartOffset       int64
	AbortedTransactions  []AbortedTransaction // nil: null, for read_uncommitted
	DivergingEpoch       EpochEnd             // a tag of version 12 on, like the next two
	CurrentLeader        Leader
	SnapshotID           SnapshotID
	PreferredReadReplica int32
	Records              []network.Chunk
	RecordsLen           int // of Records, in bytes
}

// The values of the tagged fields that mean: absent.
var (
	noEpochEnd   = EpochEnd{-1, -1}
	noLeader     = Leader{-1, -1}
	noSnapshotID = SnapshotID{-1, -1}
)

// NewFetchPartition is an answer without records in which all that can be none is none.
func NewFetchPartition(index int32) FetchPartition {
	return FetchPartition{
		Index: index, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1,
		DivergingEpoch: noEpochEnd, CurrentLeader: noLeader, SnapshotID: noSnapshotID, PreferredReadReplica: -1,
	}
}

// Versions of Fetch in which something is new.
const (
	fetchLogStartOffset = 5
	fetchSession        = 7
	fetchReadReplica    = 11
	fetchFlexible       = 12
	fetchTopicID        = 13
	fetchNodeEndpoints  = 16
)

// EncodeFetch returns the frame that answers a Fetch of the version, 4 to 18: the heads, encoded,
// and between them the records' chunks as they are.
func EncodeFetch(resp *FetchResponse, version int16, correlationID int32) []network.Chunk {
	_, frame := AppendFetch(nil, nil, resp, version, correlationID)
	return frame
}

// AppendFetch is EncodeFetch into memory used again: it returns the frame, in chunks, and buf, which holds the heads.
func AppendFetch(buf []byte, chunks []network.Chunk, resp *FetchResponse, version int16, correlationID int32) ([]byte, []network.Chunk) {
	size, n := resp.bounds()
	e := encoder{
		buf: slices.Grow(buf[:0], size), frame: slices.Grow(chunks[:0], n),
		version: version, flexible: version >= fetchFlexible,
	}
	e.buf = appendResponseHeader(e.buf, keyFetch, correlationID, e.flexible)
	e.response(resp)
	e.cut()
	return e.buf, e.frame
}

// bounds is at least how many bytes the heads take, and at least how many chunks there are.
func (r *FetchResponse) bounds() (size, chunks int) {
	size, chunks = 32, 1
	for i := range r.Topics {
		t := &r.Topics[i]
		size += 24 + len(t.Topic) + 112*len(t.Partitions)
		for j := range t.Partitions {
			size += 17 * len(t.Partitions[j].AbortedTransactions)
			chunks += 1 + len(t.Partitions[j].Records)
		}
	}
	for i := range r.NodeEndpoints {
		size += 32 + len(r.NodeEndpoints[i].Host)
	}
	return size, chunks
}

func (e *encoder) response(r *FetchResponse) {
	e.int32(r.ThrottleMs)
	if e.version >= fetchSession {
		e.int16(r.ErrorCode)
		e.int32(r.SessionID)
	}
	e.length(len(r.Topics))
	for i := range r.Topics {
		e.topic(&r.Topics[i])
	}
	if e.version < fetchNodeEndpoints || len(r.NodeEndpoints) == 0 {
		e.noTags()
		return
	}
	e.nodeEndpoints(r.NodeEndpoints)
}

func (e *encoder) topic(t *FetchTopic) {
	if e.version >= fetchTopicID {
		e.buf = append(e.buf, t.TopicID[:]...)
	} else {
		e.string(t.Topic)
	}
	e.length(len(t.Partitions))
	for i := range t.Partitions {
		e.partition(&t.Partitions[i])
	}
	e.noTags()
}

func (e *encoder) partition(p *FetchPartition) {
	b := be.AppendUint32(e.buf, uint32(p.Index))
	b = be.AppendUint16(b, uint16(p.ErrorCode))
	b = be.AppendUint64(b, uint64(p.HighWatermark))
	e.buf = be.AppendUint64(b, uint64(p.LastStableOffset))
	if e.version >= fetchLogStartOffset {
		e.int64(p.LogStartOffset)
	}
	e.aborted(p.AbortedTransactions)
	if e.version >= fetchReadReplica {
		e.int32(p.PreferredReadReplica)
	}
	e.records(p.Records)
	if e.flexible {
		e.partitionTags(p)
	}
}

func (e *encoder) aborted(list []AbortedTransaction) {
	if list == nil {
		e.length(-1)
		return
	}
	e.length(len(list))
	for _, a := range list {
		e.int64(a.ProducerID)
		e.int64(a.FirstOffset)
		e.noTags()
	}
}

func (e *encoder) records(chunks []network.Chunk) {
	n := 0
	for i := range chunks {
		n += chunks[i].Len()
	}
	e.length(n)
	if n == 0 {
		return
	}
	e.cut()
	e.frame = append(e.frame, chunks...)
}

// partitionTags writes the tagged fields that are not none: epoch end 0, leader 1, snapshot 2.
func (e *encoder) partitionTags(p *FetchPartition) {
	at := len(e.buf)
	e.buf = append(e.buf, 0)
	if p.DivergingEpoch != noEpochEnd {
		e.buf = append(e.buf, 0, 13)
		e.int32(p.DivergingEpoch.Epoch)
		e.int64(p.DivergingEpoch.EndOffset)
		e.noTags()
		e.buf[at]++
	}
	if p.CurrentLeader != noLeader {
		e.buf = append(e.buf, 1, 9)
		e.int32(p.CurrentLeader.ID)
		e.int32(p.CurrentLeader.Epoch)
		e.noTags()
		e.buf[at]++
	}
	if p.SnapshotID != noSnapshotID {
		e.buf = append(e.buf, 2, 13)
		e.int64(p.SnapshotID.EndOffset)
		e.int32(p.SnapshotID.Epoch)
		e.noTags()
		e.buf[at]++
	}
}

// nodeEndpoints writes the response's tags: one, number 0.
func (e *encoder) nodeEndpoints(list []NodeEndpoint) {
	body := encoder{flexible: true}
	body.length(len(list))
	for i := range list {
		n := &list[i]
		body.int32(n.ID)
		body.string(n.Host)
		body.int32(n.Port)
		if n.Rack == nil {
			body.nullString()
		} else {
			body.string(*n.Rack)
		}
		body.noTags()
	}
	e.buf = append(e.buf, 1, 0)
	e.buf = appendUvarint(e.buf, uint32(len(body.buf)))
	e.buf = append(e.buf, body.buf...)
}
