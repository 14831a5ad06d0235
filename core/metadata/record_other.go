package metadata

import "github.com/twmb/franz-go/pkg/kbin"

// Resource types of configs, as in the protocol.
const (
	ResourceTopic         int8 = 2
	ResourceBroker        int8 = 4
	ResourceBrokerLogger  int8 = 8 // never in a record
	ResourceClientMetrics int8 = 16
	ResourceGroup         int8 = 32
)

// ConfigRecord (4) sets or, with a nil value, deletes a config of a resource.
type ConfigRecord struct {
	ResourceType int8
	ResourceName string
	Name         string
	Value        *string
}

// Key is 4.
func (*ConfigRecord) Key() int16 { return KeyConfig }

// Version is 0.
func (*ConfigRecord) Version() int16 { return 0 }

func (x *ConfigRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt8(dst, x.ResourceType)
	dst = kbin.AppendCompactString(dst, x.ResourceName)
	dst = kbin.AppendCompactString(dst, x.Name)
	dst = kbin.AppendCompactNullableString(dst, x.Value)
	return append(dst, 0)
}

func (x *ConfigRecord) read(r *reader, _ int16) {
	x.ResourceType, x.ResourceName, x.Name, x.Value = r.int8(), r.string(), r.string(), r.nullableString()
	r.noTags()
}

// FeatureLevelRecord (12) finalizes a feature; metadata.version is one. Level 0 removes it.
type FeatureLevelRecord struct {
	Name         string
	FeatureLevel int16
}

// Key is 12.
func (*FeatureLevelRecord) Key() int16 { return KeyFeatureLevel }

// Version is 0, for ever: every log begins with this record.
func (*FeatureLevelRecord) Version() int16 { return 0 }

func (x *FeatureLevelRecord) append(dst []byte) []byte {
	dst = kbin.AppendCompactString(dst, x.Name)
	dst = kbin.AppendInt16(dst, x.FeatureLevel)
	return append(dst, 0)
}

func (x *FeatureLevelRecord) read(r *reader, _ int16) {
	x.Name, x.FeatureLevel = r.string(), r.int16()
	r.noTags()
}

// ProducerIdsRecord (15) hands a block of producer ids to a broker: those below NextProducerID that
// were not handed out before.
type ProducerIdsRecord struct {
	BrokerID       int32
	BrokerEpoch    int64
	NextProducerID int64
}

// Key is 15.
func (*ProducerIdsRecord) Key() int16 { return KeyProducerIds }

// Version is 0.
func (*ProducerIdsRecord) Version() int16 { return 0 }

func (x *ProducerIdsRecord) append(dst []byte) []byte {
	dst = kbin.AppendInt32(dst, x.BrokerID)
	dst = kbin.AppendInt64(dst, x.BrokerEpoch)
	dst = kbin.AppendInt64(dst, x.NextProducerID)
	return append(dst, 0)
}

func (x *ProducerIdsRecord) read(r *reader, _ int16) {
	x.BrokerID, x.BrokerEpoch, x.NextProducerID = r.int32(), r.int64(), r.int64()
	r.noTags()
}

// NoOpRecord (20) keeps the log moving (KIP-835).
type NoOpRecord struct{}

// Key is 20.
func (*NoOpRecord) Key() int16 { return KeyNoOp }

// Version is 0.
func (*NoOpRecord) Version() int16 { return 0 }

func (*NoOpRecord) append(dst []byte) []byte { return append(dst, 0) }
func (*NoOpRecord) read(r *reader, _ int16)  { r.noTags() }

// BeginTransactionRecord (23) opens a metadata transaction (KIP-868): records up to its end apply
// together or, if aborted, not at all.
type BeginTransactionRecord struct{ Name *string }

// Key is 23.
func (*BeginTransactionRecord) Key() int16 { return KeyBeginTransaction }

// Version is 0.
func (*BeginTransactionRecord) Version() int16 { return 0 }

func (x *BeginTransactionRecord) append(dst []byte) []byte { return appendTaggedText(dst, x.Name) }
func (x *BeginTransactionRecord) read(r *reader, _ int16)  { x.Name = r.taggedText() }

// EndTransactionRecord (24) commits a metadata transaction.
type EndTransactionRecord struct{}

// Key is 24.
func (*EndTransactionRecord) Key() int16 { return KeyEndTransaction }

// Version is 0.
func (*EndTransactionRecord) Version() int16 { return 0 }

func (*EndTransactionRecord) append(dst []byte) []byte { return append(dst, 0) }
func (*EndTransactionRecord) read(r *reader, _ int16)  { r.noTags() }

// AbortTransactionRecord (25) drops a metadata transaction.
type AbortTransactionRecord struct{ Reason *string }

// Key is 25.
func (*AbortTransactionRecord) Key() int16 { return KeyAbortTransaction }

// Version is 0.
func (*AbortTransactionRecord) Version() int16 { return 0 }

func (x *AbortTransactionRecord) append(dst []byte) []byte { return appendTaggedText(dst, x.Reason) }
func (x *AbortTransactionRecord) read(r *reader, _ int16)  { x.Reason = r.taggedText() }

// appendTaggedText writes a body that is one optional string with tag 0.
func appendTaggedText(dst []byte, s *string) []byte {
	t := beginTags(dst)
	if s != nil {
		t.string(0, *s)
	}
	return t.dst
}

func (r *reader) taggedText() (s *string) {
	r.tags(func(tag uint32, f *reader) bool {
		if tag == 0 {
			s = f.nullableString()
		}
		return tag == 0
	})
	return s
}
