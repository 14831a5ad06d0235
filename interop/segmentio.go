package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

func segmentio() *suite {
	return &suite{client: "segmentio/kafka-go", version: moduleVersion("github.com/segmentio/kafka-go"), cases: []testCase{
		{"produce and consume", segmentioCodecs},
		{"offset by timestamp", segmentioOffsets},
		{"classic group", segmentioGroup},
		{"transactions", segmentioTransactions},
		{"topic administration", segmentioTopics},
		{"configuration", segmentioConfigs},
		{"group administration", segmentioGroups},
	}}
}

func (e *env) segmentio() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(e.brokers()...), Timeout: 20 * time.Second}
}

// fresh does not use metadata from before a topic was made, which the library's own transport keeps for seconds.
func fresh() *kafka.Transport { return &kafka.Transport{MetadataTTL: 100 * time.Millisecond} }

func (e *env) segmentioWrite(ctx context.Context, topic string, codec kafka.Compression, n int) error {
	w := &kafka.Writer{Addr: kafka.TCP(e.brokers()...), Transport: fresh(), Topic: topic, RequiredAcks: kafka.RequireAll, Compression: codec, BatchTimeout: 5 * time.Millisecond, MaxAttempts: 20}
	defer w.Close()
	messages := make([]kafka.Message, n)
	for i := range messages {
		messages[i].Value = fmt.Append(nil, i)
	}
	return w.WriteMessages(ctx, messages...)
}

func segmentioRead(ctx context.Context, r *kafka.Reader, n int) error {
	for i := range n {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d messages read: %w", i, n, err)
		}
		if string(m.Value) != fmt.Sprint(i) {
			return fmt.Errorf("offset %d holds %q, not %d", m.Offset, m.Value, i)
		}
	}
	return nil
}

func segmentioCodecs(ctx context.Context, e *env) error {
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		topic, err := e.topic(ctx, 1, nil)
		if err != nil {
			return err
		}
		if err := e.segmentioWrite(ctx, topic, codec, 1000); err != nil {
			return fmt.Errorf("%v: %w", codec, err)
		}
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: e.brokers(), Topic: topic, MaxWait: time.Second})
		err = segmentioRead(ctx, r, 1000)
		r.Close()
		if err != nil {
			return fmt.Errorf("%v: %w", codec, err)
		}
	}
	return nil
}

func segmentioOffsets(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.segmentioWrite(ctx, topic, 0, 10); err != nil {
		return err
	}
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: e.brokers(), Topic: topic, MaxWait: time.Second})
	defer r.Close()
	if err := r.SetOffsetAt(ctx, time.Now().Add(-time.Hour)); err != nil {
		return err
	}
	if r.Offset() != 0 {
		return fmt.Errorf("offset %d an hour ago, want 0", r.Offset())
	}
	return segmentioRead(ctx, r, 10)
}

func segmentioGroup(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	for round := range 2 {
		if err := e.segmentioWrite(ctx, topic, 0, 100); err != nil {
			return err
		}
		r := kafka.NewReader(kafka.ReaderConfig{Brokers: e.brokers(), Topic: topic, GroupID: group, MaxWait: time.Second, StartOffset: kafka.FirstOffset})
		err := segmentioRead(ctx, r, 100)
		err = errors.Join(err, r.Close())
		if err != nil {
			return fmt.Errorf("generation %d: %w", round, err)
		}
	}
	return nil
}

// segmentioTransactions makes the requests of a transaction one by one: the library has no producer for it.
func segmentioTransactions(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	c, id := e.segmentio(), e.name("x")
	coordinator, err := c.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: id, KeyType: kafka.CoordinatorKeyTypeTransaction})
	if err != nil || coordinator.Error != nil {
		return fmt.Errorf("finding the coordinator: %v, %v", err, coordinator)
	}
	at := kafka.TCP(fmt.Sprintf("%s:%d", coordinator.Coordinator.Host, coordinator.Coordinator.Port))
	made, err := c.InitProducerID(ctx, &kafka.InitProducerIDRequest{Addr: at, TransactionalID: id, TransactionTimeoutMs: 10000})
	if err != nil || made.Error != nil {
		return fmt.Errorf("initialising: %v, %v", err, made)
	}
	added, err := c.AddPartitionsToTxn(ctx, &kafka.AddPartitionsToTxnRequest{Addr: at, TransactionalID: id, ProducerID: made.Producer.ProducerID, ProducerEpoch: made.Producer.ProducerEpoch,
		Topics: map[string][]kafka.AddPartitionToTxn{topic: {{Partition: 0}}}})
	if err != nil || added.Topics[topic][0].Error != nil {
		return fmt.Errorf("adding a partition: %v, %+v", err, added)
	}
	ended, err := c.EndTxn(ctx, &kafka.EndTxnRequest{Addr: at, TransactionalID: id, ProducerID: made.Producer.ProducerID, ProducerEpoch: made.Producer.ProducerEpoch, Committed: true})
	if err != nil || ended.Error != nil {
		return fmt.Errorf("ending: %v, %v", err, ended)
	}
	return nil
}

func segmentioTopics(ctx context.Context, e *env) error {
	c, topic := e.segmentio(), e.name("t")
	created, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 2, ReplicationFactor: int(e.replicas())}}})
	if err != nil || created.Errors[topic] != nil {
		return fmt.Errorf("creating: %v, %v", err, created)
	}
	added, err := c.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
	if err != nil || added.Errors[topic] != nil {
		return fmt.Errorf("adding partitions: %v, %v", err, added)
	}
	deleted, err := c.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil || deleted.Errors[topic] != nil {
		return fmt.Errorf("deleting: %v, %v", err, deleted)
	}
	return nil
}

func segmentioConfigs(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	c := e.segmentio()
	altered, err := c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "7200000", ConfigOperation: kafka.ConfigOperationSet}}}}})
	if err != nil || altered.Resources[0].Error != nil {
		return fmt.Errorf("altering: %v, %v", err, altered)
	}
	return await(ctx, func() (bool, error) {
		described, err := c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}}}})
		if err != nil || described.Resources[0].Error != nil || len(described.Resources[0].ConfigEntries) != 1 {
			return false, fmt.Errorf("describing: %v, %+v", err, described)
		}
		return described.Resources[0].ConfigEntries[0].ConfigValue == "7200000", nil
	})
}

func segmentioGroups(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	c, group := e.segmentio(), e.name("g")
	found, err := c.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: group, KeyType: kafka.CoordinatorKeyTypeConsumer})
	if err != nil || found.Error != nil {
		return fmt.Errorf("finding the coordinator: %v, %v", err, found)
	}
	committed, err := c.OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 3, Metadata: "note"}}}})
	if err != nil || committed.Topics[topic][0].Error != nil {
		return fmt.Errorf("committing: %v, %+v", err, committed)
	}
	fetched, err := c.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {0}}})
	if err != nil || fetched.Error != nil || fetched.Topics[topic][0].CommittedOffset != 3 || fetched.Topics[topic][0].Metadata != "note" {
		return fmt.Errorf("fetching: %v, %+v", err, fetched)
	}
	deleted, err := c.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err != nil || deleted.Errors[group] != nil {
		return fmt.Errorf("deleting: %v, %v", err, deleted)
	}
	return nil
}
