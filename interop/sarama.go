package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/IBM/sarama"
)

func saramaSuite() *suite {
	sarama.Logger = log.New(io.Discard, "", 0)
	return &suite{client: "sarama", version: moduleVersion("github.com/IBM/sarama"), cases: []testCase{
		{"produce and consume", saramaCodecs},
		{"idempotent producer", saramaIdempotent},
		{"classic group", saramaGroup},
		{"transactions", saramaTransactions},
		{"exactly once", saramaExactlyOnce},
		{"topic administration", saramaTopics},
		{"configuration", saramaConfigs},
		{"delete records", saramaDeleteRecords},
		{"group administration", saramaGroups},
		{"cluster description", saramaCluster},
	}}
}

func saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Retry.Max = 20
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Group.Rebalance.Retry.Max = 20
	c.Metadata.Retry.Max = 20
	return c
}

func (e *env) saramaProduce(config *sarama.Config, topic string, n int) error {
	producer, err := sarama.NewSyncProducer(e.brokers(), config)
	if err != nil {
		return err
	}
	defer producer.Close()
	return producer.SendMessages(saramaMessages(topic, n))
}

func saramaMessages(topic string, n int) []*sarama.ProducerMessage {
	messages := make([]*sarama.ProducerMessage, n)
	for i := range messages {
		messages[i] = &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(i))}
	}
	return messages
}

// saramaConsume reads n numbered messages of partition 0.
func (e *env) saramaConsume(ctx context.Context, topic string, n int) error {
	consumer, err := sarama.NewConsumer(e.brokers(), saramaConfig())
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer partition.Close()
	for i := range n {
		select {
		case m := <-partition.Messages():
			if string(m.Value) != fmt.Sprint(i) {
				return fmt.Errorf("offset %d holds %q, not %d", m.Offset, m.Value, i)
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages read: %w", i, n, ctx.Err())
		}
	}
	return nil
}

func saramaCodecs(ctx context.Context, e *env) error {
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		topic, err := e.topic(ctx, 1, nil)
		if err != nil {
			return err
		}
		config := saramaConfig()
		config.Producer.Compression = codec
		if err := e.saramaProduce(config, topic, 1000); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
		if err := e.saramaConsume(ctx, topic, 1000); err != nil {
			return fmt.Errorf("%s: %w", codec, err)
		}
	}
	return nil
}

func saramaIdempotent(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	config := saramaConfig()
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	if err := e.saramaProduce(config, topic, 1000); err != nil {
		return err
	}
	return e.saramaConsume(ctx, topic, 1000)
}

// collector is a group's handler that counts what it gets.
type collector struct {
	got chan *sarama.ConsumerMessage
}

func (collector) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (collector) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (c collector) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		session.MarkMessage(m, "")
		select {
		case c.got <- m:
		case <-session.Context().Done():
			return nil
		}
	}
	return nil
}

func (e *env) saramaJoin(ctx context.Context, group, topic string, n int) error {
	g, err := sarama.NewConsumerGroup(e.brokers(), group, saramaConfig())
	if err != nil {
		return err
	}
	defer g.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, ended := collector{got: make(chan *sarama.ConsumerMessage)}, make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, c); err != nil {
				ended <- err
				return
			}
		}
	}()
	seen := map[string]bool{}
	for len(seen) < n {
		select {
		case m := <-c.got:
			seen[string(m.Value)] = true
		case err := <-ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages read: %w", len(seen), n, ctx.Err())
		}
	}
	return nil
}

// saramaGroup reads in two generations of a group: the second reads only what is new.
func saramaGroup(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	for round := range 2 {
		if err := e.saramaProduce(saramaConfig(), topic, 50); err != nil {
			return err
		}
		if err := e.saramaJoin(ctx, group, topic, 50); err != nil {
			return fmt.Errorf("generation %d: %w", round, err)
		}
	}
	admin, err := sarama.NewClusterAdmin(e.brokers(), saramaConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	if o := offsets.GetBlock(topic, 0); o == nil || o.Offset != 100 {
		return fmt.Errorf("the group stands at %+v, not at 100", o)
	}
	return nil
}

func (e *env) saramaTransactional(topic string, each func(i int, p sarama.SyncProducer) error) error {
	config := saramaConfig()
	config.Producer.Idempotent, config.Net.MaxOpenRequests = true, 1
	config.Producer.Transaction.ID = e.name("x")
	producer, err := sarama.NewSyncProducer(e.brokers(), config)
	if err != nil {
		return err
	}
	defer producer.Close()
	for i := range 3 {
		if err := producer.BeginTxn(); err != nil {
			return err
		}
		if err := producer.SendMessages(saramaMessages(topic, 20)); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
		if err := each(i, producer); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	return nil
}

func saramaTransactions(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	err = e.saramaTransactional(topic, func(i int, p sarama.SyncProducer) error {
		if i == 0 {
			return p.AbortTxn()
		}
		return p.CommitTxn()
	})
	if err != nil {
		return err
	}
	got, err := e.saramaOffsets(ctx, topic, 40)
	if err == nil && got[0] < 21 {
		err = fmt.Errorf("an aborted message was read, at %d", got[0])
	}
	return err
}

func (e *env) saramaOffsets(ctx context.Context, topic string, n int) ([]int64, error) {
	consumer, err := sarama.NewConsumer(e.brokers(), saramaConfig())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer partition.Close()
	var got []int64
	for len(got) < n {
		select {
		case m := <-partition.Messages():
			got = append(got, m.Offset)
		case <-ctx.Done():
			return got, fmt.Errorf("%d of %d messages read: %w", len(got), n, ctx.Err())
		}
	}
	return got, nil
}

// saramaExactlyOnce sends offsets of a group within transactions.
func saramaExactlyOnce(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	err = e.saramaTransactional(topic, func(i int, p sarama.SyncProducer) error {
		offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: int64(10 * (i + 1)), LeaderEpoch: -1}}}
		if err := p.AddOffsetsToTxn(offsets, group); err != nil {
			return err
		}
		if i == 2 {
			return p.AbortTxn()
		}
		return p.CommitTxn()
	})
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdmin(e.brokers(), saramaConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	fetched, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	if o := fetched.GetBlock(topic, 0); o == nil || o.Offset != 20 {
		return fmt.Errorf("the group stands at %+v, not at 20", o)
	}
	return nil
}

func (e *env) saramaAdmin(f func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin(e.brokers(), saramaConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	return f(admin)
}

func saramaTopics(ctx context.Context, e *env) error {
	return e.saramaAdmin(func(admin sarama.ClusterAdmin) error {
		topic := e.name("t")
		if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: e.replicas()}, false); err != nil {
			return err
		}
		if err := admin.CreatePartitions(topic, 3, nil, false); err != nil {
			return fmt.Errorf("adding partitions: %w", err)
		}
		if err := await(ctx, func() (bool, error) {
			topics, err := admin.ListTopics()
			return topics[topic].NumPartitions == 3, err
		}); err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		return admin.DeleteTopic(topic)
	})
}

// await asks until the answer is yes.
func await(ctx context.Context, ask func() (bool, error)) error {
	for {
		yes, err := ask()
		if yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func saramaConfigs(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	return e.saramaAdmin(func(admin sarama.ClusterAdmin) error {
		value := "7200000"
		entries := map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
		if err := admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false); err != nil {
			return err
		}
		return await(ctx, func() (bool, error) {
			described, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
			for _, c := range described {
				if c.Name == "retention.ms" {
					return c.Value == value, err
				}
			}
			return false, err
		})
	})
}

func saramaDeleteRecords(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 30); err != nil {
		return err
	}
	err = e.saramaAdmin(func(admin sarama.ClusterAdmin) error { return admin.DeleteRecords(topic, map[int32]int64{0: 12}) })
	if err != nil {
		return err
	}
	got, err := e.saramaOffsets(ctx, topic, 18)
	if err == nil && got[0] != 12 {
		err = fmt.Errorf("the first record is now %d, not 12", got[0])
	}
	return err
}

func saramaGroups(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	if err := e.saramaProduce(saramaConfig(), topic, 10); err != nil {
		return err
	}
	if err := e.saramaJoin(ctx, group, topic, 10); err != nil {
		return err
	}
	return e.saramaAdmin(func(admin sarama.ClusterAdmin) error {
		described, err := admin.DescribeConsumerGroups([]string{group})
		if err != nil || described[0].State != "Empty" {
			return fmt.Errorf("described as %+v: %v", described, err)
		}
		if err := admin.DeleteConsumerGroup(group); err != nil {
			return err
		}
		listed, err := admin.ListConsumerGroups()
		if _, still := listed[group]; still {
			return fmt.Errorf("still listed")
		}
		return err
	})
}

func saramaCluster(_ context.Context, e *env) error {
	return e.saramaAdmin(func(admin sarama.ClusterAdmin) error {
		brokers, _, err := admin.DescribeCluster()
		if err != nil || len(brokers) != e.nodes {
			return fmt.Errorf("%d brokers, want %d: %v", len(brokers), e.nodes, err)
		}
		dirs, err := admin.DescribeLogDirs([]int32{1})
		if err != nil || len(dirs[1]) == 0 {
			return fmt.Errorf("log directories %v: %v", dirs, err)
		}
		return nil
	})
}
