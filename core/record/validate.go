package record

import (
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
)

// scratches is for ValidateProduce, which runs on many connections' goroutines in the daemon.
// What it yields does not depend on what it had.
var scratches = sync.Pool{New: func() any { return new(Scratch) }}

// maxPooled is the largest decompression buffer that is kept.
const maxPooled = 4 << 20

// ValidateProduce is what a leader checks of a producer's batch before it may enter a log. It
// costs a CRC, a decompression and a walk: call it off the loop. nil, or as Kafka's LogValidator:
//
//	CORRUPT_MESSAGE               the CRC is not that of the bytes
//	INVALID_RECORD                a control batch; a base offset that is not 0; a count that is not last offset
//	                              delta + 1; a producer id without epoch or sequence; records that do not
//	                              fill the batch exactly at consecutive offsets
//	INVALID_TIMESTAMP             the producer says LogAppendTime, and not which
//	UNSUPPORTED_COMPRESSION_TYPE  the codec is unknown
//	MESSAGE_TOO_LARGE             it decompresses to more than MaxUncompressed; a Java producer splits
//	                              the batch and tries again
func ValidateProduce(b Batch) error {
	_, err := InspectProduce(b)
	return err
}

// InspectProduce is ValidateProduce, and tells what it has seen on its way. A latest timestamp in the header that is not the records' is put
// right, with a new CRC, and so is a batch that says LogAppendTime, which only a leader may: its facts still tell.
func InspectProduce(b Batch) (ProduceFacts, error) {
	f, err := inspectProduce(b)
	if err != nil {
		return f, err
	}
	if f.SaysLogAppendTime = b.IsLogAppendTime(); f.SaysLogAppendTime {
		b.clearLogAppendTime()
	}
	if f.Latest != b.MaxTimestamp() {
		b.setMaxTimestamp(f.Latest)
	}
	return f, nil
}

func inspectProduce(b Batch) (f ProduceFacts, err error) {
	if !b.CheckCRC() {
		return f, kerr.CorruptMessage
	}
	if b.Codec() > Zstd {
		return f, kerr.UnsupportedCompressionType
	}
	if !validProduceHeader(b) {
		return f, kerr.InvalidRecord
	}
	if b.IsLogAppendTime() && b.MaxTimestamp() == -1 {
		return f, kerr.InvalidTimestamp
	}
	if b.Codec() == None {
		return b.inspectRecords(b.Payload())
	}
	s := scratches.Get().(*Scratch)
	defer s.put()
	payload, err := b.decompress(s)
	switch err {
	case nil:
		return b.inspectRecords(payload)
	case ErrTooLarge:
		return f, kerr.MessageTooLarge
	}
	return f, kerr.InvalidRecord
}

func (s *Scratch) put() {
	if cap(s.payload) > maxPooled {
		s.payload = nil
	}
	scratches.Put(s)
}

// validProduceHeader checks what UnifiedLog and LogValidator.validateBatch do. The last sequence may wrap.
func validProduceHeader(b Batch) bool {
	if b[posMagic] != magicV2 || b.IsControl() || b.BaseOffset() != 0 {
		return false
	}
	if b.Count() < 1 || b.LastOffsetDelta() != b.Count()-1 {
		return false
	}
	return b.ProducerID() == NoProducerID || b.ProducerID() >= 0 && b.ProducerEpoch() >= 0 && b.BaseSequence() >= 0
}

// inspectRecords checks that payload is exactly the batch's records, at consecutive offsets.
func (b Batch) inspectRecords(payload []byte) (f ProduceFacts, err error) {
	base, count := b.BaseTimestamp(), b.Count()
	f.Earliest, f.Latest = math.MaxInt64, math.MinInt64
	for delta := int32(0); delta < count; delta++ {
		body, rest, ok := cutRecord(payload)
		if !ok || !f.take(body, delta, base) {
			return f, kerr.InvalidRecord
		}
		payload = rest
	}
	if len(payload) != 0 {
		return f, kerr.InvalidRecord
	}
	return f, nil
}

// take checks that body is exactly a record at the offset delta, and looks at its timestamp and its key.
func (f *ProduceFacts) take(body []byte, delta int32, base int64) bool {
	c := cursor{p: body[1:]}
	timestamp := base + c.varlong()
	f.Earliest, f.Latest = min(f.Earliest, timestamp), max(f.Latest, timestamp)
	if c.varint() != delta {
		return false
	}
	f.Keyless = c.nullable() == nil || f.Keyless
	c.nullable()
	headers := c.varint()
	if c.bad || headers < 0 || int(headers) > len(c.p) {
		return false
	}
	for ; headers > 0 && !c.bad; headers-- {
		if c.nullable() == nil {
			return false // a header's key cannot be null
		}
		c.nullable()
	}
	return !c.bad && len(c.p) == 0
}
