package wire

import (
	"bytes"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/lockstep/lockstep/disk"
	"github.com/lockstep/lockstep/network"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// file is a disk.File of which only the identity matters.
type file struct {
	disk.File
	bytes []byte
}

func flatten(chunks []network.Chunk) (frame []byte) {
	for _, c := range chunks {
		if f, ok := c.Region.File.(*file); ok {
			frame = append(frame, f.bytes[c.Region.Pos:][:c.Region.Len]...)
		}
		frame = append(frame, c.Bytes...)
	}
	return frame
}

func drawFetchPartition(t *rapid.T, index int32) FetchPartition {
	p := NewFetchPartition(index)
	p.ErrorCode = rapid.Int16().Draw(t, "error")
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = rapid.Int64().Draw(t, "hw"), rapid.Int64().Draw(t, "lso"), rapid.Int64().Draw(t, "start")
	p.PreferredReadReplica = rapid.Int32().Draw(t, "replica")
	if rapid.Bool().Draw(t, "diverging") {
		p.DivergingEpoch = EpochEnd{rapid.Int32Min(0).Draw(t, "epoch"), rapid.Int64Min(0).Draw(t, "end")}
	}
	if rapid.Bool().Draw(t, "leader") {
		p.CurrentLeader = Leader{rapid.Int32Min(0).Draw(t, "id"), rapid.Int32Min(0).Draw(t, "epoch")}
	}
	if rapid.Bool().Draw(t, "snapshot") {
		p.SnapshotID = SnapshotID{rapid.Int64Min(0).Draw(t, "end"), rapid.Int32Min(0).Draw(t, "epoch")}
	}
	if rapid.Bool().Draw(t, "committed") {
		p.AbortedTransactions = make([]AbortedTransaction, rapid.IntRange(0, 2).Draw(t, "aborted"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "chunks") {
		b := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "records")
		c := network.Chunk{Bytes: b}
		if rapid.Bool().Draw(t, "region") {
			c = network.Chunk{Region: disk.Region{File: &file{bytes: append([]byte("xxx"), b...)}, Pos: 3, Len: len(b)}}
		}
		p.Records = append(p.Records, c)
		p.RecordsLen += len(b)
	}
	return p
}

func drawFetch(t *rapid.T, version int16) *FetchResponse {
	r := &FetchResponse{ThrottleMs: rapid.Int32().Draw(t, "throttle"), ErrorCode: rapid.Int16().Draw(t, "error"), SessionID: rapid.Int32().Draw(t, "session")}
	for range rapid.IntRange(0, 3).Draw(t, "topics") {
		topic := FetchTopic{Topic: rapid.StringN(0, 200, 250).Draw(t, "topic")}
		copy(topic.TopicID[:], topic.Topic)
		for i := range rapid.IntRange(0, 3).Draw(t, "partitions") {
			topic.Partitions = append(topic.Partitions, drawFetchPartition(t, int32(i)))
		}
		r.Topics = append(r.Topics, topic)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "endpoints") {
		n := NodeEndpoint{ID: int32(i), Host: rapid.StringN(0, 9, 20).Draw(t, "host"), Port: 9092}
		if i == 1 {
			n.Rack = kmsg.StringPtr("rack")
		}
		r.NodeEndpoints = append(r.NodeEndpoints, n)
	}
	return r
}

// oracle is the response as kmsg has it.
func oracle(r *FetchResponse, version int16) *kmsg.FetchResponse {
	k := kmsg.NewPtrFetchResponse()
	k.Version, k.ThrottleMillis, k.ErrorCode, k.SessionID = version, r.ThrottleMs, r.ErrorCode, r.SessionID
	for _, t := range r.Topics {
		kt := kmsg.NewFetchResponseTopic()
		kt.Topic, kt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			kt.Partitions = append(kt.Partitions, oraclePartition(&p))
		}
		k.Topics = append(k.Topics, kt)
	}
	for _, n := range r.NodeEndpoints {
		if version < 16 {
			break // kmsg would write them
		}
		b := kmsg.NewFetchResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = n.ID, n.Host, n.Port, n.Rack
		k.Brokers = append(k.Brokers, b)
	}
	return k
}

func oraclePartition(p *FetchPartition) kmsg.FetchResponseTopicPartition {
	k := kmsg.NewFetchResponseTopicPartition()
	k.Partition, k.ErrorCode, k.HighWatermark = p.Index, p.ErrorCode, p.HighWatermark
	k.LastStableOffset, k.LogStartOffset, k.PreferredReadReplica = p.LastStableOffset, p.LogStartOffset, p.PreferredReadReplica
	k.DivergingEpoch.Epoch, k.DivergingEpoch.EndOffset = p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset
	k.CurrentLeader.LeaderID, k.CurrentLeader.LeaderEpoch = p.CurrentLeader.ID, p.CurrentLeader.Epoch
	k.SnapshotID.EndOffset, k.SnapshotID.Epoch = p.SnapshotID.EndOffset, p.SnapshotID.Epoch
	if p.AbortedTransactions != nil {
		k.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	for _, a := range p.AbortedTransactions {
		ka := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		ka.ProducerID, ka.FirstOffset = a.ProducerID, a.FirstOffset
		k.AbortedTransactions = append(k.AbortedTransactions, ka)
	}
	k.RecordBatches = append([]byte{}, flatten(p.Records)...)
	return k
}

func TestFetchIsWrittenAsKmsgWritesIt(t *testing.T) {
	for version := int16(4); version <= 18; version++ {
		rapid.Check(t, func(t *rapid.T) {
			r := drawFetch(t, version)
			want := AppendResponse(nil, &Request{Key: 1, Version: version, CorrelationID: 99}, oracle(r, version))
			chunks := EncodeFetch(r, version, 99)
			if got := flatten(chunks); !bytes.Equal(got, want) {
				t.Fatalf("version %d:\n%x, want\n%x", version, got, want)
			}
			for _, c := range chunks {
				if c.Len() == 0 {
					t.Fatalf("an empty chunk among %d", len(chunks))
				}
			}
		})
	}
}

func TestWhatIsNoneIsNotSent(t *testing.T) {
	p := NewFetchPartition(3)
	k, none := oraclePartition(&p), kmsg.NewFetchResponseTopicPartition()
	if k.DivergingEpoch.Epoch != none.DivergingEpoch.Epoch || k.CurrentLeader.LeaderID != none.CurrentLeader.LeaderID ||
		k.SnapshotID.Epoch != none.SnapshotID.Epoch || k.PreferredReadReplica != none.PreferredReadReplica {
		t.Errorf("%+v, kmsg's defaults are %+v", k, none)
	}
}

func fetched(records []byte) []byte {
	r := &FetchResponse{Topics: []FetchTopic{{Partitions: []FetchPartition{NewFetchPartition(0)}}}}
	r.Topics[0].Partitions[0].Records = []network.Chunk{{Bytes: records}}
	return flatten(EncodeFetch(r, 17, CorrelationID(1, 17, 5)))
}

func TestFetchedBatchesAreChecked(t *testing.T) {
	one, two := batchOf(record.None, "one"), batchOf(record.Lz4, "two")
	both := append(append([]byte(nil), one...), two...)
	damaged := append([]byte(nil), both...)
	damaged[len(damaged)-1]++
	cases := []struct {
		name      string
		sent, got []byte
		code      int16
	}{
		{"whole", both, both, 0},
		{"cut in the second", both[:len(both)-1], one, 0},
		{"cut in the second's size", both[:len(one)+5], one, 0},
		{"cut in the first", both[:20], []byte{}, 0},
		{"damaged", damaged, nil, kerr.CorruptMessage.Code},
		{"not a batch", bytes.Repeat([]byte{9}, 80), nil, kerr.CorruptMessage.Code},
	}
	for _, c := range cases {
		msg, err := DecodeResponse(fetched(c.sent))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		p := msg.(*Response).Body.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if !bytes.Equal(p.RecordBatches, c.got) || p.ErrorCode != c.code {
			t.Errorf("%s: %x, error %d", c.name, p.RecordBatches, p.ErrorCode)
		}
	}
}

func BenchmarkEncodeFetch(b *testing.B) {
	r := &FetchResponse{Topics: []FetchTopic{{Partitions: []FetchPartition{NewFetchPartition(0)}}}}
	r.Topics[0].Partitions[0].Records = []network.Chunk{{Region: disk.Region{File: &file{}, Len: 1 << 20}}}
	b.ReportAllocs()
	for b.Loop() {
		EncodeFetch(r, 17, 1)
	}
}

func BenchmarkDecodeFetched(b *testing.B) {
	frame := fetched(batchOf(record.None, "x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeResponse(frame); err != nil {
			b.Fatal(err)
		}
	}
}
