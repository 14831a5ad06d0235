package record

import (
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func sample(codec Codec) Batch {
	b := built{o: BatchOptions{ProducerID: 4, Codec: codec}, records: []builtRecord{
		{key: []byte("key"), value: []byte("value"), headers: []RecordHeader{{Key: []byte("h"), Value: []byte("x")}}},
		{value: []byte("value 2")},
	}}
	return b.build(nil)
}

func clone(b Batch) Batch { return append(Batch(nil), b...) }

// TestEachCheckOfValidateProduceFires, with the CRC right unless that is the point.
func TestEachCheckOfValidateProduceFires(t *testing.T) {
	be := binary.BigEndian
	cases := []struct {
		name string
		want error
		harm func(b Batch) Batch
	}{
		{"crc", kerr.CorruptMessage, nil},
		{"unknown codec", kerr.UnsupportedCompressionType, func(b Batch) Batch { b[posAttributes+1] |= 7; return b }},
		{"control batch", kerr.InvalidRecord, func(b Batch) Batch { b[posAttributes+1] |= attrControl; return b }},
		{"log append time, but not which", kerr.InvalidTimestamp, func(b Batch) Batch {
			b[posAttributes+1] |= attrLogAppendTime
			be.PutUint64(b[posMaxTimestamp:], 1<<64-1)
			return b
		}},
		{"base offset", kerr.InvalidRecord, func(b Batch) Batch { b.SetBaseOffset(1); return b }},
		{"magic", kerr.InvalidRecord, func(b Batch) Batch { b[posMagic] = 1; return b }},
		{"no records", kerr.InvalidRecord, func(b Batch) Batch {
			be.PutUint32(b[posCount:], 0)
			be.PutUint32(b[posLastOffsetDelta:], 1<<32-1)
			return b[:HeaderSize]
		}},
		{"count above the last offset delta", kerr.InvalidRecord, func(b Batch) Batch { be.PutUint32(b[posCount:], 3); return b }},
		{"delta above the count", kerr.InvalidRecord, func(b Batch) Batch { be.PutUint32(b[posLastOffsetDelta:], 2); return b }},
		{"more claimed than there", kerr.InvalidRecord, func(b Batch) Batch {
			be.PutUint32(b[posCount:], 3)
			be.PutUint32(b[posLastOffsetDelta:], 2)
			return b
		}},
		{"less claimed than there", kerr.InvalidRecord, func(b Batch) Batch {
			be.PutUint32(b[posCount:], 1)
			be.PutUint32(b[posLastOffsetDelta:], 0)
			return b
		}},
		{"producer id below -1", kerr.InvalidRecord, func(b Batch) Batch { be.PutUint64(b[posProducerID:], 1<<64-2); return b }},
		{"producer id without epoch", kerr.InvalidRecord, func(b Batch) Batch { be.PutUint16(b[posProducerEpoch:], 1<<16-1); return b }},
		{"producer id without sequence", kerr.InvalidRecord, func(b Batch) Batch { be.PutUint32(b[posBaseSequence:], 1<<32-1); return b }},
		{"a byte behind the records", kerr.InvalidRecord, func(b Batch) Batch { return append(b, 0) }},
		{"records cut", kerr.InvalidRecord, func(b Batch) Batch { return b[:len(b)-1] }},
		{"record length", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize] += 2; return b }},
		{"record length zero", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize] = 0; return b }},
		{"offset delta", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize+3] = 2; return b }},
		{"key length", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize+4] = 126; return b }},
		{"negative key length", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize+4] = 3; return b }},
		{"header count", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize+14] = 126; return b }},
		{"negative header count", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize+14] = 1; return b }},
		{"null header key", kerr.InvalidRecord, func(b Batch) Batch { b[HeaderSize+15] = 1; return b }},
	}
	for _, c := range cases {
		b := clone(sample(None))
		if c.harm == nil {
			b[len(b)-1]++
		} else {
			b = c.harm(b)
			b.setCRC()
		}
		if err := ValidateProduce(b); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := ValidateProduce(sample(None)); err != nil {
		t.Errorf("unharmed: %v", err)
	}
}

func TestHarmedCompressionIsInvalid(t *testing.T) {
	for _, codec := range []Codec{Gzip, Snappy, Lz4, Zstd} {
		for _, payload := range [][]byte{nil, {1, 2, 3}, sample(codec).Payload()[:10]} {
			b := append(clone(sample(codec))[:HeaderSize], payload...)
			b.setCRC()
			if err := ValidateProduce(b); err != kerr.InvalidRecord {
				t.Errorf("%v of %x: %v", codec, payload, err)
			}
		}
	}
}

func TestABombIsTooLargeAndNotUnpacked(t *testing.T) {
	zeros := make([]byte, MaxUncompressed+1)
	for _, codec := range []Codec{Gzip, Snappy, Lz4, Zstd} {
		b := append(clone(sample(codec))[:HeaderSize], codec.Compress(nil, zeros)...)
		b.setCRC()
		if err := ValidateProduce(b); err != kerr.MessageTooLarge {
			t.Errorf("%v: %v", codec, err)
		}
	}
}

// allocated is how many bytes f takes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzParse(f *testing.F) {
	for _, codec := range allCodecs {
		f.Add([]byte(sample(codec)))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, rest, err := Parse(p)
		if err != nil {
			return
		}
		if len(b)+len(rest) != len(p) || b.Size() != len(b) || len(b) < HeaderSize {
			t.Fatalf("%d + %d of %d bytes", len(b), len(rest), len(p))
		}
		if h, err := ParseHeader(p); err != nil || h != b.Header() {
			t.Fatalf("header %+v, %v", h, err)
		}
	})
}

// FuzzValidate makes the CRC right, so that what is behind it is reached. What is valid reads back.
func FuzzValidate(f *testing.F) {
	for _, codec := range allCodecs {
		f.Add([]byte(sample(codec)))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, _, err := Parse(p)
		if err != nil {
			return
		}
		b.setCRC()
		var valid error
		took := allocated(func() { valid = ValidateProduce(b) })
		if took > 8<<20+4*uint64(len(p))*maxBlock/minBlock {
			t.Fatalf("%d bytes taken for %d", took, len(p))
		}
		n := int32(0)
		err = b.Each(nil, func(r Record) error {
			if valid == nil && r.OffsetDelta != n {
				t.Fatalf("offset delta %d at %d", r.OffsetDelta, n)
			}
			n++
			return nil
		})
		if valid == nil && (err != nil || n != b.Count()) {
			t.Fatalf("valid, but %d records of %d: %v", n, b.Count(), err)
		}
	})
}

func benchBatch(codec Codec) Batch {
	w := NewBuilder(nil, BatchOptions{ProducerID: NoProducerID, Codec: codec})
	value := make([]byte, 1000)
	for i := range value {
		value[i] = "the quick brown fox"[i%19] + byte(i>>6)
	}
	for range 64 {
		w.Append(1, []byte("key"), value)
	}
	return w.Build()
}

func BenchmarkValidateProduce(b *testing.B) {
	for _, codec := range allCodecs {
		b.Run(codec.String(), func(b *testing.B) {
			batch := benchBatch(codec)
			b.SetBytes(64 * 1000)
			b.ReportAllocs()
			for b.Loop() {
				if err := ValidateProduce(batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEach(b *testing.B) {
	batch := benchBatch(None)
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		batch.Each(&s, func(Record) error { return nil })
	}
}
