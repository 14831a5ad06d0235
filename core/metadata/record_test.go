package metadata

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	idA = [16]byte{0: 0xa0, 15: 0x0a}
	idB = [16]byte{0: 0xb0, 15: 0x0b}
)

const (
	hexA = "a000000000000000000000000000000a"
	hexB = "b000000000000000000000000000000b"
)

func text(s string) *string { return &s }

// goldens are written by hand from Kafka's schemas: frame 01, key, version, then the body.
var goldens = []struct {
	name   string
	record Record
	hex    string
}{
	{"RegisterBroker", &RegisterBrokerRecord{
		BrokerID: 1, IncarnationID: idA, BrokerEpoch: 9,
		EndPoints: []Endpoint{{Name: "P", Host: "h", Port: 9092, Protocol: 0}},
		Features:  []SupportedFeature{{Name: "f", Min: 1, Max: 2}}, Rack: text("r"), Fenced: true,
		LogDirs: [][16]byte{idB}, CordonedLogDirs: [][16]byte{},
	}, "01 00 04 00000001 00" + hexA + "0000000000000009 02 0250 0268 2384 0000 00 02 0266 0001 0002 00 0272 01 00" +
		"02 00 11 02" + hexB + "01 01 01"},
	{"RegisterBroker without rack", &RegisterBrokerRecord{BrokerID: 1, IncarnationID: idA, InControlledShutdown: true},
		"01 00 04 00000001 00" + hexA + "0000000000000000 01 01 00 00 01 00"},
	{"UnregisterBroker", &UnregisterBrokerRecord{BrokerID: 3, BrokerEpoch: 7}, "01 01 00 00000003 0000000000000007 00"},
	{"Topic", &TopicRecord{Name: "foo", TopicID: idA}, "01 02 00 04 666f6f" + hexA + "00"},
	{"Partition", &PartitionRecord{
		PartitionID: 2, TopicID: idA, Replicas: []int32{1, 2}, Isr: []int32{1}, RemovingReplicas: []int32{}, AddingReplicas: []int32{},
		Leader: 1, LeaderEpoch: 5, PartitionEpoch: 6, Directories: [][16]byte{idA, idB},
	}, "01 03 02 00000002" + hexA + "03 00000001 00000002 02 00000001 01 01 00000001 00000005 00000006 03" + hexA + hexB + "00"},
	{"Partition recovering with ELR", &PartitionRecord{
		PartitionID: 0, TopicID: idA, Replicas: []int32{1}, Isr: []int32{}, RemovingReplicas: []int32{}, AddingReplicas: []int32{},
		Leader: -1, LeaderRecoveryState: Recovering, Directories: [][16]byte{},
		EligibleLeaderReplicas: []int32{1}, LastKnownElr: []int32{2},
	}, "01 03 02 00000000" + hexA + "02 00000001 01 01 01 ffffffff 00000000 00000000 01" +
		"03 00 01 01 01 05 02 00000001 02 05 02 00000002"},
	{"Config", &ConfigRecord{ResourceType: 2, ResourceName: "foo", Name: "k", Value: text("v")}, "01 04 00 02 04666f6f 026b 0276 00"},
	{"Config deleted", &ConfigRecord{ResourceType: 4, Name: "k"}, "01 04 00 04 01 026b 00 00"},
	{"PartitionChange", &PartitionChangeRecord{
		PartitionID: 1, TopicID: idA, Isr: []int32{2}, Leader: 2, Replicas: []int32{2}, RemovingReplicas: []int32{}, AddingReplicas: []int32{3},
		LeaderRecoveryState: Recovering, EligibleLeaderReplicas: []int32{}, LastKnownElr: []int32{1}, Directories: [][16]byte{idB},
	}, "01 05 02 00000001" + hexA + "09 00 05 02 00000002 01 04 00000002 02 05 02 00000002 03 01 01 04 05 02 00000003 05 01 01" +
		"06 01 01 07 05 02 00000001 08 11 02" + hexB},
	{"PartitionChange of nothing", NewPartitionChange(idA, 1), "01 05 02 00000001" + hexA + "00"},
	{"FenceBroker", &FenceBrokerRecord{ID: 1, Epoch: 2}, "01 07 00 00000001 0000000000000002 00"},
	{"UnfenceBroker", &UnfenceBrokerRecord{ID: 1, Epoch: 2}, "01 08 00 00000001 0000000000000002 00"},
	{"RemoveTopic", &RemoveTopicRecord{TopicID: idA}, "01 09 00" + hexA + "00"},
	{"UserScramCredential", &UserScramCredentialRecord{User: "u", Mechanism: 1, Salt: []byte{7}, StoredKey: []byte{8, 8}, ServerKey: []byte{}, Iterations: 4096},
		"01 0b 00 0275 01 0207 030808 01 00001000 00"},
	{"RemoveUserScramCredential", &RemoveUserScramCredentialRecord{User: "u", Mechanism: 2}, "01 16 00 0275 02 00"},
	{"ClientQuota", &ClientQuotaRecord{Entity: []EntityPart{{"client-id", nil}, {"user", text("u")}}, Name: "k", Value: 1.5},
		"01 0e 00 03 0a636c69656e742d6964 00 00 0575736572 0275 00 026b 3ff8000000000000 00 00"},
	{"ClientQuota removed", &ClientQuotaRecord{Entity: []EntityPart{{"ip", nil}}, Name: "k", Remove: true}, "01 0e 00 02 036970 00 00 026b 0000000000000000 01 00"},
	{"FeatureLevel", &FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 30},
		"01 0c 00 11 6d657461646174612e76657273696f6e 001e 00"},
	{"ProducerIds", &ProducerIdsRecord{BrokerID: 1, BrokerEpoch: 2, NextProducerID: 1000},
		"01 0f 00 00000001 0000000000000002 00000000000003e8 00"},
	{"BrokerRegistrationChange", &BrokerRegistrationChangeRecord{
		BrokerID: 1, BrokerEpoch: 2, Fenced: Unfence, InControlledShutdown: EnterShutdown,
		LogDirs: [][16]byte{idA}, CordonedLogDirs: [][16]byte{idB},
	}, "01 11 03 00000001 0000000000000002 04 00 01 ff 01 01 01 02 11 02" + hexA + "03 11 02" + hexB},
	{"BrokerRegistrationChange of nothing", &BrokerRegistrationChangeRecord{BrokerID: 1, BrokerEpoch: 2},
		"01 11 03 00000001 0000000000000002 00"},
	{"NoOp", &NoOpRecord{}, "01 14 00 00"},
	{"BeginTransaction", &BeginTransactionRecord{Name: text("b")}, "01 17 00 01 00 02 0262"},
	{"BeginTransaction without name", &BeginTransactionRecord{}, "01 17 00 00"},
	{"EndTransaction", &EndTransactionRecord{}, "01 18 00 00"},
	{"AbortTransaction", &AbortTransactionRecord{Reason: text("why")}, "01 19 00 01 00 04 04776879"},
	{"RegisterController", &RegisterControllerRecord{
		ControllerID: 3, IncarnationID: idA, EndPoints: []Endpoint{{Name: "C", Host: "h", Port: 65535, Protocol: 1}}, Features: []SupportedFeature{},
	}, "01 1b 00 00000003" + hexA + "00 02 0243 0268 ffff 0001 00 01 00"},
	{"ClearElr", &ClearElrRecord{TopicName: "foo"}, "01 1c 00 04666f6f 00"},
	{"an ACL, opaque", &OpaqueRecord{APIKey: 18, APIVersion: 0, Raw: []byte{1, 18, 0, 42}}, "01 12 00 2a"},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordsHaveKafkasBytes(t *testing.T) {
	for _, g := range goldens {
		want := unhex(t, g.hex)
		if got := Marshal(nil, g.record); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", g.name, got, want)
		}
	}
}

func TestKafkasBytesAreRead(t *testing.T) {
	for _, g := range goldens {
		got, err := Unmarshal(unhex(t, g.hex))
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		if again := Marshal(nil, got); !bytes.Equal(again, unhex(t, g.hex)) {
			t.Errorf("%s: read and written again it is %x", g.name, again)
		}
		if reflect.TypeOf(got) != reflect.TypeOf(g.record) {
			t.Errorf("%s: read as %T", g.name, got)
		}
	}
}

func TestEveryKindHasAGolden(t *testing.T) {
	seen := map[int16]bool{}
	for _, g := range goldens {
		seen[g.record.Key()] = true
	}
	for key := range int16(64) {
		if newRecord(key) != nil && !seen[key] {
			t.Errorf("no golden bytes for key %d", key)
		}
	}
}

func TestOldVersionsAreRead(t *testing.T) {
	r, err := Unmarshal(unhex(t, "01 03 00 00000002"+hexA+"02 00000001 02 00000001 01 01 00000001 00000005 00000006 00"))
	if err != nil {
		t.Fatal(err)
	}
	if p := newPartition("t", r.(*PartitionRecord)); len(p.Dirs) != 1 || p.Dirs[0] != DirMigrating {
		t.Errorf("a version 0 partition has directories %x, want one that is migrating", p.Dirs)
	}
	if _, err := Unmarshal(unhex(t, "01 00 01 00000001"+hexA+"0000000000000009 01 01 00 01 01 00")); err != nil {
		t.Errorf("version 1 of RegisterBroker: %v", err)
	}
}

func TestUnknownTagsAreSkipped(t *testing.T) {
	if _, err := Unmarshal(unhex(t, "01 14 00 01 05 02 ffff")); err != nil {
		t.Error(err)
	}
}

func TestMalformedRecordsAreErrors(t *testing.T) {
	for _, g := range goldens {
		if _, ok := g.record.(*OpaqueRecord); ok {
			continue
		}
		b := unhex(t, g.hex)
		for n := range b {
			if _, err := Unmarshal(b[:n]); err == nil {
				t.Errorf("%s cut to %d of %d bytes is no error", g.name, n, len(b))
			}
		}
		if _, err := Unmarshal(append(b, 0)); err == nil {
			t.Errorf("%s with garbage behind it is no error", g.name)
		}
	}
	for _, s := range []string{"", "00 14 00 00", "02 14 00 00", "01 14 00 ffffffff0f", "01 14 00 02 01 00 00 00", "01 14 01 00"} {
		if _, err := Unmarshal(unhex(t, s)); err == nil {
			t.Errorf("%q is no error", s)
		}
	}
}

func TestAnyRecordSurvivesTheRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		b := Marshal(nil, r)
		got, err := Unmarshal(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if again := Marshal(nil, got); !bytes.Equal(again, b) {
			t.Fatalf("%x came back as %x", b, again)
		}
	})
}

func ids(t *rapid.T, label string) []int32 {
	return rapid.SliceOfN(rapid.Int32Range(0, 5), 0, 3).Draw(t, label)
}

func maybeIDs(t *rapid.T, label string) []int32 {
	if rapid.Bool().Draw(t, label+"?") {
		return nil
	}
	return ids(t, label)
}

func drawRecord(t *rapid.T) Record {
	id := rapid.SampledFrom([][16]byte{idA, idB}).Draw(t, "id")
	n := rapid.Int32().Draw(t, "n")
	e := rapid.Int64().Draw(t, "e")
	s := rapid.String().Draw(t, "s")
	dirs := rapid.SampledFrom([][][16]byte{{}, {idA}, {idA, idB}}).Draw(t, "dirs")
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return &RegisterBrokerRecord{
			BrokerID: n, IncarnationID: id, BrokerEpoch: e, Rack: &s, Fenced: n > 0, LogDirs: dirs, CordonedLogDirs: dirs,
			EndPoints: []Endpoint{{s, s, uint16(n), int16(n)}}, Features: []SupportedFeature{{s, int16(n), int16(e)}},
		}
	case 1:
		return &PartitionRecord{
			PartitionID: n, TopicID: id, Replicas: ids(t, "r"), Isr: ids(t, "isr"), RemovingReplicas: ids(t, "rm"), AddingReplicas: ids(t, "ad"),
			Leader: n, LeaderRecoveryState: int8(e & 1), LeaderEpoch: n, PartitionEpoch: n, Directories: dirs,
			EligibleLeaderReplicas: maybeIDs(t, "elr"), LastKnownElr: maybeIDs(t, "last"),
		}
	case 2:
		return &PartitionChangeRecord{
			PartitionID: n, TopicID: id, Isr: maybeIDs(t, "isr"), Leader: n, Replicas: maybeIDs(t, "r"), RemovingReplicas: maybeIDs(t, "rm"),
			AddingReplicas: maybeIDs(t, "ad"), LeaderRecoveryState: int8(e), EligibleLeaderReplicas: maybeIDs(t, "elr"),
			LastKnownElr: maybeIDs(t, "last"), Directories: dirs,
		}
	case 3:
		return &ConfigRecord{int8(n), s, s, &s}
	case 4:
		return &BrokerRegistrationChangeRecord{n, e, int8(n), int8(e), dirs, dirs}
	case 5:
		return &TopicRecord{s, id}
	case 6:
		return &AbortTransactionRecord{&s}
	}
	return &RegisterControllerRecord{n, id, n > 0, []Endpoint{{s, s, uint16(n), int16(n)}}, nil}
}

func FuzzUnmarshal(f *testing.F) {
	for _, g := range goldens {
		f.Add(unhex(f, g.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Unmarshal(b)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<10+40*len(b)); got > limit {
			t.Fatalf("%d bytes of input took %d bytes of memory", len(b), got)
		}
		if err != nil {
			return
		}
		if _, err := Unmarshal(Marshal(nil, r)); err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
	})
}
