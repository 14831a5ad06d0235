package check

import (
	"encoding/binary"

	"github.com/lockstep/lockstep/core/record"
)

// valueSize is the part of a record's value that names it; filler may follow.
const valueSize = 16

// AppendValue appends what names a record: its producer, its partition's ordinal and its place among what that producer sent
// to that partition.
func AppendValue(dst []byte, producer, partition int, counter int64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(producer))
	dst = binary.BigEndian.AppendUint32(dst, uint32(partition))
	return binary.BigEndian.AppendUint64(dst, uint64(counter))
}

// ValueOf is what names a record: its value or, of a tombstone, its first header's.
func ValueOf(r record.Record) []byte {
	if r.Value == nil && len(r.Headers) > 0 {
		return r.Headers[0].Value
	}
	return r.Value
}

// ParseValue reads what AppendValue wrote, at the beginning of v.
func ParseValue(v []byte) (producer, partition int, counter int64, ok bool) {
	if len(v) < valueSize {
		return 0, 0, 0, false
	}
	be := binary.BigEndian
	return int(be.Uint32(v)), int(be.Uint32(v[4:])), int64(be.Uint64(v[8:])), true
}
