package record

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the largest window accepted: what zstd's own tools accept by default.
const maxWindow = 128 << 20

// Zstd's frames (RFC 8878): after a frame's header come blocks, each after three bytes that hold
// whether it is the last, its kind and its size; a checksum may end the frame.
const (
	blockHeader = 3
	blockRLE    = 1         // one byte, to be repeated size times
	blockCoded  = 2         // size bytes, compressed
	maxBlock    = 128 << 10 // what a block may hold
	minBlock    = 4         // and the least bytes that takes
)

var (
	zstdEncoders = sync.Pool{New: func() any { return newEncoder() }}
	zstdDecoders = sync.Pool{New: func() any { return newDecoder() }}
)

// newEncoder returns an encoder for EncodeAll, which with a concurrency of one starts no goroutine.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err) // the options are wrong
	}
	return e
}

// newDecoder returns a decoder for DecodeAll, which with a concurrency of one starts no goroutine.
func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxUncompressed), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		panic(err) // the options are wrong
	}
	return d
}

func appendZstd(dst, src []byte) []byte {
	e := zstdEncoders.Get().(*zstd.Encoder)
	dst = e.EncodeAll(src, dst)
	zstdEncoders.Put(e)
	return dst
}

// readZstd decompresses what believable finds believable; limit is at most MaxUncompressed.
func readZstd(dst, src []byte, limit int) ([]byte, error) {
	if !believable(src) {
		return dst, errCodec
	}
	d := zstdDecoders.Get().(*zstd.Decoder)
	got, err := d.DecodeAll(src, dst)
	zstdDecoders.Put(d)
	if err == zstd.ErrDecoderSizeExceeded || err == nil && len(got)-len(dst) > limit {
		return dst, ErrTooLarge
	}
	if err != nil {
		return dst, errCodec
	}
	return got, nil
}

// believable says that no frame claims to hold more than its blocks can: the decoder takes memory
// for the claim before it looks at the blocks.
func believable(src []byte) bool {
	for {
		var h zstd.Header
		if len(src) == 0 || h.Decode(src) != nil || h.Skippable {
			return false
		}
		held, size, ok := frameBounds(src[h.HeaderSize:])
		if !ok || h.HasFCS && h.FrameContentSize > held {
			return false
		}
		src = src[h.HeaderSize+size:]
		if h.HasCheckSum {
			if len(src) < 4 {
				return false
			}
			src = src[4:]
		}
		if len(src) == 0 {
			return true
		}
	}
}

// frameBounds walks a frame's blocks: they hold at most held bytes and take size.
func frameBounds(p []byte) (held uint64, size int, ok bool) {
	for {
		if len(p)-size < blockHeader {
			return 0, 0, false
		}
		h := int(p[size]) | int(p[size+1])<<8 | int(p[size+2])<<16
		last, kind, n := h&1 == 1, h>>1&3, h>>3
		size += blockHeader
		switch kind {
		case blockRLE:
			held += uint64(n)
			n = 1
		case blockCoded:
			held += maxBlock
		default:
			held += uint64(n)
		}
		if n > len(p)-size {
			return 0, 0, false
		}
		size += n
		if last {
			return held, size, true
		}
	}
}
