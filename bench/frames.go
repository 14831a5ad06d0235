package main

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The frames of the raw load. Produce is version 9 and fetch version 12: the last that name topics, so
// that one frame fits all servers.
const (
	clientID   = "bench"
	recordSize = 1 << 10
	// rawErrorAt is where a produce answer has its error code: correlation id, tag, topics, topic name,
	// partitions, index.
	rawErrorAt = 4 + 1 + 1 + 1 + len(topic) + 1 + 4
)

// recordsIn is how many records a batch of about size bytes has.
func recordsIn(size int) int64 { return int64(max(1, size/recordSize)) }

// rawBatch is a batch of about size bytes of 1 KiB records, uncompressed.
func rawBatch(size int) []byte {
	n := int(recordsIn(size))
	each := size/n - 80/n - 10
	var records []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: make([]byte, each)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // a length of 0 takes one byte
		records = r.AppendTo(records)
	}
	b := kmsg.RecordBatch{Magic: 2, PartitionLeaderEpoch: -1, LastOffsetDelta: int32(n - 1), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: records}
	b.FirstTimestamp, b.MaxTimestamp = 1_700_000_000_000, 1_700_000_000_000
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[batchBodyFrom:], castagnoli))
	return raw
}

// frameOf is a request's frame with size and header. All of them are flexible.
func frameOf(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(nil, req, 1)
}

func produceFrame(r row) (frame []byte, recordBytes int64) {
	batch := rawBatch(r.Size)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, int16(r.Acks), 10_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch}}}}
	return frameOf(req), int64(len(batch))
}

// batchOf is the batch of a raw produce frame, which is given without its size. It ends three bytes
// before the frame does (the tags of partition, topic and request); where it begins depends on how long the length before
// it is written.
func batchOf(frame []byte) []byte {
	rest := frame[produceHead : len(frame)-3]
	for int(binary.BigEndian.Uint32(rest[8:]))+12 != len(rest) {
		rest = rest[1:]
	}
	return rest
}

var produceHead = func() int {
	frame, n := produceFrame(row{Size: 1 << 10, Acks: 1})
	return len(frame) - 4 - 3 - int(n)
}()

func fetchFrame(offset int64, maxBytes int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, 500, 1, maxBytes, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, maxBytes, -1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	return frameOf(req)
}

// rawFetchOffsetAt is where a raw fetch frame has its offset, behind the size.
func rawFetchOffsetAt() int { return fetchOffsetAt }

var fetchOffsetAt = func() int {
	marked := fetchFrame(0x0102030405060708, 1)
	for i := 0; ; i++ {
		if binary.BigEndian.Uint64(marked[i:]) == 0x0102030405060708 {
			return i - 4
		}
	}
}()
