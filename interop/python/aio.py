"""aiokafka."""
import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from common import BOOTSTRAP, REPLICAS, check, name, run


async def topic(partitions=1):
    t = name("t")
    a = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await a.start()
    await a.create_topics([NewTopic(t, partitions, REPLICAS)])
    await a.close()
    await asyncio.sleep(0.5)
    return t


async def produce(t, n, **config):
    p = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, acks="all", **config)
    await p.start()
    for sent in [await p.send(t, str(i).encode()) for i in range(n)]:
        await asyncio.wait_for(sent, 20)
    await p.stop()


async def take(c, n):
    got = []
    for _ in range(80):
        for records in (await c.getmany(timeout_ms=500)).values():
            got += records
        if len(got) >= n:
            break
    check(len(got), n, "records read")
    return got


async def read(t, n, **config):
    c = AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest", **config)
    await c.start()
    c.assign([TopicPartition(t, 0)])
    try:
        return await take(c, n)
    finally:
        await c.stop()


async def codecs():
    for codec in None, "gzip":
        t = await topic()
        await produce(t, 500, compression_type=codec)
        check([m.value for m in await read(t, 500)], [str(i).encode() for i in range(500)], codec)


async def idempotent():
    t = await topic()
    await produce(t, 500, enable_idempotence=True)
    check(len(await read(t, 500)), 500, "records")


async def group():
    t, g = await topic(2), name("g")
    for _ in range(2):
        await produce(t, 100)
        c = AIOKafkaConsumer(t, bootstrap_servers=BOOTSTRAP, group_id=g, auto_offset_reset="earliest", enable_auto_commit=False)
        await c.start()
        await take(c, 100)
        await c.commit()
        await c.stop()


async def transactions():
    t = await topic()
    p = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=name("x"))
    await p.start()
    for i in range(3):
        await p.begin_transaction()
        for _ in range(20):
            await p.send_and_wait(t, str(i).encode())
        await (p.abort_transaction() if i == 0 else p.commit_transaction())
    await p.stop()
    check({m.value for m in await read(t, 40, isolation_level="read_committed")}, {b"1", b"2"}, "read_committed")


async def topics():
    t = await topic(2)
    a = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await a.start()
    check(t in await a.list_topics(), True, "listed")
    await a.delete_topics([t])
    await a.close()


run({feature: lambda f=f: asyncio.run(f()) for feature, f in {
    "produce and consume": codecs,
    "idempotent producer": idempotent,
    "classic group": group,
    "transactions": transactions,
    "topic administration": topics,
}.items()})
