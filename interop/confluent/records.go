package main

import (
	"maps"
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type config map[string]any

func (c config) over(base kafka.ConfigMap) *kafka.ConfigMap {
	base["bootstrap.servers"] = bootstrap
	maps.Copy(base, kafka.ConfigMap(toValues(c)))
	return &base
}

func toValues(c config) map[string]kafka.ConfigValue {
	values := map[string]kafka.ConfigValue{}
	for k, v := range c { // order: a copy
		values[k] = v
	}
	return values
}

func newProducer(c config) *kafka.Producer {
	return value(kafka.NewProducer(c.over(kafka.ConfigMap{"linger.ms": 5})))
}

func newConsumer(group string, c config) *kafka.Consumer {
	return value(kafka.NewConsumer(c.over(kafka.ConfigMap{"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": false})))
}

func at(topic string, offset kafka.Offset) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: &topic, Offset: offset}
}

// send hands n records to a producer, for one partition after the other, and waits for their answers.
func send(p *kafka.Producer, topic string, partitions, n int, text func(i int) string) {
	answers := make(chan kafka.Event, n)
	for i := range n {
		to := kafka.TopicPartition{Topic: &topic, Partition: int32(i % partitions)}
		must(p.Produce(&kafka.Message{TopicPartition: to, Value: []byte(text(i))}, answers))
	}
	check(p.Flush(30000), 0, "records without an answer")
	for range n {
		must((<-answers).(*kafka.Message).TopicPartition.Error)
	}
}

func produce(topic string, partitions, n int, c config) {
	p := newProducer(c)
	defer p.Close()
	send(p, topic, partitions, n, strconv.Itoa)
}

func poll(c *kafka.Consumer, n int) (got []string) {
	await(strconv.Itoa(n)+" records", func() bool {
		for len(got) < n {
			switch m := c.Poll(500).(type) {
			case nil:
				return false
			case *kafka.Message:
				must(m.TopicPartition.Error)
				got = append(got, string(m.Value))
			case kafka.Error:
				panic(m)
			}
		}
		return true
	})
	return got
}

func read(topic string, n int, c config) []string {
	r := newConsumer(name("g"), c)
	defer r.Close()
	must(r.Assign([]kafka.TopicPartition{at(topic, kafka.OffsetBeginning)}))
	return poll(r, n)
}

func counted(n int) (all []string) {
	for i := range n {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

func codecs() {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t := newTopic(1)
		produce(t, 1, 1000, config{"compression.type": codec})
		check(read(t, 1000, nil), counted(1000), codec)
	}
}

func idempotent() {
	t := newTopic(1)
	produce(t, 1, 2000, config{"enable.idempotence": true})
	check(read(t, 2000, nil), counted(2000), "records")
}

func byTimestamp() {
	t, base := newTopic(1), time.Now()
	p := newProducer(nil)
	defer p.Close()
	for i := range 10 {
		answer := make(chan kafka.Event, 1)
		must(p.Produce(&kafka.Message{TopicPartition: at(t, 0), Value: []byte("v"), Timestamp: base.Add(time.Duration(i) * time.Second)}, answer))
		must((<-answer).(*kafka.Message).TopicPartition.Error)
	}
	c := newConsumer(name("g"), nil)
	defer c.Close()
	found := value(c.OffsetsForTimes([]kafka.TopicPartition{at(t, kafka.Offset(base.Add(3500*time.Millisecond).UnixMilli()))}, 10000))
	check(found[0].Offset, 4, "offset")
	low, high, err := c.QueryWatermarkOffsets(t, 0, 10000)
	must(err)
	check([]int64{low, high}, []int64{0, 10}, "watermarks")
	check(offsetOf(t, kafka.MaxTimestampOffsetSpec), 9, "offset of the greatest timestamp")
}

// group shares four partitions between two members, and a third goes on where they have committed.
func group(c config) {
	t, g := newTopic(4), name("g")
	members := []*kafka.Consumer{newConsumer(g, c), newConsumer(g, c)}
	seen := map[string]bool{}
	drain := func(m *kafka.Consumer) {
		for e := m.Poll(50); e != nil; e = m.Poll(50) {
			if r, ok := e.(*kafka.Message); ok {
				must(r.TopicPartition.Error)
				seen[string(r.Value)] = true
			}
		}
	}
	for _, m := range members {
		must(m.SubscribeTopics([]string{t}, nil))
	}
	await("two partitions each", func() bool {
		for _, m := range members {
			drain(m)
		}
		return len(value(members[0].Assignment())) == 2 && len(value(members[1].Assignment())) == 2
	})
	produce(t, 4, 400, nil)
	await("400 records", func() bool {
		for _, m := range members {
			drain(m)
		}
		return len(seen) == 400
	})
	for _, m := range members {
		value(m.Commit())
		must(m.Close())
	}
	produce(t, 4, 40, nil)
	third := newConsumer(g, c)
	defer third.Close()
	must(third.SubscribeTopics([]string{t}, nil))
	poll(third, 40)
	check(third.Poll(1000), nil, "more than the records after the commit")
}
