package record

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestKeptRecordsAreAsTheyWere(t *testing.T) {
	var s Sieve
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t, allCodecs...)
		batch := b.build(nil)
		if rapid.Bool().Draw(t, "log append time") {
			batch.SetLogAppendTime(rapid.Int64Range(0, 1<<50).Draw(t, "time"))
		}
		keep := rapid.SliceOfN(rapid.Bool(), len(b.records), len(b.records)).Draw(t, "keep")
		keep[rapid.IntRange(0, len(keep)-1).Draw(t, "one")] = true
		kept, tombstones, err := s.Sift(batch, func(r Record) bool { return keep[r.OffsetDelta] })
		horizon := rapid.SampledFrom([]int64{NoDeleteHorizon, 1 << 41}).Draw(t, "horizon")
		out := Batch(s.AppendKept([]byte("before"), batch, horizon)[6:])
		if err != nil || !out.CheckCRC() || int(out.Count()) != kept || out.DeleteHorizon() != horizon || s.All() != (kept == len(keep)) {
			t.Fatalf("%d kept, %v, %+v", kept, err, out.Header())
		}
		checkSameBatch(t, out, batch)
		at, nulls, latest := 0, false, int64(-1)
		err = out.Each(nil, func(r Record) error {
			for !keep[at] {
				at++
			}
			want, timestamp := &b.records[at], b.records[at].timestamp
			if batch.IsLogAppendTime() {
				timestamp = batch.MaxTimestamp()
			}
			if r.OffsetDelta != int32(at) || out.BaseTimestamp()+r.TimestampDelta != timestamp || len(r.Headers) != len(want.headers) {
				t.Fatalf("record %d: %+v", at, r)
			}
			sameBytes(t, "key", r.Key, want.key)
			sameBytes(t, "value", r.Value, want.value)
			at, nulls, latest = at+1, nulls || r.Value == nil, max(latest, timestamp)
			return nil
		})
		if err != nil || nulls != tombstones || out.MaxTimestamp() != latest {
			t.Fatalf("%v, tombstones %t, latest %d, want %t, %d", err, tombstones, out.MaxTimestamp(), nulls, latest)
		}
	})
}

// checkSameBatch compares what compaction does not change.
func checkSameBatch(t *rapid.T, got, want Batch) {
	if got.BaseOffset() != want.BaseOffset() || got.LastOffset() != want.LastOffset() || got.ProducerID() != want.ProducerID() || got.ProducerEpoch() != want.ProducerEpoch() ||
		got.BaseSequence() != want.BaseSequence() || got.LastSequence() != want.LastSequence() || got.LeaderEpoch() != want.LeaderEpoch() ||
		got.IsTransactional() != want.IsTransactional() || got.IsControl() != want.IsControl() || got.IsLogAppendTime() != want.IsLogAppendTime() {
		t.Fatalf("%+v, was %+v", got.Header(), want.Header())
	}
}

// TestCleanedBatchesKeepTheirForm pins the bytes that Kafka's MemoryRecords.filterTo makes of a batch: what is left of it with a delete horizon, and
// what is left without records.
func TestCleanedBatchesKeepTheirForm(t *testing.T) {
	b := built{
		o: BatchOptions{BaseOffset: 5, LeaderEpoch: 3, ProducerID: 9, ProducerEpoch: 1, BaseSequence: 2},
		records: []builtRecord{
			{timestamp: 1000, key: []byte("k"), value: []byte("v")},
			{timestamp: 1001, key: []byte("l")},
		},
	}
	batch := b.build(nil)
	var s Sieve
	s.Sift(batch, func(r Record) bool { return r.OffsetDelta == 1 })
	kept := s.AppendKept(nil, batch, 5000)
	want := "0000000000000005" + "0000003a" + "00000003" + "02" + hex(kept[17:21]) + "0040" + "00000001" +
		"0000000000001388" + "00000000000003e9" + "0000000000000009" + "0001" + "00000002" + "00000001" +
		"1000bd3e0202" + "6c" + "0100"
	if got := hex(kept); got != want || !Batch(kept).CheckCRC() {
		t.Errorf("kept\n%s, want\n%s", got, want)
	}
	empty := AppendEmpty(nil, batch)
	want = "0000000000000005" + "00000031" + "00000003" + "02" + hex(empty[17:21]) + "0000" + "00000001" +
		"ffffffffffffffff" + "00000000000003e9" + "0000000000000009" + "0001" + "00000002" + "00000000"
	if got := hex(empty); got != want || !Batch(empty).CheckCRC() || !bytes.Equal(AppendEmpty(nil, Batch(empty)), empty) {
		t.Errorf("empty\n%s, want\n%s", got, want)
	}
}

func TestLevelsDecompressToTheSame(t *testing.T) {
	src := bytes.Repeat([]byte("some bytes, "), 5000)
	for _, codec := range allCodecs {
		for _, level := range []int{DefaultLevel, -131072, -1, 0, 1, 3, 4, 6, 9, 12, 17, 22} {
			got, err := codec.Decompress(nil, codec.CompressLevel(nil, src, level), len(src))
			if err != nil || !bytes.Equal(got, src) {
				t.Errorf("%v at %d: %d bytes, %v", codec, level, len(got), err)
			}
		}
	}
}
