package storage

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/event"
)

func TestCheckpointFilesAreKafkas(t *testing.T) {
	id := [16]byte{0xfb, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}
	for _, c := range []struct{ name, got, want string }{
		{"leader-epoch-checkpoint", string(marshalEpochs([]EpochEntry{{0, 0}, {3, 17}})), "0\n2\n0 0\n3 17\n"},
		{"empty epochs", string(marshalEpochs(nil)), "0\n0\n"},
		{"offsets", string(marshalOffsets([]partitionOffset{{event.Partition{Topic: "a.b", Index: 2}, 99}})), "0\n1\na.b 2 99\n"},
		{"partition.metadata", string(marshalPartitionMetadata(id)), "version: 0\ntopic_id: -_8BAgMEBQYHCAkKCwwNDg"},
		{"clean shutdown", string(marshalCleanShutdown(7)), `{"version":0,"brokerEpoch":7}`},
		{"meta.properties", string(marshalMetaProperties(MetaProperties{1, "c-1", 3, id})),
			"#\ncluster.id=c-1\ndirectory.id=-_8BAgMEBQYHCAkKCwwNDg\nnode.id=3\nversion=1\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestIndexFilesAreKafkas(t *testing.T) {
	x := offsetIndex{}
	x.append(9, 4200)
	x.append(300, 70000)
	if got := hex.EncodeToString(x.marshal()); got != "00000009"+"00001068"+"0000012c"+"00011170" {
		t.Errorf("index %s", got)
	}
	y := timeIndex{}
	y.maybeAppend(1_700_000_000_000, 9)
	y.maybeAppend(1_700_000_000_000, 12) // not later: no entry
	if got := hex.EncodeToString(y.marshal()); got != "0000018bcfe56800"+"00000009" {
		t.Errorf("time index %s", got)
	}
}

func TestProducerSnapshotIsKafkas(t *testing.T) {
	p := ProducerState{ProducerID: 1000, Epoch: 2, CoordinatorEpoch: -1, LastTimestamp: 5, TxnFirstOffset: -1}
	p.add(ProducerBatch{LastSequence: 4, OffsetDelta: 4, LastOffset: 14, Timestamp: 5})
	b := marshalSnapshot([]ProducerState{p})
	want := "0001" + hex.EncodeToString(b[2:6]) + "00000001" + "00000000000003e8" + "0002" + "00000004" +
		"000000000000000e" + "00000004" + "0000000000000005" + "ffffffff" + "ffffffffffffffff"
	if got := hex.EncodeToString(b); got != want {
		t.Fatalf("snapshot\n%s, want\n%s", got, want)
	}
	all, err := parseSnapshot(b)
	if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0].Batches(), p.Batches()) {
		t.Fatalf("parsed %+v, %v", all, err)
	}
	b[20] ^= 1
	if _, err := parseSnapshot(b); err == nil {
		t.Fatal("a flipped bit went unseen")
	}
}

// A client that had five batches under way when all replicas stopped sends them again to one that has them all.
func TestProducerSnapshotKeepsTheWholeWindow(t *testing.T) {
	p := ProducerState{ProducerID: 1000, Epoch: 2, CoordinatorEpoch: -1, TxnFirstOffset: -1}
	for n := range int32(7) {
		p.add(ProducerBatch{LastSequence: n, LastOffset: int64(10 + n), Timestamp: int64(n)})
	}
	q := ProducerState{ProducerID: 1001, CoordinatorEpoch: -1, TxnFirstOffset: -1}
	all, err := parseSnapshot(marshalSnapshot([]ProducerState{p, q}))
	if err != nil || !reflect.DeepEqual(all, []ProducerState{p, q}) {
		t.Fatalf("%+v, %v", all, err)
	}
	if all[0].duplicate(2, 2, 2) == nil {
		t.Error("the first of five batches under way is not known any more")
	}
}

func TestMetaPropertiesOfJavaAreRead(t *testing.T) {
	m, err := parseMetaProperties([]byte("#\n#Tue Nov 18 10:00:00 UTC 2025\nnode.id = 2\nversion:1\ncluster.id=abc\\=d\n"))
	if err != nil || m.NodeID != 2 || m.ClusterID != "abc=d" {
		t.Fatalf("%+v %v", m, err)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("0\n1\n0 0\n"))
	f.Add([]byte("0\n1\nt 0 5\n"))
	f.Add([]byte("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"))
	f.Add(marshalSnapshot([]ProducerState{{ProducerID: 1}}))
	f.Add(marshalMetaProperties(MetaProperties{Version: 1, ClusterID: "x", NodeID: 1}))
	f.Add([]byte{0, 0, 0, 9, 0, 0, 16, 104})
	f.Add(marshalAborted([]AbortedTxn{{1, 2, 3, 4}, {2, 1, 9, 9}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, again []byte, err error) {
			if err == nil && !bytes.Equal(again, b) {
				t.Fatalf("%s: %q became %q", what, b, again)
			}
		}
		if entries, err := parseEpochs(b); err == nil {
			again, err := parseEpochs(marshalEpochs(entries))
			if err != nil || !slices.Equal(again, entries) {
				t.Fatalf("epochs %v became %v, %v", entries, again, err)
			}
		}
		if entries, err := parseOffsets(b); err == nil {
			again, err := parseOffsets(marshalOffsets(entries))
			if err != nil || !slices.Equal(again, entries) {
				t.Fatalf("offsets %v became %v, %v", entries, again, err)
			}
		}
		x, err := parseIndex(b, 1<<31)
		same("index", x.marshal(), err)
		y, err := parseTimeIndex(b)
		same("time index", y.marshal(), err)
		aborted, err := parseAborted(b, 0)
		same("transaction index", marshalAborted(aborted), err)
		if all, err := parseSnapshot(b); err == nil {
			again, err := parseSnapshot(marshalSnapshot(all))
			if err != nil || !reflect.DeepEqual(again, all) {
				t.Fatalf("snapshot %v became %v, %v", all, again, err)
			}
		}
		parsePartitionMetadata(b)
		parseMetaProperties(b)
	})
}
