import assert from 'node:assert/strict'
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers, MessagesStreamModes } from '@platformatic/kafka'
import { brokers, replicas, name, numbered, until, run } from './common.mjs'

const common = { clientId: 'interop', bootstrapBrokers: brokers, retries: 8 }

async function withAdmin(use) {
  const admin = new Admin(common)
  try {
    return await use(admin)
  } finally {
    await admin.close()
  }
}

async function topic(partitions = 1) {
  const t = name('t')
  await withAdmin(async admin => {
    await admin.createTopics({ topics: [t], partitions, replicas })
    await until(async () => (await admin.listTopics()).includes(t), 'the topic')
  })
  return t
}

async function produce(t, n, options = {}) {
  const producer = new Producer({ ...common, serializers: stringSerializers, ...options })
  await producer.send({ acks: -1, messages: numbered(n).map(value => ({ topic: t, key: 'k', value })) })
  await producer.close()
}

async function take(groupId, t, n, options = {}) {
  const consumer = new Consumer({ ...common, groupId, deserializers: stringDeserializers, ...options })
  const got = []
  const stream = await consumer.consume({ autocommit: false, topics: [t], heartbeatInterval: 500, maxWaitTime: 500, mode: MessagesStreamModes.COMMITTED, fallbackMode: 'earliest' })
  try {
    stream.on('data', m => got.push(m))
    await until(() => got.length >= n, `${n} messages`)
    for (const m of new Map(got.map(m => [m.partition, m])).values()) await m.commit()
  } finally {
    await consumer.close(true)
  }
  return got.map(m => m.value)
}

async function group(options) {
  const t = await topic(2), g = name('g')
  for (let i = 0; i < 2; i++) {
    await produce(t, 50)
    assert.equal((await take(g, t, 50, options)).length, 50)
  }
}

run({
  'produce and consume': async () => {
    for (const compression of ['none', 'gzip', 'snappy', 'lz4']) {
      const t = await topic()
      await produce(t, 500, { compression })
      assert.deepEqual(await take(name('g'), t, 500), numbered(500), compression)
    }
  },
  'idempotent producer': async () => {
    const t = await topic()
    await produce(t, 100, { idempotent: true })
    assert.deepEqual(await take(name('g'), t, 100), numbered(100))
  },
  'classic group': () => group({}),
  'consumer group (KIP-848)': () => group({ groupProtocol: 'consumer' }),
  'topic administration': () => withAdmin(async admin => admin.deleteTopics({ topics: [await topic(2)] })),
  'group administration': () => withAdmin(async admin => {
    const t = await topic(), g = name('g')
    await produce(t, 10)
    await take(g, t, 10)
    assert.ok((await admin.listGroups()).has(g))
    await admin.deleteGroups({ groups: [g] })
  }),
})
