package main

import (
	"strings"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func admin() *kafka.AdminClient {
	return value(kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": bootstrap}))
}

func noError(err kafka.Error) { check(err.Code(), kafka.ErrNoError, err.String()) }

func newTopic(partitions int) string {
	a, t := admin(), name("t")
	defer a.Close()
	noError(value(a.CreateTopics(soon(), []kafka.TopicSpecification{{Topic: t, NumPartitions: partitions, ReplicationFactor: replicas}}))[0].Error)
	await("leaders of "+t, func() bool {
		found := value(a.GetMetadata(&t, false, 5000)).Topics[t].Partitions
		n := 0
		for _, p := range found {
			if p.Leader >= 0 {
				n++
			}
		}
		return n == partitions
	})
	return t
}

func offsetOf(topic string, spec kafka.OffsetSpec) kafka.Offset {
	a := admin()
	defer a.Close()
	for _, found := range value(a.ListOffsets(soon(), map[kafka.TopicPartition]kafka.OffsetSpec{at(topic, 0): spec})).ResultInfos { // order: one
		noError(found.Error)
		return found.Offset
	}
	panic("no offset")
}

func topics() {
	a, t := admin(), newTopic(2)
	defer a.Close()
	noError(value(a.CreatePartitions(soon(), []kafka.PartitionsSpecification{{Topic: t, IncreaseTo: 3}}))[0].Error)
	await("three partitions", func() bool { return len(value(a.GetMetadata(&t, false, 5000)).Topics[t].Partitions) == 3 })
	described := value(a.DescribeTopics(soon(), kafka.NewTopicCollectionOfTopicNames([]string{t}))).TopicDescriptions[0]
	noError(described.Error)
	check(len(described.Partitions), 3, "partitions described")
	noError(value(a.DeleteTopics(soon(), []string{t}))[0].Error)
}

func configs() {
	a, t := admin(), newTopic(1)
	defer a.Close()
	r := kafka.ConfigResource{Type: kafka.ResourceTopic, Name: t}
	set := r
	set.Config = []kafka.ConfigEntry{{Name: "retention.ms", Value: "7200000", IncrementalOperation: kafka.AlterConfigOpTypeSet}}
	noError(value(a.IncrementalAlterConfigs(soon(), []kafka.ConfigResource{set}))[0].Error)
	await("the new retention.ms", func() bool {
		described := value(a.DescribeConfigs(soon(), []kafka.ConfigResource{r}))[0]
		noError(described.Error)
		entry := described.Config["retention.ms"]
		return entry.Value == "7200000" && entry.Source == kafka.ConfigSourceDynamicTopic
	})
}

func deleteRecords() {
	a, t := admin(), newTopic(1)
	defer a.Close()
	produce(t, 1, 30, nil)
	deleted := value(a.DeleteRecords(soon(), []kafka.TopicPartition{at(t, 12)})).DeleteRecordsResults[0]
	must(deleted.TopicPartition.Error)
	check(deleted.DeletedRecords.LowWatermark, 12, "low watermark")
	check(read(t, 18, nil)[0], "12", "first record")
}

func groups() {
	a, t, g := admin(), newTopic(1), name("g")
	defer a.Close()
	produce(t, 1, 10, nil)
	c := newConsumer(g, nil)
	must(c.SubscribeTopics([]string{t}, nil))
	poll(c, 10)
	value(c.Commit())
	described := value(a.DescribeConsumerGroups(soon(), []string{g})).ConsumerGroupDescriptions[0]
	noError(described.Error)
	check(len(described.Members), 1, "members")
	check(described.State, kafka.ConsumerGroupStateStable, "state")
	must(c.Close())
	listed := false
	for _, l := range value(a.ListConsumerGroups(soon())).Valid {
		listed = listed || l.GroupID == g
	}
	check(listed, true, "listed")
	offset := func() kafka.Offset {
		of := kafka.ConsumerGroupTopicPartitions{Group: g}
		return value(a.ListConsumerGroupOffsets(soon(), []kafka.ConsumerGroupTopicPartitions{of})).ConsumerGroupsTopicPartitions[0].Partitions[0].Offset
	}
	check(offset(), 10, "committed offset")
	to := kafka.ConsumerGroupTopicPartitions{Group: g, Partitions: []kafka.TopicPartition{at(t, 3)}}
	must(value(a.AlterConsumerGroupOffsets(soon(), []kafka.ConsumerGroupTopicPartitions{to})).ConsumerGroupsTopicPartitions[0].Partitions[0].Error)
	check(offset(), 3, "altered offset")
	noError(value(a.DeleteConsumerGroups(soon(), []string{g})).ConsumerGroupResults[0].Error)
}

func describeCluster() {
	a := admin()
	defer a.Close()
	check(len(value(a.DescribeCluster(soon())).Nodes), len(strings.Split(bootstrap, ",")), "brokers")
}
