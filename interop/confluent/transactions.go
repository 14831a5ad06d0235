package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func newTransactional() *kafka.Producer {
	p := newProducer(config{"transactional.id": name("x")})
	must(p.InitTransactions(soon()))
	return p
}

func soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func transactions() {
	t := newTopic(1)
	p := newTransactional()
	defer p.Close()
	for i := range 3 {
		must(p.BeginTransaction())
		send(p, t, 1, 20, func(int) string { return strconv.Itoa(i) })
		if i == 0 {
			must(p.AbortTransaction(soon()))
		} else {
			must(p.CommitTransaction(soon()))
		}
	}
	check(read(t, 40, config{"isolation.level": "read_committed"}), slices.Concat(slices.Repeat([]string{"1"}, 20), slices.Repeat([]string{"2"}, 20)), "read_committed")
	check(len(read(t, 60, config{"isolation.level": "read_uncommitted"})), 60, "read_uncommitted")
}

// exactlyOnce copies a topic fifty records at a time, and does each half again after an abort.
func exactlyOnce() {
	source, sink := newTopic(1), newTopic(1)
	produce(source, 1, 100, nil)
	c := newConsumer(name("g"), config{"isolation.level": "read_committed"})
	defer c.Close()
	must(c.SubscribeTopics([]string{source}, nil))
	p := newTransactional()
	defer p.Close()
	done := 0
	for _, commit := range []bool{false, true, false, true} {
		batch := poll(c, 50)[:50]
		must(p.BeginTransaction())
		send(p, sink, 1, 50, func(i int) string { return batch[i] })
		must(p.SendOffsetsToTransaction(soon(), value(c.Position(value(c.Assignment()))), value(c.GetConsumerGroupMetadata())))
		if commit {
			must(p.CommitTransaction(soon()))
			done += 50
			continue
		}
		must(p.AbortTransaction(soon()))
		must(c.Seek(at(source, kafka.Offset(done)), 0))
	}
	check(read(sink, 100, config{"isolation.level": "read_committed"}), counted(100), "copied")
}
