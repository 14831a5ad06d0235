package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const transactionsCommand = "org.apache.kafka.tools.TransactionsCommand"

// javaTransactions looks at a transaction that is open, from every broker that has a replica, and aborts it from outside.
func javaTransactions(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 3); err != nil {
		return err
	}
	id := e.name("x")
	client, err := e.franz(kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	if err := client.ProduceSync(ctx, kgo.StringRecord("open")).FirstErr(); err != nil {
		return err
	}
	steps := []toolStep{
		{[]string{id, "Ongoing"}, []string{"list"}},
		{[]string{id, "Ongoing", topic + "-0"}, []string{"describe", "--transactional-id", id}},
	}
	for broker := 1; broker <= e.nodes; broker++ {
		at := []string{"--broker-id", fmt.Sprint(broker)}
		steps = append(steps, toolStep{[]string{"StartOffset"}, append([]string{"find-hanging", "--max-transaction-timeout", "0"}, at...)})
	}
	steps = append(steps,
		toolStep{nil, []string{"abort", "--topic", topic, "--partition", "0", "--start-offset", "3"}},
		toolStep{[]string{"None"}, []string{"describe-producers", "--topic", topic, "--partition", "0"}})
	return e.steps(ctx, transactionsCommand, steps)
}

type toolStep struct {
	words []string
	args  []string
}

func (e *env) steps(ctx context.Context, class string, steps []toolStep) error {
	for _, s := range steps {
		if err := e.want(ctx, s.words, class, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// javaLogDirs compares what the brokers say of a topic's size with the files.
func javaLogDirs(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 2, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 2, 1000); err != nil {
		return err
	}
	told := map[string]int64{}
	return await(ctx, func() (bool, error) { // followers may be behind for a moment
		if err := e.describeLogDirs(ctx, topic, told); err != nil {
			return false, err
		}
		for dir, size := range told { // order: all or nothing
			files, err := sizeOf(filepath.Join(dir, topic+"-*", "*.log"))
			if err != nil || size == 0 || e.cluster.dir != "" && files != size {
				return false, err
			}
		}
		return len(told) == e.nodes, nil
	})
}

// describeLogDirs puts the size of a topic into told, by log directory.
func (e *env) describeLogDirs(ctx context.Context, topic string, told map[string]int64) error {
	out, err := e.tool(ctx, "org.apache.kafka.tools.LogDirsCommand", "--describe", "--topic-list", topic)
	if err != nil {
		return err
	}
	var answer struct {
		Brokers []struct {
			LogDirs []struct {
				Error, LogDir string
				Partitions    []struct{ Size int64 }
			}
		}
	}
	_, text, _ := strings.Cut(out, "\n{")
	if err := json.NewDecoder(strings.NewReader("{" + text)).Decode(&answer); err != nil {
		return fmt.Errorf("%w in %s", err, out)
	}
	for _, b := range answer.Brokers {
		for _, d := range b.LogDirs {
			told[d.LogDir] = 0
			for _, p := range d.Partitions {
				told[d.LogDir] += p.Size
			}
		}
	}
	return nil
}

func sizeOf(pattern string) (sum int64, err error) {
	files, err := filepath.Glob(pattern)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, err
}

// javaResets resets a group's offsets in every way that the tool knows.
func javaResets(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 1, 10); err != nil {
		return err
	}
	group := e.name("g")
	to := func(where ...string) []string {
		return append([]string{"--reset-offsets", "--group", group, "--topic", topic, "--execute"}, where...)
	}
	at := func(offset string) []string { return []string{group, topic, "0 " + offset} }
	steps := []toolStep{
		{at("7"), to("--to-offset", "7")},
		{at("5"), to("--shift-by", "-2")},
		{at("5"), to("--to-current")},
		{at("10"), to("--to-latest")},
		{at("0"), to("--by-duration", "PT1H")},
		{at("10"), to("--to-datetime", "2100-01-01T00:00:00.000")},
		{at("0"), to("--to-earliest")},
	}
	for _, s := range steps {
		out, err := e.tool(ctx, groupCommand, s.args...)
		if err != nil {
			return err
		}
		if got := strings.Join(strings.Fields(out), " "); !strings.HasSuffix(got, strings.Join(s.words, " ")) {
			return fmt.Errorf("%s: %s", strings.Join(s.args, " "), got)
		}
	}
	return e.steps(ctx, groupCommand, []toolStep{
		{[]string{"Empty"}, []string{"--describe", "--group", group, "--state"}},
		{[]string{"Successful"}, []string{"--delete-offsets", "--group", group, "--topic", topic}},
	})
}

// javaClientMetrics sets what clients shall push, and a producer that has to keep to it.
func javaClientMetrics(ctx context.Context, e *env) error {
	name := e.name("m")
	const command = "org.apache.kafka.tools.ClientMetricsCommand"
	if err := e.steps(ctx, command, []toolStep{
		{[]string{"Altered"}, []string{"--alter", "--name", name, "--metrics", "org.apache.kafka.producer.", "--interval", "1000"}},
		{[]string{name}, []string{"--list"}},
		{[]string{"interval.ms=1000", "metrics=org.apache.kafka.producer."}, []string{"--describe", "--name", name}},
	}); err != nil {
		return err
	}
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	out, err := e.tool(ctx, "org.apache.kafka.tools.VerifiableProducer", "--topic", topic, "--max-messages", "30", "--throughput", "10")
	if err != nil || !strings.Contains(out, `"acked":30`) || strings.Contains(out, "ERROR") {
		return fmt.Errorf("producer: %v: %s", err, lastLineOf(out))
	}
	return e.want(ctx, []string{"Deleted"}, command, "--delete", "--name", name)
}
