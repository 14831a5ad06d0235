import assert from 'node:assert/strict'
import kafkajs from 'kafkajs'
import { brokers, replicas, name, numbered, until, run } from './common.mjs'

const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes } = kafkajs
const kafka = new Kafka({ clientId: 'interop', brokers, logLevel: logLevel.NOTHING, retry: { retries: 8 } })

async function withAdmin(use) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

async function topic(numPartitions = 1) {
  const t = name('t')
  await withAdmin(admin => admin.createTopics({ waitForLeaders: true, topics: [{ topic: t, numPartitions, replicationFactor: replicas }] }))
  return t
}

async function produce(t, n, compression = CompressionTypes.None, options = {}) {
  const producer = kafka.producer(options)
  await producer.connect()
  await producer.send({ topic: t, acks: -1, compression, messages: numbered(n).map(value => ({ value })) })
  await producer.disconnect()
}

async function take(groupId, t, n, options = {}) {
  const got = []
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 500, ...options })
  await consumer.connect()
  await consumer.subscribe({ topic: t, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => { got.push(message.value.toString()) } })
  try {
    await until(() => got.length >= n, `${n} messages`)
  } finally {
    await consumer.disconnect()
  }
  return got
}

run({
  'produce and consume': async () => {
    for (const codec of [CompressionTypes.None, CompressionTypes.GZIP]) {
      const t = await topic()
      await produce(t, 500, codec)
      assert.deepEqual(await take(name('g'), t, 500), numbered(500))
    }
  },
  'idempotent producer': async () => {
    const t = await topic()
    await produce(t, 100, CompressionTypes.None, { idempotent: true, maxInFlightRequests: 1 })
    assert.deepEqual(await take(name('g'), t, 100), numbered(100))
  },
  'classic group': async () => {
    const t = await topic(2), g = name('g')
    for (let i = 0; i < 2; i++) {
      await produce(t, 50)
      assert.equal((await take(g, t, 50)).length, 50)
    }
  },
  transactions: async () => {
    const t = await topic()
    const producer = kafka.producer({ transactionalId: name('x'), idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (let i = 0; i < 3; i++) {
      const transaction = await producer.transaction()
      await transaction.send({ topic: t, messages: [{ value: String(i) }] })
      await (i === 0 ? transaction.abort() : transaction.commit())
    }
    await producer.disconnect()
    assert.deepEqual(await take(name('g'), t, 2), ['1', '2'])
  },
  'topic administration': () => withAdmin(async admin => {
    const t = await topic(2)
    await admin.createPartitions({ topicPartitions: [{ topic: t, count: 3 }] })
    await until(async () => (await admin.fetchTopicMetadata({ topics: [t] })).topics[0].partitions.length === 3, '3 partitions')
    await admin.deleteTopics({ topics: [t] })
  }),
  configuration: () => withAdmin(async admin => {
    const t = await topic()
    const type = ConfigResourceTypes.TOPIC
    await admin.alterConfigs({ resources: [{ type, name: t, configEntries: [{ name: 'retention.ms', value: '7200000' }] }] })
    await until(async () => (await admin.describeConfigs({ resources: [{ type, name: t, configNames: ['retention.ms'] }] })).resources[0].configEntries[0].configValue === '7200000', 'retention.ms')
  }),
  'delete records': () => withAdmin(async admin => {
    const t = await topic()
    await produce(t, 30)
    await admin.fetchTopicOffsets(t) // else the client does not know the topic
    await admin.deleteTopicRecords({ topic: t, partitions: [{ partition: 0, offset: '12' }] })
    assert.equal((await admin.fetchTopicOffsets(t))[0].low, '12')
  }),
  'group administration': () => withAdmin(async admin => {
    const t = await topic(), g = name('g')
    await produce(t, 10)
    await take(g, t, 10)
    assert.ok((await admin.listGroups()).groups.some(x => x.groupId === g))
    assert.equal((await admin.describeGroups([g])).groups[0].state, 'Empty')
    await admin.setOffsets({ groupId: g, topic: t, partitions: [{ partition: 0, offset: '3' }] })
    assert.equal((await admin.fetchOffsets({ groupId: g, topics: [t] }))[0].partitions[0].offset, '3')
    await admin.deleteGroups([g])
  }),
  'cluster description': () => withAdmin(async admin => assert.equal((await admin.describeCluster()).brokers.length, brokers.length)),
})
