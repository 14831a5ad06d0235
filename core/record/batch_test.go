package record

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// built is what goes into a Builder.
type built struct {
	o       BatchOptions
	records []builtRecord
}

type builtRecord struct {
	timestamp  int64
	key, value []byte
	headers    []RecordHeader
}

func (b *built) build(dst []byte) Batch {
	w := NewBuilder(dst, b.o)
	for _, r := range b.records {
		w.Append(r.timestamp, r.key, r.value, r.headers...)
	}
	return w.Build()
}

func drawBytes(t *rapid.T, label string) []byte {
	switch rapid.IntRange(0, 5).Draw(t, label+" kind") {
	case 0:
		return nil
	case 1:
		return bytes.Repeat([]byte{7}, rapid.IntRange(0, 5000).Draw(t, label+" run"))
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, label)
}

func drawBatch(t *rapid.T, codecs ...Codec) *built {
	b := &built{o: BatchOptions{
		BaseOffset:    rapid.Int64Min(0).Draw(t, "base offset"),
		LeaderEpoch:   rapid.Int32Min(-1).Draw(t, "leader epoch"),
		Codec:         rapid.SampledFrom(codecs).Draw(t, "codec"),
		ProducerID:    rapid.Int64Min(-1).Draw(t, "producer id"),
		ProducerEpoch: rapid.Int16Min(0).Draw(t, "producer epoch"),
		BaseSequence:  rapid.Int32Min(0).Draw(t, "sequence"),
		Transactional: rapid.Bool().Draw(t, "transactional"),
		BaseTimestamp: rapid.Int64Range(0, 1<<50).Draw(t, "base timestamp"),
	}}
	for range rapid.IntRange(1, 20).Draw(t, "records") {
		r := builtRecord{timestamp: rapid.Int64Range(0, 1<<50).Draw(t, "timestamp"), key: drawBytes(t, "key"), value: drawBytes(t, "value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			key := []byte(rapid.StringN(0, 10, 20).Draw(t, "header"))
			r.headers = append(r.headers, RecordHeader{Key: key, Value: drawBytes(t, "header value")})
		}
		b.records = append(b.records, r)
	}
	return b
}

var allCodecs = []Codec{None, Gzip, Snappy, Lz4, Zstd}

// oracle encodes the batch with kmsg.
func (b *built) oracle() []byte {
	var records []byte
	base, latest := b.o.BaseTimestamp, int64(math.MinInt64)
	for i, r := range b.records {
		if i == 0 && base == 0 {
			base = r.timestamp
		}
		latest = max(latest, r.timestamp)
		k := kmsg.Record{TimestampDelta64: r.timestamp - base, OffsetDelta: int32(i), Key: r.key, Value: r.value}
		for _, h := range r.headers {
			k.Headers = append(k.Headers, kmsg.Header{Key: string(h.Key), Value: h.Value})
		}
		k.Length = int32(len(k.AppendTo(nil)) - 1) // the length 0 takes one byte
		records = k.AppendTo(records)
	}
	k := kmsg.RecordBatch{
		FirstOffset: b.o.BaseOffset, Length: int32(49 + len(records)), PartitionLeaderEpoch: b.o.LeaderEpoch, Magic: 2,
		Attributes: b.o.attributes(), LastOffsetDelta: int32(len(b.records) - 1), FirstTimestamp: base, MaxTimestamp: latest,
		ProducerID: b.o.ProducerID, ProducerEpoch: b.o.ProducerEpoch, FirstSequence: b.o.BaseSequence,
		NumRecords: int32(len(b.records)), Records: records,
	}
	if b.o.ProducerID == -1 {
		k.ProducerEpoch, k.FirstSequence = -1, -1
	}
	raw := k.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

func TestBuilderWritesWhatKmsgWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t, None)
		if got, want := b.build(nil), b.oracle(); !bytes.Equal(got, want) {
			t.Fatalf("built\n%x, want\n%x", got, want)
		}
	})
}

// TestBatchesKeepTheirForm pins bytes on disk and on the wire: a change here is a broken format.
func TestBatchesKeepTheirForm(t *testing.T) {
	b := built{
		o: BatchOptions{BaseOffset: 5, LeaderEpoch: 3, ProducerID: 9, ProducerEpoch: 1, BaseSequence: 2, Transactional: true},
		records: []builtRecord{
			{timestamp: 1000, key: []byte("k"), value: []byte("v"), headers: []RecordHeader{{Key: []byte("h"), Value: nil}}},
			{timestamp: 1001},
		},
	}
	want := "0000000000000005" + "00000044" + "00000003" + "02" + "a37a342a" + "0010" + "00000001" +
		"00000000000003e8" + "00000000000003e9" + "0000000000000009" + "0001" + "00000002" + "00000002" +
		"16000000026b027602026801" + "0c000202010100"
	if got := hex(b.build(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s []byte
	for _, c := range b {
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}

func TestWhatIsBuiltIsValidAndReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t, allCodecs...)
		batch := b.build([]byte("before"))
		produced := clone(batch)
		produced.SetBaseOffset(0)
		if err := ValidateProduce(produced); err != nil {
			t.Fatalf("not valid: %v", err)
		}
		i := 0
		err := batch.Each(nil, func(r Record) error {
			want := &b.records[i]
			if r.OffsetDelta != int32(i) || batch.BaseTimestamp()+r.TimestampDelta != want.timestamp {
				t.Fatalf("record %d: offset delta %d, timestamp delta %d", i, r.OffsetDelta, r.TimestampDelta)
			}
			sameBytes(t, "key", r.Key, want.key)
			sameBytes(t, "value", r.Value, want.value)
			if len(r.Headers) != len(want.headers) {
				t.Fatalf("%d headers, want %d", len(r.Headers), len(want.headers))
			}
			for j, h := range r.Headers {
				sameBytes(t, "header value", h.Value, want.headers[j].Value)
				if !bytes.Equal(h.Key, want.headers[j].Key) {
					t.Fatalf("header %q, want %q", h.Key, want.headers[j].Key)
				}
			}
			i++
			return nil
		})
		if err != nil || i != len(b.records) {
			t.Fatalf("%d of %d records, %v", i, len(b.records), err)
		}
	})
}

// sameBytes tells null from empty.
func sameBytes(t *rapid.T, what string, got, want []byte) {
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func TestHeaderAndBatchSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t, None, Gzip)
		batch := b.build(nil)
		h, err := ParseHeader(batch[:HeaderSize])
		if err != nil || h != batch.Header() {
			t.Fatalf("%+v, %v, want %+v", h, err, batch.Header())
		}
		if h.NextOffset() != batch.NextOffset() || h.LastSequence() != batch.LastSequence() || h.Codec() != batch.Codec() {
			t.Fatalf("%+v differs from its batch", h)
		}
		if h.Size != batch.Size() || h.CRC != batch.CRC() || h.Count != batch.Count() {
			t.Fatalf("%+v differs from its batch", h)
		}
	})
}

func TestParseCutsABatchAndTellsACutOneFromABrokenOne(t *testing.T) {
	b := built{records: []builtRecord{{value: []byte("x")}}, o: BatchOptions{ProducerID: NoProducerID}}
	one := b.build(nil)
	joined := append(append([]byte(nil), one...), one...)
	first, rest, err := Parse(joined)
	if err != nil || !bytes.Equal(first, one) || !bytes.Equal(rest, one) || cap(first) != len(one) {
		t.Fatalf("first %x, rest %x, %v", first, rest, err)
	}
	for n := range one {
		if _, _, err := Parse(one[:n]); err != ErrShort {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	broken := map[string]func(b []byte){
		"magic 1":         func(b []byte) { b[posMagic] = 1 },
		"magic 3":         func(b []byte) { b[posMagic] = 3 },
		"negative length": func(b []byte) { b[posLength] = 0x80 },
		"small length":    func(b []byte) { binary.BigEndian.PutUint32(b[posLength:], 48) },
		"huge length":     func(b []byte) { binary.BigEndian.PutUint32(b[posLength:], math.MaxInt32) },
	}
	for name, f := range broken { // order: independent cases
		bad := append([]byte(nil), one...)
		f(bad)
		if _, _, err := Parse(bad); err != ErrCorrupt {
			t.Errorf("%s: Parse says %v", name, err)
		}
		if _, err := ParseHeader(bad); err != ErrCorrupt {
			t.Errorf("%s: ParseHeader says %v", name, err)
		}
	}
}

func TestOffsetAndEpochAreOutsideTheCRC(t *testing.T) {
	b := built{records: []builtRecord{{value: []byte("x")}}}
	batch := b.build(nil)
	batch.SetBaseOffset(1 << 40)
	batch.SetLeaderEpoch(77)
	if !batch.CheckCRC() || batch.BaseOffset() != 1<<40 || batch.LeaderEpoch() != 77 {
		t.Errorf("%+v", batch.Header())
	}
	batch.SetLogAppendTime(5)
	if !batch.CheckCRC() || !batch.IsLogAppendTime() || batch.MaxTimestamp() != 5 {
		t.Errorf("%+v", batch.Header())
	}
}

func TestSequencesWrapToZero(t *testing.T) {
	b := built{o: BatchOptions{ProducerID: 1, BaseSequence: math.MaxInt32 - 1}, records: make([]builtRecord, 4)}
	if got := b.build(nil).LastSequence(); got != 1 {
		t.Errorf("last sequence %d", got)
	}
	if got := IncrementSequence(math.MaxInt32, 1); got != 0 {
		t.Errorf("after the largest comes %d", got)
	}
}

func TestControlBatchesHaveNoSequence(t *testing.T) {
	b := built{o: BatchOptions{ProducerID: 1, Control: true}, records: make([]builtRecord, 1)}
	batch := b.build(nil)
	if batch.BaseSequence() != -1 || batch.LastSequence() != -1 || !batch.IsControl() {
		t.Errorf("%+v", batch.Header())
	}
}
