package record

import (
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultLevel is the codec's own level.
const DefaultLevel = -1 << 31

// CompressLevel is Compress at a level, as Kafka counts them: gzip 1 to 9, lz4 1 to 17, zstd up to 22; others have none. The codecs here
// have fewer levels: the nearest is taken.
func (c Codec) CompressLevel(dst, src []byte, level int) []byte {
	if level == DefaultLevel {
		return c.Compress(dst, src)
	}
	switch c {
	case Gzip:
		return gzipAt(dst, src, level)
	case Lz4:
		return lz4At(dst, src, level)
	case Zstd:
		return zstdAt(dst, src, level)
	}
	return c.Compress(dst, src)
}

// Encoders by level; see gzipWriters.
var (
	gzipLevels [10]sync.Pool
	lz4Levels  [10]sync.Pool
	zstdLevels [int(zstd.SpeedBestCompression) + 1]sync.Pool
)

func gzipAt(dst, src []byte, level int) []byte {
	if level < gzip.BestSpeed || level > gzip.BestCompression {
		return appendGzip(dst, src)
	}
	w, pooled := gzipLevels[level].Get().(*gzip.Writer)
	if !pooled {
		w, _ = gzip.NewWriterLevel(nil, level) // the level is one
	}
	a := appender{dst}
	w.Reset(&a)
	w.Write(src) // neither can fail: a.Write does not
	w.Close()
	gzipLevels[level].Put(w)
	return a.b
}

// lz4Default is Kafka's default level, which is its fast one.
const lz4Default = 9

func lz4At(dst, src []byte, level int) []byte {
	if level == lz4Default {
		return appendLz4(dst, src)
	}
	at := max(1, min(level, 9))
	w, pooled := lz4Levels[at].Get().(*lz4.Writer)
	if !pooled {
		w = lz4.NewWriter(nil)
		_ = w.Apply(lz4.CompressionLevelOption(lz4.CompressionLevel(1 << (8 + at)))) // lz4.Level1 is 1 << 9
	}
	a := appender{dst}
	w.Reset(&a)
	w.Write(src) // neither can fail: a.Write does not
	w.Close()
	lz4Levels[at].Put(w)
	return a.b
}

func zstdAt(dst, src []byte, level int) []byte {
	at := zstd.EncoderLevelFromZstd(level)
	e, pooled := zstdLevels[at].Get().(*zstd.Encoder)
	if !pooled {
		e, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true), zstd.WithEncoderLevel(at))
	}
	dst = e.EncodeAll(src, dst)
	zstdLevels[at].Put(e)
	return dst
}
