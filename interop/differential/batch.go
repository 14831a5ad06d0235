package differential

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// batch is a record batch to be produced; zero values are those of a plain one of one record.
type batch struct {
	records    int
	noKey      bool
	attributes int16
	timestamp  int64
	producer   int64 // 0 for none
	epoch      int16
	sequence   int32
	magic      int8
	lastDelta  int32 // added to what is right
	badCRC     bool
	size       int // of each value
}

const baseTime = 1_700_000_000_000

func (b batch) bytes() []byte {
	b.records = max(b.records, 1)
	r := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: b.attributes, LastOffsetDelta: int32(b.records) - 1 + b.lastDelta, FirstTimestamp: baseTime + b.timestamp,
		MaxTimestamp: baseTime + b.timestamp, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(b.records)}
	if b.magic != 0 {
		r.Magic = b.magic
	}
	if b.producer != 0 {
		r.ProducerID, r.ProducerEpoch, r.FirstSequence = b.producer, b.epoch, b.sequence
	}
	for i := range b.records {
		r.Records = append(r.Records, b.record(i)...)
	}
	raw := r.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	crc := crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli))
	if b.badCRC {
		crc++
	}
	binary.BigEndian.PutUint32(raw[17:], crc)
	return raw
}

func (b batch) record(i int) []byte {
	r := kmsg.Record{OffsetDelta: int32(i), Value: make([]byte, max(b.size, 3))}
	if !b.noKey {
		r.Key = []byte("key")
	}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // without the byte of the length 0 itself
	return r.AppendTo(nil)
}

// batches tells of each batch in fetched bytes what is neither an id nor a time.
func batches(raw []byte) string {
	var all []string
	for len(raw) >= 61 {
		var b kmsg.RecordBatch
		size := int(binary.BigEndian.Uint32(raw[8:])) + 12
		if size > len(raw) || b.ReadFrom(raw[:size]) != nil {
			break
		}
		all = append(all, fmt.Sprintf("(at %d+%d, %d records of %d bytes %08x, attributes %#x, epoch %d, producer %t epoch %d sequence %d)", b.FirstOffset, b.LastOffsetDelta, b.NumRecords, len(b.Records),
			crc32.ChecksumIEEE(b.Records), b.Attributes, b.PartitionLeaderEpoch, b.ProducerID >= 0, b.ProducerEpoch, b.FirstSequence))
		raw = raw[size:]
	}
	if len(raw) > 0 {
		all = append(all, fmt.Sprintf("and %d bytes of a batch", len(raw)))
	}
	return strings.Join(all, " ")
}
