package api_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stored is the first batch of partition 0 at an offset.
func (x *client) stored(topic string, id [16]byte, offset int64) record.Batch {
	x.Helper()
	p := ask[*kmsg.FetchResponse](x, fetchRequest(12, topic, id, 0, offset)).Topics[0].Partitions[0]
	b, _, err := record.Parse(p.RecordBatches)
	if err != nil || !b.CheckCRC() || b.BaseOffset() != offset {
		x.Fatalf("stored at %d: %v, error code %d", offset, err, p.ErrorCode)
	}
	return b
}

func (x *client) now() int64 { return x.nodes[0].loop.UnixMilli() }

func timed(timestamps ...int64) []byte {
	b := record.NewBuilder(nil, record.BatchOptions{ProducerID: -1})
	for _, at := range timestamps {
		b.Append(at, []byte("k"), []byte("v"))
	}
	return b.Build()
}

func TestRecordsWithoutKeysAreRefusedOnCompactedTopics(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1, "cleanup.policy=compact")
	b := record.NewBuilder(nil, record.BatchOptions{ProducerID: -1, Codec: record.Gzip})
	for _, key := range [][]byte{[]byte("a"), nil, []byte(""), nil} {
		b.Append(x.now(), key, []byte("v"))
	}
	p := x.produce(9, -1, "t", id, b.Build())
	x.code("keyless", p.ErrorCode, kerr.InvalidRecord)
	if len(p.ErrorRecords) != 2 || p.ErrorRecords[0].RelativeOffset != 1 || p.ErrorRecords[1].RelativeOffset != 3 ||
		*p.ErrorRecords[0].ErrorMessage != "Compacted topic cannot accept message without key in topic partition t-0" {
		t.Errorf("%+v", p.ErrorRecords)
	}
	if p.ErrorMessage == nil || !strings.HasPrefix(*p.ErrorMessage, "One or more records have been rejected due to 2 record errors in total") {
		t.Errorf("message %v", p.ErrorMessage)
	}
	if p := x.produce(9, -1, "t", id, timed(x.now())); p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("with a key: %+v", p)
	}
}

func TestTimestampsOutOfRangeAreRefused(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1, "message.timestamp.before.max.ms=1000")
	now := x.now()
	for what, at := range map[string]int64{"future": now + 3_700_000, "past": now - 100_000} { // order: independent cases
		p := x.produce(9, -1, "t", id, timed(now, at))
		x.code(what, p.ErrorCode, kerr.InvalidTimestamp)
		if len(p.ErrorRecords) != 1 || p.ErrorRecords[0].RelativeOffset != 1 ||
			!strings.HasPrefix(*p.ErrorRecords[0].ErrorMessage, fmt.Sprintf("Timestamp %d of message with offset 1 is out of range. ", at)) {
			t.Errorf("%s: %+v", what, p.ErrorRecords)
		}
	}
	if p := x.produce(9, -1, "t", id, timed(-1, x.now())); p.ErrorCode != 0 {
		t.Errorf("no timestamp: %v", kerr.ErrorForCode(p.ErrorCode))
	}
}

func TestLatestTimestampIsTheRecordsWhateverTheHeaderSays(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1)
	now := x.now()
	liar := record.Batch(timed(now-5, now-2))
	binary.BigEndian.PutUint64(liar[35:], uint64(now+50))
	binary.BigEndian.PutUint32(liar[17:], crc32.Checksum(liar[21:], crc32.MakeTable(crc32.Castagnoli)))
	if p := x.produce(9, -1, "t", id, liar); p.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(p.ErrorCode))
	}
	if got := x.stored("t", id, 0); got.MaxTimestamp() != now-2 {
		t.Errorf("latest timestamp %d, want %d", got.MaxTimestamp(), now-2)
	}
}

// TestOnlyALeaderSaysLogAppendTime: a producer that does is refused where records get that time, and elsewhere not believed.
func TestOnlyALeaderSaysLogAppendTime(t *testing.T) {
	x := start(t, 1).client()
	creation, appends := x.topic("c", 1), x.topic("a", 1, "message.timestamp.type=LogAppendTime")
	now := x.now()
	liar := func() record.Batch {
		b := record.Batch(timed(now-5, now-2))
		b.SetLogAppendTime(now)
		return b
	}
	x.code("create time", x.produce(9, -1, "c", creation, liar()).ErrorCode, nil)
	if got := x.stored("c", creation, 0); got.IsLogAppendTime() || got.MaxTimestamp() != now-2 || !got.CheckCRC() {
		t.Errorf("%+v", got.Header())
	}
	p := x.produce(9, -1, "a", appends, liar())
	x.code("log append time", p.ErrorCode, kerr.InvalidTimestamp)
	if len(p.ErrorRecords) != 2 {
		t.Errorf("%d records are to blame", len(p.ErrorRecords))
	}
}

func TestRecordsGetTheTimeOfTheirAppend(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1, "message.timestamp.type=LogAppendTime")
	for _, codec := range []record.Codec{record.None, record.Lz4} {
		b := record.NewBuilder(nil, record.BatchOptions{ProducerID: -1, Codec: codec})
		b.Append(77, nil, []byte("a")) // out of any range, which does not matter
		b.Append(78, nil, []byte("b"))
		before := x.now()
		p := x.produce(9, -1, "t", id, b.Build())
		x.code(codec.String(), p.ErrorCode, nil)
		got := x.stored("t", id, p.BaseOffset)
		if !got.IsLogAppendTime() || got.MaxTimestamp() < before || got.MaxTimestamp() != p.LogAppendTime {
			t.Errorf("%v: %+v, answered %d", codec, got.Header(), p.LogAppendTime)
		}
		l := ask[*kmsg.ListOffsetsResponse](x, listOffset(9, p.LogAppendTime)).Topics[0].Partitions[0]
		if l.Offset != p.BaseOffset || l.Timestamp != p.LogAppendTime {
			t.Errorf("by timestamp: %+v", l)
		}
		x.wait(time.Second)
	}
}

func TestBatchesAreCompressedAsTheTopicSays(t *testing.T) {
	x := start(t, 1).client()
	for name, want := range map[string]record.Codec{ // order: independent cases
		"uncompressed": record.None, "gzip": record.Gzip, "snappy": record.Snappy, "lz4": record.Lz4, "zstd": record.Zstd,
	} {
		configs := []string{"compression.type=" + name}
		if want == record.Gzip || want == record.Lz4 || want == record.Zstd {
			configs = append(configs, fmt.Sprintf("compression.%s.level=4", name))
		}
		id := x.topic(name, 1, configs...)
		for _, codec := range []record.Codec{record.None, record.Zstd} {
			values := []string{strings.Repeat("a", 500), strings.Repeat("b", 500)}
			p := x.produce(9, -1, name, id, batch(record.BatchOptions{ProducerID: 5, BaseSequence: int32(codec), Codec: codec}, values...))
			if codec == record.Zstd {
				if p.ErrorCode != kerr.OutOfOrderSequenceNumber.Code {
					t.Errorf("%s: a sequence out of order: %v", name, kerr.ErrorForCode(p.ErrorCode))
				}
				p = x.produce(9, -1, name, id, batch(record.BatchOptions{ProducerID: 5, BaseSequence: 2, Codec: codec}, values...))
			}
			x.code(name, p.ErrorCode, nil)
			got := x.stored(name, id, p.BaseOffset)
			if got.Codec() != want || got.ProducerID() != 5 {
				t.Errorf("%s from %v: %+v", name, codec, got.Header())
			}
			i := 0
			if err := got.Each(nil, func(r record.Record) error {
				if string(r.Value) != values[i] {
					t.Errorf("%s: record %d differs", name, i)
				}
				i++
				return nil
			}); err != nil || i != 2 {
				t.Errorf("%s: %d records, %v", name, i, err)
			}
		}
	}
}

// TestPreparedBatchesKeepTheirOrder sends many at once, of which every other needs no work.
func TestPreparedBatchesKeepTheirOrder(t *testing.T) {
	x := start(t, 1).client()
	id := x.topic("t", 1, "compression.type=gzip")
	var reqs []*kmsg.ProduceRequest
	first := x.sent
	for i := range 30 {
		codec := record.Gzip
		if i%2 == 0 {
			codec = record.None
		}
		b := batch(record.BatchOptions{ProducerID: 5, BaseSequence: int32(i), Codec: codec}, strings.Repeat("v", 5000*(30-i)))
		reqs = append(reqs, produceRequest(9, -1, "t", id, 0, b))
		x.send(reqs[i])
	}
	for i, req := range reqs {
		p := x.next(req, first+int32(i)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Fatalf("batch %d: %v at %d", i, kerr.ErrorForCode(p.ErrorCode), p.BaseOffset)
		}
	}
}
