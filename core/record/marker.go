package record

import "encoding/binary"

// Marker is the end of a transaction in one partition: the one record of a control batch (KIP-98, Kafka's EndTransactionMarker).
type Marker struct {
	Commit           bool
	CoordinatorEpoch int32 // of the transaction coordinator that wrote it
}

// Types of control records.
const (
	controlAbort  = 0
	controlCommit = 1
)

// ParseMarker reads a control batch's one record; false if it has none or it is no end of a transaction.
func ParseMarker(b Batch) (m Marker, ok bool) {
	var scratch Scratch
	err := b.Each(&scratch, func(r Record) error {
		if len(r.Key) >= 4 && len(r.Value) >= 6 {
			kind := binary.BigEndian.Uint16(r.Key[2:])
			m = Marker{Commit: kind == controlCommit, CoordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:]))}
			ok = kind <= controlCommit
		}
		return nil
	})
	return m, ok && err == nil
}

// BuildMarker is the control batch that ends a producer's transaction. timestamp is in ms.
func BuildMarker(producerID int64, producerEpoch int16, m Marker, timestamp int64) Batch {
	b := NewBuilder(nil, BatchOptions{
		LeaderEpoch: -1, ProducerID: producerID, ProducerEpoch: producerEpoch, Control: true, Transactional: true, BaseTimestamp: timestamp,
	})
	var key [4]byte
	if m.Commit {
		key[3] = controlCommit
	}
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	b.Append(timestamp, key[:], value[:])
	return b.Build()
}
