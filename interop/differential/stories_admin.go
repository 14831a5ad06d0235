package differential

import "strings"

func topicStories() []story {
	return []story{
		{3, "topics", func(t *talk) {
			topic := t.topic("t", 2)
			ask := func(label string, topics ...any) { t.ask(label, 3, M{"Topics": L(topics)}) }
			ask("one", M{"Topic": topic})
			ask("unknown", M{"Topic": t.name("none")})
			if t.version < 4 {
				t.awaitTopic(t.name("none"), 1) // old versions make it
			}
			ask("bad name", M{"Topic": "a/b"})
			ask("no name", M{"Topic": ""})
			ask("long name", M{"Topic": strings.Repeat("x", 250)})
			ask("twice", M{"Topic": topic}, M{"Topic": topic})
			t.mine("none", 3, M{"Topics": L{}}) // which means all in the oldest version
			t.mine("all", 3, M{})
			t.ask("operations", 3, M{"Topics": L{M{"Topic": topic}}, "IncludeTopicAuthorizedOperations": true, "IncludeClusterAuthorizedOperations": true})
			ask("by id", M{"TopicID": t.topicIDs[topic]})
			ask("by an unknown id", M{"TopicID": [16]byte{9}})
			ask("by both", M{"Topic": topic, "TopicID": t.topicIDs[topic]})
		}},
		{3, "auto creation", func(t *talk) {
			t.ask("allowed", 3, M{"Topics": L{M{"Topic": t.name("auto")}}, "AllowAutoTopicCreation": true})
			t.ask("of a bad name", 3, M{"Topics": L{M{"Topic": "a b"}}, "AllowAutoTopicCreation": true})
			t.ask("of colliding names", 3, M{"Topics": L{M{"Topic": t.name("a.b")}, M{"Topic": t.name("a_b")}}, "AllowAutoTopicCreation": true})
			t.ask("not allowed", 3, M{"Topics": L{M{"Topic": t.name("not")}}, "AllowAutoTopicCreation": false})
		}},
		{75, "topics", func(t *talk) {
			a, b := t.topic("a", 2), t.topic("b", 1)
			ask := func(label string, limit int, cursor any, names ...any) {
				var topics L
				for _, n := range names {
					topics = append(topics, M{"Topic": n})
				}
				t.ask(label, 75, M{"Topics": topics, "ResponsePartitionLimit": limit, "Cursor": cursor})
			}
			ask("two", 2000, nil, b, a)
			ask("unknown", 2000, nil, t.name("none"), a)
			ask("limit 1", 1, nil, a, b)
			ask("limit 0", 0, nil, a, b)
			ask("from a cursor", 2000, M{"Topic": a, "Partition": 1}, a, b)
			ask("cursor beyond", 2000, M{"Topic": b, "Partition": 7}, a, b)
			ask("negative cursor", 2000, M{"Topic": b, "Partition": -1}, a, b)
			ask("twice", 2000, nil, a, a)
			ask("bad name", 2000, nil, "a/b")
		}},
		{19, "create", createTopics},
		{20, "delete", func(t *talk) {
			a, b, c := t.topic("a", 1), t.topic("b", 1), t.topic("c", 1)
			ask := func(label string, topics ...any) {
				names := L{}
				for _, topic := range topics {
					if n, ok := topic.(M)["Topic"]; ok {
						names = append(names, n)
					}
				}
				t.ask(label, 20, M{"TimeoutMillis": 10000, "TopicNames": names, "Topics": L(topics)})
			}
			ask("right", M{"Topic": a})
			ask("again", M{"Topic": a})
			ask("unknown", M{"Topic": t.name("none")}, M{"Topic": ""})
			ask("twice", M{"Topic": b}, M{"Topic": b})
			ask("by id", M{"TopicID": t.topicIDs[c]})
			ask("by an unknown id", M{"TopicID": [16]byte{9}})
			ask("by both", M{"Topic": b, "TopicID": t.topicIDs[b]})
			ask("by neither", M{})
			ask("metadata", M{"Topic": "__cluster_metadata"})
		}},
		{37, "add partitions", func(t *talk) {
			a := t.topic("a", 2)
			ask := func(label, topic string, count int, assignment any, validate bool) {
				t.ask(label, 37, M{"TimeoutMillis": 10000, "ValidateOnly": validate, "Topics": L{M{"Topic": topic, "Count": count, "Assignment": assignment}}})
			}
			ask("only asked", a, 3, nil, true)
			ask("fewer", a, 1, nil, false)
			ask("as many", a, 2, nil, false)
			ask("negative", a, -1, nil, false)
			ask("unknown", t.name("none"), 3, nil, false)
			ask("too few assigned", a, 4, L{M{"Replicas": L{1}}}, false)
			ask("assigned to nobody", a, 3, L{M{"Replicas": L{}}}, false)
			ask("assigned to a stranger", a, 3, L{M{"Replicas": L{99}}}, false)
			ask("assigned twice", a, 3, L{M{"Replicas": L{1, 1}}}, false)
			ask("assigned", a, 3, L{M{"Replicas": L{1}}}, false)
			ask("right", a, 4, nil, false)
			t.ask("twice", 37, M{"TimeoutMillis": 10000, "Topics": L{M{"Topic": a, "Count": 5}, M{"Topic": a, "Count": 6}}})
		}},
		{43, "elect", func(t *talk) {
			a := t.topic("a", 2)
			for label, f := range inOrder("preferred", M{"ElectionType": 0}, "unclean", M{"ElectionType": 1}, "type 5", M{"ElectionType": 5}) {
				f["TimeoutMillis"] = 10000
				f["Topics"] = L{M{"Topic": a, "Partitions": L{0, 9}}, M{"Topic": t.name("none"), "Partitions": L{0}}}
				t.ask(label, 43, f)
			}
		}},
		{45, "reassign", func(t *talk) {
			a := t.topic("a", 2)
			for label, replicas := range inOrder("to where it is", M{"R": L{1}}, "to a stranger", M{"R": L{99}}, "to nobody", M{"R": L{}}, "twice", M{"R": L{1, 1}}, "negative", M{"R": L{-1}}, "cancel", M{"R": nil}) {
				t.ask(label, 45, M{"TimeoutMillis": 10000, "Topics": L{M{"Topic": a, "Partitions": L{M{"Partition": 0, "Replicas": replicas["R"]}}}}})
			}
			t.ask("unknown", 45, M{"TimeoutMillis": 10000, "Topics": L{M{"Topic": a, "Partitions": L{M{"Partition": 9, "Replicas": L{1}}}}, M{"Topic": t.name("none"), "Partitions": L{M{"Replicas": L{1}}}}}})
			t.ask("list", 46, M{"TimeoutMillis": 10000, "Topics": L{M{"Topic": a, "Partitions": L{0, 9}}, M{"Topic": t.name("none"), "Partitions": L{0}}}})
		}},
		{46, "list", func(t *talk) { t.ask("all", 46, M{"TimeoutMillis": 10000}) }},
	}
}

func createTopics(t *talk) {
	ask := func(label string, change M) {
		topic := M{"Topic": t.name(strings.ReplaceAll(label, " ", "-")), "NumPartitions": 1, "ReplicationFactor": 1}
		for k, v := range change { // order: fields are apart
			topic[k] = v
		}
		t.ask(label, 19, M{"TimeoutMillis": 10000, "Topics": L{topic}})
	}
	assigned := func(partitions ...any) M {
		return M{"NumPartitions": -1, "ReplicationFactor": -1, "ReplicaAssignment": L(partitions)}
	}
	ask("plain", nil)
	ask("plain", nil)
	ask("defaults", M{"NumPartitions": -1, "ReplicationFactor": -1})
	ask("no partitions", M{"NumPartitions": 0})
	ask("negative partitions", M{"NumPartitions": -2})
	ask("no replicas", M{"ReplicationFactor": 0})
	ask("negative replicas", M{"ReplicationFactor": -2})
	ask("too many replicas", M{"ReplicationFactor": 3})
	ask("no name", M{"Topic": ""})
	ask("dot", M{"Topic": "."})
	ask("slash", M{"Topic": "a/b"})
	ask("long name", M{"Topic": strings.Repeat("x", 250)})
	ask("collides", M{"Topic": strings.ReplaceAll(t.name("plain"), "-", "_")})
	ask("internal", M{"Topic": "__cluster_metadata"})
	ask("assigned", assigned(M{"Partition": 0, "Replicas": L{1}}, M{"Partition": 1, "Replicas": L{1}}))
	ask("assigned with a gap", assigned(M{"Partition": 0, "Replicas": L{1}}, M{"Partition": 2, "Replicas": L{1}}))
	ask("assigned twice", assigned(M{"Partition": 0, "Replicas": L{1, 1}}))
	ask("assigned to a stranger", assigned(M{"Partition": 0, "Replicas": L{99}}))
	ask("assigned to nobody", assigned(M{"Partition": 0, "Replicas": L{}}))
	ask("one partition assigned twice", assigned(M{"Partition": 0, "Replicas": L{1}}, M{"Partition": 0, "Replicas": L{1}}))
	ask("assigned and counted", M{"ReplicaAssignment": L{M{"Partition": 0, "Replicas": L{1}}}})
	ask("unknown config", M{"Configs": L{M{"Name": "no.such.key", "Value": "1"}}})
	ask("bad config", M{"Configs": L{M{"Name": "retention.ms", "Value": "soon"}}})
	ask("config out of range", M{"Configs": L{M{"Name": "segment.bytes", "Value": "1"}}})
	ask("null config", M{"Configs": L{M{"Name": "retention.ms", "Value": nil}}})
	ask("bad policy", M{"Configs": L{M{"Name": "cleanup.policy", "Value": "burn"}}})
	ask("config", M{"Configs": L{M{"Name": "retention.ms", "Value": "5000"}, M{"Name": "cleanup.policy", "Value": "compact,delete"}}})
	ask("config twice", M{"Configs": L{M{"Name": "retention.ms", "Value": "5000"}, M{"Name": "retention.ms", "Value": "6000"}}})
	one := M{"Topic": t.name("two"), "NumPartitions": 1, "ReplicationFactor": 1}
	t.ask("one topic twice", 19, M{"TimeoutMillis": 10000, "Topics": L{one, one}})
	t.ask("only asked", 19, M{"TimeoutMillis": 10000, "ValidateOnly": true, "Topics": L{M{"Topic": t.name("asked"), "NumPartitions": 2, "ReplicationFactor": 1}}})
	t.ask("nothing", 19, M{"TimeoutMillis": 10000})
}

// Types of resources that have a configuration.
const (
	ofTopic         = 2
	ofBroker        = 4
	ofBrokerLogger  = 8
	ofClientMetrics = 16
	ofGroup         = 32
)

func configStories() []story {
	describe := func(kind int, name string, keys any) M {
		return M{"IncludeSynonyms": true, "IncludeDocumentation": true, "Resources": L{M{"ResourceType": kind, "ResourceName": name, "ConfigNames": keys}}}
	}
	return []story{
		{32, "topic", func(t *talk) {
			topic := t.topic("t", 1, "retention.ms", "5000")
			t.ask("all", 32, describe(ofTopic, topic, nil))
			t.ask("two and a stranger", 32, describe(ofTopic, topic, L{"retention.ms", "cleanup.policy", "no.such.key"}))
			t.ask("none", 32, describe(ofTopic, topic, L{}))
			t.ask("no such topic", 32, describe(ofTopic, t.name("none"), nil))
			t.ask("no name", 32, describe(ofTopic, "", nil))
			t.ask("bad name", 32, describe(ofTopic, "a/b", nil))
		}},
		{32, "broker", func(t *talk) {
			t.ask("all", 32, describe(ofBroker, "1", nil))
			t.ask("defaults", 32, describe(ofBroker, "", nil))
			t.ask("another", 32, describe(ofBroker, "7", nil))
			t.ask("no number", 32, describe(ofBroker, "one", nil))
			t.ask("logger", 32, describe(ofBrokerLogger, "1", L{}))
		}},
		{32, "other resources", func(t *talk) {
			t.ask("group", 32, describe(ofGroup, t.name("g"), nil))
			t.ask("group without a name", 32, describe(ofGroup, "", nil))
			t.ask("client metrics", 32, describe(ofClientMetrics, t.name("m"), nil))
			t.ask("type 99", 32, describe(99, "x", nil))
			t.ask("type 0", 32, describe(0, "x", nil))
			t.ask("nothing", 32, M{})
		}},
		{44, "incremental", incremental},
		{33, "legacy", func(t *talk) {
			topic := t.topic("t", 1, "retention.ms", "5000")
			ask := func(label string, kind int, name string, configs ...any) {
				t.ask(label, 33, M{"Resources": L{M{"ResourceType": kind, "ResourceName": name, "Configs": L(configs)}}})
			}
			ask("replaces all", ofTopic, topic, M{"Name": "segment.bytes", "Value": "2000000"})
			ask("unknown key", ofTopic, topic, M{"Name": "no.such.key", "Value": "1"})
			ask("bad value", ofTopic, topic, M{"Name": "retention.ms", "Value": "soon"})
			ask("null", ofTopic, topic, M{"Name": "retention.ms", "Value": nil})
			ask("no such topic", ofTopic, t.name("none"), M{"Name": "retention.ms", "Value": "1"})
			ask("type 99", 99, topic, M{"Name": "retention.ms", "Value": "1"})
			pauseFor(t, topic)
			t.ask("what is there then", 32, describe(ofTopic, topic, L{"retention.ms", "segment.bytes"}))
		}},
		{48, "quotas", func(t *talk) {
			client := t.name("c")
			entity := L{M{"Type": "client-id", "Name": client}}
			alter := func(label string, entity L, ops ...any) {
				t.ask(label, 49, M{"Entries": L{M{"Entity": entity, "Ops": L(ops)}}})
			}
			alter("set", entity, M{"Key": "producer_byte_rate", "Value": 1000.5})
			alter("unknown key", entity, M{"Key": "odd", "Value": 1.0})
			alter("negative", entity, M{"Key": "producer_byte_rate", "Value": -1.0})
			alter("unknown type", L{M{"Type": "odd", "Name": client}}, M{"Key": "producer_byte_rate", "Value": 1.0})
			alter("no entity", L{}, M{"Key": "producer_byte_rate", "Value": 1.0})
			alter("address and client", L{M{"Type": "client-id", "Name": client}, M{"Type": "ip", "Name": "127.0.0.9"}}, M{"Key": "connection_creation_rate", "Value": 1.0})
			alter("remove what is not there", entity, M{"Key": "consumer_byte_rate", "Remove": true})
			t.topic("later", 1) // what was altered before is seen after
			t.ask("describe", 48, M{"Strict": true, "Components": L{M{"EntityType": "client-id", "MatchType": 0, "Match": client}}})
			t.ask("unknown type", 48, M{"Components": L{M{"EntityType": "odd", "MatchType": 0, "Match": client}}})
			t.ask("unknown match", 48, M{"Components": L{M{"EntityType": "client-id", "MatchType": 7, "Match": client}}})
			t.ask("without a match", 48, M{"Components": L{M{"EntityType": "client-id", "MatchType": 0}}})
			t.ask("one type twice", 48, M{"Components": L{M{"EntityType": "user", "MatchType": 2}, M{"EntityType": "user", "MatchType": 2}}})
		}},
		{50, "SCRAM", func(t *talk) {
			user := t.name("u")
			upsert := M{"Name": user, "Mechanism": 1, "Iterations": 4096, "Salt": []byte("salt"), "SaltedPassword": make([]byte, 32)}
			weak := M{"Name": user, "Mechanism": 2, "Iterations": 10, "Salt": []byte("salt"), "SaltedPassword": make([]byte, 64)}
			t.ask("no such user", 50, M{"Users": L{M{"Name": user}}})
			t.ask("delete nothing", 51, M{"Deletions": L{M{"Name": user, "Mechanism": 1}}})
			t.ask("few iterations", 51, M{"Upsertions": L{weak}})
			t.ask("no name", 51, M{"Upsertions": L{M{"Name": "", "Mechanism": 1, "Iterations": 4096, "Salt": []byte("salt"), "SaltedPassword": make([]byte, 32)}}})
			t.ask("unknown mechanism", 51, M{"Upsertions": L{M{"Name": user, "Mechanism": 9, "Iterations": 4096, "Salt": []byte("salt"), "SaltedPassword": make([]byte, 32)}}})
			t.ask("right", 51, M{"Upsertions": L{upsert}})
			t.topic("later", 1)
			t.ask("describe", 50, M{"Users": L{M{"Name": user}}})
			t.ask("twice", 50, M{"Users": L{M{"Name": user}, M{"Name": user}}})
		}},
		{74, "resources", func(t *talk) {
			t.mine("metrics", 74, M{"ResourceTypes": L{ofClientMetrics}})
			t.ask("type 99", 74, M{"ResourceTypes": L{99}})
			t.mine("brokers", 74, M{"ResourceTypes": L{ofBroker}})
		}},
	}
}

// pauseFor makes a topic after topic: what the controller decided before is known when this is.
func pauseFor(t *talk, topic string) { t.topic("after-"+topic[len(topic)-1:], 1) }

func incremental(t *talk) {
	topic := t.topic("t", 1, "retention.ms", "5000")
	ask := func(label string, kind int, name string, configs ...any) {
		t.ask(label, 44, M{"Resources": L{M{"ResourceType": kind, "ResourceName": name, "Configs": L(configs)}}})
	}
	op := func(op int, key string, value any) M { return M{"Name": key, "Op": op, "Value": value} }
	ask("set", ofTopic, topic, op(0, "segment.bytes", "2000000"))
	ask("delete", ofTopic, topic, op(1, "retention.ms", nil))
	ask("delete what is not set", ofTopic, topic, op(1, "retention.bytes", nil))
	ask("append", ofTopic, topic, op(2, "cleanup.policy", "compact"))
	ask("append again", ofTopic, topic, op(2, "cleanup.policy", "compact"))
	ask("subtract", ofTopic, topic, op(3, "cleanup.policy", "delete"))
	ask("append to a number", ofTopic, topic, op(2, "retention.ms", "1"))
	ask("unknown operation", ofTopic, topic, op(9, "retention.ms", "1"))
	ask("unknown key", ofTopic, topic, op(0, "no.such.key", "1"))
	ask("delete an unknown key", ofTopic, topic, op(1, "no.such.key", nil))
	ask("bad value", ofTopic, topic, op(0, "retention.ms", "soon"))
	ask("out of range", ofTopic, topic, op(0, "segment.bytes", "1"))
	ask("null", ofTopic, topic, op(0, "retention.ms", nil))
	ask("one key twice", ofTopic, topic, op(0, "retention.ms", "1"), op(0, "retention.ms", "2"))
	ask("no such topic", ofTopic, t.name("none"), op(0, "retention.ms", "1"))
	ask("no name", ofTopic, "", op(0, "retention.ms", "1"))
	ask("type 99", 99, topic, op(0, "retention.ms", "1"))
	ask("broker, not dynamic", ofBroker, "1", op(0, "log.dirs", "/tmp/x"))
	ask("broker, unknown", ofBroker, "1", op(0, "no.such.key", "1"))
	ask("broker, bad value", ofBroker, "1", op(0, "log.retention.ms", "soon"))
	ask("another broker", ofBroker, "9", op(0, "log.retention.ms", "1"))
	ask("no broker", ofBroker, "one", op(0, "log.retention.ms", "1"))
	ask("all brokers", ofBroker, "", op(0, "log.cleaner.backoff.ms", "14000"))
	ask("all brokers, undo", ofBroker, "", op(1, "log.cleaner.backoff.ms", nil))
	ask("per broker only", ofBroker, "", op(0, "advertised.listeners", "PLAINTEXT://a:1"))
	ask("group", ofGroup, t.name("g"), op(0, "consumer.session.timeout.ms", "46000"))
	ask("group, unknown", ofGroup, t.name("g"), op(0, "odd", "1"))
	ask("group, out of range", ofGroup, t.name("g"), op(0, "consumer.session.timeout.ms", "1"))
	ask("client metrics", ofClientMetrics, t.name("m"), op(0, "interval.ms", "1000"))
	ask("client metrics, bad", ofClientMetrics, t.name("m"), op(0, "interval.ms", "-5"))
	t.ask("only asked", 44, M{"ValidateOnly": true, "Resources": L{M{"ResourceType": ofTopic, "ResourceName": topic, "Configs": L{op(0, "retention.ms", "77")}}}})
	t.ask("one resource twice", 44, M{"Resources": L{M{"ResourceType": ofTopic, "ResourceName": topic, "Configs": L{op(0, "retention.ms", "78")}}, M{"ResourceType": ofTopic, "ResourceName": topic, "Configs": L{op(0, "retention.ms", "79")}}}})
	pauseFor(t, topic)
	t.ask("what is there then", 32, M{"IncludeSynonyms": true, "Resources": L{M{"ResourceType": ofTopic, "ResourceName": topic, "ConfigNames": L{"retention.ms", "segment.bytes", "cleanup.policy"}},
		M{"ResourceType": ofGroup, "ResourceName": t.name("g")}, M{"ResourceType": ofClientMetrics, "ResourceName": t.name("m")}}})
}

func clusterStories() []story {
	return []story{
		{18, "versions", func(t *talk) {
			t.ask("", 18, M{"ClientSoftwareName": "differential", "ClientSoftwareVersion": "1"})
			t.ask("bad name", 18, M{"ClientSoftwareName": "a b", "ClientSoftwareVersion": "1"})
			t.ask("no name", 18, M{})
		}},
		{17, "mechanisms", func(t *talk) { t.ask("on a plain listener", 17, M{"Mechanism": "PLAIN"}); t.conn.close() }},
		{36, "token", func(t *talk) { t.ask("on a plain listener", 36, M{"SASLAuthBytes": []byte("x")}); t.conn.close() }},
		{60, "cluster", func(t *talk) {
			t.ask("brokers", 60, M{"EndpointType": 1})
			t.ask("operations", 60, M{"EndpointType": 1, "IncludeClusterAuthorizedOperations": true})
			t.ask("controllers", 60, M{"EndpointType": 2})
			t.ask("type 9", 60, M{"EndpointType": 9})
			t.ask("fenced ones, too", 60, M{"EndpointType": 1, "IncludeFencedBrokers": true})
		}},
		{55, "quorum", func(t *talk) {
			ask := func(label, topic string, partition int) {
				t.ask(label, 55, M{"Topics": L{M{"Topic": topic, "Partitions": L{M{"Partition": partition}}}}})
			}
			ask("right", "__cluster_metadata", 0)
			ask("partition 3", "__cluster_metadata", 3)
			ask("another topic", "odd", 0)
			t.ask("nothing", 55, M{})
		}},
		{57, "features", func(t *talk) {
			ask := func(label, feature string, level, kind int) {
				t.ask(label, 57, M{"TimeoutMillis": 10000, "ValidateOnly": true, "FeatureUpdates": L{M{"Feature": feature, "MaxVersionLevel": level, "UpgradeType": kind, "AllowDowngrade": kind > 1}}})
			}
			ask("as it is", "transaction.version", 2, 1)
			ask("unknown", "odd", 1, 1)
			ask("too high", "transaction.version", 90, 1)
			ask("down, not allowed", "transaction.version", 1, 1)
			ask("down", "transaction.version", 1, 2)
			ask("off", "transaction.version", 0, 2)
			ask("negative", "transaction.version", -1, 1)
			ask("type 9", "transaction.version", 2, 9)
			ask("metadata off", "metadata.version", 0, 2)
			ask("metadata too high", "metadata.version", 900, 1)
			t.ask("nothing", 57, M{"TimeoutMillis": 10000})
		}},
		{64, "unregister", func(t *talk) { t.ask("a stranger", 64, M{"BrokerID": 77}); t.ask("negative", 64, M{"BrokerID": -1}) }},
		{35, "log directories", func(t *talk) {
			topic := t.topic("t", 2)
			t.produce(topic, batch{records: 3})
			t.ask("one partition", 35, M{"Topics": L{M{"Topic": topic, "Partitions": L{0}}}})
			t.ask("another and a stranger", 35, M{"Topics": L{M{"Topic": topic, "Partitions": L{1, 9}}, M{"Topic": t.name("none"), "Partitions": L{0}}}})
			t.ask("none", 35, M{"Topics": L{}})
		}},
		{34, "move between directories", func(t *talk) {
			topic := t.topic("t", 1)
			t.ask("relative", 34, M{"Dirs": L{M{"Dir": "x", "Topics": L{M{"Topic": topic, "Partitions": L{0}}}}}})
			t.ask("unknown", 34, M{"Dirs": L{M{"Dir": "/no/such/dir", "Topics": L{M{"Topic": topic, "Partitions": L{0, 9}}}}}})
		}},
		{29, "ACLs", func(t *talk) {
			t.ask("describe", 29, M{"ResourceType": 1, "ResourcePatternType": 1, "Operation": 1, "PermissionType": 1})
			t.ask("create", 30, M{"Creations": L{M{"ResourceType": 2, "ResourceName": "x", "ResourcePatternType": 3, "Principal": "User:a", "Host": "*", "Operation": 3, "PermissionType": 3}}})
			t.ask("delete", 31, M{"Filters": L{M{"ResourceType": 1, "ResourcePatternType": 1, "Operation": 1, "PermissionType": 1}}})
		}},
		{38, "delegation tokens", func(t *talk) {
			t.ask("create", 38, M{"MaxLifetimeMillis": -1})
			t.ask("renew", 39, M{"HMAC": []byte("x"), "RenewTimeMillis": 1})
			t.ask("expire", 40, M{"HMAC": []byte("x"), "ExpiryPeriodMillis": 1})
			t.ask("describe", 41, M{})
		}},
		{71, "telemetry", func(t *talk) {
			t.ask("subscribe", 71, M{})
			t.ask("push of a stranger", 72, M{"ClientInstanceID": [16]byte{1, 2}, "SubscriptionID": 5})
			t.ask("push without an id", 72, M{})
		}},
		{80, "voters", func(t *talk) {
			t.ask("add", 80, M{"ClusterID": "not-this-one", "TimeoutMillis": 1000, "VoterID": 9, "VoterDirectoryID": [16]byte{1}})
			t.ask("remove", 81, M{"ClusterID": "not-this-one", "VoterID": 9, "VoterDirectoryID": [16]byte{1}})
		}},
	}
}
