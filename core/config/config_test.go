package config

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parse(t *testing.T, text string) (*Config, []string, error) {
	t.Helper()
	props, err := ParseProperties("server.properties", text)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(props)
}

func TestTablesAreSortedAndTheirDefaultsPassTheirOwnChecks(t *testing.T) {
	for _, keys := range [][]Key{BrokerKeys, TopicKeys} {
		if !slices.IsSortedFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("a table is not sorted by name")
		}
		for _, k := range keys {
			if err := k.Check(k.Default); err != nil && !k.Null {
				t.Errorf("default: %v", err)
			}
			for _, s := range k.Synonyms {
				if FindBroker(s.Name) == nil {
					t.Errorf("%s: its synonym %s is no broker key", k.Name, s.Name)
				}
			}
		}
	}
	if !slices.IsSorted(inertKeys) || !slices.IsSorted(zookeeperKeys) {
		t.Error("a name list is not sorted")
	}
}

func TestDefaultIsOneNodeOnLoopback(t *testing.T) {
	c := Default()
	if !c.Broker || !c.Controller || c.Listeners[0].Addr() != "127.0.0.1:9092" || c.Voters[0].Addr() != "127.0.0.1:9093" || c.LogDir != "lockstep-data" {
		t.Errorf("%+v", c)
	}
}

func TestKafkasOwnServerPropertiesParses(t *testing.T) {
	c, warnings, err := parse(t, `
process.roles=broker,controller
node.id=7
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.io.threads=8
log.dirs=/tmp/x
offsets.topic.replication.factor=1
log.retention.hours=168
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.NodeID != 7 || c.Advertised[0].Host != "localhost" || len(c.Advertised) != 1 || c.LogDir != "/tmp/x" {
		t.Errorf("%+v", c)
	}
	if len(warnings) != 1 {
		t.Errorf("want a warning for num.io.threads: %q", warnings)
	}
}

func TestBadInputIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"num.partitons=3":                       `server.properties:1: unknown key "num.partitons"; did you mean "num.partitions"?`,
		"zookeeper.connect=localhost:2181":      "no ZooKeeper here",
		"retention.ms=5":                        "a broker's default for it is log.retention.ms",
		"num.partitions=many":                   `num.partitions: "many" is not a number`,
		"metadata.log.segment.bytes=8388607":    "below its least value 8388608",
		"num.partitions=0":                      "below its least value 1",
		"unclean.leader.election.enable=yes":    `"yes" is neither true nor false`,
		"process.roles=zookeeper":               `"zookeeper" is not one of broker, controller`,
		"process.roles=broker":                  "must know the controllers",
		"listeners=9092":                        "is not of the form NAME://host:port",
		"listeners=PLAINTEXT://h:70000":         "not between 0 and 65535",
		"listeners=SSL://h:1,CONTROLLER://h:2":  "security protocol SSL is not supported",
		"listeners=PLAINTEXT://h:1":             "a controller needs a listener named CONTROLLER",
		"controller.quorum.voters=2@h:1":        "node 1 is a controller but not among the voters",
		"controller.quorum.voters=1@h:1,1@h:2":  "1 is named twice",
		"controller.quorum.voters=one@h:1":      "is not of the form id@host:port",
		"log.dirs=/a,/b":                        "several log directories",
		"inter.broker.listener.name=INTERNAL":   `no advertised listener is named "INTERNAL"`,
		"log.retention.hours=99999999999999999": "is not a number of type int",
	} {
		_, _, err := parse(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := ParseProperties("f", "\n  junk"); err == nil || !strings.Contains(err.Error(), "f:2") {
		t.Errorf("a line without = must be named: %v", err)
	}
}

func TestTopicValuesComeFromTheNearestSource(t *testing.T) {
	c, _, err := parse(t, "log.retention.hours=2\nmin.insync.replicas=2")
	if err != nil {
		t.Fatal(err)
	}
	plain := c.TopicConfig(nil, nil)
	if plain.Long("retention.ms") != 7_200_000 || plain.Long("min.insync.replicas") != 2 || plain.Long("segment.ms") != 604_800_000 {
		t.Error("static values and defaults")
	}
	override := c.TopicConfig(map[string]string{"retention.ms": "5"}, nil)
	if override.Long("retention.ms") != 5 || len(override.Chain("retention.ms")) != 3 {
		t.Errorf("override: %v", override.Chain("retention.ms"))
	}
	cluster := c.TopicConfig(nil, map[string]string{"log.retention.minutes": "3", "min.insync.replicas": "1"})
	if cluster.Long("retention.ms") != 180_000 || cluster.Long("min.insync.replicas") != 1 {
		t.Errorf("what is set for all brokers: %v", cluster.Chain("retention.ms"))
	}
}

func TestOnlyDefaultsOfTopicsCanBeSetWhileBrokersRun(t *testing.T) {
	if FindDefault("log.retention.ms") == nil || FindDefault("min.insync.replicas") == nil || FindDefault("node.id") != nil || FindDefault("retention.ms") != nil {
		t.Error("not the broker keys that are synonyms of topic keys")
	}
}

func TestEditDistanceIsAMetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-c]{0,6}`)
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		ab, bc, ac := editDistance(a, b), editDistance(b, c), editDistance(a, c)
		if ab != editDistance(b, a) || (ab == 0) != (a == b) || ac > ab+bc {
			t.Fatalf("%q %q %q: %d %d %d", a, b, c, ab, bc, ac)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("listeners=PLAINTEXT://:0\nlog.dirs=x\\\n,y")
	f.Fuzz(func(t *testing.T, text string) {
		if props, err := ParseProperties("f", text); err == nil {
			Parse(props)
		}
	})
}

// Kafka's least is a batch of the metadata log; only a test may go below.
func TestASmallMetadataSegmentIsForTests(t *testing.T) {
	for text, want := range map[string]int32{"metadata.log.segment.bytes=8388608": 8388608, "internal.metadata.log.segment.bytes=1000": 1000} {
		if c, warnings, err := parse(t, text); err != nil || len(warnings) > 0 || c.MetadataSegment != want {
			t.Errorf("%s: %v, %v", text, err, warnings)
		}
	}
}
