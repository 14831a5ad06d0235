package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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
	for _, keys := range [][]Key{BrokerKeys, TopicKeys, GroupKeys, ClientMetricsKeys, inertShapes} {
		if !slices.IsSortedFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("a table is not sorted by name")
		}
		for _, k := range keys {
			if err := k.Check(k.Default); err != nil && !k.Null {
				t.Errorf("default: %v", err)
			}
			for _, s := range k.Synonyms {
				if DescribedBroker(s.Name) == nil {
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
		"num.partitons=3":                      `server.properties:1: unknown key "num.partitons"; did you mean "num.partitions"?`,
		"zookeeper.connect=localhost:2181":     "no ZooKeeper here",
		"retention.ms=5":                       "a broker's default for it is log.retention.ms",
		"num.partitions=many":                  `num.partitions: "many" is not a number`,
		"metadata.log.segment.bytes=8388607":   "below its least value 8388608",
		"num.partitions=0":                     "below its least value 1",
		"unclean.leader.election.enable=yes":   `"yes" is neither true nor false`,
		"process.roles=zookeeper":              `"zookeeper" is not one of broker, controller`,
		"process.roles=broker":                 "must know the controllers",
		"listeners=9092":                       "is not of the form NAME://host:port",
		"listeners=PLAINTEXT://h:70000":        "not between 0 and 65535",
		"listeners=SSL://h:1,CONTROLLER://h:2": "security protocol SSL is not supported",
		"listeners=PLAINTEXT://h:1":            "a controller needs a listener named CONTROLLER",
		"controller.quorum.voters=2@h:1":       "node 1 is a controller but not among the voters",
		"controller.quorum.voters=1@h:1,1@h:2": "1 is named twice",
		"controller.quorum.voters=one@h:1":     "is not of the form id@host:port",
		"log.dirs=/a,/b,/a/":                   "/a/ is named twice",

		"controller.quorum.bootstrap.servers=h":                                                                  "not of the form host:port",
		"controller.quorum.bootstrap.servers=h:1\nlisteners=PLAINTEXT://h:2,CONTROLLER://h:0":                    "needs a port that others can know",
		"process.roles=broker\ncontroller.quorum.bootstrap.servers=h:1\ncontroller.quorum.auto.join.enable=true": "only a controller can join",
		"inter.broker.listener.name=INTERNAL":                                                                    `no advertised listener is named "INTERNAL"`,
		"advertised.listeners=PLAINTEXT://0.0.0.0:1":                                                             "0.0.0.0, which nobody can dial",
		"advertised.listeners=PLAINTEXT://h:1,OTHER://h:2":                                                       "OTHER is not among the listeners",
		"log.roll.ms=-1":                         "log.roll.ms: -1 is below its least value 1",
		"log.roll.jitter.ms=-1":                  "log.roll.jitter.ms: -1 is below its least value 0",
		"log.retention.ms=0":                     "log.retention.ms: 0 is not allowed",
		"log.retention.minutes=0":                "log.retention.minutes: 0 would delete",
		"log.retention.hours=0":                  "log.retention.hours: 0 would delete",
		"node.id=2\nbroker.id=3":                 "broker.id: 3 is not 2, which is node.id",
		"replica.fetch.wait.max.ms=30001":        "replica.fetch.wait.max.ms: 30001 is above replica.socket.timeout.ms, which is 30000",
		"replica.lag.time.max.ms=499":            "replica.fetch.wait.max.ms: 500 is above replica.lag.time.max.ms, which is 499",
		"log.cleaner.dedupe.buffer.size=1048576": "below its least value 1048577",
		"log.cleaner.threads=128":                "log.cleaner.dedupe.buffer.size: 134217728 is not above 1048576 for each of log.cleaner.threads, which is 128",
		"log.retention.hours=99999999999999999":  "is not a number of type int",
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

func TestWhatKafkaTakesIsTaken(t *testing.T) {
	for _, text := range []string{
		"log.retention.ms=-1", "log.retention.ms=-5", "log.retention.ms=1\nlog.retention.hours=0", "log.retention.minutes=-1", "log.roll.ms=1", "log.roll.jitter.ms=0",
		"node.id=3\nbroker.id=3", "broker.id=3", "replica.fetch.wait.max.ms=400\nreplica.lag.time.max.ms=400", "log.cleaner.threads=127",
	} {
		if _, _, err := parse(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What java.util.Properties makes of it.
func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	for text, want := range map[string]string{
		"# a comment \\\na=1":          "[a|1]",
		"  ! another \\\n# \\\n\n a=1": "[a|1]",
		"a=1\\\n  ,2\\\n  ,3\nb=4":     "[a|1,2,3 b|4]",
		"a=1\\\n# 2":                   "[a|1# 2]",
		"a=1\\\r\n  2\r\nb=3\r\n":      "[a|12 b|3]",
		`a=c:\\` + "\nb=1":             `[a|c:\ b|1]`,
		`a=x\://h\:1\=\#`:              "[a|x://h:1=#]",
		`a\:b=1`:                       "[a:b|1]",
		"a : 1 ":                       "[a|1]",
		`a=\u00fc\t\u12\q`:             "[a|ü\tu12q]",
		"a=\\":                         "[a|]",
	} {
		props, err := ParseProperties("f", text)
		var got []string
		for _, p := range props {
			got = append(got, p.Key+"|"+p.Value)
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: got %q, %v, want %s", text, got, err, want)
		}
	}
}

func TestListenerNamesOfAnyCaseAreTheSame(t *testing.T) {
	c, _, err := parse(t, `
listeners=internal://h:1,Outer://h:2,CONTROLLER://h:3
listener.security.protocol.map=internal:PLAINTEXT, outer : plaintext,controller:PLAINTEXT
inter.broker.listener.name=Internal
`)
	if err != nil {
		t.Fatal(err)
	}
	if own, ok := c.InterBroker(); !ok || own.Port != 1 || own.Name != "INTERNAL" {
		t.Errorf("%+v", own)
	}
}

func TestAdvertisingWhatNobodyAskedForIsWarnedOf(t *testing.T) {
	const controller, warning = ",CONTROLLER://:9093", "listeners: PLAINTEXT is advertised as 127.0.0.1; set advertised.listeners"
	for text, warned := range map[string]bool{
		"listeners=PLAINTEXT://:9092" + controller:                                            true,
		"listeners=PLAINTEXT://0.0.0.0:9092" + controller:                                     true,
		"listeners=PLAINTEXT://[::]:9092" + controller:                                        true,
		"listeners=PLAINTEXT://:9092" + controller + "\nadvertised.listeners=PLAINTEXT://:1":  true,
		"listeners=PLAINTEXT://:9092" + controller + "\nadvertised.listeners=PLAINTEXT://h:1": false,
		"listeners=PLAINTEXT://h:9092" + controller:                                           false,
		"": false,
	} {
		c, warnings, err := parse(t, text)
		if err != nil || slices.Contains(warnings, warning) != warned || len(warnings) > 1 || warned != (c.Advertised[0].Host == "127.0.0.1") && text != "" {
			t.Errorf("%s: %v, %q", text, err, warnings)
		}
	}
}

func TestTopicValuesComeFromTheNearestSource(t *testing.T) {
	c, _, err := parse(t, "log.retention.hours=2\nmin.insync.replicas=2")
	if err != nil {
		t.Fatal(err)
	}
	plain := c.TopicConfig(nil, Dynamic{})
	if plain.Long("retention.ms") != 7_200_000 || plain.Long("min.insync.replicas") != 2 || plain.Long("segment.ms") != 604_800_000 {
		t.Error("static values and defaults")
	}
	cluster := Dynamic{Cluster: map[string]string{"log.retention.ms": " 180000 ", "min.insync.replicas": "1", "log.preallocate": "TRUE"}}
	if all := c.TopicConfig(nil, cluster); all.Long("retention.ms") != 180_000 || all.Long("min.insync.replicas") != 1 || !all.Bool("preallocate") {
		t.Errorf("what is set for all brokers: %v", all.Chain("retention.ms"))
	}
	cluster.Broker = map[string]string{"log.retention.ms": "7"}
	if one := c.TopicConfig(nil, cluster); one.Long("retention.ms") != 7 {
		t.Errorf("what is set for this broker: %v", one.Chain("retention.ms"))
	}
	if override := c.TopicConfig(map[string]string{"retention.ms": "5"}, cluster); override.Long("retention.ms") != 5 {
		t.Errorf("override: %v", override.Chain("retention.ms"))
	}
}

// What Kafka 4.4 answers in these cases.
func TestChainsAreToldAsKafkaTellsThem(t *testing.T) {
	c, _, err := parse(t, "log.retention.hours=48")
	if err != nil {
		t.Fatal(err)
	}
	dynamic := Dynamic{Broker: map[string]string{"log.retention.ms": "5"}, Cluster: map[string]string{"log.retention.ms": "6"}}
	for _, test := range []struct {
		chain []Entry
		want  string
	}{
		{c.TopicConfig(nil, Dynamic{}).Told("retention.ms"), "[]"},
		{c.TopicConfig(nil, dynamic).Told("retention.ms"), "[{log.retention.ms 5 2} {log.retention.ms 6 3} {log.retention.hours 48 4} {log.retention.hours 168 5}]"},
		{c.TopicConfig(map[string]string{"retention.ms": "7"}, Dynamic{}).Told("retention.ms"), "[{retention.ms 7 1}]"},
		{c.TopicConfig(nil, Dynamic{}).Told("remote.storage.enable"), "[]"},
		{c.TopicConfig(nil, Dynamic{}).Told("segment.bytes"), "[{log.segment.bytes 1073741824 5}]"},
		{Told(c.BrokerChain("log.retention.hours", Dynamic{}), "log.retention.hours"), "[{log.retention.hours 48 4} {log.retention.hours 168 5}]"},
		{Told(c.BrokerChain("log.flush.interval.ms", Dynamic{}), "log.flush.interval.ms"), "[]"},
		{c.GroupChain("consumer.session.timeout.ms", map[string]string{"consumer.session.timeout.ms": "46000"}, Dynamic{}), "[{consumer.session.timeout.ms 46000 8} {group.consumer.session.timeout.ms 45000 5}]"},
	} {
		if got := fmt.Sprint(test.chain); got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func TestWhatIsDynamicInKafkaIsDynamicHere(t *testing.T) {
	if !slices.IsSorted(clusterWideKeys) || !slices.IsSorted(perBrokerKeys) {
		t.Fatal("a name list is not sorted")
	}
	for _, name := range append(slices.Clone(clusterWideKeys), perBrokerKeys...) {
		if DescribedBroker(name) == nil && !slices.Contains(inertKeys, name) {
			t.Errorf("no key is named %s", name)
		}
	}
	for _, k := range TopicKeys {
		for i, s := range k.Synonyms {
			if dynamic := IsDynamic(s.Name); dynamic != (i == 0) {
				t.Errorf("%s, the default of %s: dynamic %v", s.Name, k.Name, dynamic)
			}
		}
	}
	for name, ok := range map[string]bool{"log.retention.ms=5": true, "log.retention.ms=x": false, "log.retention.ms=0": false, "log.retention.ms=-1": true, "log.roll.ms=0": false, "log.roll.jitter.ms=-1": false, "node.id=5": false, "ssl.keystore.password=x": false, "listener.name.x.y=1": false, "what=1": true, "num.io.threads=x": false} {
		key, value, _ := strings.Cut(name, "=")
		if err := CheckDynamic(key, value); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGroupAndSubscriptionConfigsAreChecked(t *testing.T) {
	c := Default()
	for text, ok := range map[string]bool{
		"": true, "consumer.session.timeout.ms=46000": true, "consumer.session.timeout.ms=5": false, "consumer.session.timeout.ms=99000000": false,
		"consumer.heartbeat.interval.ms=1": false, "share.session.timeout.ms=5": false,
	} {
		configs := map[string]string{}
		if key, value, isSet := strings.Cut(text, "="); isSet {
			configs[key] = value
		}
		if err := c.CheckGroup(configs); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for value, ok := range map[string]bool{"": true, "client_id=a.*": true, "client_id=a,client_software_name=[b-d]+": true, "what=1": false, "client_id": false, "client_id=[": false, "client_id=a=b": false,
		"client_id=a{600}": true, "client_id=a{600}b{600}": false, "client_id=a{600},client_id=b{600}": false, "client_id=" + strings.Repeat("a{1000}", 1000): false} {
		if _, err := ParseClientMatch(value); (err == nil) != ok {
			t.Errorf("match=%s: %v", value, err)
		}
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

func TestAddressesOfIPv6AreInBrackets(t *testing.T) {
	c, _, err := parse(t, `
listeners=PLAINTEXT://[::1]:9092,CONTROLLER://[fd00::2]:9093
controller.quorum.voters=1@[fd00::2]:9093
`)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Listeners[0].Addr(), " ", c.Advertised[0].Addr(), " ", c.Listeners[1].Addr(), " ", c.Voters[0].Addr())
	if want := "[::1]:9092 [::1]:9092 [fd00::2]:9093 [fd00::2]:9093"; got != want || c.Advertised[0].Host != "::1" {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeysWithoutEffectSaySo(t *testing.T) {
	for _, key := range []string{"log.segment.delete.delay.ms=1", "log.preallocate=true", "log.local.retention.ms=1", "log.local.retention.bytes=1", "num.io.threads=8"} {
		name, _, _ := strings.Cut(key, "=")
		_, warnings, err := parse(t, key)
		if want := "server.properties:1: " + name + " has no effect yet"; err != nil || len(warnings) != 1 || warnings[0] != want {
			t.Errorf("%s: %q, %v", key, warnings, err)
		}
		if doc := DescribedBroker(name).Documentation(); !strings.Contains(doc, "no effect here yet") {
			t.Errorf("%s: %s", name, doc)
		}
	}
	for _, k := range TopicKeys {
		for _, s := range k.Synonyms {
			if DescribedBroker(s.Name).Inert != k.Inert {
				t.Errorf("%s and %s differ in whether they have an effect", k.Name, s.Name)
			}
		}
	}
	if doc := FindTopic("preallocate").Documentation(); !strings.Contains(doc, "no effect here yet") {
		t.Error(doc)
	}
}

func TestTheCleanerObeysWhatIsSetWhileBrokersRun(t *testing.T) {
	c, _, err := parse(t, "log.cleaner.backoff.ms=5")
	if err != nil {
		t.Fatal(err)
	}
	dynamic := Dynamic{Cluster: map[string]string{
		"log.cleaner.backoff.ms": " 7 ", "log.cleaner.dedupe.buffer.size": "2000000", "log.cleaner.io.buffer.size": "2000", "log.cleaner.io.buffer.load.factor": "0.5",
		"transaction.partition.verification.enable": "FALSE",
	}}
	if got, want := c.Cleaner(dynamic), (Cleaner{true, 2_000_000, 2000, 50, 7 * time.Millisecond}); got != want {
		t.Errorf("%+v", got)
	}
	if got := c.Cleaner(Dynamic{}).Backoff; got != 5*time.Millisecond || !c.TransactionVerification(Dynamic{}) || c.TransactionVerification(dynamic) {
		t.Errorf("%v", got)
	}
	if err := CheckDynamic("log.cleaner.io.buffer.load.factor", "NaN"); err == nil {
		t.Error("NaN is no share")
	}
}

// Whoever means "for ever" by the largest number must not get a time that has passed.
func TestTheLongestTimesAreAhead(t *testing.T) {
	c, _, err := parse(t, `
offsets.retention.minutes=2147483647
offsets.retention.check.interval.ms=9223372036854775807
log.dir.failure.timeout.ms=9223372036854775807
connections.max.idle.ms=9223372036854775807
log.cleaner.backoff.ms=9223372036854775807
leader.imbalance.check.interval.seconds=2147483647
quota.window.size.seconds=2147483647
`)
	if err != nil {
		t.Fatal(err)
	}
	now := int64(50 * 365 * 24 * time.Hour) // of a loop that has run for long
	for _, d := range []time.Duration{
		c.Groups.OffsetsRetention, c.Groups.RetentionCheckInterval, c.LogDirFailureTimeout, c.ConnectionsMaxIdle, c.Cleaner(Dynamic{}).Backoff, c.LeaderImbalanceCheck, c.QuotaWindow,
	} {
		if d < 50*365*24*time.Hour || now+int64(d) < now {
			t.Errorf("%v", d)
		}
	}
	if never, _, err := parse(t, "connections.max.idle.ms=-1"); err != nil || never.ConnectionsMaxIdle >= 0 {
		t.Errorf("%v, %v", never.ConnectionsMaxIdle, err)
	}
}

// Kafka's least is a batch of the metadata log; only a test may go below.
func TestASmallMetadataSegmentIsForTests(t *testing.T) {
	for text, want := range map[string]int32{"metadata.log.segment.bytes=8388608": 8388608, "internal.metadata.log.segment.bytes=1000": 1000} {
		if c, warnings, err := parse(t, text); err != nil || len(warnings) > 0 || c.MetadataSegment != want {
			t.Errorf("%s: %v, %v", text, err, warnings)
		}
	}
}

func TestVotersAreStaticUnlessOthersAreNamed(t *testing.T) {
	for text, static := range map[string]bool{
		"":                               true,
		"controller.quorum.voters=1@h:1": true,
		"controller.quorum.bootstrap.servers=localhost:9093":                       true, // this node
		"controller.quorum.bootstrap.servers=h:9093":                               false,
		"controller.quorum.bootstrap.servers=localhost:9093,h:9093":                false,
		"process.roles=broker\ncontroller.quorum.bootstrap.servers=localhost:9093": false,
	} {
		c, _, err := parse(t, text)
		if err != nil || c.HasStaticVoters() != static {
			t.Errorf("%q: static %v, %v", text, err == nil && c.HasStaticVoters(), err)
		}
	}
	c, _, err := parse(t, "listeners=PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093\nadvertised.listeners=PLAINTEXT://b:1,CONTROLLER://c:2")
	if err != nil || len(c.ControllerEndpoints) != 1 || c.ControllerEndpoints[0].Addr() != "c:2" {
		t.Errorf("%v, %+v", err, c)
	}
}
