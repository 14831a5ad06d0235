package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

const connectPackages = "java/connect/pom.xml"

// connect are Kafka Connect's file connectors and MirrorMaker 2.
func connect() *suite {
	return &suite{client: "Kafka Connect", version: func() string { return pinned(connectPackages, "<kafka.version>") }, need: needConnect, cases: []testCase{
		{"Connect file source and sink", connectFiles},
		{"MirrorMaker 2", mirrorMaker},
	}}
}

func needConnect(ctx context.Context, e *env) error {
	return errors.Join(needJava(ctx, e), needJars(ctx, e, "connect", connectPackages))
}

// whileJava runs a class that does not end by itself until done says yes.
func (e *env) whileJava(ctx context.Context, done func() (bool, error), class string, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := e.jvm(ctx, "connect", "", class, args...)
		ended <- err
	}()
	err := await(ctx, func() (bool, error) {
		select {
		case err := <-ended:
			ended <- err
			return false, fmt.Errorf("ended too early: %w", err)
		default:
			return done()
		}
	})
	cancel()
	<-ended
	return err
}

const connectWorker = `bootstrap.servers=%s
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename=%s
offset.flush.interval.ms=500
listeners=http://127.0.0.1:%d
consumer.auto.offset.reset=earliest
`

// connectFiles copies a file to a topic and the topic to another file.
func connectFiles(ctx context.Context, e *env) error {
	topic, err := e.topic(ctx, 1, nil)
	if err != nil {
		return err
	}
	port, err := freePorts(1)
	if err != nil {
		return err
	}
	from, err := e.file("from.txt", lines(500))
	if err != nil {
		return err
	}
	to := filepath.Join(e.dir, "to.txt")
	worker, _ := e.file("worker.properties", fmt.Sprintf(connectWorker, e.bootstrap, filepath.Join(e.dir, "offsets"), port))
	source, _ := e.file("source.properties", fmt.Sprintf("name=%s\nconnector.class=FileStreamSource\nfile=%s\ntopic=%s\n", e.name("source"), from, topic))
	sink, err := e.file("sink.properties", fmt.Sprintf("name=%s\nconnector.class=FileStreamSink\nfile=%s\ntopics=%s\n", e.name("sink"), to, topic))
	if err != nil {
		return err
	}
	return e.whileJava(ctx, func() (bool, error) {
		copied, _ := os.ReadFile(to)
		return string(copied) == lines(500), nil
	}, "org.apache.kafka.connect.cli.ConnectStandalone", worker, source, sink)
}

const mirrorProperties = `clusters=a,b
a.bootstrap.servers=%[1]s
b.bootstrap.servers=%[2]s
a->b.enabled=true
a->b.topics=%[3]s
b->a.enabled=false
replication.factor=%[4]d
checkpoints.topic.replication.factor=%[4]d
heartbeats.topic.replication.factor=%[4]d
offset-syncs.topic.replication.factor=%[4]d
offset.storage.replication.factor=%[4]d
status.storage.replication.factor=%[4]d
config.storage.replication.factor=%[4]d
refresh.topics.interval.seconds=2
sync.topic.acls.enabled=false
`

// mirrorMaker copies a topic to a second cluster, where it has the first one's name before its own.
func mirrorMaker(ctx context.Context, e *env) error {
	second, err := e.other(ctx)
	if err != nil {
		return err
	}
	defer second.stop()
	topic, err := e.topic(ctx, 2, nil)
	if err != nil {
		return err
	}
	if err := e.send(ctx, topic, 2, 200); err != nil {
		return err
	}
	config, err := e.file("mirror.properties", fmt.Sprintf(mirrorProperties, e.bootstrap, second.bootstrap, topic, e.replicas()))
	if err != nil {
		return err
	}
	there := *e
	there.cluster = second
	var got []*kgo.Record
	return e.whileJava(ctx, func() (bool, error) {
		names, err := there.tool(ctx, topicCommand, "--list")
		if err != nil || !strings.Contains(names, "a."+topic) {
			return false, err
		}
		if got, err = there.read(ctx, "a."+topic, 200); err != nil {
			return false, err
		}
		return true, inOrder(got, 2)
	}, "org.apache.kafka.connect.mirror.MirrorMaker", config)
}
