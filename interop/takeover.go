package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// javaTakeOver has Apache Kafka write a data directory, lockstepd go on with it, and Kafka again: topics, records, transactions and groups stay.
//
// Features that lockstepd does not have must not be in use, as for a Kafka that is too old.
func javaTakeOver(ctx context.Context, e *env) error {
	if e.nodes > 1 || e.binary == "" {
		return fmt.Errorf("%w: the data is one node's", errSkip)
	}
	config, port, err := formatKafka(ctx, e, "-f", "share.version=0", "-f", "streams.version=0")
	if err != nil {
		return err
	}
	topic, group := e.name("t"), e.name("g")
	onKafka := func(use func(*env) error) error {
		addr, stop, err := runKafka(ctx, e, config, port)
		if err != nil {
			return err
		}
		defer stop()
		return use(e.at(&cluster{nodes: 1, bootstrap: addr}))
	}
	if err := onKafka(func(e *env) error { return writeToTakeOver(ctx, e, topic, group) }); err != nil {
		return fmt.Errorf("Kafka: %w", err)
	}
	c := &cluster{nodes: 1, bootstrap: addresses(port, 1), log: filepath.Join(e.dir, "lockstepd.log")}
	if err := c.start(ctx, e.binary, nil, "--config", config); err != nil {
		return err
	}
	err = isTakenOver(ctx, e.at(c), topic, group, 200)
	if err == nil {
		err = e.at(c).send(ctx, topic, 1, 50)
	}
	if stopped := c.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return fmt.Errorf("lockstepd: %w", err)
	}
	if err := onKafka(func(e *env) error { return isTakenOver(ctx, e, topic, group, 250) }); err != nil {
		return fmt.Errorf("Kafka after lockstepd: %w", err)
	}
	return nil
}

// at is e on another cluster.
func (e *env) at(c *cluster) *env {
	there := *e
	there.cluster = c
	return &there
}

// writeToTakeOver leaves 200 records that count, between them 100 of a transaction that was aborted, and a group that has read 77.
func writeToTakeOver(ctx context.Context, e *env, topic, group string) error {
	if _, err := e.topicNamed(ctx, topic, 1, nil); err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 100, kgo.ProducerBatchCompression(kgo.ZstdCompression())); err != nil {
		return err
	}
	client, err := e.franz(kgo.TransactionalID(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, verdict := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		if err := client.ProduceSync(ctx, numbered(topic, 1, 100)...).FirstErr(); err != nil {
			return err
		}
		if err := client.EndTransaction(ctx, verdict); err != nil {
			return err
		}
	}
	var read kadm.Offsets
	read.AddOffset(topic, 0, 77, -1)
	return kadm.NewClient(client).CommitAllOffsets(ctx, group, read)
}

func isTakenOver(ctx context.Context, e *env, topic, group string, n int) error {
	got, err := e.read(ctx, topic, n, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	for i, r := range got {
		if string(r.Value) != fmt.Sprint(i%100) {
			return fmt.Errorf("record %d is %q", i, r.Value)
		}
	}
	if at := got[100].Offset; at != 201 { // after 100 aborted records and their marker
		return fmt.Errorf("the committed transaction begins at offset %d, not 201", at)
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	read, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if at, _ := read.Lookup(topic, 0); err != nil || at.At != 77 {
		return fmt.Errorf("the group's offset is %d, not 77: %v", at.At, err)
	}
	return nil
}
