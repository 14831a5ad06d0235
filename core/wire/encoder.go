package wire

import (
	"encoding/binary"

	"github.com/lockstep/lockstep/network"
)

// encoder appends Kafka's primitive types to buf, for the answers that kmsg is too slow for. That to
// a Fetch cuts buf into chunks around the records.
type encoder struct {
	buf      []byte
	start    int // of what is in no chunk yet
	frame    []network.Chunk
	version  int16
	flexible bool
}

// cut makes what was written since the last cut a chunk.
func (e *encoder) cut() {
	if e.start == len(e.buf) {
		return
	}
	e.frame = append(e.frame, network.Chunk{Bytes: e.buf[e.start:len(e.buf):len(e.buf)]})
	e.start = len(e.buf)
}

func (e *encoder) int16(v int16) { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(v)) }
func (e *encoder) int32(v int32) { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) }
func (e *encoder) int64(v int64) { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) }

// length writes the length of an array or of bytes.
func (e *encoder) length(n int) {
	if e.flexible {
		e.buf = appendUvarint(e.buf, uint32(n+1))
		return
	}
	e.int32(int32(n))
}

func (e *encoder) string(s string) {
	if e.flexible {
		e.buf = appendUvarint(e.buf, uint32(len(s)+1))
	} else {
		e.int16(int16(len(s)))
	}
	e.buf = append(e.buf, s...)
}

func (e *encoder) nullString() {
	if e.flexible {
		e.buf = append(e.buf, 0)
		return
	}
	e.int16(-1)
}

func (e *encoder) noTags() {
	if e.flexible {
		e.buf = append(e.buf, 0)
	}
}

func appendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}
