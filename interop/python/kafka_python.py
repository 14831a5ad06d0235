"""kafka-python."""
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from common import BOOTSTRAP, REPLICAS, check, name, run

SERVERS = BOOTSTRAP.split(",")


def topic(partitions=1):
    t = name("t")
    a = KafkaAdminClient(bootstrap_servers=SERVERS)
    a.create_topics([NewTopic(name=t, num_partitions=partitions, replication_factor=REPLICAS)])
    a.close()
    time.sleep(0.5)
    return t


def produce(t, n, **config):
    p = KafkaProducer(bootstrap_servers=SERVERS, acks="all", **config)
    sent = [p.send(t, str(i).encode()) for i in range(n)]
    for s in sent:
        s.get(20)
    p.close()


def take(c, n, seconds=40):
    got, deadline = [], time.time() + seconds
    while len(got) < n and time.time() < deadline:
        for records in c.poll(500).values():
            got += records
    check(len(got), n, "records read")
    return got


def read(t, n, **config):
    c = KafkaConsumer(bootstrap_servers=SERVERS, auto_offset_reset="earliest", **config)
    c.assign([TopicPartition(t, 0)])
    try:
        return take(c, n)
    finally:
        c.close()


def codecs():
    for codec in None, "gzip":
        t = topic()
        produce(t, 500, compression_type=codec)
        check([m.value for m in read(t, 500)], [str(i).encode() for i in range(500)], codec)


def by_timestamp():
    t = topic()
    p = KafkaProducer(bootstrap_servers=SERVERS)
    base = int(time.time() * 1000)
    for i in range(10):
        p.send(t, b"v", timestamp_ms=base + i * 1000).get(10)
    p.close()
    c = KafkaConsumer(bootstrap_servers=SERVERS)
    check(c.offsets_for_times({TopicPartition(t, 0): base + 3500})[TopicPartition(t, 0)].offset, 4, "offset")
    c.close()


def group():
    t, g = topic(2), name("g")
    for _ in range(2):
        produce(t, 100)
        c = KafkaConsumer(t, bootstrap_servers=SERVERS, group_id=g, auto_offset_reset="earliest", enable_auto_commit=False)
        take(c, 100)
        c.commit()
        c.close()


def transactions():
    t = topic()
    p = KafkaProducer(bootstrap_servers=SERVERS, transactional_id=name("x"))
    p.init_transactions()
    for i in range(3):
        p.begin_transaction()
        sent = [p.send(t, str(i).encode()) for _ in range(20)]
        p.flush()
        for s in sent:
            s.get(10)
        p.abort_transaction() if i == 0 else p.commit_transaction()
    p.close()
    check({m.value for m in read(t, 40, isolation_level="read_committed")}, {b"1", b"2"}, "read_committed")


def topics():
    t = topic(2)
    a = KafkaAdminClient(bootstrap_servers=SERVERS)
    check(t in a.list_topics(), True, "listed")
    a.delete_topics([t])
    a.close()


run({
    "produce and consume": codecs,
    "offset by timestamp": by_timestamp,
    "classic group": group,
    "transactions": transactions,
    "topic administration": topics,
})
