package wire

import (
	"github.com/lockstep/lockstep/core/record"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Produce is the body of a Produce request, versions 3 to 13. The batches alias the frame.
type Produce struct {
	TransactionalID *string
	Acks            int16
	TimeoutMs       int32
	Topics          []ProduceTopic
}

// ProduceTopic names its topic up to version 12 and has its id from 13 on.
type ProduceTopic struct {
	Topic      string
	TopicID    [16]byte
	Partitions []ProducePartition
}

// ProducePartition is what was sent to one partition.
type ProducePartition struct {
	Index int32
	Batch record.Batch // one of its form is there; nil if Err is that it is not
	Facts record.ProduceFacts
	Err   error // a *kerr.Error: why the records cannot be taken; nil if the batch is valid
}

const (
	produceFlexible = 9
	produceTopicID  = 13
	produceZstd     = 7
)

// produceRequest holds the usual request, of one partition, in one piece of memory.
type produceRequest struct {
	Request
	produce    Produce
	topics     [1]ProduceTopic
	partitions [1]ProducePartition
}

// decodeProduce walks the body, and once more if it holds more than one partition: the first walk
// counted them, so that memory is taken for what is there and not for what is claimed.
func decodeProduce(r *reader, head Request) (any, error) {
	p := produceRequests.Get().(*produceRequest)
	p.Request, p.produce = head, Produce{}
	p.Request.Produce, p.Request.pooled = &p.produce, p
	w := produceWalk{reader: *r, version: head.Version, topics: p.topics[:0], partitions: p.partitions[:0]}
	w.walk(&p.produce)
	if w.bad {
		return nil, malformed(head.Key, head.Version)
	}
	if w.topicCount > 1 || w.partitionCount > 1 {
		w = produceWalk{
			reader: *r, version: head.Version,
			topics:     make([]ProduceTopic, 0, w.topicCount),
			partitions: make([]ProducePartition, 0, w.partitionCount),
		}
		w.walk(&p.produce)
	}
	for i := range w.partitions {
		w.partitions[i].validate(head.Version)
	}
	return &p.Request, nil
}

// produceWalk walks a body. It counts all topics and partitions and keeps as many as there is room for.
type produceWalk struct {
	reader
	version                    int16
	topics                     []ProduceTopic
	partitions                 []ProducePartition
	topicCount, partitionCount int
}

func (w *produceWalk) walk(p *Produce) {
	flexible := w.version >= produceFlexible
	if id := w.stringBytes(flexible); id != nil {
		s := string(id)
		p.TransactionalID = &s
	}
	p.Acks, p.TimeoutMs = w.int16(), w.int32()
	for n := w.arrayLen(flexible); n > 0 && !w.bad; n-- {
		w.topic(flexible)
	}
	if flexible {
		w.skipTags()
	}
	p.Topics = w.topics
}

func (w *produceWalk) topic(flexible bool) {
	var name, id []byte
	if w.version >= produceTopicID {
		id = w.span(16)
	} else if name = w.stringBytes(flexible); name == nil {
		w.fail() // not nullable
	}
	start := len(w.partitions)
	for n := w.arrayLen(flexible); n > 0 && !w.bad; n-- {
		w.partition(flexible)
	}
	if flexible {
		w.skipTags()
	}
	w.topicCount++
	if len(w.topics) == cap(w.topics) {
		return
	}
	w.topics = w.topics[:len(w.topics)+1]
	t := &w.topics[len(w.topics)-1] // what was there before: mostly the same topic
	if t.Topic != string(name) {
		t.Topic = string(name)
	}
	t.TopicID, t.Partitions = [16]byte{}, w.partitions[start:len(w.partitions):len(w.partitions)]
	copy(t.TopicID[:], id)
}

// partition keeps the records as they are; they are validated when the whole body is known to be sound.
func (w *produceWalk) partition(flexible bool) {
	index := w.int32()
	records := w.nullableBytes(flexible)
	if flexible {
		w.skipTags()
	}
	w.partitionCount++
	if len(w.partitions) < cap(w.partitions) {
		w.partitions = append(w.partitions, ProducePartition{Index: index, Batch: records})
	}
}

// validate checks what a request of this version may hold for one partition: exactly one batch of
// magic 2 (KIP-98), no zstd before version 7 (KIP-110), and all that record.ValidateProduce checks.
func (p *ProducePartition) validate(version int16) {
	records := []byte(p.Batch)
	b, rest, err := record.Parse(records)
	p.Batch = nil
	switch {
	case err == record.ErrCorrupt && !oldMagic(records):
		p.Err = kerr.CorruptMessage
	case err != nil || len(rest) != 0:
		p.Err = kerr.InvalidRecord
	case b.Codec() == record.Zstd && version < produceZstd:
		p.Err = kerr.UnsupportedCompressionType
	default:
		p.Batch = b
		p.Facts, p.Err = record.InspectProduce(b)
	}
}

// oldMagic says that the records are of a format before version 2.
func oldMagic(records []byte) bool { return len(records) > 16 && records[16] < 2 }
