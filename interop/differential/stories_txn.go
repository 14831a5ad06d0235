package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func transactionStories() []story {
	return []story{
		{22, "producer ids", func(t *talk) {
			for label, f := range inOrder("idempotent", M{}, "transactional", M{"TransactionalID": t.name("x")}, "again", M{"TransactionalID": t.name("x")}, "no id", M{"TransactionalID": ""},
				"no time", M{"TransactionalID": t.name("y"), "TransactionTimeoutMillis": 0}, "too much time", M{"TransactionalID": t.name("y"), "TransactionTimeoutMillis": 1 << 30},
				"of another", M{"TransactionalID": t.name("x"), "ProducerID": 12345, "ProducerEpoch": 3}, "id without epoch", M{"TransactionalID": t.name("x"), "ProducerID": 12345}) {
				if f["TransactionTimeoutMillis"] == nil {
					f["TransactionTimeoutMillis"] = 30000
				}
				t.ask(label, 22, f)
			}
		}},
		{24, "add partitions", func(t *talk) {
			topic := t.topic("t", 2)
			x := t.transaction()
			add := func(label string, x transaction, topic string, partitions ...any) {
				topics := L{M{"Topic": topic, "Partitions": L(partitions)}}
				t.ask(label, 24, M{"TransactionalID": x.id, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Topics": topics,
					"Transactions": L{M{"TransactionalID": x.id, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Topics": topics}}})
			}
			add("right", x, topic, 0, 1)
			add("again", x, topic, 0)
			add("no such partition", x, topic, 0, 8)
			add("no such topic", x, t.name("none"), 0)
			add("older epoch", transaction{x.id, x.producer, x.epoch - 1}, topic, 0)
			add("newer epoch", transaction{x.id, x.producer, x.epoch + 1}, topic, 0)
			add("another producer", transaction{x.id, x.producer + 100, x.epoch}, topic, 0)
			add("unknown id", transaction{t.name("other"), x.producer, x.epoch}, topic, 0)
			add("no id", transaction{"", x.producer, x.epoch}, topic, 0)
		}},
		{25, "add offsets", func(t *talk) {
			x := t.transaction()
			add := func(label string, x transaction, group string) {
				t.ask(label, 25, M{"TransactionalID": x.id, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Group": group})
			}
			add("right", x, t.name("g"))
			add("no group", x, "")
			add("older epoch", transaction{x.id, x.producer, x.epoch - 1}, t.name("g"))
			add("another producer", transaction{x.id, x.producer + 100, x.epoch}, t.name("g"))
			add("unknown id", transaction{t.name("other"), x.producer, x.epoch}, t.name("g"))
		}},
		{26, "end", endTxns},
		{28, "offsets", txnOffsets},
		{65, "describe", func(t *talk) {
			topic := t.topic("t", 1)
			x := t.transaction()
			t.ask("empty", 65, M{"TransactionalIDs": L{x.id}})
			t.addPartition(x, topic)
			t.ask("ongoing", 65, M{"TransactionalIDs": L{x.id, t.name("none"), ""}})
			t.ask("nothing", 65, M{})
		}},
		{66, "list", func(t *talk) {
			t.mine("states", 66, M{"StateFilters": L{"PrepareAbort", "nonsense"}})
			t.mine("producers", 66, M{"ProducerIDFilters": L{987654321}})
			t.mine("long ones", 66, M{"DurationFilterMillis": 1 << 40})
			t.mine("pattern", 66, M{"TransactionalIDPattern": "no-such-.*"})
			t.mine("bad pattern", 66, M{"TransactionalIDPattern": "["})
		}},
		{27, "markers", func(t *talk) {
			topic := t.topic("t", 1)
			marker := func(label, topic string, partition, producer int) {
				t.ask(label, 27, M{"Markers": L{M{"ProducerID": producer, "ProducerEpoch": 0, "Committed": true, "CoordinatorEpoch": 0, "Topics": L{M{"Topic": topic, "Partitions": L{partition}}}}}})
			}
			marker("of a stranger", topic, 0, 77777)
			marker("no such partition", topic, 5, 77777)
			marker("no such topic", t.name("none"), 0, 77777)
			t.ask("what is there then", 1, t.fetchOf(topic, M{"FetchOffset": 0}))
		}},
		{0, "in a transaction", produceInTransaction},
	}
}

type transaction struct {
	id       string
	producer int64
	epoch    int16
}

// transaction makes a producer that has not begun anything.
func (t *talk) transaction() transaction {
	id := t.name("x")
	resp, ok := t.until(22, M{"TransactionalID": id, "TransactionTimeoutMillis": 30000}).(*kmsg.InitProducerIDResponse)
	if !ok {
		return transaction{id: id}
	}
	return transaction{id, resp.ProducerID, resp.ProducerEpoch}
}

// addPartition is version 1's way to begin.
func (t *talk) addPartition(x transaction, topic string) {
	topics := L{M{"Topic": topic, "Partitions": L{0}}}
	req := request(24, M{"TransactionalID": x.id, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Topics": topics})
	req.SetVersion(3)
	t.broker.ask(req)
}

func (x transaction) end(commit bool) M {
	return M{"TransactionalID": x.id, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Commit": commit}
}

func endTxns(t *talk) {
	topic := t.topic("t", 1)
	x := t.transaction()
	t.ask("nothing begun, abort", 26, x.end(false))
	t.ask("nothing begun, commit", 26, x.end(true))
	x = t.transaction()
	t.addPartition(x, topic)
	t.ask("older epoch", 26, transaction{x.id, x.producer, x.epoch - 1}.end(true))
	t.ask("newer epoch", 26, transaction{x.id, x.producer, x.epoch + 1}.end(true))
	t.ask("another producer", 26, transaction{x.id, x.producer + 100, x.epoch}.end(true))
	t.ask("unknown id", 26, transaction{t.name("none"), x.producer, x.epoch}.end(true))
	t.ask("no id", 26, transaction{"", x.producer, x.epoch}.end(true))
	t.ask("commit", 26, x.end(true))
	for range 40 { // until the markers are written
		pause()
	}
	t.ask("commit again", 26, x.end(true))
	t.ask("abort what is committed", 26, x.end(false))
	t.ask("what is there then", 1, t.fetchOf(topic, M{"FetchOffset": 0}))
}

func txnOffsets(t *talk) {
	topic, group := t.topic("t", 1), t.name("g")
	x := t.transaction()
	commit := func(label string, x transaction, group, topic string, partition int, generation int32, member string) {
		t.ask(label, 28, M{"TransactionalID": x.id, "Group": group, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Generation": generation, "MemberID": member,
			"Topics": L{M{"Topic": topic, "Partitions": L{M{"Partition": partition, "Offset": 5, "LeaderEpoch": -1, "Metadata": "note"}}}}})
	}
	t.quiet(25, M{"TransactionalID": x.id, "ProducerID": x.producer, "ProducerEpoch": x.epoch, "Group": group})
	commit("right", x, group, topic, 0, -1, "")
	commit("generation of nobody", x, group, topic, 0, 4, "m")
	commit("no such partition", x, group, topic, 7, -1, "")
	commit("no such topic", x, group, t.name("none"), 0, -1, "")
	commit("older epoch", transaction{x.id, x.producer, x.epoch - 1}, group, topic, 0, -1, "")
	commit("no group", x, "", topic, 0, -1, "")
	stable := t.offsetsOf(group, topic, 0)
	stable["RequireStable"] = true
	t.ask("pending, stable", 9, stable)
	t.ask("pending", 9, t.offsetsOf(group, topic, 0))
}

func produceInTransaction(t *talk) {
	topic := t.topic("t", 1)
	x := t.transaction()
	send := func(label string, sequence int32, id any) {
		b := batch{attributes: 0x10, producer: x.producer, epoch: x.epoch, sequence: sequence}
		fields := t.produceTo(topic, 0, b.bytes(), -1)
		fields["TransactionID"] = id
		t.ask(label, 0, fields)
	}
	send("not begun", 0, x.id)
	t.addPartition(x, topic)
	send("begun", 0, x.id)
	send("next", 1, x.id)
	send("another's id", 2, t.name("other"))
	send("without an id", 3, nil)
	committed := t.fetchOf(topic, M{"FetchOffset": 0})
	committed["IsolationLevel"] = 1
	t.ask("read_committed", 1, committed)
	t.ask("read_uncommitted", 1, t.fetchOf(topic, M{"FetchOffset": 0}))
	t.ask("last stable offset", 2, M{"ReplicaID": -1, "IsolationLevel": 1, "Topics": L{M{"Topic": topic, "Partitions": L{M{"Timestamp": -1, "CurrentLeaderEpoch": -1}}}}})
}
