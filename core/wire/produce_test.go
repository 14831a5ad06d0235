package wire

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

func batchOf(codec record.Codec, values ...string) record.Batch {
	w := record.NewBuilder(nil, record.BatchOptions{ProducerID: record.NoProducerID, Codec: codec})
	for _, v := range values {
		w.Append(1, nil, []byte(v))
	}
	return w.Build()
}

func drawProduce(t *rapid.T) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version = int16(rapid.IntRange(3, 13).Draw(t, "version"))
	if rapid.Bool().Draw(t, "transactional") {
		req.TransactionID = kmsg.StringPtr(rapid.StringN(0, 5, 9).Draw(t, "transactional id"))
	}
	req.Acks, req.TimeoutMillis = rapid.Int16().Draw(t, "acks"), rapid.Int32().Draw(t, "timeout")
	for range rapid.IntRange(0, 3).Draw(t, "topics") {
		topic := kmsg.NewProduceRequestTopic()
		if req.Version >= 13 {
			copy(topic.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic id"))
		} else {
			topic.Topic = rapid.StringN(0, 5, 9).Draw(t, "topic")
		}
		for range rapid.IntRange(0, 3).Draw(t, "partitions") {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition = rapid.Int32().Draw(t, "partition")
			p.Records = batchOf(record.None, rapid.StringN(0, 50, 90).Draw(t, "value"))
			if rapid.IntRange(0, 4).Draw(t, "tags") == 0 {
				p.UnknownTags.Set(5, []byte("unknown"))
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func TestProduceIsReadAsKmsgWroteIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := drawProduce(t)
		frame := AppendRequest(nil, req, 77, "client")
		msg, err := DecodeRequest(frame)
		if err != nil {
			t.Fatal(err)
		}
		r := msg.(*Request)
		if r.Key != 0 || r.Version != req.Version || r.CorrelationID != 77 || string(r.ClientID) != "client" || r.Size != len(frame) {
			t.Fatalf("%+v", r)
		}
		sameProduce(t, r.Produce, req)
		cut := rapid.IntRange(0, len(frame)-1).Draw(t, "cut")
		if _, err := DecodeRequest(frame[:cut]); err == nil {
			t.Fatalf("%d of %d bytes decoded", cut, len(frame))
		}
	})
}

func sameProduce(t *rapid.T, p *Produce, req *kmsg.ProduceRequest) {
	if (p.TransactionalID == nil) != (req.TransactionID == nil) || p.TransactionalID != nil && *p.TransactionalID != *req.TransactionID {
		t.Fatalf("transactional id %v", p.TransactionalID)
	}
	if p.Acks != req.Acks || p.TimeoutMs != req.TimeoutMillis || len(p.Topics) != len(req.Topics) {
		t.Fatalf("%+v", p)
	}
	for i, topic := range p.Topics {
		want := req.Topics[i]
		if topic.Topic != want.Topic || topic.TopicID != want.TopicID || len(topic.Partitions) != len(want.Partitions) {
			t.Fatalf("topic %+v", topic)
		}
		for j, part := range topic.Partitions {
			if w := want.Partitions[j]; part.Err != nil || part.Index != w.Partition || !bytes.Equal(part.Batch, w.Records) {
				t.Fatalf("partition %+v", part)
			}
		}
	}
}

// TestEachRuleOfAProducedPartitionFires; one bad partition does not spoil its neighbour.
func TestEachRuleOfAProducedPartitionFires(t *testing.T) {
	one := batchOf(record.None, "x")
	with := func(at int, v byte) []byte {
		b := append([]byte(nil), one...)
		b[at] = v
		return b
	}
	cases := []struct {
		name    string
		version int16
		records []byte
		want    error
	}{
		{"one batch", 9, one, nil},
		{"null", 9, nil, kerr.InvalidRecord},
		{"none", 9, []byte{}, kerr.InvalidRecord},
		{"two batches", 9, append(append([]byte(nil), one...), one...), kerr.InvalidRecord},
		{"cut", 9, one[:len(one)-1], kerr.InvalidRecord},
		{"magic 1", 9, with(16, 1), kerr.InvalidRecord},
		{"magic 3", 9, with(16, 3), kerr.CorruptMessage},
		{"crc", 9, with(len(one)-1, 9), kerr.CorruptMessage},
		{"zstd before 7", 6, batchOf(record.Zstd, "x"), kerr.UnsupportedCompressionType},
		{"zstd", 7, batchOf(record.Zstd, "x"), nil},
	}
	for _, c := range cases {
		req := kmsg.NewPtrProduceRequest()
		req.Version = c.version
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{
			{Partition: 1, Records: c.records}, {Partition: 2, Records: one},
		}}}
		msg, err := DecodeRequest(AppendRequest(nil, req, 1, ""))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := msg.(*Request).Produce.Topics[0].Partitions
		if got[0].Err != c.want || got[0].Batch == nil && c.want == nil || got[1].Err != nil {
			t.Errorf("%s: %v, neighbour %v", c.name, got[0].Err, got[1].Err)
		}
	}
}

// FuzzProduce compares with kmsg: what we take it takes and reads alike.
func FuzzProduce(f *testing.F) {
	for v := int16(3); v <= 13; v++ {
		req := kmsg.NewPtrProduceRequest()
		req.Version = v
		req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batchOf(record.None, "x")}}}}
		f.Add(v, req.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 3 || version > 13 {
			return
		}
		msg, err := decodeProduce(&reader{b: body}, Request{Version: version})
		if err != nil {
			return
		}
		p := msg.(*Request).Produce
		req := kmsg.NewPtrProduceRequest()
		req.Version = version
		if err := req.ReadFrom(body); err != nil {
			t.Fatalf("kmsg: %v", err)
		}
		if p.Acks != req.Acks || p.TimeoutMs != req.TimeoutMillis || len(p.Topics) != len(req.Topics) {
			t.Fatalf("%+v, kmsg %+v", p, req)
		}
		for i := range p.Topics {
			if a, b := p.Topics[i], req.Topics[i]; a.Topic != b.Topic || a.TopicID != b.TopicID || len(a.Partitions) != len(b.Partitions) {
				t.Fatalf("%+v, kmsg %+v", a, b)
			}
		}
	})
}

func TestProduceIsAnsweredAsKmsgAnswersIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := kmsg.NewPtrProduceResponse()
		r.Version = int16(rapid.IntRange(3, 13).Draw(t, "version"))
		r.ThrottleMillis = rapid.Int32().Draw(t, "throttle")
		for range rapid.IntRange(0, 3).Draw(t, "topics") {
			topic := kmsg.NewProduceResponseTopic()
			topic.Topic = rapid.StringN(0, 150, 200).Draw(t, "topic")
			copy(topic.TopicID[:], topic.Topic)
			for range rapid.IntRange(0, 3).Draw(t, "partitions") {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode = rapid.Int32().Draw(t, "partition"), rapid.Int16().Draw(t, "error")
				p.BaseOffset, p.LogStartOffset = rapid.Int64().Draw(t, "base"), rapid.Int64().Draw(t, "start")
				p.LogAppendTime = rapid.Int64().Draw(t, "time")
				switch rapid.IntRange(0, 9).Draw(t, "more") {
				case 0:
					p.CurrentLeader.LeaderID = 1
				case 1:
					p.ErrorMessage = kmsg.StringPtr("message")
				case 2:
					p.ErrorRecords = []kmsg.ProduceResponseTopicPartitionErrorRecord{{RelativeOffset: 1}}
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			r.Topics = append(r.Topics, topic)
		}
		q := Request{Key: keyProduce, Version: r.Version}
		want := r.AppendTo(appendResponseHeader(nil, keyProduce, 0, r.IsFlexible()))
		if got := AppendResponse(nil, &q, r); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}

func BenchmarkAppendProduceResponse(b *testing.B) {
	r, q := kmsg.NewPtrProduceResponse(), Request{Key: keyProduce, Version: 9}
	topic := kmsg.NewProduceResponseTopic()
	topic.Partitions = append(topic.Partitions, kmsg.NewProduceResponseTopicPartition())
	r.Topics = append(r.Topics, topic)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendResponse(buf[:0], &q, r)
	}
}

func BenchmarkDecodeProduce(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "topic", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batchOf(record.None, "x")}}}}
	frame := AppendRequest(nil, req, 1, "client")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRequest(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzProduceResponse(f *testing.F) {
	for v := int16(3); v <= 13; v++ {
		r := kmsg.NewPtrProduceResponse()
		r.Version = v
		topic, p := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
		p.BaseOffset, p.LogStartOffset = 7, 3
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
		r.Topics = append(r.Topics, topic)
		f.Add(v, r.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 3 || version > 13 {
			return
		}
		got := decodeProduced(body, Response{Key: keyProduce, Version: version})
		if got == nil {
			return
		}
		if !guardResponse(body, lookup(keyProduce), version) {
			t.Fatalf("the guard refuses %x", body)
		}
		want := kmsg.NewPtrProduceResponse()
		want.Version = version
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("kmsg: %v", err)
		}
		if !reflect.DeepEqual(got.Body, kmsg.Response(want)) {
			t.Fatalf("%+v, kmsg %+v", got.Body, want)
		}
		got.Recycle() // the next one must not show it
	})
}
