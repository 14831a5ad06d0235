// What the Node suites share: features come as arguments, verdicts go to standard output (see ../script.go).
import path from 'node:path'
import assert from 'node:assert/strict'

export const brokers = process.env.BOOTSTRAP.split(',')
export const replicas = Number(process.env.REPLICAS)
const patience = 60_000
let names = 0

export function name(what) {
  return `${what}-${path.basename(process.argv[1], '.mjs')}-${process.env.RUN}-${++names}`
}

export const numbered = n => Array.from({ length: n }, (_, i) => String(i))

export async function until(ask, what) {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    if (await ask()) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  assert.fail(`never: ${what}`)
}

export async function run(features) {
  for (const feature of process.argv.slice(2)) {
    let timer
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`no end after ${patience} ms`)), patience) })
    try {
      await Promise.race([features[feature](), late])
      console.log(`pass ${feature}`)
    } catch (why) {
      console.error(why)
      console.log(`fail ${feature}: ${String(why.message).split('\n')[0]}`)
    }
    clearTimeout(timer)
  }
  process.exit(0)
}

process.on('unhandledRejection', why => console.error('unhandled', why))
