package record

// Kafka's varints are zigzag-coded, 7 bits a byte, low ones first. A 32-bit one takes at most 5
// bytes, a 64-bit one 10.

// readVarlong reads a 64-bit varint off p; n is its size, 0 if p does not hold one.
func readVarlong(p []byte) (v int64, n int) {
	var u uint64
	for i := 0; i < len(p) && i < 10; i++ {
		c := p[i]
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == 9 && c > 1 {
				return 0, 0
			}
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	return 0, 0
}

// readVarint reads a 32-bit varint off p; n is its size, 0 if p does not hold one.
func readVarint(p []byte) (v int32, n int) {
	if len(p) > 0 && p[0] < 0x80 { // most deltas and lengths
		u := uint32(p[0])
		return int32(u>>1) ^ -int32(u&1), 1
	}
	var u uint32
	for i := 0; i < len(p) && i < 5; i++ {
		c := p[i]
		u |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i == 4 && c > 0x0f {
				return 0, 0
			}
			return int32(u>>1) ^ -int32(u&1), i + 1
		}
	}
	return 0, 0
}

func appendVarlong(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendVarint(dst []byte, v int32) []byte { return appendVarlong(dst, int64(v)) }

func varintSize(v int32) int {
	n := 1
	for u := uint32(v)<<1 ^ uint32(v>>31); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

func varlongSize(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
