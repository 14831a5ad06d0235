package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestCommandLineErrorsAreOneClearLineEach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		file string // server.properties, named by --config if not empty
		args []string
		says []string // the lines of the log
	}{
		{name: "a misspelt key", file: "node.id=1\nnum.partitons=3\n",
			says: []string{`lockstepd: server.properties:2: unknown key "num.partitons"; did you mean "num.partitions"?`}},
		{name: "an unknown key like no other", file: "colour.of.the.broker=blue\n",
			says: []string{`lockstepd: server.properties:1: unknown key "colour.of.the.broker"`}},
		{name: "ZooKeeper", file: "zookeeper.connect=zk:2181\n",
			says: []string{`lockstepd: server.properties:1: zookeeper.connect: there is no ZooKeeper here; Kafka 4 runs on KRaft alone: name the controllers in controller.quorum.voters`}},
		{name: "two errors", file: "num.partitions=many\nnode.id=-7\n",
			says: []string{`lockstepd: server.properties:1: num.partitions: "many" is not a number of type int`, `lockstepd: server.properties:2: node.id: -7 is below its least value 0`}},
		{name: "a line that is none", file: "what is this\n",
			says: []string{`lockstepd: server.properties:1: "what is this" is not of the form key=value`}},
		{name: "a bad override", args: []string{"--set", "num.partitions=0"},
			says: []string{`lockstepd: --set: num.partitions: 0 is below its least value 1`}},
		{name: "an override without a value", args: []string{"--set", "num.partitions"},
			says: []string{`lockstepd: --set num.partitions: not of the form key=value`}},
		{name: "a bad listener", args: []string{"--set", "listeners=9092"},
			says: []string{`lockstepd: listeners: "9092" is not of the form NAME://host:port`}},
		{name: "an unknown flag", args: []string{"--cluster"}, says: []string{`lockstepd: unknown flag: --cluster`}},
		{name: "an argument", args: []string{"server.properties"},
			says: []string{`lockstepd: unexpected argument "server.properties"; a configuration file goes with --config`}},
		{name: "too many nodes", args: []string{"--dev", "10"}, says: []string{`lockstepd: --dev 10: between 1 and 9 nodes`}},
		{name: "no such file", args: []string{"--config", "absent.properties"},
			says: []string{`lockstepd: open absent.properties: no such file or directory`}},
		{name: "a topic's key", args: []string{"--set", "retention.ms=5"},
			says: []string{`lockstepd: --set: retention.ms is a topic's key; a broker's default for it is log.retention.ms`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProc(t, "lockstepd", c.args...)
			if c.file != "" {
				write(t, filepath.Join(p.dir, "server.properties"), c.file)
				p.args = append(p.args, "--config", "server.properties")
			}
			p.start()
			if code := p.awaitExit(); code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if want := strings.Join(c.says, "\n") + "\n"; p.logged() != want {
				t.Errorf("it says\n%swant\n%s", p.logged(), want)
			}
		})
	}
}

// failsWith starts p and waits for it to end with exit code 1 and a line that says why.
func failsWith(t *testing.T, p *proc, says string) {
	t.Helper()
	p.start()
	if code := p.awaitExit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if !strings.Contains(p.logged(), says) || strings.Contains(p.logged(), "goroutine") {
		t.Errorf("it does not say %q but\n%s", says, p.logged())
	}
}

func TestOverridesWinOverTheFile(t *testing.T) {
	t.Parallel()
	p := newProc(t, "lockstepd", "--config", "server.properties", "--set", "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0",
		"--set", "log.dirs=elsewhere")
	write(t, filepath.Join(p.dir, "server.properties"), "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\nlog.dirs=here\n")
	p.start()
	p.awaitReady()
	if _, err := os.Stat(filepath.Join(p.dir, "elsewhere", "meta.properties")); err != nil {
		t.Error(err)
	}
}

func TestListenersOnIPv6Serve(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip(err)
	} else {
		l.Close()
	}
	p := newProc(t, "lockstepd", "--set", "listeners=PLAINTEXT://[::1]:0,CONTROLLER://[::1]:0")
	p.start()
	p.awaitReady()
	stillServes(t, p)
}

func TestSecondDaemonOnADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	first := single(t)
	second := newProc(t, "second", first.args...)
	second.dir = first.dir
	failsWith(t, second, "cannot start: osdisk: log directory lockstep-data is in use by another process")
	stillServes(t, first)
}

func TestDirectoryOfAnotherNodeIsRefused(t *testing.T) {
	t.Parallel()
	p := single(t)
	if code := p.terminate(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	p.args = append(p.args, "--set", "node.id=7")
	failsWith(t, p, "meta.properties: the log directory belongs to node 1, but node.id is 7")
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := newProc(t, "lockstepd", "--set", fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:0", taken.Addr()))
	failsWith(t, p, fmt.Sprintf("listener PLAINTEXT: listen tcp %s: bind: address already in use", taken.Addr()))
}

func TestLogDirectoryThatCannotBeMadeIsNamed(t *testing.T) {
	t.Parallel()
	p := newProc(t, "lockstepd", "--set", "log.dirs=file/data")
	write(t, filepath.Join(p.dir, "file"), "in the way")
	failsWith(t, p, "cannot start: osdisk: mkdir file: not a directory")
}

func TestSignalTwiceAtOnceIsStillACleanShutdown(t *testing.T) {
	t.Parallel()
	p := single(t)
	p.signal(os.Interrupt)
	p.signal(os.Interrupt) // as timeout(1) does: to the process and to its group
	if code := p.awaitExit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(p.logged(), "panic") {
		t.Error("it panicked")
	}
}

func TestDevelopmentClusterReplicates(t *testing.T) {
	t.Parallel()
	// The ports of a development cluster follow each other.
	var p *proc
	eventually(t, "a development cluster starts", func() bool {
		p = newProc(t, "dev", "--dev", "3", "--port", fmt.Sprint(freePorts(t, 1)[0]))
		p.start()
		eventually(t, "it is ready or fails", func() bool { return strings.Count(p.logged(), "ready on") == 3 || !p.running() })
		return p.running()
	})
	client := newClient(t, []string{p.addr()})
	createTopic(t, client, 3, -1, "2")
	for i := range int32(3) {
		if err := client.ProduceSync(deadline(t), &kgo.Record{Topic: topic, Value: number(i, 0)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for node := range 3 {
		if logs, _ := filepath.Glob(filepath.Join(p.data(), fmt.Sprintf("node-%d", node+1), topic+"-*")); len(logs) != 3 {
			t.Errorf("node %d holds %d partitions, want 3", node+1, len(logs))
		}
	}
	if code := p.terminate(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
