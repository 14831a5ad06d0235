package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const javaPackages = "java/pom.xml"

// Classes behind the scripts of Kafka's bin folder.
const (
	topicCommand    = "org.apache.kafka.tools.TopicCommand"
	configCommand   = "org.apache.kafka.tools.ConfigCommand"
	groupCommand    = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	consoleProducer = "org.apache.kafka.tools.ConsoleProducer"
	consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
)

// java are Apache Kafka's own clients and tools.
func java() *suite {
	return &suite{client: "Apache Kafka's tools", version: func() string { return pinned(javaPackages, "<kafka.version>") }, need: needJava, cases: []testCase{
		{"console producer and consumer", javaConsole},
		{"console consumer group", javaConsoleGroup},
		{"verifiable producer and consumer", javaVerifiable},
		{"transactional message copier", javaCopier},
		{"producer-perf-test", javaPerformance},
		{"kafka-topics", javaTopics},
		{"kafka-configs", javaConfigs},
		{"kafka-consumer-groups", javaGroups},
		{"kafka-consumer-groups, all resets", javaResets},
		{"kafka-client-metrics", javaClientMetrics},
		{"kafka-reassign-partitions", javaReassign},
		{"kafka-leader-election", javaElection},
		{"kafka-metadata-quorum", says("org.apache.kafka.tools.MetadataQuorumCommand", "CurrentVoters", "describe", "--status")},
		{"kafka-metadata-quorum, controllers come and go", javaVoters},
		{"kafka-transactions", javaTransactions},
		{"kafka-log-dirs", javaLogDirs},
		{"kafka-get-offsets", javaOffsets},
		{"kafka-delete-records", javaDeleteRecords},
		{"kafka-features", says("org.apache.kafka.tools.FeatureCommand", "metadata.version", "describe")},
		{"kafka-cluster", javaCluster},
		{"kafka-broker-api-versions", says("org.apache.kafka.tools.BrokerApiVersionsCommand", "ApiVersions")},
		{"kafka-groups", says("org.apache.kafka.tools.GroupsCommand", "GROUP", "--list")},
		{"kafka-dump-log", javaDumpLog},
		{"Apache Kafka's data, taken over and given back", javaTakeOver},
		{"Streams WordCount, exactly_once_v2", javaStreams},
	}}
}

func needJava(ctx context.Context, e *env) error { return needJars(ctx, e, "java", javaPackages) }

// needJars fetches what a pom.xml names.
func needJars(ctx context.Context, e *env, name, pom string) error {
	if err := have("java", "mvn"); err != nil {
		return err
	}
	_, err := once(e, name, pom, func(dir string) error {
		return quiet(ctx, filepath.Dir(pom), "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+filepath.Join(dir, "lib"))
	})
	return err
}

// java runs a class of Kafka's.
func (e *env) java(ctx context.Context, in string, class string, args ...string) (string, error) {
	return e.jvm(ctx, "java", in, class, args...)
}

// jvm runs a class among the jars of a name; its heap is small, for several may run beside a cluster.
func (e *env) jvm(ctx context.Context, jars, in string, class string, args ...string) (string, error) {
	options := []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", filepath.Join(e.cache, jars, "lib", "*"), class}
	cmd := exec.CommandContext(ctx, "java", append(options, args...)...)
	var out, logged bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.WaitDelay = strings.NewReader(in), &out, &logged, e.dir, time.Second
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", class[strings.LastIndexByte(class, '.')+1:], err, firstOf(logged.String(), out.String()))
	}
	return out.String() + logged.String(), err
}

// firstOf is the first line of the first text that has one.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t = strings.TrimSpace(t); t != "" {
			return firstLine(t)
		}
	}
	return ""
}

// tool runs an administrative tool.
func (e *env) tool(ctx context.Context, class string, args ...string) (string, error) {
	return e.java(ctx, "", class, append([]string{"--bootstrap-server", e.bootstrap}, args...)...)
}

// want runs a tool whose output must have all these words.
func (e *env) want(ctx context.Context, words []string, class string, args ...string) error {
	out, err := e.tool(ctx, class, args...)
	if err != nil {
		return err
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			return fmt.Errorf("%s %s: no %q in\n%s", class[strings.LastIndexByte(class, '.')+1:], strings.Join(args, " "), w, out)
		}
	}
	return nil
}

func says(class, word string, args ...string) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error { return e.want(ctx, []string{word}, class, args...) }
}

func javaConsole(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if _, err := e.java(ctx, lines(1000), consoleProducer, "--bootstrap-server", e.bootstrap, "--topic", topic, "--compression-codec", "zstd"); err != nil {
		return err
	}
	out, err := e.tool(ctx, consoleConsumer, "--topic", topic, "--from-beginning", "--max-messages", "1000", "--timeout-ms", "30000")
	if err == nil && !strings.HasPrefix(out, lines(1000)) {
		err = fmt.Errorf("%d bytes came back of %d", len(out), len(lines(1000)))
	}
	return err
}

// javaConsoleGroup reads with both protocols; the second time each gets only what is new.
func javaConsoleGroup(ctx context.Context, e *env) error {
	for _, protocol := range []string{"classic", "consumer"} {
		topic, err := e.topic(ctx, 2, nil)
		if err != nil {
			return err
		}
		group := e.name("g")
		for range 2 {
			if err := e.send(ctx, topic, 2, 100); err != nil {
				return err
			}
			out, err := e.tool(ctx, consoleConsumer, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "100", "--timeout-ms", "30000", "--consumer-property", "group.protocol="+protocol)
			if err != nil || !strings.Contains(out, "Processed a total of 100 messages") {
				return fmt.Errorf("group.protocol=%s: %v: %s", protocol, err, lastLineOf(out))
			}
		}
	}
	return nil
}

func javaVerifiable(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 2, nil)
	if err != nil {
		return err
	}
	out, err := e.tool(ctx, "org.apache.kafka.tools.VerifiableProducer", "--topic", topic, "--max-messages", "500", "--acks", "-1")
	if err != nil || !strings.Contains(out, `"acked":500`) {
		return fmt.Errorf("producer: %v: %s", err, lastLineOf(out))
	}
	out, err = e.tool(ctx, "org.apache.kafka.tools.VerifiableConsumer", "--topic", topic, "--group-id", e.name("g"), "--max-messages", "500")
	if err != nil || !strings.Contains(out, `"shutdown_complete"`) {
		return fmt.Errorf("consumer: %v: %s", err, lastLineOf(out))
	}
	return nil
}

func javaCopier(ctx context.Context, e *env) error {
	from, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	to, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, from, 1, 1000); err != nil {
		return err
	}
	if out, err := e.java(ctx, "", "org.apache.kafka.tools.TransactionalMessageCopier", "--broker-list", e.bootstrap, "--input-topic", from, "--input-partition", "0", "--output-topic", to, "--consumer-group", e.name("g"),
		"--group-mode", "--transactional-id", e.name("x"), "--transaction-size", "100", "--max-messages", "1000", "--enable-random-aborts"); err != nil {
		return fmt.Errorf("%w: %s", err, lastLineOf(out))
	}
	got, err := e.read(ctx, to, 1000, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	return inOrder(got, 1)
}

func javaPerformance(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 3, nil)
	if err != nil {
		return err
	}
	out, err := e.java(ctx, "", "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", "20000", "--record-size", "200", "--throughput", "-1", "--producer-props", "bootstrap.servers="+e.bootstrap)
	if err == nil && !strings.Contains(out, "20000 records sent") {
		err = errors.New(lastLineOf(out))
	}
	return err
}

func javaTopics(ctx context.Context, e *env) error {
	topic := e.name("t")
	if err := e.want(ctx, []string{"Created topic"}, topicCommand, "--create", "--topic", topic, "--partitions", "2", "--replication-factor", fmt.Sprint(e.replicas()), "--config", "retention.ms=5000000"); err != nil {
		return err
	}
	if err := e.want(ctx, nil, topicCommand, "--alter", "--topic", topic, "--partitions", "3"); err != nil {
		return err
	}
	if err := e.want(ctx, []string{"PartitionCount: 3", "retention.ms=5000000"}, topicCommand, "--describe", "--topic", topic); err != nil {
		return err
	}
	if err := e.want(ctx, []string{topic}, topicCommand, "--list"); err != nil {
		return err
	}
	return e.want(ctx, nil, topicCommand, "--delete", "--topic", topic)
}

func javaConfigs(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	entity := []string{"--entity-type", "topics", "--entity-name", topic}
	return e.steps(ctx, configCommand, []toolStep{
		{[]string{"Completed updating"}, append(entity, "--alter", "--add-config", "retention.ms=7000000,cleanup.policy=[compact,delete]")},
		{[]string{"retention.ms=7000000", "cleanup.policy=compact,delete"}, append(entity, "--describe")},
		{[]string{"Completed updating"}, append(entity, "--alter", "--delete-config", "retention.ms")},
		{[]string{"log.retention.ms"}, []string{"--entity-type", "brokers", "--entity-name", "1", "--describe", "--all"}},
		{[]string{"Completed updating"}, []string{"--entity-type", "clients", "--entity-name", topic, "--alter", "--add-config", "producer_byte_rate=1024000"}},
		{[]string{"producer_byte_rate=1024000"}, []string{"--entity-type", "clients", "--entity-name", topic, "--describe"}},
	})
}

func javaGroups(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 10); err != nil {
		return err
	}
	group := e.name("g")
	if out, err := e.tool(ctx, consoleConsumer, "--topic", topic, "--group", group, "--from-beginning", "--max-messages", "10", "--timeout-ms", "30000"); err != nil {
		return fmt.Errorf("%w: %s", err, lastLineOf(out))
	}
	for _, args := range [][]string{{"--list"}, {"--describe", "--group", group}, {"--describe", "--group", group, "--state"}, {"--reset-offsets", "--group", group, "--topic", topic, "--to-offset", "3", "--execute"},
		{"--delete-offsets", "--group", group, "--topic", topic}} {
		words := []string{group}
		if args[0] == "--delete-offsets" {
			words = []string{"Successful"}
		}
		if err := e.want(ctx, words, groupCommand, args...); err != nil {
			return err
		}
	}
	_, err = e.tool(ctx, groupCommand, "--delete", "--group", group)
	return err
}

func (e *env) file(name, text string) (string, error) {
	path := filepath.Join(e.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// javaReassign moves a partition's preferred leader to the last broker.
func javaReassign(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	var replicas []string
	for i := e.nodes; i > e.nodes-int(e.replicas()); i-- {
		replicas = append(replicas, fmt.Sprint(i))
	}
	plan, err := e.file("plan.json", fmt.Sprintf(`{"version":1,"partitions":[{"topic":"%s","partition":0,"replicas":[%s]}]}`, topic, strings.Join(replicas, ",")))
	if err != nil {
		return err
	}
	const command = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
	if err := e.want(ctx, []string{"Successfully started"}, command, "--reassignment-json-file", plan, "--execute"); err != nil {
		return err
	}
	return await(ctx, func() (bool, error) {
		out, err := e.tool(ctx, command, "--reassignment-json-file", plan, "--verify")
		return strings.Contains(out, "is completed"), err
	})
}

func javaElection(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	return e.want(ctx, []string{"Valid replica already elected"}, "org.apache.kafka.tools.LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", "0")
}

func javaCluster(ctx context.Context, e *env) error {
	out, err := e.java(ctx, "", "org.apache.kafka.tools.ClusterTool", "cluster-id", "--bootstrap-server", e.bootstrap)
	if err == nil && !strings.Contains(out, "Cluster ID: ") {
		err = errors.New(lastLineOf(out))
	}
	return err
}

func javaOffsets(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 7); err != nil {
		return err
	}
	for form, want := range map[string]string{"latest": ":0:7", "earliest": ":0:0", "max-timestamp": ":0:"} { // order: each is on its own
		if err := e.want(ctx, []string{topic + want}, "org.apache.kafka.tools.GetOffsetShell", "--topic", topic, "--time", form); err != nil {
			return err
		}
	}
	return nil
}

func javaDeleteRecords(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 10); err != nil {
		return err
	}
	file, err := e.file("delete.json", fmt.Sprintf(`{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":4}]}`, topic))
	if err != nil {
		return err
	}
	return e.want(ctx, []string{"low_watermark: 4"}, "org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", file)
}

// javaDumpLog has Kafka's own tool read every kind of file that lockstepd writes, while it runs.
func javaDumpLog(ctx context.Context, e *env) error {
	if e.cluster.dir == "" {
		return fmt.Errorf("%w: the data directory is somebody else's", errSkip)
	}
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 5000); err != nil {
		return err
	}
	dir := e.dataDirs()[0]
	kinds := []struct{ pattern, flag, word string }{
		{topic + "-0/*.log", "--print-data-log", "payload: 4999"},
		{topic + "-0/*.index", "--index-sanity-check", "passed"},
		{topic + "-0/*.timeindex", "--verify-index-only", "Dumping"},
		{"__cluster_metadata-0/*.log", "--cluster-metadata-decoder", "TOPIC_RECORD"},
		{"__cluster_metadata-0/*.checkpoint", "--cluster-metadata-decoder", "SnapshotHeader"},
		{"*/*.snapshot", "--deep-iteration", "Dumping"},
		{"__consumer_offsets-*/*.log", "--offsets-decoder", "Dumping"},
		{"__transaction_state-*/*.log", "--transaction-log-decoder", "Dumping"},
	}
	for _, k := range kinds {
		files, _ := filepath.Glob(filepath.Join(dir, k.pattern))
		if len(files) == 0 {
			continue // nothing has needed such a file yet
		}
		out, err := e.java(ctx, "", "org.apache.kafka.tools.DumpLogSegments", k.flag, "--files", strings.Join(files[:min(len(files), 20)], ","))
		if err != nil || !strings.Contains(out, k.word) || strings.Contains(out, "Exception") || strings.Contains(out, "Mismatch") {
			return fmt.Errorf("%s: %v: %s", k.pattern, err, lastLineOf(out))
		}
	}
	return nil
}

// javaStreams counts words; what it commits is read as a Java consumer would.
func javaStreams(ctx context.Context, e *env) error {
	source, err := filepath.Abs("java/WordCount.java")
	if err != nil {
		return err
	}
	from, err := e.topic(ctx, 2, nil)
	if err != nil {
		return err
	}
	to, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, from, 2, 0); err != nil {
		return err
	}
	client, err := e.franz()
	if err != nil {
		return err
	}
	defer client.Close()
	for range 10 {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: from, Value: []byte("to be or not to be")}).FirstErr(); err != nil {
			return err
		}
	}
	if _, err := e.java(ctx, "", source, e.bootstrap, e.name("words"), from, to, "20", fmt.Sprint(e.replicas()), filepath.Join(e.dir, "state")); err != nil {
		return err
	}
	return wordCounts(ctx, e, to)
}

func wordCounts(ctx context.Context, e *env, topic string) error {
	got, err := e.read(ctx, topic, 4, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	counts := map[string]uint64{}
	for _, r := range got {
		counts[string(r.Key)] = binary.BigEndian.Uint64(r.Value)
	}
	for word, want := range map[string]uint64{"to": 20, "be": 20, "or": 10, "not": 10} { // order: each is on its own
		if counts[word] != want {
			return fmt.Errorf("%q was counted %d times, not %d", word, counts[word], want)
		}
	}
	return nil
}
