package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func franz() *suite {
	return &suite{client: "franz-go", version: moduleVersion("github.com/twmb/franz-go"), cases: []testCase{
		{"produce and consume", franzCodecs},
		{"offset by timestamp", franzOffsets},
		{"headers and null values", franzHeaders},
		{"classic group", func(ctx context.Context, e *env) error { return franzGroup(ctx, e) }},
		{"cooperative group", func(ctx context.Context, e *env) error {
			return franzGroup(ctx, e, kgo.Balancers(kgo.CooperativeStickyBalancer()))
		}},
		{"static membership", franzStatic},
		{"consumer group (KIP-848)", func(ctx context.Context, e *env) error {
			return franzGroup(ctx, e, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
		}},
		{"transactions", franzTransactions},
		{"exactly once", franzExactlyOnce},
		{"topic administration", franzTopics},
		{"configuration", franzConfigs},
		{"delete records", franzDeleteRecords},
		{"group administration", franzGroups},
		{"quotas", franzQuotas},
		{"cluster description", franzCluster},
	}}
}

func (e *env) franz(opts ...kgo.Opt) (*kgo.Client, error) {
	common := []kgo.Opt{kgo.SeedBrokers(e.brokers()...), kgo.MetadataMinAge(100 * time.Millisecond), kgo.FetchMaxWait(time.Second)}
	return kgo.NewClient(append(common, opts...)...)
}

// topic makes a topic and waits until every broker knows it: some clients do not ask twice.
func (e *env) topic(ctx context.Context, partitions int32, configs map[string]*string) (string, error) {
	return e.topicNamed(ctx, e.name("t"), partitions, configs)
}

func (e *env) topicNamed(ctx context.Context, name string, partitions int32, configs map[string]*string) (string, error) {
	client, err := e.franz()
	if err != nil {
		return "", err
	}
	defer client.Close()
	resp, err := kadm.NewClient(client).CreateTopic(ctx, partitions, e.replicas(), configs, name)
	if err == nil {
		err = resp.Err
	}
	if err != nil {
		return "", fmt.Errorf("creating %s: %w", name, err)
	}
	for _, b := range client.SeedBrokers() {
		if err := await(ctx, func() (bool, error) { return knows(ctx, b, name, partitions) }); err != nil {
			return "", fmt.Errorf("a broker does not come to know %s: %w", name, err)
		}
	}
	return name, nil
}

// knows says whether a broker's metadata has a leader for every partition of a topic.
func knows(ctx context.Context, b *kgo.Broker, topic string, partitions int32) (bool, error) {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, t)
	resp, err := b.RetriableRequest(ctx, req)
	if err != nil {
		return false, err
	}
	led := int32(0)
	for _, p := range resp.(*kmsg.MetadataResponse).Topics[0].Partitions {
		if p.Leader >= 0 {
			led++
		}
	}
	return led == partitions, nil
}

// send produces n records "0", "1", … in turn to the partitions of a topic.
func (e *env) send(ctx context.Context, topic string, partitions int32, n int, opts ...kgo.Opt) error {
	client, err := e.franz(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, numbered(topic, partitions, n)...).FirstErr()
}

func numbered(topic string, partitions int32, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: fmt.Append(nil, i)}
	}
	return records
}

// read consumes n records of a topic.
func (e *env) read(ctx context.Context, topic string, n int, opts ...kgo.Opt) ([]*kgo.Record, error) {
	client, err := e.franz(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return poll(ctx, client, n)
}

func poll(ctx context.Context, client *kgo.Client, n int) ([]*kgo.Record, error) {
	var got []*kgo.Record
	for len(got) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return got, fmt.Errorf("%d of %d records read: %w", len(got), n, err)
		}
		got = append(got, fetches.Records()...)
	}
	return got, nil
}

// inOrder says whether records are "0", "1", … in the order of a partition that got every stride-th.
func inOrder(records []*kgo.Record, stride int) error {
	next := map[int32]int{}
	for _, r := range records {
		want, ok := next[r.Partition]
		if !ok {
			want = int(r.Partition)
		}
		if string(r.Value) != fmt.Sprint(want) {
			return fmt.Errorf("partition %d offset %d holds %q, not %d", r.Partition, r.Offset, r.Value, want)
		}
		next[r.Partition] = want + stride
	}
	return nil
}

func franzCodecs(ctx context.Context, e *env) error {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for name, codec := range codecs { // order: each is on its own
		topic, err := e.topic(ctx, 3, nil)
		if err != nil {
			return err
		}
		if err := e.send(ctx, topic, 3, 3000, kgo.ProducerBatchCompression(codec)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		got, err := e.read(ctx, topic, 3000)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := inOrder(got, 3); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func franzOffsets(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now().Truncate(time.Millisecond)
	for i := range 10 {
		r := &kgo.Record{Topic: topic, Timestamp: began.Add(time.Duration(i) * time.Second), Value: []byte("v")}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	adm := kadm.NewClient(client)
	at := func(ms int64) (int64, error) {
		listed, err := adm.ListOffsetsAfterMilli(ctx, ms, topic)
		if err != nil {
			return 0, err
		}
		o, _ := listed.Lookup(topic, 0)
		return o.Offset, o.Err
	}
	for ms, want := range map[int64]int64{0: 0, began.UnixMilli() + 3000: 3, began.UnixMilli() + 3001: 4, began.UnixMilli() + 9000: 9, began.UnixMilli() + 9001: 10} { // order: each is on its own
		if got, err := at(ms); err != nil || got != want {
			return fmt.Errorf("offset %d after %d ms, want %d: %v", got, ms-began.UnixMilli(), want, err)
		}
	}
	return maxTimestamp(ctx, adm, topic)
}

func maxTimestamp(ctx context.Context, adm *kadm.Client, topic string) error {
	listed, err := adm.ListMaxTimestampOffsets(ctx, topic)
	if err != nil {
		return err
	}
	if o, _ := listed.Lookup(topic, 0); o.Offset != 9 || o.Err != nil {
		return fmt.Errorf("offset of the greatest timestamp: %d, want 9: %v", o.Offset, o.Err)
	}
	return nil
}

func franzHeaders(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	sent := &kgo.Record{Topic: topic, Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}}}
	if err := client.ProduceSync(ctx, sent).FirstErr(); err != nil {
		return err
	}
	got, err := e.read(ctx, topic, 1)
	if err != nil {
		return err
	}
	r := got[0]
	if r.Value != nil || string(r.Key) != "k" || len(r.Headers) != 2 || string(r.Headers[0].Value) != "1" || r.Headers[1].Value != nil {
		return fmt.Errorf("came back as key %q value %v headers %v", r.Key, r.Value, r.Headers)
	}
	return nil
}

// franzGroup has two members share six partitions, one leave, and a third go on from what was committed.
func franzGroup(ctx context.Context, e *env, opts ...kgo.Opt) error {
	topic, err := e.topic(ctx, 6, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	join := func() (*kgo.Client, error) {
		return e.franz(append([]kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.HeartbeatInterval(300 * time.Millisecond),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	}
	first, err := join()
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := join()
	if err != nil {
		return err
	}
	defer second.Close()
	if err := awaitShare(ctx, first, second, group); err != nil {
		return err
	}
	if err := e.send(ctx, topic, 6, 600); err != nil {
		return err
	}
	if err := readBoth(ctx, first, second, 600); err != nil {
		return err
	}
	first.Close()
	second.Close()
	return resume(ctx, e, join, topic)
}

// awaitShare polls until both members own three partitions.
func awaitShare(ctx context.Context, a, b *kgo.Client, group string) error {
	for {
		owned := func(c *kgo.Client) (n int) {
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			c.PollFetches(short)
			for _, ps := range c.UncommittedOffsets() { // order: a sum
				n += len(ps)
			}
			return n
		}
		owned(a)
		owned(b)
		adm := kadm.NewClient(a)
		shares, err := memberShares(ctx, adm, group)
		if err == nil && len(shares) == 2 && shares[0] == 3 && shares[1] == 3 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("two members do not come to share 6 partitions: %v, %v", shares, err)
		}
	}
}

// memberShares gives the number of partitions of each member, of either kind of group.
func memberShares(ctx context.Context, adm *kadm.Client, group string) ([]int, error) {
	classic, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return nil, err
	}
	if d := classic[group]; d.Err == nil && d.State == "Stable" {
		var shares []int
		for _, m := range d.Members {
			if c, ok := m.Assigned.AsConsumer(); ok {
				shares = append(shares, count(c.Topics))
			}
		}
		return shares, nil
	}
	next, err := adm.DescribeConsumerGroups(ctx, group)
	if err != nil {
		return nil, err
	}
	var shares []int
	for _, m := range next[group].Members {
		shares = append(shares, assigned(m))
	}
	return shares, next[group].Err
}

func count(topics []kmsg.ConsumerMemberAssignmentTopic) (n int) {
	for _, t := range topics {
		n += len(t.Partitions)
	}
	return n
}

func assigned(m kadm.ConsumerGroupMember) (n int) {
	for _, ps := range m.Assignment { // order: a sum
		n += len(ps)
	}
	return n
}

// readBoth reads n records between two members and commits; each must get some.
func readBoth(ctx context.Context, a, b *kgo.Client, n int) error {
	var got [2]int
	seen := map[string]bool{}
	for len(seen) < n {
		for i, c := range []*kgo.Client{a, b} {
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			for _, r := range c.PollFetches(short).Records() {
				seen[string(r.Value)] = true
				got[i]++
			}
			cancel()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d records read: %w", len(seen), n, ctx.Err())
		}
	}
	if got[0] == 0 || got[1] == 0 {
		return fmt.Errorf("one member got all the records: %v", got)
	}
	for _, c := range []*kgo.Client{a, b} {
		if err := c.CommitUncommittedOffsets(ctx); err != nil {
			return fmt.Errorf("committing: %w", err)
		}
	}
	return nil
}

// resume joins again: only what comes after the commit may be read.
func resume(ctx context.Context, e *env, join func() (*kgo.Client, error), topic string) error {
	if err := e.send(ctx, topic, 6, 60); err != nil {
		return err
	}
	third, err := join()
	if err != nil {
		return err
	}
	defer third.Close()
	got, err := poll(ctx, third, 60)
	if err != nil {
		return err
	}
	for _, r := range got {
		if r.Offset < 100 {
			return fmt.Errorf("partition %d offset %d was read again after it had been committed", r.Partition, r.Offset)
		}
	}
	return nil
}

// franzStatic restarts a static member: its partitions come back without a rebalance, so under the same generation.
func franzStatic(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 2, nil)
	if err != nil {
		return err
	}
	group := e.name("g")
	if err := e.send(ctx, topic, 2, 20); err != nil {
		return err
	}
	var generations []int32
	for range 2 {
		c, err := e.franz(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.InstanceID("one"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := poll(ctx, c, 20); err != nil {
			return err
		}
		_, generation := c.GroupMetadata()
		generations = append(generations, generation)
		c.Close() // a static member does not leave
	}
	if generations[0] != generations[1] {
		return fmt.Errorf("generation %d became %d when a static member came back", generations[0], generations[1])
	}
	return nil
}

// franzTransactions commits one transaction and aborts another, and reads as both isolation levels.
func franzTransactions(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 3, nil)
	if err != nil {
		return err
	}
	client, err := e.franz(kgo.TransactionalID(e.name("x")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		records := numbered(topic, 3, 30)
		for _, r := range records {
			r.Key = fmt.Append(nil, i)
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
		if err := client.EndTransaction(ctx, end); err != nil {
			return fmt.Errorf("ending transaction %d: %w", i, err)
		}
	}
	return readTransactions(ctx, e, topic)
}

func readTransactions(ctx context.Context, e *env, topic string) error {
	committed, err := e.read(ctx, topic, 60, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("read_committed: %w", err)
	}
	for _, r := range committed {
		if string(r.Key) == "1" {
			return fmt.Errorf("read_committed got an aborted record: partition %d offset %d", r.Partition, r.Offset)
		}
	}
	all, err := e.read(ctx, topic, 90)
	if err != nil {
		return fmt.Errorf("read_uncommitted: %w", err)
	}
	if len(all) != 90 {
		return fmt.Errorf("read_uncommitted got %d records of 90", len(all))
	}
	return nil
}

// franzExactlyOnce copies a topic to another, offsets within the transactions, and aborts every third.
func franzExactlyOnce(ctx context.Context, e *env) error {
	from, err := e.topic(ctx, 3, nil)
	if err != nil {
		return err
	}
	to, err := e.topic(ctx, 3, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, from, 3, 300); err != nil {
		return err
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(e.brokers()...), kgo.TransactionalID(e.name("x")), kgo.ConsumerGroup(e.name("g")), kgo.ConsumeTopics(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(), kgo.FetchMaxWait(time.Second))
	if err != nil {
		return err
	}
	defer session.Close()
	if err := copyAll(ctx, session, to, 300); err != nil {
		return err
	}
	copied, err := e.read(ctx, to, 300, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, r := range copied {
		if seen[string(r.Value)] {
			return fmt.Errorf("%q was copied twice", r.Value)
		}
		seen[string(r.Value)] = true
	}
	return nil
}

func copyAll(ctx context.Context, session *kgo.GroupTransactSession, to string, n int) error {
	done := 0
	for round := 0; done < n; round++ {
		fetches := session.PollRecords(ctx, 40)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d copied: %w", done, n, err)
		}
		if err := session.Begin(); err != nil {
			return err
		}
		var out []*kgo.Record
		for _, r := range fetches.Records() {
			out = append(out, &kgo.Record{Topic: to, Value: r.Value})
		}
		if err := session.ProduceSync(ctx, out...).FirstErr(); err != nil {
			return err
		}
		committed, err := session.End(ctx, kgo.TransactionEndTry(round%3 != 2))
		if err != nil {
			return fmt.Errorf("ending a transaction: %w", err)
		}
		if committed {
			done += len(out)
		}
	}
	return nil
}

func franzTopics(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 2, map[string]*string{"retention.ms": kadm.StringPtr("3600000")})
	if err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	if _, err := adm.CreateTopic(ctx, 1, e.replicas(), nil, topic); err != kerr.TopicAlreadyExists {
		return fmt.Errorf("creating a topic twice: %v", err)
	}
	if resp, err := adm.UpdatePartitions(ctx, 4, topic); err != nil || resp[topic].Err != nil {
		return fmt.Errorf("adding partitions: %v, %v", err, resp[topic].Err)
	}
	if err := awaitPartitions(ctx, adm, topic, 4); err != nil {
		return err
	}
	if resp, err := adm.DeleteTopics(ctx, topic); err != nil || resp[topic].Err != nil {
		return fmt.Errorf("deleting: %v, %v", err, resp[topic].Err)
	}
	return awaitPartitions(ctx, adm, topic, 0)
}

func awaitPartitions(ctx context.Context, adm *kadm.Client, topic string, n int) error {
	for {
		topics, err := adm.ListTopics(ctx, topic)
		if err != nil {
			return err
		}
		if len(topics[topic].Partitions) == n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has %d partitions, not %d", topic, len(topics[topic].Partitions), n)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func franzConfigs(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
	if err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	changes := []kadm.AlterConfig{{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("delete")}, {Op: kadm.SetConfig, Name: "segment.bytes", Value: kadm.StringPtr("2000000")}}
	if resp, err := adm.AlterTopicConfigs(ctx, changes, topic); err != nil || resp[0].Err != nil {
		return fmt.Errorf("altering: %v, %v", err, resp)
	}
	for want := ""; want != "compact,delete 2000000"; { // it takes a moment to reach all brokers
		described, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil || len(described) != 1 || described[0].Err != nil {
			return fmt.Errorf("describing: %v, %v", err, described)
		}
		want = configValue(described[0], "cleanup.policy") + " " + configValue(described[0], "segment.bytes")
		if ctx.Err() != nil {
			return fmt.Errorf("the configuration stays %s", want)
		}
	}
	brokers, err := adm.DescribeBrokerConfigs(ctx, 1)
	if err != nil || len(brokers) != 1 || brokers[0].Err != nil || configValue(brokers[0], "log.dirs") == "" {
		return fmt.Errorf("describing broker 1: %v, %v", err, brokers)
	}
	return nil
}

func configValue(r kadm.ResourceConfig, key string) string {
	for _, c := range r.Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

func franzDeleteRecords(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 100); err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 40, -1)
	resp, err := adm.DeleteRecords(ctx, offsets)
	if err != nil {
		return err
	}
	if r, _ := resp.Lookup(topic, 0); r.Err != nil || r.LowWatermark != 40 {
		return fmt.Errorf("low watermark %d, want 40: %v", r.LowWatermark, r.Err)
	}
	got, err := e.read(ctx, topic, 60)
	if err == nil && got[0].Offset != 40 {
		err = fmt.Errorf("the first record is now %d, not 40", got[0].Offset)
	}
	return err
}

// franzGroups commits from outside of any member, asks, lists, and deletes the group.
func franzGroups(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 2, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 2, 20); err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	adm, group := kadm.NewClient(client), e.name("g")
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, At: 4, LeaderEpoch: -1, Metadata: "a note"})
	if err := adm.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	fetched, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("fetching offsets: %w", err)
	}
	if o, ok := fetched.Lookup(topic, 0); !ok || o.At != 4 || o.Metadata != "a note" {
		return fmt.Errorf("committed 4 with a note, fetched %+v", o)
	}
	lag, err := adm.Lag(ctx, group)
	if l := lag[group]; err != nil || l.Error() != nil || l.Lag.Total() != 16 {
		return fmt.Errorf("lag %d, want 16: %v, %v", l.Lag.Total(), err, l.Error())
	}
	return deleteGroup(ctx, adm, group, topic)
}

func deleteGroup(ctx context.Context, adm *kadm.Client, group, topic string) error {
	listed, err := adm.ListGroups(ctx)
	if err != nil || listed[group].State != "Empty" {
		return fmt.Errorf("listed as %+v: %v", listed[group], err)
	}
	var some kadm.TopicsSet
	some.Add(topic, 0)
	if resp, err := adm.DeleteOffsets(ctx, group, some); err != nil || resp.Error() != nil {
		return fmt.Errorf("deleting offsets: %v, %v", err, resp)
	}
	if resp, err := adm.DeleteGroup(ctx, group); err != nil || resp.Err != nil {
		if err != kerr.GroupIDNotFound { // it went with its last offset
			return fmt.Errorf("deleting the group: %v, %v", err, resp.Err)
		}
	}
	listed, err = adm.ListGroups(ctx)
	if _, still := listed[group]; still || err != nil {
		return fmt.Errorf("the deleted group is still listed: %v", err)
	}
	return nil
}

func franzQuotas(ctx context.Context, e *env) error {
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	adm, who := kadm.NewClient(client), e.name("client")
	entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: &who}}
	set := []kadm.AlterClientQuotaEntry{{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 100000}}}}
	altered, err := adm.AlterClientQuotas(ctx, set)
	if err != nil || altered[0].Err != nil {
		return fmt.Errorf("setting: %v, %v", err, altered)
	}
	for {
		got, err := adm.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: &who}})
		if err != nil {
			return fmt.Errorf("describing: %w", err)
		}
		if len(got) == 1 && len(got[0].Values) == 1 && got[0].Values[0].Value == 100000 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("described as %+v", got)
		}
	}
}

func franzCluster(ctx context.Context, e *env) error {
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	brokers, err := adm.ListBrokers(ctx)
	if err != nil || len(brokers) != e.nodes {
		return fmt.Errorf("%d brokers, want %d: %v", len(brokers), e.nodes, err)
	}
	quorum, err := client.Request(ctx, quorumRequest())
	if err != nil {
		return err
	}
	if q := quorum.(*kmsg.DescribeQuorumResponse); q.ErrorCode != 0 || len(q.Topics[0].Partitions[0].CurrentVoters) != e.nodes {
		return fmt.Errorf("quorum: code %d, %+v", q.ErrorCode, q.Topics)
	}
	dirs, err := adm.DescribeAllLogDirs(ctx, nil)
	if err != nil || len(dirs) != e.nodes {
		return fmt.Errorf("log directories of %d brokers, want %d: %v", len(dirs), e.nodes, err)
	}
	versions, err := adm.ApiVersions(ctx)
	if err != nil {
		return err
	}
	guess := versions.Sorted()[0].VersionGuess() // v4 has share groups, which lockstepd has not
	if !strings.Contains(guess, "v3.") && !strings.Contains(guess, "v4.") {
		return fmt.Errorf("taken for Kafka %s", guess)
	}
	return nil
}

func quorumRequest() kmsg.Request {
	p := kmsg.NewDescribeQuorumRequestTopicPartition()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic, t.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{p}
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = append(req.Topics, t)
	return req
}
