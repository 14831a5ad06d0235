package metadata

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kbin"
)

// reader walks a record body. Once it runs dry, or meets a length that the bytes left cannot hold,
// bad stays set and everything it returns is zero: it never allocates by a claimed length.
type reader struct {
	src []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.src = true, nil }

func (r *reader) span(n int) []byte {
	if n < 0 || n > len(r.src) {
		r.fail()
		return nil
	}
	b := r.src[:n]
	r.src = r.src[n:]
	return b
}

func (r *reader) uvarint() uint32 {
	v, n := kbin.Uvarint(r.src)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *reader) int8() int8 {
	if b := r.span(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) bool() bool { return r.int8() != 0 }

func (r *reader) int16() int16 {
	if b := r.span(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.span(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.span(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uuid() (id [16]byte) {
	copy(id[:], r.span(16))
	return id
}

// string reads a compact string that may not be null.
func (r *reader) string() string {
	s := r.nullableString()
	if s == nil {
		r.fail()
		return ""
	}
	return *s
}

func (r *reader) nullableString() *string {
	n := r.uvarint()
	if n == 0 || r.bad {
		return nil
	}
	s := string(r.span(int(n - 1)))
	return &s
}

// bytes reads compact bytes that may not be null, as a copy.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n == 0 {
		r.fail()
	}
	if r.bad {
		return nil
	}
	return append([]byte{}, r.span(int(n-1))...)
}

// arrayLen reads a compact array length whose elements take at least elemSize bytes; -1 is null.
func (r *reader) arrayLen(elemSize int) int {
	n := int64(r.uvarint()) - 1
	if n > int64(len(r.src)/elemSize) {
		r.fail()
	}
	if r.bad {
		return 0
	}
	return int(n)
}

// int32s reads a compact array of int32; null is nil, empty is not.
func (r *reader) int32s() []int32 {
	n := r.arrayLen(4)
	if n < 0 {
		return nil
	}
	a := make([]int32, n)
	for i := range a {
		a[i] = r.int32()
	}
	return a
}

// requiredInt32s is int32s for a field that may not be null.
func (r *reader) requiredInt32s() []int32 {
	a := r.int32s()
	if a == nil {
		r.fail()
	}
	return a
}

// uuids reads a compact array of uuids; null is nil, empty is not.
func (r *reader) uuids() [][16]byte {
	n := r.arrayLen(16)
	if n < 0 {
		return nil
	}
	a := make([][16]byte, n)
	for i := range a {
		a[i] = r.uuid()
	}
	return a
}

// tags reads a tag section. field reads a known tag from its own bytes and says so; others are
// skipped. Tags must ascend, as KIP-482 has it.
func (r *reader) tags(field func(tag uint32, f *reader) bool) {
	n := r.uvarint()
	if int64(n) > int64(len(r.src)/2) {
		r.fail()
	}
	last := int64(-1)
	for ; n > 0 && !r.bad; n-- {
		tag := r.uvarint()
		body := reader{src: r.span(int(r.uvarint()))}
		if int64(tag) <= last {
			r.fail()
			return
		}
		last = int64(tag)
		if field != nil && !r.bad && field(tag, &body) && (body.bad || len(body.src) != 0) {
			r.fail()
		}
	}
}

// noTags reads a tag section in which nothing is known.
func (r *reader) noTags() { r.tags(nil) }

func appendInt32s(dst []byte, a []int32) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(a))
	for _, v := range a {
		dst = kbin.AppendInt32(dst, v)
	}
	return dst
}

func appendUuids(dst []byte, a [][16]byte) []byte {
	dst = kbin.AppendCompactArrayLen(dst, len(a))
	for _, v := range a {
		dst = append(dst, v[:]...)
	}
	return dst
}

// tagWriter collects a tag section in place: the count is a single byte, since no record has 128
// tags.
type tagWriter struct {
	dst   []byte
	count int // where the count stands in dst
}

func beginTags(dst []byte) tagWriter { return tagWriter{append(dst, 0), len(dst)} }

// head starts a field of size bytes.
func (w *tagWriter) head(tag uint32, size int) {
	w.dst[w.count]++
	w.dst = kbin.AppendUvarint(w.dst, tag)
	w.dst = kbin.AppendUvarint(w.dst, uint32(size))
}

func (w *tagWriter) int8(tag uint32, v int8) {
	w.head(tag, 1)
	w.dst = kbin.AppendInt8(w.dst, v)
}

func (w *tagWriter) int32(tag uint32, v int32) {
	w.head(tag, 4)
	w.dst = kbin.AppendInt32(w.dst, v)
}

func (w *tagWriter) int32s(tag uint32, a []int32) {
	w.head(tag, kbin.UvarintLen(uint32(len(a)+1))+4*len(a))
	w.dst = appendInt32s(w.dst, a)
}

func (w *tagWriter) uuids(tag uint32, a [][16]byte) {
	w.head(tag, kbin.UvarintLen(uint32(len(a)+1))+16*len(a))
	w.dst = appendUuids(w.dst, a)
}

func (w *tagWriter) string(tag uint32, s string) {
	w.head(tag, kbin.UvarintLen(uint32(len(s)+1))+len(s))
	w.dst = kbin.AppendCompactString(w.dst, s)
}
