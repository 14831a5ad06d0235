"""librdkafka, through confluent-kafka."""
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition, OFFSET_BEGINNING, IsolationLevel
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec

from common import BOOTSTRAP, REPLICAS, check, name, run

admin = AdminClient({"bootstrap.servers": BOOTSTRAP})


def topic(partitions=1, **config):
    t = name("t")
    admin.create_topics([NewTopic(t, partitions, REPLICAS, config=config)])[t].result(20)
    deadline = time.time() + 10
    while time.time() < deadline:
        found = admin.list_topics(t, timeout=5).topics[t].partitions
        if len(found) == partitions and all(p.leader >= 0 for p in found.values()):
            break
    return t


def produce(t, n, **config):
    failed = []
    p = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **config})
    for i in range(n):
        p.produce(t, str(i).encode(), on_delivery=lambda err, _: failed.append(err) if err else None)
    check(p.flush(30), 0, "records without an answer")
    check(failed, [], "records refused")


def consumer(group=None, **config):
    return Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": group or name("g"), "auto.offset.reset": "earliest", "enable.auto.commit": False, **config})


def poll(c, n, seconds=40):
    got, deadline = [], time.time() + seconds
    while len(got) < n and time.time() < deadline:
        m = c.poll(0.5)
        if m is not None and m.error():
            raise AssertionError(f"poll: {m.error()}")
        if m is not None:
            got.append(m)
    check(len(got) >= n, True, f"{len(got)} of {n} records read")
    return got


def read(t, n, **config):
    c = consumer(**config)
    c.assign([TopicPartition(t, 0, OFFSET_BEGINNING)])
    try:
        return poll(c, n)
    finally:
        c.close()


def codecs():
    for codec in "none", "gzip", "snappy", "lz4", "zstd":
        t = topic()
        produce(t, 1000, **{"compression.type": codec})
        check([m.value() for m in read(t, 1000)], [str(i).encode() for i in range(1000)], codec)


def idempotent():
    t = topic()
    produce(t, 2000, **{"enable.idempotence": True})
    check([m.value() for m in read(t, 2000)], [str(i).encode() for i in range(2000)], "records")


def by_timestamp():
    t = topic()
    p = Producer({"bootstrap.servers": BOOTSTRAP})
    base = int(time.time() * 1000)
    for i in range(10):
        p.produce(t, b"v", timestamp=base + i * 1000)
        p.flush(10)
    c = consumer()
    check(c.offsets_for_times([TopicPartition(t, 0, base + 3500)], timeout=10)[0].offset, 4, "offset")
    check(c.get_watermark_offsets(TopicPartition(t, 0), timeout=10), (0, 10), "watermarks")
    c.close()
    found = list(admin.list_offsets({TopicPartition(t, 0): OffsetSpec.max_timestamp()}).values())[0].result(10)
    check(found.offset, 9, "offset of the greatest timestamp")


def group(**config):
    t, g = topic(4), name("g")
    members = [consumer(g, **config) for _ in range(2)]
    for m in members:
        m.subscribe([t])
    deadline = time.time() + 40
    while sorted(len(m.assignment()) for m in members) != [2, 2] and time.time() < deadline:
        for m in members:
            m.poll(0.1)
    check(sorted(len(m.assignment()) for m in members), [2, 2], "shares of 4 partitions")
    produce(t, 400)
    seen, deadline = set(), time.time() + 30
    while len(seen) < 400 and time.time() < deadline:
        for m in members:
            seen.update(r.value() for r in m.consume(100, 0.1) if not r.error())  # all may be one member's
    check(len(seen), 400, "records read")
    for m in members:
        m.commit(asynchronous=False)
        m.close()
    produce(t, 40)
    third = consumer(g, **config)
    third.subscribe([t])
    poll(third, 40)
    check(third.poll(1), None, "a record more than those after the commit")
    third.close()


def transactions():
    t = topic()
    p = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": name("x")})
    p.init_transactions(20)
    for i in range(3):
        p.begin_transaction()
        for _ in range(20):
            p.produce(t, str(i).encode())
        p.flush(20)  # else an abort throws away what was not sent
        p.abort_transaction(20) if i == 0 else p.commit_transaction(20)
    got = [m.value() for m in read(t, 40, **{"isolation.level": "read_committed"})]
    check(got, [b"1"] * 20 + [b"2"] * 20, "read_committed")
    check(len(read(t, 60, **{"isolation.level": "read_uncommitted"})), 60, "read_uncommitted")


def exactly_once():
    source, sink, g = topic(), topic(), name("g")
    produce(source, 100)
    c = consumer(g, **{"isolation.level": "read_committed"})
    c.subscribe([source])
    p = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": name("x")})
    p.init_transactions(20)
    done = 0
    for commit in False, True, False, True:
        if not commit:
            done_before = done
        batch = poll(c, 50)
        p.begin_transaction()
        for m in batch:
            p.produce(sink, m.value())
        p.send_offsets_to_transaction(c.position(c.assignment()), c.consumer_group_metadata(), 20)
        if commit:
            p.commit_transaction(20)
            done += len(batch)
        else:
            p.abort_transaction(20)
            c.seek(TopicPartition(source, 0, done_before))
    c.close()
    check([m.value() for m in read(sink, 100, **{"isolation.level": "read_committed"})], [str(i).encode() for i in range(100)], "copied")


def topics():
    t = topic(2)
    admin.create_partitions([NewPartitions(t, 3)])[t].result(20)
    deadline = time.time() + 20
    while len(admin.list_topics(t, timeout=5).topics[t].partitions) != 3 and time.time() < deadline:
        pass
    check(len(admin.list_topics(t, timeout=5).topics[t].partitions), 3, "partitions")
    admin.delete_topics([t])[t].result(20)


def configs():
    t = topic()
    r = ConfigResource(ConfigResource.Type.TOPIC, t, incremental_configs=[ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)])
    admin.incremental_alter_configs([r])[r].result(20)
    deadline = time.time() + 10
    while time.time() < deadline:
        q = ConfigResource(ConfigResource.Type.TOPIC, t)
        if admin.describe_configs([q])[q].result(20)["retention.ms"].value == "7200000":
            return
    raise AssertionError("retention.ms does not change")


def delete_records():
    t = topic()
    produce(t, 30)
    deleted = list(admin.delete_records([TopicPartition(t, 0, 12)]).values())[0].result(20)
    check(deleted.low_watermark, 12, "low watermark")
    check(read(t, 18)[0].offset(), 12, "first record")


def groups():
    t, g = topic(), name("g")
    produce(t, 10)
    c = consumer(g)
    c.subscribe([t])
    poll(c, 10)
    c.commit(asynchronous=False)
    described = admin.describe_consumer_groups([g])[g].result(20)
    check(len(described.members), 1, "members")
    c.close()
    listed = [x.group_id for x in admin.list_consumer_groups().result(20).valid]
    check(g in listed, True, "listed")
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(g)])[g].result(20)
    check(offsets.topic_partitions[0].offset, 10, "committed offset")
    altered = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(g, [TopicPartition(t, 0, 3)])])[g].result(20)
    check(altered.topic_partitions[0].error, None, "altering offsets")
    admin.delete_consumer_groups([g])[g].result(20)


def cluster():
    check(len(admin.describe_cluster().result(20).nodes), len(BOOTSTRAP.split(",")), "brokers")


run({
    "produce and consume": codecs,
    "idempotent producer": idempotent,
    "offset by timestamp": by_timestamp,
    "classic group": group,
    "cooperative group": lambda: group(**{"partition.assignment.strategy": "cooperative-sticky"}),
    "consumer group (KIP-848)": lambda: group(**{"group.protocol": "consumer"}),
    "transactions": transactions,
    "exactly once": exactly_once,
    "topic administration": topics,
    "configuration": configs,
    "delete records": delete_records,
    "group administration": groups,
    "cluster description": cluster,
})
