package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/pierrec/lz4/v4"
)

// ErrTooLarge says that a payload decompresses to more than the limit.
var ErrTooLarge = errors.New("record: decompressed records too large")

// errCodec says that a codec is unknown or that its bytes are damaged.
var errCodec = errors.New("record: payload does not decompress")

// MaxUncompressed bounds what one batch may decompress to. Producers bound a batch before they
// compress it, at 1 MiB by default.
const MaxUncompressed = 64 << 20

// Codec is how a batch's records are compressed.
type Codec int8

// The codecs, as in a batch's attributes.
const (
	None Codec = iota
	Gzip
	Snappy // its encoder's bytes differ between machines: not for what a simulation digests
	Lz4
	Zstd
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecNames) {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return codecNames[c]
}

// ParseCodec finds a codec by its name in a topic's compression.type; false for producer, which is none.
func ParseCodec(name string) (Codec, bool) {
	if name == "uncompressed" {
		return None, true
	}
	for c := Gzip; c <= Zstd; c++ {
		if codecNames[c] == name {
			return c, true
		}
	}
	return None, false
}

// Compress appends src, compressed, to dst. The codec must be known.
func (c Codec) Compress(dst, src []byte) []byte {
	switch c {
	case None:
		return append(dst, src...)
	case Gzip:
		return appendGzip(dst, src)
	case Snappy:
		return appendSnappy(dst, src)
	case Lz4:
		return appendLz4(dst, src)
	case Zstd:
		return appendZstd(dst, src)
	}
	panic("record: compress with " + c.String())
}

// Decompress appends src, decompressed, to dst. Memory grows with the bytes that come out, never
// with a size that src claims and cannot fill; more than limit of them are ErrTooLarge.
func (c Codec) Decompress(dst, src []byte, limit int) ([]byte, error) {
	switch c {
	case None:
		if len(src) > limit {
			return dst, ErrTooLarge
		}
		return append(dst, src...), nil
	case Gzip:
		return readGzip(dst, src, limit)
	case Snappy:
		return readSnappy(dst, src, limit)
	case Lz4:
		return readLz4(dst, src, limit)
	case Zstd:
		return readZstd(dst, src, limit)
	}
	return dst, errCodec
}

// The pools hold codecs' state between uses. No codec here starts a goroutine, and none lets one
// use's bytes show in another's.
var (
	gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}
	gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}
	lz4Writers  = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}
	lz4Readers  = sync.Pool{New: func() any { return &lz4Reader{z: lz4.NewReader(nil)} }}
)

// appender is an io.Writer onto a slice.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func appendGzip(dst, src []byte) []byte {
	a := appender{dst}
	w := gzipWriters.Get().(*gzip.Writer)
	w.Reset(&a)
	w.Write(src) // neither can fail: a.Write does not
	w.Close()
	gzipWriters.Put(w)
	return a.b
}

func appendLz4(dst, src []byte) []byte {
	a := appender{dst}
	w := lz4Writers.Get().(*lz4.Writer)
	w.Reset(&a)
	w.Write(src) // neither can fail: a.Write does not
	w.Close()
	lz4Writers.Put(w)
	return a.b
}

type gzipReader struct {
	src bytes.Reader
	z   gzip.Reader
}

func readGzip(dst, src []byte, limit int) ([]byte, error) {
	r := gzipReaders.Get().(*gzipReader)
	defer gzipReaders.Put(r)
	r.src.Reset(src)
	if err := r.z.Reset(&r.src); err != nil {
		return dst, errCodec
	}
	return readAll(dst, &r.z, limit)
}

type lz4Reader struct {
	src bytes.Reader
	z   *lz4.Reader
}

func readLz4(dst, src []byte, limit int) ([]byte, error) {
	r := lz4Readers.Get().(*lz4Reader)
	defer lz4Readers.Put(r)
	r.src.Reset(src)
	r.z.Reset(&r.src)
	dst, err := readAll(dst, r.z, limit)
	if err == nil && r.src.Len() != 0 {
		err = errCodec
	}
	return dst, err
}

// readAll appends all of r to dst.
func readAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-start > limit {
			return dst, ErrTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, errCodec
		}
	}
}
