package record

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

func TestCodecsReadBackWhatTheyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom(allCodecs).Draw(t, "codec")
		src := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes"), rapid.IntRange(1, 3000).Draw(t, "times"))
		packed := codec.Compress([]byte("dst"), src)
		got, err := codec.Decompress([]byte("dst"), packed[3:], len(src))
		if err != nil || !bytes.Equal(got, append([]byte("dst"), src...)) {
			t.Fatalf("%v: %d bytes of %d, %v", codec, len(got)-3, len(src), err)
		}
		if len(src) == 0 {
			return
		}
		if _, err := codec.Decompress(nil, packed[3:], len(src)-1); err != ErrTooLarge {
			t.Fatalf("%v above its limit: %v", codec, err)
		}
	})
}

func TestSnappyReadsJavasFraming(t *testing.T) {
	framed := append([]byte(nil), xerialMagic...)
	framed = append(framed, 0, 0, 0, 1, 0, 0, 0, 1)
	for _, part := range []string{"hello ", "world"} {
		block := s2.EncodeSnappy(nil, []byte(part))
		framed = append(binary.BigEndian.AppendUint32(framed, uint32(len(block))), block...)
	}
	got, err := Snappy.Decompress(nil, framed, 100)
	if err != nil || string(got) != "hello world" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Snappy.Decompress(nil, framed, 10); err != ErrTooLarge {
		t.Errorf("above the limit: %v", err)
	}
	for n := 8; n < len(framed); n++ {
		if got, err := Snappy.Decompress(nil, framed[:n], 100); err == nil && n != 16 && string(got) != "hello " {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}

// TestAClaimTakesNoMemory: a header that claims 60 MiB and has no content.
func TestAClaimTakesNoMemory(t *testing.T) {
	zeros := make([]byte, 60<<20)
	e, _ := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	defer e.Close()
	claim := e.EncodeAll(zeros, nil)[:12]
	took := allocated(func() {
		if _, err := Zstd.Decompress(nil, claim, MaxUncompressed); err == nil {
			t.Error("zstd decompressed")
		}
		if _, err := Snappy.Decompress(nil, binary.AppendUvarint(nil, 60<<20), MaxUncompressed); err == nil {
			t.Error("snappy decompressed")
		}
	})
	if took > 8<<20 {
		t.Errorf("%d bytes taken", took)
	}
}

func TestNoCodecStartsAGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, codec := range allCodecs {
		packed := codec.Compress(nil, make([]byte, 1<<20))
		if _, err := codec.Decompress(nil, packed, 1<<20); err != nil {
			t.Fatal(codec, err)
		}
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%v: %d goroutines, there were %d", codec, n, before)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, codec := range allCodecs {
		f.Add(int8(codec), codec.Compress(nil, []byte("some bytes, some bytes, some bytes")))
	}
	f.Fuzz(func(t *testing.T, codec int8, p []byte) {
		got, _ := Codec(codec).Decompress(nil, p, 1<<20)
		if len(got) > 1<<20+maxBlock {
			t.Fatalf("%d bytes out of %d", len(got), len(p))
		}
	})
}
