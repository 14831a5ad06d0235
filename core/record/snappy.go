package record

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

// xerialMagic starts the framing that Java's snappy streams put around their blocks: this, a
// version and a compatible version of four bytes each, then blocks, each after its size in four.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// maxSnappyRatio bounds what a block may claim to hold: a copy of two bytes yields at most 64.
const maxSnappyRatio = 32

func appendSnappy(dst, src []byte) []byte {
	return append(dst, s2.EncodeSnappy(nil, src)...)
}

func readSnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialMagic) {
		return readSnappyBlock(dst, src, limit)
	}
	if len(src) < xerialHeader {
		return dst, errCodec
	}
	start := len(dst)
	for src = src[xerialHeader:]; len(src) > 0; {
		block, rest, ok := cutXerial(src)
		if !ok {
			return dst, errCodec
		}
		var err error
		if dst, err = readSnappyBlock(dst, block, limit-(len(dst)-start)); err != nil {
			return dst, err
		}
		src = rest
	}
	return dst, nil
}

func cutXerial(p []byte) (block, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(p)-4) {
		return nil, nil, false
	}
	return p[4 : 4+n], p[4+n:], true
}

func readSnappyBlock(dst, src []byte, limit int) ([]byte, error) {
	n, err := s2.DecodedLen(src)
	if err != nil || n > maxSnappyRatio*len(src) {
		return dst, errCodec
	}
	if n > limit {
		return dst, ErrTooLarge
	}
	dst = grow(dst, n)
	got, err := s2.Decode(dst[len(dst):len(dst)+n:len(dst)+n], src)
	if err != nil || len(got) != n {
		return dst, errCodec
	}
	return dst[:len(dst)+n], nil
}

// grow makes room for n more bytes.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	bigger := make([]byte, len(dst), len(dst)+n)
	copy(bigger, dst)
	return bigger
}
