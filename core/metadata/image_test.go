package metadata

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockstep/lockstep/core/event"
)

func mustApply(t testing.TB, img *Image, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := img.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
}

func snapshot(img *Image) []byte {
	var b []byte
	for _, r := range img.Records() {
		b = Marshal(b, r)
	}
	return b
}

// drawNext draws a record that may or may not fit the image.
func drawNext(t *rapid.T, img *Image) Record {
	id := rapid.Int32Range(0, 3).Draw(t, "id")
	topic := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "topic")
	topicID := [16]byte{15: topic[0]}
	value := rapid.SampledFrom([]*string{nil, text("x"), text("y")}).Draw(t, "value")
	epoch := rapid.Int64Range(0, 2).Draw(t, "epoch")
	switch rapid.IntRange(0, 14).Draw(t, "kind") {
	case 0:
		return &RegisterBrokerRecord{BrokerID: id, BrokerEpoch: epoch, Fenced: true, LogDirs: [][16]byte{idA}}
	case 1:
		return &UnregisterBrokerRecord{id, epoch}
	case 2:
		return &BrokerRegistrationChangeRecord{BrokerID: id, BrokerEpoch: epoch, Fenced: int8(epoch - 1), InControlledShutdown: int8(epoch / 2)}
	case 3:
		return &TopicRecord{topic, topicID}
	case 4:
		r := ids(t, "r")
		return &PartitionRecord{PartitionID: id, TopicID: topicID, Replicas: r, Isr: r, Directories: make([][16]byte, len(r)), EligibleLeaderReplicas: maybeIDs(t, "elr")}
	case 5, 6:
		c := NewPartitionChange(topicID, id)
		c.Isr, c.Leader, c.EligibleLeaderReplicas = maybeIDs(t, "isr"), int32(epoch-2), maybeIDs(t, "elr")
		c.LeaderRecoveryState = int8(epoch - 1)
		return c
	case 7:
		return &RemoveTopicRecord{topicID}
	case 8:
		return &ConfigRecord{ResourceTopic, topic, "k" + topic, value}
	case 9:
		return &FeatureLevelRecord{topic, int16(epoch)}
	case 10:
		return &ProducerIdsRecord{id, epoch, int64(id) * 1000}
	case 11:
		return &ClientQuotaRecord{Entity: []EntityPart{{"user", value}, {"client-id", text(topic)}}[id%2 : 1+id%2 : 2], Name: topic, Value: float64(epoch), Remove: epoch == 0}
	case 12:
		return &UserScramCredentialRecord{User: topic, Mechanism: int8(epoch), Salt: []byte{}, StoredKey: []byte{}, ServerKey: []byte{}, Iterations: id}
	case 13:
		return &RemoveUserScramCredentialRecord{topic, int8(epoch)}
	}
	if img.Topic(topic) != nil && value != nil {
		return &ClearElrRecord{topic}
	}
	return &OpaqueRecord{APIKey: 18, Raw: []byte{1, 18, 0, byte(id)}}
}

func TestAnImageIsItsRecordsReplayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := NewImage()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			before := img.Hash()
			if err := img.Apply(drawNext(t, img)); err != nil && img.Hash() != before {
				t.Fatal("a record that does not fit changed the hash")
			}
		}
		again := NewImage()
		for _, raw := range MarshalAll(img.Records()) {
			if err := applyRaw(again, raw); err != nil {
				t.Fatal(err)
			}
		}
		if again.Hash() != img.Hash() {
			t.Fatal("the replayed image has another hash")
		}
		if !bytes.Equal(snapshot(again), snapshot(img)) {
			t.Fatal("the replayed image has other records")
		}
	})
}

func TestImagesThatDifferHaveOtherHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[uint64][]byte{}
		img := NewImage()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			_ = img.Apply(drawNext(t, img))
			s := snapshot(img)
			if old, ok := seen[img.Hash()]; ok && !bytes.Equal(old, s) {
				t.Fatalf("one hash, two images:\n%x\n%x", old, s)
			}
			seen[img.Hash()] = s
		}
	})
}

func TestACloneDoesNotSeeLaterChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := NewImage()
		type copied struct {
			img  *Image
			want []byte
		}
		var copies []copied
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			_ = img.Apply(drawNext(t, img))
			if rapid.IntRange(0, 3).Draw(t, "clone") == 0 {
				c := img.Clone()
				copies = append(copies, copied{c, snapshot(c)})
			}
			if len(copies) > 0 {
				c := &copies[rapid.IntRange(0, len(copies)-1).Draw(t, "which")]
				_ = c.img.Apply(drawNext(t, c.img))
				c.want = snapshot(c.img)
			}
		}
		for _, c := range copies {
			if !bytes.Equal(snapshot(c.img), c.want) {
				t.Fatal("a clone changed under its holder")
			}
		}
	})
}

func topicAB(t testing.TB) *Image {
	img := NewImage()
	mustApply(t, img,
		&TopicRecord{"a", idA},
		&PartitionRecord{PartitionID: 0, TopicID: idA, Replicas: []int32{1, 2}, Isr: []int32{1, 2}, Leader: 1, Directories: make([][16]byte, 2)},
		&TopicRecord{"b", idB},
		&ConfigRecord{ResourceTopic, "a", "k", text("v")})
	return img
}

func TestATopicHandedOutStaysAsItWasAfterAClone(t *testing.T) {
	img := topicAB(t)
	img.Clone()
	topic := img.Topic("a")
	c := NewPartitionChange(idA, 0)
	c.Leader = 2
	mustApply(t, img, c)
	if topic.Partitions[0].Leader != 1 || img.Topic("a").Partitions[0].Leader != 2 {
		t.Error("the old topic moved or the new did not")
	}
}

func TestALeaderInAChangeBumpsTheLeaderEpochEvenIfTheSame(t *testing.T) {
	img := topicAB(t)
	c := NewPartitionChange(idA, 0)
	c.Isr = []int32{1}
	mustApply(t, img, c)
	p := img.Partition(event.Partition{Topic: "a"})
	if p.LeaderEpoch != 0 || p.PartitionEpoch != 1 {
		t.Errorf("after an ISR shrink: leader epoch %d, partition epoch %d", p.LeaderEpoch, p.PartitionEpoch)
	}
	c = NewPartitionChange(idA, 0)
	c.Leader = 1
	mustApply(t, img, c)
	p = img.Partition(event.Partition{Topic: "a"})
	if p.LeaderEpoch != 1 || p.PartitionEpoch != 2 {
		t.Errorf("after an election: leader epoch %d, partition epoch %d", p.LeaderEpoch, p.PartitionEpoch)
	}
}

func TestRemovingATopicRemovesItsConfigs(t *testing.T) {
	img := topicAB(t)
	mustApply(t, img, &RemoveTopicRecord{idA})
	if img.Config(ResourceTopic, "a") != nil || img.Topic("a") != nil || img.TopicByID(idA) != nil {
		t.Error("something of the topic is left")
	}
}

func TestRecordsThatDoNotFitAreErrors(t *testing.T) {
	img := topicAB(t)
	for _, r := range []Record{
		&TopicRecord{"a", [16]byte{1}}, &TopicRecord{"z", idA}, &RemoveTopicRecord{[16]byte{9}},
		&PartitionRecord{PartitionID: 5, TopicID: idA}, NewPartitionChange(idB, 0), &UnregisterBrokerRecord{1, 1},
		&BrokerRegistrationChangeRecord{BrokerID: 1}, &ClearElrRecord{"z"},
		&PartitionRecord{PartitionID: 1, TopicID: idA, Replicas: []int32{1}, Directories: make([][16]byte, 2)},
	} {
		if err := img.Apply(r); err == nil {
			t.Errorf("%T %+v fits", r, r)
		}
	}
}

func TestConfigsAreSorted(t *testing.T) {
	img := NewImage()
	for _, k := range []string{"c", "a", "b"} {
		mustApply(t, img, &ConfigRecord{ResourceTopic, "t", k, text(k)})
	}
	mustApply(t, img, &ConfigRecord{ResourceTopic, "t", "b", nil})
	if got := img.Config(ResourceTopic, "t"); !slices.Equal(got, []ConfigEntry{{"a", "a"}, {"c", "c"}}) {
		t.Errorf("configs are %v", got)
	}
}

func TestTopicsCollideWhenDotsAndUnderscoresDo(t *testing.T) {
	img := NewImage()
	mustApply(t, img, &TopicRecord{"a.b_c", idA})
	if img.TopicWithCollision("a_b.c") == nil || img.TopicWithCollision("a.b_c") != nil || img.TopicWithCollision("a-b-c") != nil {
		t.Error("collision is judged wrongly")
	}
}

func TestTopicNamesFollowKafka(t *testing.T) {
	long := string(bytes.Repeat([]byte("a"), 249))
	for _, name := range []string{"a", "A.b_c-9", "...", long} {
		if !ValidTopicName(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", ".", "..", long + "a", "a b", "ä", "a/b"} {
		if ValidTopicName(name) {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	img := topicAB(t)
	mustApply(t, img, &RegisterBrokerRecord{BrokerID: 1})
	n := testing.AllocsPerRun(100, func() {
		if img.Topic("a") == nil || img.TopicByID(idB) == nil || img.Broker(1) == nil || img.Config(ResourceTopic, "a") == nil ||
			img.Partition(event.Partition{Topic: "a"}) == nil {
			t.Fatal("not found")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One topic with many partitions loses a broker: the list of partitions must not be copied per
// partition.
func BenchmarkApplyBrokerLoss(b *testing.B) {
	const n = 10_000
	img := NewImage()
	mustApply(b, img, &TopicRecord{"a", idA})
	var changes []Record
	for p := range int32(n) {
		mustApply(b, img, &PartitionRecord{PartitionID: p, TopicID: idA, Replicas: []int32{1, 2, 3}, Isr: []int32{1, 2, 3}, Leader: 1, Directories: make([][16]byte, 3)})
		c := NewPartitionChange(idA, p)
		c.Leader, c.Isr = 2, []int32{2, 3}
		changes = append(changes, c)
	}
	b.ReportAllocs()
	for b.Loop() {
		mustApply(b, img.Clone(), changes...)
	}
}
