package record

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ProduceFacts is what ValidateProduce finds out about the records of a batch on its way.
type ProduceFacts struct {
	Earliest, Latest int64 // timestamps, in ms
	Keyless          bool  // a record has no key
	// SaysLogAppendTime: the producer has claimed to be a leader. A topic of LogAppendTime refuses that, as Kafka does; any other lets it pass.
	SaysLogAppendTime bool
}

// ProduceRules is what a topic asks of the batches that producers send to it. The zero value asks nothing.
type ProduceRules struct {
	Compacted     bool  // records must have keys
	LogAppendTime bool  // message.timestamp.type: records get the time of their append
	BeforeMaxMs   int64 // message.timestamp.before.max.ms; 0 and LogAppendTime: no limit
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	Recompress    bool  // compression.type is not producer: to Codec at Level
	Codec         Codec
	Level         int
}

// RecordError says what is wrong with a record of a batch, by its place.
type RecordError struct {
	Index   int32
	Message string
}

// Demands reports whether Apply has anything to do, or to say. It costs nothing.
func (r *ProduceRules) Demands(b Batch, f ProduceFacts, nowMs int64) bool {
	return r.LogAppendTime || r.Recompress && b.Codec() != r.Codec || r.Compacted && f.Keyless ||
		r.outOfRange(f.Earliest, nowMs) || r.outOfRange(f.Latest, nowMs)
}

// outOfRange is as Kafka's, whose differences do not overflow either for what a clock says.
func (r *ProduceRules) outOfRange(timestamp, nowMs int64) bool {
	if r.LogAppendTime || timestamp == -1 || r.BeforeMaxMs == 0 && r.AfterMaxMs == 0 {
		return false
	}
	return nowMs-timestamp > r.BeforeMaxMs || timestamp-nowMs > r.AfterMaxMs
}

// Apply makes the batch what the topic wants, in place or, if it is compressed anew, in memory of its own. It walks the records: call it off the
// loop. INVALID_TIMESTAMP and INVALID_RECORD come with the records that are to blame.
func (r *ProduceRules) Apply(b Batch, f ProduceFacts, nowMs int64, partition string) (Batch, []RecordError, error) {
	if wrong, err := r.judge(b, f, nowMs, partition); err != nil {
		return nil, wrong, err
	}
	if r.Recompress && b.Codec() != r.Codec {
		b = r.recompress(b)
	}
	if r.LogAppendTime {
		b.SetLogAppendTime(nowMs)
	}
	return b, nil, nil
}

// judge lists the records that the topic does not take: Kafka's LogValidator, with its words.
func (r *ProduceRules) judge(b Batch, f ProduceFacts, nowMs int64, partition string) (wrong []RecordError, err error) {
	timestamps, index := false, int32(-1)
	_ = b.Each(nil, func(x Record) error { // ValidateProduce has read it without an error
		index++
		timestamp := b.BaseTimestamp() + x.TimestampDelta
		switch {
		case r.Compacted && x.Key == nil:
			wrong = append(wrong, RecordError{index, "Compacted topic cannot accept message without key in topic partition " + partition})
		case r.LogAppendTime && f.SaysLogAppendTime:
			timestamps = true
			wrong = append(wrong, RecordError{index, "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime."})
		case r.outOfRange(timestamp, nowMs):
			timestamps = true
			wrong = append(wrong, RecordError{index, fmt.Sprintf("Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]",
				timestamp, b.BaseOffset()+int64(x.OffsetDelta), nowMs-r.BeforeMaxMs, nowMs+r.AfterMaxMs)})
		}
		return nil
	})
	switch {
	case len(wrong) == 0:
		return nil, nil
	case timestamps:
		return wrong, fmt.Errorf("One or more records have been rejected due to invalid timestamp%w", silent{kerr.InvalidTimestamp})
	}
	return wrong, fmt.Errorf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: %s%w",
		len(wrong), shown(wrong), silent{kerr.InvalidRecord})
}

// silent is an error that is there to be found by its type, and says nothing.
type silent struct{ error }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.error }

// shown is the first three of a list as Java prints it.
func shown(wrong []RecordError) string {
	text := "["
	for i, w := range wrong[:min(len(wrong), 3)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", w.Index, w.Message)
	}
	return text + "]"
}

// recompress builds the batch anew with the topic's codec. Its records, offsets and producer are the same.
func (r *ProduceRules) recompress(b Batch) Batch {
	var scratch Scratch
	records, _ := b.decompress(&scratch) // ValidateProduce has, without an error
	out := Batch(append(make([]byte, 0, HeaderSize+len(records)/2), b[:HeaderSize]...))
	out = r.Codec.CompressLevel(out, records, r.Level)
	out.seal(b.Attributes()&^attrCodec|int16(r.Codec), b.BaseTimestamp(), b.MaxTimestamp(), b.Count())
	return out
}
