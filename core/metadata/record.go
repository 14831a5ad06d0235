// Package metadata is the cluster as Kafka writes it down: records, the image they build, what a
// run of them changed, and the loader that turns committed batches into images.
//
// Records have Kafka's bytes (MetadataRecordSerde and metadata/src/main/resources/common/metadata),
// at the versions of metadata.version 4.3-IV0. An image is a persistent value: Clone is O(1), and
// what an image hands out never changes afterwards.
package metadata

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
)

// frameVersion is the only frame version Kafka has used since 3.0.
const frameVersion = 1

// The api keys of the records the image understands.
const (
	KeyRegisterBroker            = 0
	KeyUnregisterBroker          = 1
	KeyTopic                     = 2
	KeyPartition                 = 3
	KeyConfig                    = 4
	KeyPartitionChange           = 5
	KeyFenceBroker               = 7
	KeyUnfenceBroker             = 8
	KeyRemoveTopic               = 9
	KeyUserScramCredential       = 11
	KeyFeatureLevel              = 12
	KeyClientQuota               = 14
	KeyProducerIds               = 15
	KeyBrokerRegistrationChange  = 17
	KeyNoOp                      = 20
	KeyRemoveUserScramCredential = 22
	KeyBeginTransaction          = 23
	KeyEndTransaction            = 24
	KeyAbortTransaction          = 25
	KeyRegisterController        = 27
	KeyClearElr                  = 28
)

// ErrMalformed is wrapped by every error of Unmarshal.
var ErrMalformed = errors.New("metadata: malformed record")

// Record is one metadata record: a pointer to one of this package's record structs.
type Record interface {
	// Key is the record's api key.
	Key() int16
	// Version is the version Marshal writes: the highest that metadata.version 4.3-IV0 allows.
	Version() int16

	append(dst []byte) []byte
	read(r *reader, version int16)
}

// Marshal appends a record's bytes to dst: frame version, api key, version, body.
func Marshal(dst []byte, r Record) []byte {
	if o, ok := r.(*OpaqueRecord); ok {
		return append(dst, o.Raw...)
	}
	dst = kbin.AppendUvarint(dst, frameVersion)
	dst = kbin.AppendUvarint(dst, uint32(r.Key()))
	dst = kbin.AppendUvarint(dst, uint32(r.Version()))
	return r.append(dst)
}

// Unmarshal reads one record. It copies what it keeps. A kind it does not know comes back as an
// OpaqueRecord with the same bytes; a version above what it knows of a kind is an error, since the
// image would be wrong without it.
func Unmarshal(b []byte) (Record, error) {
	r := reader{src: b}
	frame, key, version := r.uvarint(), r.uvarint(), r.uvarint()
	if r.bad || frame != frameVersion || key > 0x7fff || version > 0x7fff {
		return nil, fmt.Errorf("%w: header", ErrMalformed)
	}
	rec := newRecord(int16(key))
	if rec == nil {
		return &OpaqueRecord{APIKey: int16(key), APIVersion: int16(version), Raw: append([]byte(nil), b...)}, nil
	}
	if int16(version) > rec.Version() {
		return nil, fmt.Errorf("%w: key %d has unsupported version %d", ErrMalformed, key, version)
	}
	rec.read(&r, int16(version))
	if r.bad || len(r.src) != 0 {
		return nil, fmt.Errorf("%w: key %d version %d", ErrMalformed, key, version)
	}
	return rec, nil
}

func newRecord(key int16) Record {
	switch key {
	case KeyRegisterBroker:
		return new(RegisterBrokerRecord)
	case KeyUnregisterBroker:
		return new(UnregisterBrokerRecord)
	case KeyTopic:
		return new(TopicRecord)
	case KeyPartition:
		return new(PartitionRecord)
	case KeyConfig:
		return new(ConfigRecord)
	case KeyPartitionChange:
		return new(PartitionChangeRecord)
	case KeyFenceBroker:
		return new(FenceBrokerRecord)
	case KeyUnfenceBroker:
		return new(UnfenceBrokerRecord)
	case KeyRemoveTopic:
		return new(RemoveTopicRecord)
	}
	return newOtherRecord(key)
}

func newOtherRecord(key int16) Record {
	switch key {
	case KeyUserScramCredential:
		return new(UserScramCredentialRecord)
	case KeyFeatureLevel:
		return new(FeatureLevelRecord)
	case KeyClientQuota:
		return new(ClientQuotaRecord)
	case KeyProducerIds:
		return new(ProducerIdsRecord)
	case KeyBrokerRegistrationChange:
		return new(BrokerRegistrationChangeRecord)
	case KeyNoOp:
		return new(NoOpRecord)
	case KeyRemoveUserScramCredential:
		return new(RemoveUserScramCredentialRecord)
	case KeyBeginTransaction:
		return new(BeginTransactionRecord)
	case KeyEndTransaction:
		return new(EndTransactionRecord)
	case KeyAbortTransaction:
		return new(AbortTransactionRecord)
	case KeyRegisterController:
		return new(RegisterControllerRecord)
	case KeyClearElr:
		return new(ClearElrRecord)
	}
	return nil
}

// OpaqueRecord is a record of a kind this package does not know (ACLs, delegation tokens, …). The image
// carries it along in log order.
type OpaqueRecord struct {
	APIKey, APIVersion int16
	Raw                []byte // the whole record, frame included
}

// Key is the record's api key.
func (r *OpaqueRecord) Key() int16 { return r.APIKey }

// Version is the version the record was written with.
func (r *OpaqueRecord) Version() int16 { return r.APIVersion }

func (r *OpaqueRecord) append(dst []byte) []byte { return append(dst, r.Raw...) }
func (r *OpaqueRecord) read(*reader, int16)      {}
