package record

import "encoding/binary"

// Header is a batch's header as values, for scans of files that do not read the records.
type Header struct {
	BaseOffset      int64
	Size            int // of the whole batch, in bytes
	LeaderEpoch     int32
	Magic           int8
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestamp   int64
	MaxTimestamp    int64
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
	CRC             uint32
}

// ParseHeader reads a header from the first HeaderSize bytes of p.
//
// ErrShort: p is shorter. ErrCorrupt: not a batch of version 2.
func ParseHeader(p []byte) (Header, error) {
	if len(p) < HeaderSize {
		return Header{}, ErrShort
	}
	size, err := batchSize(p)
	if err != nil {
		return Header{}, err
	}
	return headerOf(p, size), nil
}

// Header is the batch's header as values.
func (b Batch) Header() Header { return headerOf(b, len(b)) }

func headerOf(p []byte, size int) Header {
	b := Batch(p)
	return Header{
		BaseOffset:      b.BaseOffset(),
		Size:            size,
		LeaderEpoch:     b.LeaderEpoch(),
		Magic:           int8(b[posMagic]),
		Attributes:      b.Attributes(),
		LastOffsetDelta: b.LastOffsetDelta(),
		BaseTimestamp:   b.BaseTimestamp(),
		MaxTimestamp:    b.MaxTimestamp(),
		ProducerID:      b.ProducerID(),
		ProducerEpoch:   b.ProducerEpoch(),
		BaseSequence:    b.BaseSequence(),
		Count:           b.Count(),
		CRC:             binary.BigEndian.Uint32(p[posCRC:]),
	}
}

// LastOffset is the offset of the batch's last record.
func (h Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// NextOffset is the offset after the batch.
func (h Header) NextOffset() int64 { return h.LastOffset() + 1 }

// LastSequence is the last record's sequence number, -1 if it has none.
func (h Header) LastSequence() int32 {
	return lastSequence(h.ProducerID, h.BaseSequence, h.LastOffsetDelta)
}

// Codec is how the records are compressed.
func (h Header) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// IsControl says that the records are markers.
func (h Header) IsControl() bool { return h.Attributes&attrControl != 0 }

// IsTransactional says that the batch is part of a transaction.
func (h Header) IsTransactional() bool { return h.Attributes&attrTransactional != 0 }
