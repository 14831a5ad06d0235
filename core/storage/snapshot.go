package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A producer snapshot is Kafka's ProducerSnapshot, version 1: version int16, CRC-32C of what
// follows it, count int32, and 46 bytes a producer.
const (
	snapshotVersion   = 1
	snapshotHead      = 2 + 4 + 4
	snapshotCRC       = 2
	snapshotChecked   = 6
	snapshotEntrySize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// marshalSnapshot is the content of a .snapshot file. Kafka writes one entry a producer, with its last batch. Here each batch that
// is remembered has one, oldest first: Kafka's reader takes the last of them, and a broker of ours still
// knows a retry after a restart. With the last batch alone it would not: all replicas stop while a producer has five batches under
// way, the next leader has them all in its log, and the retry of the first is refused as out of order.
func marshalSnapshot(all []ProducerState) []byte {
	b := make([]byte, snapshotHead, snapshotHead+len(all)*snapshotEntrySize)
	binary.BigEndian.PutUint16(b, snapshotVersion)
	for i := range all {
		p := &all[i]
		if p.count == 0 {
			b = appendSnapshotEntry(b, p, ProducerBatch{LastSequence: -1, LastOffset: -1, Timestamp: p.LastTimestamp})
		}
		for n, batch := range p.Batches() {
			if n == int(p.count)-1 {
				batch.Timestamp = p.LastTimestamp // a marker may have come after it
			}
			b = appendSnapshotEntry(b, p, batch)
		}
	}
	binary.BigEndian.PutUint32(b[snapshotChecked:], uint32((len(b)-snapshotHead)/snapshotEntrySize))
	binary.BigEndian.PutUint32(b[snapshotCRC:], crc32.Checksum(b[snapshotChecked:], castagnoli))
	return b
}

func appendSnapshotEntry(b []byte, p *ProducerState, last ProducerBatch) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.ProducerID))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(last.LastSequence))
	b = binary.BigEndian.AppendUint64(b, uint64(last.LastOffset))
	b = binary.BigEndian.AppendUint32(b, uint32(last.OffsetDelta))
	b = binary.BigEndian.AppendUint64(b, uint64(last.Timestamp))
	b = binary.BigEndian.AppendUint32(b, uint32(p.CoordinatorEpoch))
	return binary.BigEndian.AppendUint64(b, uint64(p.TxnFirstOffset))
}

// parseSnapshot reads a .snapshot file.
func parseSnapshot(b []byte) ([]ProducerState, error) {
	if len(b) < snapshotHead || binary.BigEndian.Uint16(b) != snapshotVersion {
		return nil, fmt.Errorf("%w: producer snapshot of %d bytes has no known version", ErrCorrupt, len(b))
	}
	if binary.BigEndian.Uint32(b[snapshotCRC:]) != crc32.Checksum(b[snapshotChecked:], castagnoli) {
		return nil, fmt.Errorf("%w: producer snapshot fails its CRC", ErrCorrupt)
	}
	n := int64(int32(binary.BigEndian.Uint32(b[snapshotChecked:])))
	if n < 0 || int64(len(b)-snapshotHead) != n*snapshotEntrySize {
		return nil, fmt.Errorf("%w: producer snapshot of %d bytes claims %d producers", ErrCorrupt, len(b), n)
	}
	all := make([]ProducerState, 0, n)
	for b = b[snapshotHead:]; len(b) > 0; b = b[snapshotEntrySize:] {
		all = addSnapshotEntry(all, parseSnapshotEntry(b))
	}
	return all, nil
}

// addSnapshotEntry takes an entry as one more batch of the producer before it, if it is that one's.
func addSnapshotEntry(all []ProducerState, p ProducerState) []ProducerState {
	if n := len(all); n > 0 && all[n-1].ProducerID == p.ProducerID && all[n-1].Epoch == p.Epoch && p.count == 1 {
		all[n-1].add(p.batches[0])
		all[n-1].LastTimestamp = p.LastTimestamp
		return all
	}
	return append(all, p)
}

func parseSnapshotEntry(b []byte) ProducerState {
	p := ProducerState{
		ProducerID:       int64(binary.BigEndian.Uint64(b)),
		Epoch:            int16(binary.BigEndian.Uint16(b[8:])),
		LastTimestamp:    int64(binary.BigEndian.Uint64(b[26:])),
		CoordinatorEpoch: int32(binary.BigEndian.Uint32(b[34:])),
		TxnFirstOffset:   int64(binary.BigEndian.Uint64(b[38:])),
	}
	last := ProducerBatch{
		LastSequence: int32(binary.BigEndian.Uint32(b[10:])),
		LastOffset:   int64(binary.BigEndian.Uint64(b[14:])),
		OffsetDelta:  int32(binary.BigEndian.Uint32(b[22:])),
		Timestamp:    p.LastTimestamp,
	}
	if last.LastOffset >= 0 {
		p.batches[0], p.count = last, 1
	}
	return p
}
