package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// kafkaProperties are those of one node, for Kafka and for lockstepd.
const kafkaProperties = `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:%[2]d
log.dirs=%[3]s
broker.rack=rack-1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
default.replication.factor=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
`

// kafkaRelease is the metadata.version that lockstepd has, too.
const kafkaRelease = "4.3-IV0"

// startKafka formats and runs an Apache Kafka; stop ends it.
func startKafka(ctx context.Context, e *env) (addr string, stop func(), err error) {
	config, port, err := formatKafka(ctx, e)
	if err != nil {
		return "", nil, err
	}
	return runKafka(ctx, e, config, port)
}

// formatKafka makes a data directory as kafka-storage does.
func formatKafka(ctx context.Context, e *env, options ...string) (config string, port int, err error) {
	if port, err = freePorts(2); err != nil {
		return "", 0, err
	}
	config, err = e.file("server.properties", fmt.Sprintf(kafkaProperties, port, port+1, filepath.Join(e.dir, "data")))
	if err != nil {
		return "", 0, err
	}
	const storage = "kafka.tools.StorageTool"
	id, err := e.java(ctx, "", storage, "random-uuid")
	if err != nil {
		return "", 0, err
	}
	_, err = e.java(ctx, "", storage, append([]string{"format", "--standalone", "-r", kafkaRelease, "-t", strings.TrimSpace(id), "-c", config}, options...)...)
	return config, port, err
}

func runKafka(ctx context.Context, e *env, config string, port int) (addr string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, "java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(e.cache, "java", "lib", "*"), "kafka.Kafka", config)
	cmd.Dir = e.dir
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := awaitPort(ctx, addr); err != nil {
		stop()
		return "", nil, err
	}
	return addr, stop, nil
}

// awaitPort returns when somebody listens, after a minute at most.
func awaitPort(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return await(ctx, func() (bool, error) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil, nil
	})
}

// scratch is an env of nothing but a folder.
func scratch(work, cache string) (*env, error) {
	e := &env{dir: filepath.Join(work, "kafka"), cache: cache}
	return e, os.MkdirAll(e.dir, 0o755)
}
