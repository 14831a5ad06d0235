package metadata

import (
	"slices"
	"testing"

	"github.com/lockstep/lockstep/core/env"
	"github.com/lockstep/lockstep/core/event"
	"github.com/lockstep/lockstep/core/record"
)

type sink []event.Event

func (s *sink) Emit(e *event.Event) { *s = append(*s, *e) }

type published struct {
	offset int64
	delta  *Delta
}

type loaderTest struct {
	*Loader
	t         *testing.T
	events    sink
	published []published
	next      int64
}

func newLoaderTest(t *testing.T) *loaderTest {
	lt := &loaderTest{t: t}
	lt.Loader = NewLoader(&env.Env{Event: &lt.events})
	lt.Subscribe(func(img *Image, d *Delta) { lt.published = append(lt.published, published{img.Offset(), d}) })
	return lt
}

// batch is one batch at the end of the log.
func (lt *loaderTest) batch(control bool, records ...Record) []byte {
	b := record.NewBuilder(nil, record.BatchOptions{BaseOffset: lt.next, LeaderEpoch: 3, Control: control, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1})
	for _, r := range records {
		b.Append(0, nil, Marshal(nil, r))
	}
	lt.next += int64(len(records))
	return b.Build()
}

func TestARunOfBatchesIsOnePublish(t *testing.T) {
	lt := newLoaderTest(t)
	run := slices.Concat(lt.batch(true, &NoOpRecord{}), lt.batch(false, &TopicRecord{"a", idA}, &ConfigRecord{ResourceTopic, "a", "k", text("v")}),
		lt.batch(false, &TopicRecord{"b", idB}))
	lt.OnCommit(run, lt.next)
	if len(lt.published) != 1 || lt.published[0].offset != 4 || lt.Image().Epoch() != 3 {
		t.Fatalf("published %v", lt.published)
	}
	if d := lt.published[0].delta; !slices.Equal(d.Topics, []string{"a", "b"}) || len(d.Configs) != 1 {
		t.Errorf("delta %+v", d)
	}
	if last := lt.events[len(lt.events)-1]; last.Kind != event.MetadataApplied || last.Offset != 4 || last.Len != int64(lt.Image().Hash()) {
		t.Errorf("last event %v", last)
	}
}

func TestAMetadataTransactionAppliesAtItsEnd(t *testing.T) {
	lt := newLoaderTest(t)
	lt.OnCommit(lt.batch(false, &BeginTransactionRecord{}, &TopicRecord{"a", idA}), lt.next)
	if lt.Image().Topic("a") != nil || lt.Image().Offset() != 0 {
		t.Fatal("an open transaction shows")
	}
	lt.OnCommit(lt.batch(false, &EndTransactionRecord{}), lt.next)
	if lt.Image().Topic("a") == nil || lt.Image().Offset() != 3 {
		t.Fatal("a committed transaction does not show")
	}
	lt.OnCommit(lt.batch(false, &BeginTransactionRecord{}, &TopicRecord{"b", idB}, &AbortTransactionRecord{}), lt.next)
	if lt.Image().Topic("b") != nil || lt.Image().Offset() != 6 {
		t.Fatal("an aborted transaction shows")
	}
}

func TestASnapshotPublishesTheDifference(t *testing.T) {
	lt := newLoaderTest(t)
	lt.OnCommit(lt.batch(false, &TopicRecord{"a", idA}, &PartitionRecord{TopicID: idA, Replicas: []int32{1}, Isr: []int32{1}, Directories: make([][16]byte, 1)},
		&RegisterBrokerRecord{BrokerID: 1}), lt.next)
	to := NewImage()
	mustApply(t, to, &TopicRecord{"a", idB}, &RegisterBrokerRecord{BrokerID: 1}, &RegisterBrokerRecord{BrokerID: 2})
	lt.OnSnapshot(100, 7, MarshalAll(to.Records()))
	d := lt.published[1].delta
	if !d.Snapshot || !slices.Equal(d.Deleted, []TopicRef{{"a", idA}}) || !slices.Equal(d.Brokers, []int32{2}) || len(d.Partitions) != 1 {
		t.Errorf("delta %+v", d)
	}
	if lt.Image().Offset() != 100 || lt.Image().Hash() != to.Hash() {
		t.Error("the image is not the snapshot's")
	}
	lt.next = 98
	lt.OnCommit(lt.batch(false, &RemoveTopicRecord{idB}), 99)
	if lt.Image().Topic("a") == nil {
		t.Error("a batch below the snapshot was applied")
	}
}

// Whether a partition exists since, or was known before, shows in a delta of records and in one of a snapshot.
func TestADeltaTellsWhichPartitionsAreNew(t *testing.T) {
	first, second := event.Partition{Topic: "a", Index: 0}, event.Partition{Topic: "a", Index: 1}
	known := []Record{&TopicRecord{"a", idA}, &PartitionRecord{TopicID: idA, Replicas: []int32{1}, Isr: []int32{1}, Directories: make([][16]byte, 1)}}
	moved := NewPartitionChange(idA, 0)
	moved.Replicas, moved.Isr, moved.Directories = []int32{2}, []int32{2}, make([][16]byte, 1)
	since := []Record{moved, &PartitionRecord{TopicID: idA, PartitionID: 1, Replicas: []int32{1}, Isr: []int32{1}, Directories: make([][16]byte, 1)}}

	lt := newLoaderTest(t)
	lt.OnCommit(lt.batch(false, known...), lt.next)
	lt.OnCommit(lt.batch(false, since...), lt.next)
	fromSnapshot := newLoaderTest(t)
	fromSnapshot.OnCommit(fromSnapshot.batch(false, known...), fromSnapshot.next)
	fromSnapshot.OnSnapshot(100, 7, MarshalAll(lt.Image().Records()))

	for _, l := range []*loaderTest{lt, fromSnapshot} {
		if d := l.published[0].delta; !slices.Equal(d.Created, []event.Partition{first}) {
			t.Errorf("delta %+v", d)
		}
		if d := l.published[1].delta; !slices.Equal(d.Created, []event.Partition{second}) || !slices.Equal(d.Partitions, []event.Partition{first, second}) {
			t.Errorf("delta %+v", d)
		}
	}
}

func TestUnreadableMetadataStopsTheLoader(t *testing.T) {
	lt := newLoaderTest(t)
	var failed error
	lt.OnFailure(func(err error) { failed = err })
	lt.OnCommit(lt.batch(false, &RemoveTopicRecord{idA}), lt.next)
	lt.OnCommit(lt.batch(false, &TopicRecord{"a", idA}), lt.next)
	if failed == nil || lt.Image().Topic("a") != nil || len(lt.published) != 0 {
		t.Errorf("err %v, published %v", failed, lt.published)
	}
}

func TestADeltaNamesWhatARecordTouches(t *testing.T) {
	img := topicAB(t)
	c := NewPartitionChange(idA, 0)
	c.EligibleLeaderReplicas = []int32{2}
	mustApply(t, img, c)
	d := &Delta{}
	for _, r := range []Record{&ClearElrRecord{}, &BrokerRegistrationChangeRecord{BrokerID: 4}, &FeatureLevelRecord{}, &ProducerIdsRecord{}, &RemoveTopicRecord{idA}} {
		d.note(img, r)
	}
	d.finish()
	if !slices.Equal(d.Topics, []string{"a"}) || !slices.Equal(d.Partitions, []event.Partition{{Topic: "a", Index: 0}}) || !slices.Equal(d.Brokers, []int32{4}) ||
		!d.Features || !d.ProducerIDs || !slices.Equal(d.Deleted, []TopicRef{{"a", idA}}) || len(d.Configs) != 1 {
		t.Errorf("delta %+v", d)
	}
}
