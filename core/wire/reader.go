package wire

import (
	"encoding/binary"
	"math"
)

var be = binary.BigEndian

// reader reads Kafka's primitive types off b. When something does not fit it is bad, holds nothing
// and yields zeros: check bad once, at the end. It never believes a count or a length beyond the
// bytes that are there.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

// span takes n bytes; they alias b. nil if there are not as many.
func (r *reader) span(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) skip(n int) {
	if n < 0 || n > len(r.b) {
		r.fail()
		return
	}
	r.b = r.b[n:]
}

func (r *reader) int16() int16 {
	if len(r.b) < 2 {
		r.fail()
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.b))
	r.b = r.b[2:]
	return v
}

func (r *reader) int32() int32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

func (r *reader) int64() int64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *reader) int8() int8 {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := int8(r.b[0])
	r.b = r.b[1:]
	return v
}

// uvarint reads an unsigned 32-bit varint of at most five bytes.
func (r *reader) uvarint() uint32 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint32(v)
	}
	var v uint64
	for i := 0; i < len(r.b) && i < 5; i++ {
		c := r.b[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if v > 1<<32-1 {
				break
			}
			r.b = r.b[i+1:]
			return uint32(v)
		}
	}
	r.fail()
	return 0
}

// compact reads a length that is stored plus one; -1 is null.
func (r *reader) compact() int {
	v := r.uvarint()
	if v > 1<<31-1 {
		r.fail()
		return -1
	}
	if r.bad {
		return -1
	}
	return int(v) - 1
}

// bytesLen reads the length of bytes, -1 for null, and checks that as many follow.
func (r *reader) bytesLen(flexible bool) int {
	n := -1
	if flexible {
		n = r.compact()
	} else {
		n = int(r.int32())
	}
	return r.checkLen(n)
}

// stringLen reads the length of a string, -1 for null, and checks that as many bytes follow. A compact
// length could say more than math.MaxInt16 but, as in Kafka's readers, may not: records have no longer strings.
func (r *reader) stringLen(flexible bool) int {
	n := -1
	if flexible {
		n = r.compact()
	} else {
		n = int(r.int16())
	}
	if n > math.MaxInt16 {
		r.fail()
	}
	return r.checkLen(n)
}

// arrayLen reads the number of elements of an array, -1 for null, and checks that there may be as
// many: an element takes at least one byte.
func (r *reader) arrayLen(flexible bool) int { return r.bytesLen(flexible) }

func (r *reader) checkLen(n int) int {
	if r.bad || n < -1 || n > len(r.b) {
		r.fail()
		return -1
	}
	return n
}

// nullableBytes reads bytes, which alias b; nil for null.
func (r *reader) nullableBytes(flexible bool) []byte {
	if n := r.bytesLen(flexible); n >= 0 {
		return r.span(n)
	}
	return nil
}

// stringBytes reads a string's bytes, which alias b; nil for null.
func (r *reader) stringBytes(flexible bool) []byte {
	if n := r.stringLen(flexible); n >= 0 {
		return r.span(n)
	}
	return nil
}

// skipTags skips a section of tagged fields (KIP-482). Each takes at least two bytes.
func (r *reader) skipTags() {
	n := int(r.uvarint())
	if n > len(r.b)/2 {
		r.fail()
	}
	for ; n > 0 && !r.bad; n-- {
		r.uvarint()
		r.skip(int(r.uvarint()))
	}
}
