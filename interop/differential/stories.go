package differential

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func stories() []story {
	return slices.Concat(dataStories(), groupStories(), consumerStories(), transactionStories(), topicStories(), configStories(), clusterStories())
}

func pause() { time.Sleep(5 * time.Millisecond) }

// produce appends a batch to partition 0 without comparing.
func (t *talk) produce(topic string, b batch) kmsg.Response {
	return t.quiet(0, t.produceTo(topic, 0, b.bytes(), -1))
}

func (t *talk) produceTo(topic string, partition int, records []byte, acks int) M {
	return M{"Acks": acks, "TimeoutMillis": 1500, "Topics": L{M{"Topic": topic, "TopicID": t.topicIDs[topic], "Partitions": L{M{"Partition": partition, "Records": records}}}}}
}

func dataStories() []story {
	produced := func(label string, b batch, configs ...string) func(*talk) {
		return func(t *talk) { t.ask(label, 0, t.produceTo(t.topic("t", 1, configs...), 0, b.bytes(), -1)) }
	}
	all := []story{
		{0, "twice", func(t *talk) {
			topic := t.topic("t", 2)
			t.ask("first", 0, t.produceTo(topic, 0, batch{records: 3}.bytes(), -1))
			t.ask("second", 0, t.produceTo(topic, 0, batch{records: 2}.bytes(), 1))
			t.ask("another partition", 0, t.produceTo(topic, 1, batch{}.bytes(), -1))
		}},
		{0, "wrong acks", func(t *talk) { t.ask("acks 2", 0, t.produceTo(t.topic("t", 1), 0, batch{}.bytes(), 2)) }},
		{0, "no such topic", func(t *talk) { t.ask("", 0, t.produceTo(t.name("none"), 0, batch{}.bytes(), -1)) }},
		{0, "no such partition", func(t *talk) {
			topic := t.topic("t", 1)
			t.ask("1", 0, t.produceTo(topic, 1, batch{}.bytes(), -1))
			t.ask("-1", 0, t.produceTo(topic, -1, batch{}.bytes(), -1))
		}},
		{0, "no records", func(t *talk) {
			t.ask("empty", 0, t.produceTo(t.topic("t", 1), 0, []byte{}, -1)) // null ones are never answered by Kafka 4.4.0
		}},
		{0, "two batches", func(t *talk) {
			t.ask("", 0, t.produceTo(t.topic("t", 1), 0, append(batch{}.bytes(), batch{}.bytes()...), -1))
		}},
		{0, "cut short", func(t *talk) { t.ask("", 0, t.produceTo(t.topic("t", 1), 0, batch{}.bytes()[:70], -1)) }},
		{0, "acks 0", func(t *talk) {
			topic := t.topic("t", 1)
			t.quiet(0, t.produceTo(topic, 0, batch{}.bytes(), 0))
			t.ask("then acks 1", 0, t.produceTo(topic, 0, batch{}.bytes(), 1))
		}},
		{0, "idempotent", idempotent},
		{0, "without a transactional id", produced("", batch{attributes: 0x10, producer: 4000, epoch: 0, sequence: 0})},
		{0, "below min.insync.replicas", produced("", batch{}, "min.insync.replicas", "2")},
		{0, "internal topic", func(t *talk) { t.ask("", 0, t.produceTo("__consumer_offsets", 0, batch{}.bytes(), -1)) }},
		{1, "from an offset", fetches},
		{1, "sessions", fetchSessions},
		{1, "wrong partitions", func(t *talk) {
			topic := t.topic("t", 1)
			t.ask("no such partition", 1, t.fetchOf(topic, M{"Partition": 1}))
			t.ask("no such topic", 1, t.fetchOf(t.name("none"), M{"Partition": 0}))
			t.topicIDs[t.name("odd")] = [16]byte{1, 2, 3}
			t.ask("no such id", 1, t.fetchOf(t.name("odd"), M{"Partition": 0}))
		}},
		{2, "every form", listOffsets},
		{2, "wrong", func(t *talk) {
			topic := t.topic("t", 1)
			t.ask("partition", 2, listOf(topic, M{"Partition": 7, "Timestamp": -1}))
			t.ask("topic", 2, listOf(t.name("none"), M{"Timestamp": -1}))
			t.ask("lower epoch", 2, listOf(topic, M{"Timestamp": -1, "CurrentLeaderEpoch": -5}))
			t.ask("higher epoch", 2, listOf(topic, M{"Timestamp": -1, "CurrentLeaderEpoch": 9}))
			t.ask("form -7", 2, listOf(topic, M{"Timestamp": -7}))
			t.ask("twice", 2, M{"ReplicaID": -1, "Topics": L{M{"Topic": topic, "Partitions": L{M{"Timestamp": -1}, M{"Timestamp": -2}}}}})
			t.ask("as a replica", 2, M{"ReplicaID": 5, "Topics": L{M{"Topic": topic, "Partitions": L{M{"Timestamp": -1}}}}})
		}},
		{23, "epochs", func(t *talk) {
			topic := t.topic("t", 1)
			t.produce(topic, batch{records: 4})
			for _, p := range []M{{"LeaderEpoch": 0}, {"LeaderEpoch": 3}, {"LeaderEpoch": -1}, {"LeaderEpoch": 0, "CurrentLeaderEpoch": 5}, {"LeaderEpoch": 0, "Partition": 9}} {
				t.ask("", 23, M{"ReplicaID": -1, "Topics": L{M{"Topic": topic, "Partitions": L{p}}}})
			}
			t.ask("no such topic", 23, M{"ReplicaID": -1, "Topics": L{M{"Topic": t.name("none"), "Partitions": L{M{"LeaderEpoch": 0}}}}})
		}},
		{21, "delete records", func(t *talk) {
			topic := t.topic("t", 1)
			t.produce(topic, batch{records: 10})
			for _, p := range []M{{"Offset": 4}, {"Offset": 2}, {"Offset": 99}, {"Offset": -2}, {"Offset": -1}, {"Partition": 3, "Offset": 0}} {
				t.ask("", 21, M{"TimeoutMillis": 5000, "Topics": L{M{"Topic": topic, "Partitions": L{p}}}})
			}
			t.ask("no such topic", 21, M{"TimeoutMillis": 5000, "Topics": L{M{"Topic": t.name("none"), "Partitions": L{M{"Offset": 0}}}}})
			t.ask("internal", 21, M{"TimeoutMillis": 5000, "Topics": L{M{"Topic": "__consumer_offsets", "Partitions": L{M{"Offset": 0}}}}})
			t.ask("fetch below", 1, t.fetchOf(topic, M{"FetchOffset": 0}))
		}},
		{61, "producers", func(t *talk) {
			topic := t.topic("t", 1)
			t.produce(topic, batch{producer: 4000, epoch: 1, sequence: 0, records: 3})
			t.ask("one", 61, M{"Topics": L{M{"Topic": topic, "Partitions": L{0, 5}}}})
			t.ask("no such topic", 61, M{"Topics": L{M{"Topic": t.name("none"), "Partitions": L{0}}}})
			t.ask("nothing", 61, M{})
		}},
	}
	return slices.Concat(all, batchStories())
}

// batchStories produce one batch with something wrong.
func batchStories() []story {
	hour := int64(time.Hour / time.Millisecond)
	now := time.Now().UnixMilli() - baseTime
	cases := map[string]struct {
		b       batch
		configs string
	}{
		"wrong checksum":               {batch{badCRC: true}, ""},
		"magic 1":                      {batch{magic: 1}, ""},
		"magic 3":                      {batch{magic: 3}, ""},
		"count and last delta differ":  {batch{records: 2, lastDelta: 1}, ""},
		"negative last delta":          {batch{lastDelta: -3}, ""},
		"control batch":                {batch{attributes: 0x20}, ""},
		"unknown codec":                {batch{attributes: 7}, ""},
		"says gzip and is not":         {batch{attributes: 1}, ""},
		"delete horizon":               {batch{attributes: 0x40}, ""},
		"says LogAppendTime":           {batch{attributes: 8}, ""},
		"LogAppendTime":                {batch{}, "message.timestamp.type=LogAppendTime"},
		"two hours ahead":              {batch{timestamp: now + 2*hour}, ""},
		"older than allowed":           {batch{}, "message.timestamp.before.max.ms=1000"},
		"no timestamp":                 {batch{timestamp: -baseTime - 1}, ""},
		"compacted, no key":            {batch{noKey: true, records: 3}, "cleanup.policy=compact"},
		"too large":                    {batch{size: 2000}, "max.message.bytes=1000"},
		"larger than a segment":        {batch{size: 1 << 20}, "segment.bytes=1048576,max.message.bytes=9000000"},
		"producer without a sequence":  {batch{producer: 4000, sequence: -1}, ""},
		"first sequence is not 0":      {batch{producer: 4000, sequence: 7}, ""},
		"negative epoch of a producer": {batch{producer: 4000, epoch: -1}, ""},
	}
	var all []story
	for name, c := range cases { // order: sorted below
		configs := strings.FieldsFunc(c.configs, func(r rune) bool { return r == '=' || r == ',' })
		all = append(all, story{0, name, func(t *talk) {
			topic := t.topic("t", 1, configs...)
			t.ask("", 0, t.produceTo(topic, 0, c.b.bytes(), -1))
			t.ask("what is there then", 1, t.fetchOf(topic, M{"FetchOffset": 0}))
		}})
	}
	slices.SortFunc(all, func(a, b story) int { return strings.Compare(a.name, b.name) })
	return all
}

func idempotent(t *talk) {
	topic := t.topic("t", 1)
	p := batch{producer: 4000, epoch: 1}
	for _, step := range []struct {
		label    string
		epoch    int16
		sequence int32
	}{{"first", 1, 0}, {"second", 1, 1}, {"again", 1, 0}, {"gap", 1, 5}, {"older epoch", 0, 0}, {"newer epoch, not at 0", 2, 4}, {"newer epoch", 3, 0}, {"epoch of before", 1, 2}} {
		p.epoch, p.sequence = step.epoch, step.sequence
		t.ask(step.label, 0, t.produceTo(topic, 0, p.bytes(), -1))
	}
}

func (t *talk) fetchOf(topic string, partition M) M {
	p := M{"PartitionMaxBytes": 1 << 20, "CurrentLeaderEpoch": -1, "LastFetchedEpoch": -1, "LogStartOffset": -1}
	for k, v := range partition { // order: fields are apart
		p[k] = v
	}
	return M{"ReplicaID": -1, "MaxWaitMillis": 10, "MinBytes": 1, "MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": L{M{"Topic": topic, "TopicID": t.topicIDs[topic], "Partitions": L{p}}}}
}

func fetches(t *talk) {
	topic := t.topic("t", 1)
	t.produce(topic, batch{records: 3})
	t.produce(topic, batch{records: 2})
	for label, p := range inOrder("start", M{"FetchOffset": 0}, "middle of a batch", M{"FetchOffset": 1}, "last", M{"FetchOffset": 4}, "end", M{"FetchOffset": 5}, "beyond", M{"FetchOffset": 6},
		"negative", M{"FetchOffset": -1}, "one byte", M{"FetchOffset": 0, "PartitionMaxBytes": 1}, "lower epoch", M{"CurrentLeaderEpoch": -3}, "higher epoch", M{"CurrentLeaderEpoch": 4},
		"as of epoch 0", M{"FetchOffset": 2, "LastFetchedEpoch": 0, "CurrentLeaderEpoch": 0}, "diverging", M{"FetchOffset": 5, "LastFetchedEpoch": 3, "CurrentLeaderEpoch": 0}) {
		t.ask(label, 1, t.fetchOf(topic, p))
	}
	committed := t.fetchOf(topic, M{"FetchOffset": 0})
	committed["IsolationLevel"] = 1
	t.ask("read_committed", 1, committed)
	replica := t.fetchOf(topic, M{"FetchOffset": 0})
	replica["ReplicaID"], replica["ReplicaState"] = 5, M{"ID": 5, "Epoch": 1}
	t.ask("as a replica", 1, replica)
	rest := t.fetchOf(topic, M{"FetchOffset": 0})
	rest["MaxBytes"] = 0
	t.ask("no bytes", 1, rest)
}

// inOrder walks pairs of a label and fields.
func inOrder(pairs ...any) func(yield func(string, M) bool) {
	return func(yield func(string, M) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].(M)) {
				return
			}
		}
	}
}

func fetchSessions(t *talk) {
	topic := t.topic("t", 1)
	t.produce(topic, batch{records: 3})
	full := t.fetchOf(topic, M{"FetchOffset": 0})
	full["SessionEpoch"] = 0
	resp, _ := t.ask("new", 1, full).(*kmsg.FetchResponse)
	if resp == nil {
		return
	}
	next := func(label string, id int32, epoch int) {
		t.ask(label, 1, M{"ReplicaID": -1, "MaxWaitMillis": 10, "MinBytes": 1, "MaxBytes": 1 << 20, "SessionID": id, "SessionEpoch": epoch})
	}
	next("nothing new", resp.SessionID, 1)
	next("epoch again", resp.SessionID, 1)
	next("epoch ahead", resp.SessionID, 9)
	next("another id", 12345, 1)
	next("end", resp.SessionID, -1)
	next("after the end", resp.SessionID, 2)
}

func listOf(topic string, partition M) M {
	p := M{"CurrentLeaderEpoch": -1, "MaxNumOffsets": 1}
	for k, v := range partition { // order: fields are apart
		p[k] = v
	}
	return M{"ReplicaID": -1, "TimeoutMillis": 5000, "Topics": L{M{"Topic": topic, "Partitions": L{p}}}}
}

func listOffsets(t *talk) {
	topic := t.topic("t", 1)
	for _, ms := range []int64{-1, -2, -3, 0} {
		t.ask("empty log", 2, listOf(topic, M{"Timestamp": ms}))
	}
	for i := range 3 {
		t.produce(topic, batch{records: 2, timestamp: int64(i) * 10})
	}
	for _, ms := range []int64{-1, -2, -3, -4, -5, -6, 0, baseTime, baseTime + 1, baseTime + 10, baseTime + 20, baseTime + 21} {
		t.ask("", 2, listOf(topic, M{"Timestamp": ms}))
		committed := listOf(topic, M{"Timestamp": ms})
		committed["IsolationLevel"] = 1
		t.ask("read_committed", 2, committed)
	}
}
